"""The ConfigMaps that a handler's pods read: which, and a digest that changes with their content.

The digest is an annotation of the pods, so a changed ConfigMap rolls them. Secrets are not
read: by default the operator has no right to. The handler's own ConfigMap goes after the last
pod that was made to read it: without it not even a restart of such a pod succeeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from contract.metadata import controller_of, digest
from contract.model import Object
from contract.ownership import annotations_of, owner_annotation
from gati import names
from gati.handler.build.sources import env, env_from, volumes
from gati.handler.resolve import Handler
from gati.handler.status.observe import Observed
from gati.kinds import GATI_HANDLER, GROUP

_DIGEST = "digest"


def references(handler: Handler) -> tuple[str, ...]:
    """The names of the ConfigMaps that the spec refers to; in order, once.

    The one that holds ``spec.config`` is left out; where there is none, its name is a user's.
    """
    spec, own = handler.spec, handler.workload
    found = {
        *_named_by_container(env(spec), env_from(spec, own)),
        *_named_by_volumes(volumes(spec)),
    }
    return tuple(sorted(found - ({own} if spec.config else set())))


def config_digest(handler: Handler, config_maps: Iterable[Object]) -> str:
    """A digest of everything the pods are configured with; empty where that is nothing.

    ``config_maps`` are those of ``references`` that exist.
    """
    contents = {obj["metadata"]["name"]: content_digest(obj) for obj in config_maps}
    if not handler.spec.config and not contents:
        return ""
    return digest({"own": handler.spec.config, "others": contents})


def retained(
    config_map: Object | None, deployment: Object | None, observed: Observed
) -> Object | None:
    """The content of the handler's own ConfigMap while pods may still read it, else None.

    That is for as long as the Deployment's template names it, and then until no pod of an older
    template is left. ``observed`` is what the Deployment shows.
    """
    if config_map is None or deployment is None:
        return None
    if _DIGEST in config_map or "deletionTimestamp" in config_map["metadata"]:
        return None  # what it holds is not known, or cannot be kept
    template = deployment["spec"]["template"]["spec"]
    rolled_out = observed.current and observed.replicas == observed.updated
    if rolled_out and config_map["metadata"]["name"] not in _named_by_pod(template):
        return None
    return {"data": config_map["data"]} if config_map.get("data") else {}


def content_digest(config_map: Object) -> str:
    """A digest of what a ConfigMap holds, whether the cache kept it whole or cut it down."""
    if _DIGEST in config_map:
        return str(config_map[_DIGEST])
    return digest([config_map.get("data") or {}, config_map.get("binaryData") or {}])


def keep(config_map: Object) -> Object:
    """What the cache stores: ours as they are, of all others the owner's marks and a digest."""
    metadata = config_map["metadata"]
    labels = metadata.get("labels") or {}
    annotations = annotations_of(config_map)
    # Somebody may have taken marks off; what is ours may have to be written as it is.
    controller = controller_of(config_map) or {}
    ours = controller.get("kind") == GATI_HANDLER.kind or _OWNER in annotations
    if ours or labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY:
        return config_map
    marks = {key: value for key, value in annotations.items() if key.startswith(names.PREFIX)}
    kept = {key: metadata[key] for key in _IDENTITY if key in metadata}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": kept | {"annotations": marks},
        _DIGEST: content_digest(config_map),
    }


_OWNER = owner_annotation(GROUP)
_IDENTITY = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "deletionTimestamp",
    "labels",
    "ownerReferences",
)


def _named_by_pod(pod: Object) -> set[str]:
    """Every ConfigMap that a live pod template names, in any container."""
    found = set(_named_by_volumes(pod.get("volumes") or ()))
    for container in (*pod["containers"], *(pod.get("initContainers") or ())):
        sources = container.get("env") or (), container.get("envFrom") or ()
        found.update(_named_by_container(*sources))
    return found


def _named_by_container(env: Iterable[Object], env_from: Iterable[Object]) -> Iterator[str]:
    for variable in env:
        yield from _named((variable.get("valueFrom") or {}).get("configMapKeyRef"))
    for bundle in env_from:
        yield from _named(bundle.get("configMapRef"))


def _named_by_volumes(volumes: Iterable[Object]) -> Iterator[str]:
    for volume in volumes:
        yield from _named(volume.get("configMap"))
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _named(source.get("configMap"))


def _named(reference: Object | None) -> Iterator[str]:
    if reference and reference.get("name"):
        yield str(reference["name"])

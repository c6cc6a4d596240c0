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
from gati.contracts import HandlerSpec, JsonObject
from gati.handler.readiness import observe
from gati.kinds import GATI_HANDLER, GROUP

_DIGEST = "digest"


def references(spec: HandlerSpec) -> tuple[str, ...]:
    """The names of the ConfigMaps that the spec refers to; in order, once.

    The one that holds ``spec.config`` is left out; where there is none, its name is a user's.
    """
    own = {names.workload(spec.name)} if spec.config else set()
    return tuple(sorted(set(_references(spec)) - own))


def config_digest(spec: HandlerSpec, config_maps: Iterable[Object]) -> str:
    """A digest of everything the pods are configured with; empty where that is nothing.

    ``config_maps`` are those of ``references`` that exist.
    """
    contents = {obj["metadata"]["name"]: content_digest(obj) for obj in config_maps}
    if not spec.config and not contents:
        return ""
    return digest({"own": dict(spec.config), "others": contents})


def still_read(config_map: Object | None, deployment: Object | None) -> JsonObject | None:
    """What the handler's own ConfigMap holds, while pods may need it though no spec asks for it.

    That is for as long as the Deployment's template names it, and then until no pod of an older
    template is left. None where nothing needs it.
    """
    if config_map is None or deployment is None:
        return None
    if _DIGEST in config_map or "deletionTimestamp" in config_map["metadata"]:
        return None  # what it holds is not known, or cannot be kept
    template = deployment["spec"]["template"]["spec"]
    observed = observe(deployment)
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


def _references(spec: HandlerSpec) -> Iterator[str]:
    yield from _named_by_container(spec.env, spec.env_from)
    yield from _named_by_volumes(spec.volumes)


def _named_by_pod(pod: JsonObject) -> set[str]:
    """Every ConfigMap that a live pod template names, in whosever container."""
    found = set(_named_by_volumes(pod.get("volumes") or ()))
    for container in (*pod["containers"], *(pod.get("initContainers") or ())):
        sources = container.get("env") or (), container.get("envFrom") or ()
        found.update(_named_by_container(*sources))
    return found


def _named_by_container(env: Iterable[JsonObject], env_from: Iterable[JsonObject]) -> Iterator[str]:
    for variable in env:
        yield from _named((variable.get("valueFrom") or {}).get("configMapKeyRef"))
    for bundle in env_from:
        yield from _named(bundle.get("configMapRef"))


def _named_by_volumes(volumes: Iterable[JsonObject]) -> Iterator[str]:
    for volume in volumes:
        yield from _named(volume.get("configMap"))
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _named(source.get("configMap"))


def _named(reference: JsonObject | None) -> Iterator[str]:
    if reference and reference.get("name"):
        yield str(reference["name"])

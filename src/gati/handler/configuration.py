"""The ConfigMaps that a handler's pods read: which, and a digest that changes with their content.

The digest is an annotation of the pods, so a changed ConfigMap rolls them. Secrets are not
read: by default the operator has no right to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gati import names
from gati.contracts import HandlerSpec, JsonObject
from reconciler.meta import digest
from reconciler.model import Object

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


def content_digest(config_map: Object) -> str:
    """A digest of what a ConfigMap holds, whether the cache kept it whole or cut it down."""
    if _DIGEST in config_map:
        return str(config_map[_DIGEST])
    return digest([config_map.get("data") or {}, config_map.get("binaryData") or {}])


def keep(config_map: Object) -> Object:
    """What the cache stores: ours as they are, of all others the owner's marks and a digest."""
    metadata = config_map["metadata"]
    labels = metadata.get("labels") or {}
    if labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY:
        return config_map
    annotations = metadata.get("annotations") or {}
    marks = {key: value for key, value in annotations.items() if key.startswith(names.PREFIX)}
    kept = {key: metadata[key] for key in _IDENTITY if key in metadata}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": kept | {"annotations": marks},
        _DIGEST: content_digest(config_map),
    }


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
    for variable in spec.env:
        yield from _named(variable.get("valueFrom", {}).get("configMapKeyRef"))
    for bundle in spec.env_from:
        yield from _named(bundle.get("configMapRef"))
    for volume in spec.volumes:
        yield from _named(volume.get("configMap"))
        for source in volume.get("projected", {}).get("sources", ()):
            yield from _named(source.get("configMap"))


def _named(reference: JsonObject | None) -> Iterator[str]:
    if reference and reference.get("name"):
        yield str(reference["name"])

"""Does what is live hold what we want? Pure comparison of an intent with an object.

An intent names only the fields we mean to own. Everything else on the live object (defaults,
other people's fields, injected containers) is not looked at. Lists that the API merges by key
are compared by key, all others as a whole, as server-side apply does.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from contract.metadata import digest
from contract.model import Object

MERGE_KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "conditions": (("type",),),
    "containers": (("name",),),
    "env": (("name",),),
    "imagePullSecrets": (("name",),),
    "initContainers": (("name",),),
    "ownerReferences": (("uid",),),
    "ports": (("containerPort",), ("port",)),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "volumeMounts": (("mountPath",),),
    "volumes": (("name",),),
}
"""The fields whose lists are merged by key, with the candidates for that key. ``protocol``
is part of the key of ports as well, but is defaulted: see ``_merge_key``."""

_VOLATILE = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")


def differences(intent: Any, live: Any) -> list[str]:
    """The paths at which ``live`` does not hold the fields of ``intent``; empty when it does."""
    return list(_differences(intent, live, "", ""))


def content_digest(obj: Object) -> str:
    """A digest of what clients wrote into the object: no status, no bookkeeping of the server."""
    kept = {name: value for name, value in obj.items() if name not in ("status", "metadata")}
    metadata = {k: v for k, v in obj["metadata"].items() if k not in _VOLATILE}
    return digest([kept, metadata])


def _differences(intent: Any, live: Any, path: str, field: str) -> Iterator[str]:
    if isinstance(intent, dict) and isinstance(live, dict):
        for name, value in intent.items():
            if value != live.get(name):  # most of an object is as it should be
                yield from _differences(value, live.get(name), f"{path}.{name}".lstrip("."), name)
    elif isinstance(intent, list) and isinstance(live, list):
        yield from _list_differences(intent, live, path, field)
    elif intent != live and not (_empty(intent) and _empty(live)):
        yield path


def _list_differences(intent: list[Any], live: list[Any], path: str, field: str) -> Iterator[str]:
    keyed = [_merge_key(item, field) for item in intent]
    if None in keyed:
        if len(intent) != len(live):
            yield path
            return
        for index, (wanted, present) in enumerate(zip(intent, live, strict=True)):
            yield from _differences(wanted, present, f"{path}[{index}]", "")
        return
    present_by_key = {_merge_key(item, field): item for item in live}
    for key, wanted in zip(keyed, intent, strict=True):
        name = key[0] if key else ""
        yield from _differences(wanted, present_by_key.get(key), f"{path}[{name}]", "")


def _merge_key(item: Any, field: str) -> tuple[Any, ...] | None:
    if not isinstance(item, dict):
        return None
    for candidate in MERGE_KEYS.get(field, ()):
        if all(name in item for name in candidate):
            key = tuple(item[name] for name in candidate)
            return (*key, item.get("protocol", "TCP")) if field == "ports" else key
    return None


def _empty(value: Any) -> bool:
    """The API stores an absent map, list or null alike."""
    return value is None or value in ({}, [])

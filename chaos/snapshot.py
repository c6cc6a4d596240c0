"""What exists at the end of a step, without what differs between two runs that did the same.

Every mask has a name and a reason, and nothing else is left out. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from contract.model import Object

Snapshot = dict[str, Any]
"""``resource/name`` -> what is compared of the object."""

MASKS: dict[str, str] = {
    "metadata.uid, resourceVersion, creationTimestamp": "given by the server, new in each run",
    "metadata.namespace": "each run has its own",
    "metadata.managedFields[].time": "a clock",
    "managers other than the operator's": "they write when they like, in any order",
    "ownerReferences[].uid": "the owner's uid is new in each run",
    "uids in metadata.managedFields[].fieldsV1": "an owner reference's key is its uid",
    "values of the annotations gati.dev/intent and gati.dev/owner-uid": "made of the owner's uid",
    "spec.clusterIP(s), spec.ports[].nodePort": "allocated by the server",
    "status of children": "written by others; what of it counts is in the handler's status",
    "conditions[].lastTransitionTime": "a clock",
    "order of conditions": "they are a map by their type",
    "metadata.generation of children": "counts what other controllers wrote too",
    "deployment.kubernetes.io/revision": "counts ReplicaSets, and a drift may or may not make one",
    "kube-root-ca.crt": "put into every namespace by kube-controller-manager",
}

_SERVER_GIVEN = ("uid", "resourceVersion", "creationTimestamp", "namespace", "managedFields")
_MADE_OF_UIDS = ("gati.dev/intent", "gati.dev/owner-uid")
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REVISION = "deployment.kubernetes.io/revision"


def snapshot(
    objects: Iterable[tuple[str, Object]], manager: str, own: str = "gatihandlers"
) -> Snapshot:
    """The comparable part of objects, given with their resource.

    ``manager`` is the operator's field manager; ``own`` the resource whose status it writes.
    """
    return {
        f"{resource}/{obj['metadata']['name']}": masked(obj, manager, status=resource == own)
        for resource, obj in objects
        if obj["metadata"]["name"] != "kube-root-ca.crt"
    }


def masked(obj: Object, manager: str, *, status: bool) -> Object:
    """One object without what differs from run to run."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SERVER_GIVEN}
    metadata["managers"] = _managers(obj["metadata"].get("managedFields") or (), manager)
    if not status:
        metadata.pop("generation", None)
    annotations = {
        key: "masked" if key in _MADE_OF_UIDS else value
        for key, value in (metadata.pop("annotations", None) or {}).items()
        if key != _REVISION
    }
    if annotations:
        metadata["annotations"] = annotations
    if "ownerReferences" in metadata:
        metadata["ownerReferences"] = [
            {key: value for key, value in owner.items() if key != "uid"}
            for owner in metadata["ownerReferences"]
        ]
    result = {key: value for key, value in obj.items() if key not in ("metadata", "status", "spec")}
    result["metadata"] = metadata
    if "spec" in obj:
        result["spec"] = (
            _without_allocations(obj["spec"]) if obj["kind"] == "Service" else obj["spec"]
        )
    if status:
        result["status"] = _without_times(obj.get("status") or {})
    return result


def _managers(entries: Iterable[Mapping[str, Any]], manager: str) -> list[str]:
    """Which fields the operator owns, and how."""
    return sorted(
        " ".join(
            (
                entry["manager"],
                entry["operation"],
                entry.get("subresource", ""),
                _UID.sub("uid", json.dumps(entry.get("fieldsV1"), sort_keys=True)),
            )
        )
        for entry in entries
        if entry["manager"].startswith(manager)
    )


def _without_allocations(spec: Object) -> Object:
    kept = {key: value for key, value in spec.items() if not key.startswith("clusterIP")}
    if "ports" in kept:
        kept["ports"] = [
            {key: value for key, value in port.items() if key != "nodePort"}
            for port in kept["ports"]
        ]
    return kept


def _without_times(status: Object) -> Object:
    result = dict(status)
    if "conditions" in result:
        result["conditions"] = sorted(
            (
                {key: value for key, value in each.items() if key != "lastTransitionTime"}
                for each in result["conditions"]
            ),
            key=itemgetter("type"),
        )
    return result


def difference(expected: Snapshot, found: Snapshot) -> list[str]:
    """One line for each place in which two snapshots differ; empty where they are the same."""
    return list(_difference("", expected, found))


def _difference(path: str, expected: Any, found: Any) -> Iterable[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            step = f"{path}.{key}" if path else str(key)
            if key not in found:
                yield f"{step}: missing"
            elif key not in expected:
                yield f"{step}: {_short(found[key])} should not be there"
            else:
                yield from _difference(step, expected[key], found[key])
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, pair in enumerate(zip(expected, found, strict=True)):
            yield from _difference(f"{path}[{number}]", *pair)
    elif expected != found:
        yield f"{path}: {_short(found)}, expected {_short(expected)}"


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 160 else text[:159] + "…"

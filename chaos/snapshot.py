"""Snapshots: the objects at the end of a step, without the fields that differ from run to run.

Every mask has a name and a reason; everything else is compared. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec

from contract.metadata import digest
from contract.model import Object

Snapshot = dict[str, Any]
"""``resource/name`` -> the compared part of the object."""

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class View:
    """The context of a mask: the operator's field manager, and whether the object is a parent.

    The operator writes the status of a ``parent``.
    """

    manager: str
    parent: bool


@dataclass(frozen=True)
class Mask:
    """A part of objects that is not compared: the reason, and a function that removes the part."""

    reason: str
    hide: Callable[[Object, View], object]


def snapshot(
    objects: Iterable[tuple[str, Object]], manager: str, own: str = "gatihandlers"
) -> Snapshot:
    """The compared part of (resource, object) pairs.

    ``manager`` is the operator's field manager; ``own`` the resource with the operator's status.
    """
    compared = (
        (f"{resource}/{obj['metadata']['name']}", masked(obj, manager, status=resource == own))
        for resource, obj in objects
    )
    return {name: obj for name, obj in compared if obj}


def masked(obj: Object, manager: str, *, status: bool) -> Object:
    """A copy of one object without the masked parts; empty where nothing remains.

    ``status``: compare the status, as the operator writes it.
    """
    view = View(manager, parent=status)
    copy: Object = msgspec.json.decode(msgspec.json.encode(obj))
    for mask in MASKS.values():
        if copy:
            mask.hide(copy, view)
    return copy


def identity(obj: Object) -> str:
    """The uid, the field managers, and a digest of the object without status."""
    metadata = obj["metadata"]
    managers = {each.get("manager", "") for each in metadata.get("managedFields") or ()}
    managers -= {"kube-controller-manager"}
    ignored = ("resourceVersion", "managedFields", "generation")
    kept = {key: value for key, value in metadata.items() if key not in ignored}
    kept["annotations"] = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if not key.startswith("deployment.kubernetes.io/")
    }
    content = {key: value for key, value in obj.items() if key != "status"} | {"metadata": kept}
    return f"uid {metadata['uid']}, written by {sorted(managers)}, content {digest(content)}"


def _without(*names: str) -> Callable[[Object, View], None]:
    def hide(obj: Object, view: View) -> None:
        for name in names:
            obj["metadata"].pop(name, None)

    return hide


def _times_of_writes(obj: Object, view: View) -> None:
    for entry in obj["metadata"].get("managedFields") or ():
        entry.pop("time", None)


def _other_managers(obj: Object, view: View) -> None:
    entries = obj["metadata"].get("managedFields") or ()
    own = [each for each in entries if each.get("manager", "").startswith(view.manager)]
    names = ("manager", "operation", "subresource")
    own.sort(key=lambda each: [each.get(name, "") for name in names])
    obj["metadata"]["managedFields"] = own


def _uids_of_owners(obj: Object, view: View) -> None:
    for owner in obj["metadata"].get("ownerReferences") or ():
        owner.pop("uid", None)


def _uids_in_field_names(obj: Object, view: View) -> None:
    for entry in obj["metadata"].get("managedFields") or ():
        entry["fieldsV1"] = json.loads(_UID.sub("uid", json.dumps(entry.get("fieldsV1"))))


def _values_made_of_uids(obj: Object, view: View) -> None:
    annotations = obj["metadata"].get("annotations") or {}
    for name in {"gati.dev/intent", "gati.dev/owner-uid"} & set(annotations):
        annotations[name] = "masked"


def _allocations(obj: Object, view: View) -> None:
    if obj.get("kind") != "Service":
        return
    for name in ("clusterIP", "clusterIPs"):
        obj["spec"].pop(name, None)
    for port in obj["spec"].get("ports") or ():
        port.pop("nodePort", None)


def _status_of_a_child(obj: Object, view: View) -> None:
    if not view.parent:
        obj.pop("status", None)


def _conditions(obj: Object) -> list[Object]:
    return (obj.get("status") or {}).get("conditions") or []


def _times_of_conditions(obj: Object, view: View) -> None:
    for condition in _conditions(obj):
        condition.pop("lastTransitionTime", None)


def _order_of_conditions(obj: Object, view: View) -> None:
    _conditions(obj).sort(key=itemgetter("type"))


def _generation_of_a_child(obj: Object, view: View) -> None:
    if not view.parent:
        obj["metadata"].pop("generation", None)


def _revision(obj: Object, view: View) -> None:
    annotations = obj["metadata"].get("annotations") or {}
    if annotations.pop(_REVISION, None) and not annotations:
        del obj["metadata"]["annotations"]


def _root_certificate(obj: Object, view: View) -> None:
    if obj["metadata"]["name"] == "kube-root-ca.crt":
        obj.clear()


MASKS: dict[str, Mask] = {
    "metadata.uid, resourceVersion, creationTimestamp": Mask(
        "set by the server, new in each run",
        _without("uid", "resourceVersion", "creationTimestamp"),
    ),
    "metadata.namespace": Mask("each run has its own namespace", _without("namespace")),
    "metadata.managedFields[].time": Mask("a time", _times_of_writes),
    "managers other than the operator's": Mask(
        "other managers write at any time, in any order", _other_managers
    ),
    "ownerReferences[].uid": Mask("the owner's uid is new in each run", _uids_of_owners),
    "uids in metadata.managedFields[].fieldsV1": Mask(
        "the key of an owner reference is the uid", _uids_in_field_names
    ),
    "values of the annotations gati.dev/intent and gati.dev/owner-uid": Mask(
        "derived from the owner's uid", _values_made_of_uids
    ),
    "spec.clusterIP(s), spec.ports[].nodePort": Mask("allocated by the server", _allocations),
    "status of children": Mask(
        "written by other controllers; the handler's status holds what counts", _status_of_a_child
    ),
    "conditions[].lastTransitionTime": Mask("a time", _times_of_conditions),
    "order of conditions": Mask("conditions are a map, keyed by type", _order_of_conditions),
    "metadata.generation of children": Mask(
        "counts the writes of other controllers, too", _generation_of_a_child
    ),
    "deployment.kubernetes.io/revision": Mask(
        "counts ReplicaSets, and drift may or may not create one", _revision
    ),
    "kube-root-ca.crt": Mask(
        "created in every namespace by kube-controller-manager", _root_certificate
    ),
}
"""The masks by name, as in docs/chaos.md."""


def difference(expected: Snapshot, found: Snapshot) -> list[str]:
    """One line for each difference of two snapshots; empty where they are equal."""
    return list(_difference("", expected, found))


def _difference(path: str, expected: Any, found: Any) -> Iterable[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            step = f"{path}.{key}" if path else str(key)
            if key not in found:
                yield f"{step}: missing"
            elif key not in expected:
                yield f"{step}: {_short(found[key])} is not expected"
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

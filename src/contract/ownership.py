"""Whose an object is, and the marks that say so. Pure.

An object is the parent's own when its controller owner reference carries the parent's uid;
where it has no controller, when our annotation carries that uid (somebody took the owner
reference off), or when whoever may edit the object said that it may be adopted. A name or a
label alone proves nothing, and nothing proves it across namespaces: who may write in one must
not reach into another, and a copy of a child's manifest elsewhere is no child.
"""

from __future__ import annotations

from collections.abc import Mapping

from contract.metadata import controller_of, digest
from contract.model import Child, Object


def annotations_of(obj: Object) -> Mapping[str, str]:
    """The annotations of an object, empty where it has none."""
    return obj["metadata"].get("annotations") or {}


def intent_annotation(group: str) -> str:
    """Holds the digest of the last intent that was applied."""
    return f"{group}/intent"


def owner_annotation(group: str) -> str:
    """Holds the uid of the parent, should the owner reference be taken off."""
    return f"{group}/owner-uid"


def yields_annotation(group: str) -> str:
    """Names the fields that were handed over to others."""
    return f"{group}/yields"


def adopt_annotation(group: str) -> str:
    """Set by hand on a foreign object to the parent's name: the parent may take it over."""
    return f"{group}/adopt"


def owner_uid(obj: Object, group: str) -> str | None:
    """The uid of the parent that the object belongs to, or None."""
    controller = controller_of(obj)
    if controller is not None:
        return str(controller.get("uid"))
    return annotations_of(obj).get(owner_annotation(group))


def is_own(obj: Object, parent: Object, group: str) -> bool:
    """May the object be changed and deleted for this parent?"""
    metadata = parent["metadata"]
    if metadata.get("namespace", "") not in ("", obj["metadata"].get("namespace", "")):
        return False
    if owner_uid(obj, group) == metadata["uid"]:
        return True
    return is_released(obj, parent, group)


def is_released(obj: Object, parent: Object, group: str) -> bool:
    """Did somebody who may edit the object give it to this parent?

    A controller that still exists is not robbed: only an object without one, or with a
    reference to an earlier parent of the same kind and name (a restored backup), is taken.
    """
    if annotations_of(obj).get(adopt_annotation(group)) != parent["metadata"]["name"]:
        return False
    controller = controller_of(obj)
    return controller is None or (
        controller.get("name") == parent["metadata"]["name"]
        and str(controller.get("apiVersion", "")).partition("/")[0] == group
    )


def is_left_behind(obj: Object, wanted: Object) -> bool:
    """Does it belong to an earlier parent of this name, so that the garbage collector takes it?

    ``wanted`` is the object that is to have its name.
    """
    former, present = controller_of(obj), controller_of(wanted)
    if former is None or present is None or former.get("uid") == present["uid"]:
        return False
    groups = {str(each.get("apiVersion", "")).partition("/")[0] for each in (former, present)}
    same = all(former.get(name) == present[name] for name in ("kind", "name"))
    return same and len(groups) == 1


def describe_owner(obj: Object) -> str:
    """Whose an object is, in words for a condition's message."""
    controller = controller_of(obj)
    if controller is not None:
        return f"it belongs to {controller.get('kind')} {controller.get('name')}"
    manager = (obj["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by")
    return f"it is managed by {manager}" if manager else "it has no owner reference to this object"


def stamp(child: Child, parent: Object, group: str) -> Object:
    """The body to apply: the child's, with the marks of its owner and of this very intent."""
    metadata = child.body["metadata"]
    marks = {owner_annotation(group): parent["metadata"]["uid"]}
    if child.yields:
        marks[yields_annotation(group)] = ",".join(".".join(path) for path in child.yields)
    annotated = {**annotations_of(child.body), **marks}
    body = {**child.body, "metadata": {**metadata, "annotations": annotated}}
    annotated[intent_annotation(group)] = digest(body)
    return body

"""Which objects belong to a parent, and the marks that prove it. Pure.

An object is the parent's own when its controller owner reference carries the parent's uid, when
our annotation carries that uid (somebody removed the owner reference), or when a user who may
edit the object released it by the adopt annotation. A name or a label alone proves nothing, and
no mark proves anything outside the parent's places: whoever may write in one namespace must not
reach into another, and a copy of a child's manifest elsewhere is not a child.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from contract.metadata import controller_of, digest, key_parts, owner_reference
from contract.model import Key, Kind, Object
from contract.plan import Child


@dataclass(frozen=True, slots=True)
class Owner:
    """A parent as the owner of objects: its identity, and the places where its objects may be.

    ``group`` prefixes the marks. ``open`` are namespaces that it shares with others; ``own`` are
    those that belong to it alone, because their Namespace object is its own child.
    """

    kind: Kind
    namespace: str
    name: str
    uid: str
    group: str
    open: frozenset[str]
    own: frozenset[str] = frozenset()

    @classmethod
    def of(cls, kind: Kind, parent: Object, places: Iterable[str] = ()) -> Owner:
        """The owner for a parent of that kind, in its own namespace and in ``places``."""
        namespace, name = key_parts(parent)
        uid = parent["metadata"]["uid"]
        # A cluster-scoped parent's children may be in any namespace that its controller names.
        return cls(kind, namespace, name, uid, kind.group, frozenset((namespace, *places)))

    def owning(self, namespaces: Iterable[str]) -> Owner:
        """The same owner, with namespaces of its own."""
        return replace(self, own=frozenset(namespaces))

    @property
    def identity(self) -> str:
        """What a later parent of the same kind, namespace and name has in common with this one."""
        return f"{self.kind.resource}/{self.namespace}/{self.name}"

    def reaches(self, namespace: str) -> bool:
        """May the parent have objects in this namespace? Cluster-scoped objects are in ``""``."""
        return namespace == "" or namespace in self.open or namespace in self.own


def annotations_of(obj: Object) -> Mapping[str, str]:
    """The annotations of an object, empty where it has none."""
    return obj["metadata"].get("annotations") or {}


def intent_annotation(group: str) -> str:
    """Holds the digest of the last intent that was applied."""
    return f"{group}/intent"


def owner_annotation(group: str) -> str:
    """Holds the uid of the parent, in case the owner reference is removed or impossible."""
    return f"{group}/owner-uid"


def kept_annotation(group: str) -> str:
    """Holds the identity of the parent of a kept object, which outlives the parent's uid."""
    return f"{group}/kept-for"


def delegated_annotation(group: str) -> str:
    """Holds the user that a delegated object is written, and later deleted, as."""
    return f"{group}/delegated"


def yields_annotation(group: str) -> str:
    """Names the fields that were handed over to other field managers."""
    return f"{group}/yields"


def adopt_annotation(group: str) -> str:
    """Set by a user on a foreign object to the parent's name: the parent may take it over."""
    return f"{group}/adopt"


def owner_uids(obj: Object, group: str) -> tuple[str, ...]:
    """The uids of parents that the object may belong to: controller reference first, then mark."""
    controller = controller_of(obj)
    claims = [str(controller.get("uid"))] if controller is not None else []
    mark = annotations_of(obj).get(owner_annotation(group))
    if mark and mark not in claims:
        claims.append(mark)
    return tuple(claims)


def is_own(obj: Object, owner: Owner) -> bool:
    """May the object be changed and deleted for this parent?"""
    namespace = obj["metadata"].get("namespace", "")
    if not owner.reaches(namespace):
        return False
    mark = annotations_of(obj).get(owner_annotation(owner.group))
    if namespace in owner.own and mark is not None:
        # The namespace has one owner: after a restore, where every uid is new, and beside a
        # controller reference among the tenant's objects, the mark decides.
        return True
    if annotations_of(obj).get(kept_annotation(owner.group)) == owner.identity:
        return True
    claims = owner_uids(obj, owner.group)
    return claims[:1] == (owner.uid,) or is_released(obj, owner)


def is_kept(obj: Object, owner: Owner) -> bool:
    """Is it marked as an object that is never deleted?"""
    return kept_annotation(owner.group) in annotations_of(obj)


def is_released(obj: Object, owner: Owner) -> bool:
    """Did a user who may edit the object give it to this parent?

    The annotation holds the parent's name; across namespaces ``<namespace>/<name>``, since many
    namespaces have a parent of one name. An object whose controller still exists is not taken:
    only one without a controller reference, or with a reference to an earlier parent of the same
    group and name (a restored backup).
    """
    namespace = obj["metadata"].get("namespace", "")
    name = owner.name if namespace == owner.namespace else f"{owner.namespace}/{owner.name}"
    if annotations_of(obj).get(adopt_annotation(owner.group)) != name:
        return False
    controller = controller_of(obj)
    return controller is None or (
        controller.get("name") == owner.name
        and str(controller.get("apiVersion", "")).partition("/")[0] == owner.group
    )


def is_left_behind(obj: Object, owner: Owner) -> bool:
    """Does it belong to an earlier parent of this name, so that the garbage collector takes it?"""
    former = controller_of(obj)
    if former is None or former.get("uid") == owner.uid:
        return False
    group = str(former.get("apiVersion", "")).partition("/")[0]
    earlier = (group, former.get("kind"), former.get("name"))
    return earlier == (owner.kind.group, owner.kind.kind, owner.name)


def describe_owner(obj: Object) -> str:
    """The owner of an object, as text for a condition's message."""
    controller = controller_of(obj)
    if controller is not None:
        return f"it belongs to {controller.get('kind')} {controller.get('name')}"
    manager = (obj["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by")
    return f"it is managed by {manager}" if manager else "it has no owner reference to this object"


def stamp(child: Child, owner: Owner, parent: Object, user: str = "") -> Object:
    """The body to apply: the child's, with the marks of its owner and of this very intent.

    A shared object gets neither. ``user`` is the one that a delegated child is written as.
    """
    if child.hold == "shared":
        return child.body
    metadata = dict(child.body["metadata"])
    marks = {owner_annotation(owner.group): owner.uid}
    if child.hold == "kept":
        marks = {kept_annotation(owner.group): owner.identity}
    elif may_refer(child.key, owner):
        metadata["ownerReferences"] = [owner_reference(parent, owner.kind)]
    if child.delegated:
        marks[delegated_annotation(owner.group)] = user
    if child.yields:
        marks[yields_annotation(owner.group)] = ",".join(".".join(path) for path in child.yields)
    metadata["annotations"] = {**annotations_of(child.body), **marks}
    body = {**child.body, "metadata": metadata}
    metadata["annotations"][intent_annotation(owner.group)] = digest(body)
    return body


def may_refer(child: Key, owner: Owner) -> bool:
    """May the child carry an owner reference to the parent?

    The garbage collector deletes an object whose owner is in another namespace.
    https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/
    """
    return owner.namespace in ("", child.namespace)

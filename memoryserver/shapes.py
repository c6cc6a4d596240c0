"""The shape of a value for server-side apply: granular or atomic, and the keys of a list's items.

Two sources: a table for the built-in kinds, from the server's OpenAPI document, and the structural
schema of a custom resource. Other fields are granular maps or atomic lists, as by default in the
API server.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from contract.model import Kind

SET = ("",)
"""The merge key of a set: a list with unique values (``metadata.finalizers``)."""

KEY_DEFAULTS = {"protocol": "TCP"}
"""The defaults of merge keys that an item may leave out."""


class Shape(Protocol):
    """The merge strategy of one value."""

    @property
    def atomic(self) -> bool:
        """Is a map owned and replaced as a whole?"""

    @property
    def keys(self) -> tuple[str, ...]:
        """The merge keys of a list's items, ``SET``, or empty for an atomic list."""

    def field(self, name: str) -> Shape:
        """The shape of one field of a map."""

    def item(self) -> Shape:
        """The shape of a list's items."""


# The key of a list is its last two field names without items: ``containers[].ports``.
_NAMED, _TYPED = ("name",), ("type",)
_CONTAINER_LISTS = {
    "env": _NAMED,
    "ports": ("containerPort", "protocol"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
}
_LIST_KEYS: dict[tuple[str, str], tuple[str, ...]] = {
    ("metadata", "ownerReferences"): ("uid",),
    ("metadata", "finalizers"): SET,
    ("status", "conditions"): _TYPED,
    ("spec", "containers"): _NAMED,
    ("spec", "initContainers"): _NAMED,
    ("spec", "ephemeralContainers"): _NAMED,
    ("spec", "volumes"): _NAMED,
    ("spec", "imagePullSecrets"): _NAMED,
    ("spec", "schedulingGates"): _NAMED,
    ("spec", "resourceClaims"): _NAMED,
    ("resources", "claims"): _NAMED,
    ("spec", "hostAliases"): ("ip",),
    ("spec", "topologySpreadConstraints"): ("topologyKey", "whenUnsatisfiable"),
    ("spec", "ports"): ("port", "protocol"),
    ("ServiceAccount", "secrets"): _NAMED,
    ("status", "podIPs"): ("ip",),
    **{
        (containers, name): keys
        for containers in ("containers", "initContainers", "ephemeralContainers")
        for name, keys in _CONTAINER_LISTS.items()
    },
}
_ATOMIC_MAPS = frozenset(
    """selector podSelector namespaceSelector labelSelector nodeSelector required
    requiredDuringSchedulingIgnoredDuringExecution preference
    configMapKeyRef secretKeyRef fieldRef resourceFieldRef fileKeyRef secretRef
    roleRef resource dataSource claimRef targetRef involvedObject regarding related""".split()  # noqa: SIM905 a word list
)
# ``resource`` and ``required`` also name granular values; these are the atomic ones.
_ATOMIC_ONLY_IN = {
    "resource": {"backend", "defaultBackend"},
    "required": {"nodeAffinity"},
    # Not in envFrom, whose items are inside an atomic list.
    "secretRef": {"csi", "cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"},
}
_ATOMIC_ITEMS = frozenset({"ownerReferences", "imagePullSecrets", "subjects", "secrets"})


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The shape of a value in a built-in kind, by its field name and its parent's."""

    parent: str
    name: str
    is_item: bool = False

    @property
    def atomic(self) -> bool:
        if self.is_item:
            return self.name in _ATOMIC_ITEMS
        parents = _ATOMIC_ONLY_IN.get(self.name)
        return self.name in _ATOMIC_MAPS and (parents is None or self.parent in parents)

    @property
    def keys(self) -> tuple[str, ...]:
        return _LIST_KEYS.get((self.parent, self.name), ())

    def field(self, name: str) -> Shape:
        return BuiltIn(self.name, name)

    def item(self) -> Shape:
        return BuiltIn(self.parent, self.name, is_item=True)


@dataclass(frozen=True, slots=True)
class Structural:
    """The shape of a value in a custom resource, by its structural schema."""

    schema: dict[str, Any]

    @property
    def atomic(self) -> bool:
        return self.schema.get("x-kubernetes-map-type") == "atomic"

    @property
    def keys(self) -> tuple[str, ...]:
        if self.schema.get("x-kubernetes-list-type") == "set":
            return SET
        return tuple(self.schema.get("x-kubernetes-list-map-keys", ()))

    def field(self, name: str) -> Shape:
        more = self.schema.get("additionalProperties")
        return Structural(
            self.schema.get("properties", {}).get(name) or (more if isinstance(more, dict) else {})
        )

    def item(self) -> Shape:
        return Structural(self.schema.get("items", {}))


@dataclass(frozen=True, slots=True)
class Custom:
    """The root of a custom resource: built-in metadata, the rest by the schema, if any."""

    schema: dict[str, Any]
    atomic = False
    keys = ()

    def field(self, name: str) -> Shape:
        if name == "metadata":
            return BuiltIn("", name)
        if self.schema:
            return Structural(self.schema).field(name)
        return BuiltIn("", name) if name == "status" else Structural({})

    def item(self) -> Shape:
        raise TypeError("an object is not a list")


def shape_of(kind: Kind, schema: dict[str, Any] | None = None) -> Shape:
    """The shape of a whole object: from the schema where there is one, else from the table."""
    if schema is not None or not is_built_in(kind):
        return Custom(schema or {})
    return BuiltIn("", kind.kind)


def is_built_in(kind: Kind) -> bool:
    """Is this a built-in kind, and not one of a CustomResourceDefinition?"""
    return "." not in kind.group or (
        kind.group.endswith(".k8s.io") and kind.group.removesuffix(".k8s.io") in _BUILT_IN_GROUPS
    )


_BUILT_IN_GROUPS = frozenset(
    """admissionregistration apiextensions apiregistration authentication authorization
    certificates coordination discovery events flowcontrol.apiserver networking node
    rbac.authorization resource scheduling storage""".split()  # noqa: SIM905 a word list
)

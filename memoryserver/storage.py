"""The state of the in-memory API server: objects, history and served kinds; get and list."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from contract.model import Kind, Object
from memoryserver import rules
from memoryserver.apply import Manager, Owned, owners_of
from memoryserver.defaults import normalised
from memoryserver.journal import Entry, Journal
from memoryserver.patches import clone
from memoryserver.selectors import Matcher, field_matcher, label_matcher
from memoryserver.served import BUILT_IN
from memoryserver.shapes import Shape, shape_of
from memoryserver.structural import check_schema
from reconciler.client.api import Discovery, Listing

Webhook = Callable[[Kind, Object], Object]
"""A mutating admission webhook: gets a copy of the object, returns the object to store."""

Authorizer = Callable[[str, str, Kind, str, str], bool]
"""Is a request allowed? User, RBAC verb, kind, namespace, name; the last two may be empty.

The user of a client without impersonation is its field manager."""

_NO_STATUS = frozenset(
    """configmaps secrets serviceaccounts events endpoints limitranges
    roles.rbac.authorization.k8s.io rolebindings.rbac.authorization.k8s.io
    clusterroles.rbac.authorization.k8s.io clusterrolebindings.rbac.authorization.k8s.io
    leases.coordination.k8s.io networkpolicies.networking.k8s.io events.events.k8s.io
    endpointslices.discovery.k8s.io priorityclasses.scheduling.k8s.io
    ingressclasses.networking.k8s.io storageclasses.storage.k8s.io""".split()  # noqa: SIM905 a word list
)
_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
_NO_GENERATION = (_NO_STATUS - {"networkpolicies.networking.k8s.io"}) | frozenset(
    """services namespaces persistentvolumeclaims resourcequotas nodes
    horizontalpodautoscalers.autoscaling""".split()  # noqa: SIM905 a word list
)
_FIELD_SELECTORS = {
    "pods": frozenset({"spec.nodeName", "status.phase"}),
    "events": frozenset({"involvedObject.uid", "involvedObject.name", "reason", "type"}),
    "secrets": frozenset({"type"}),
}


@dataclass(slots=True)
class Stored:
    """An object and its field owners; never changed after storing."""

    object: Object
    owners: dict[Manager, Owned] = field(default_factory=dict)


class Storage:
    """Objects by kind, namespace and name, their history, and the served kinds.

    ``now`` is the clock. ``crds`` are CustomResourceDefinitions whose structural schemas give
    defaults, list types and pruning; a custom kind without one has a status subresource and
    granular maps. ``strict_namespaces`` refuses objects in namespaces that do not exist.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        crds: Iterable[Object] = (),
        strict_namespaces: bool = False,
    ) -> None:
        self.now = now
        self.revision = 1000  # far from "1", which makes an apply create-only
        self.journal = Journal(self.revision)
        self.webhook: Webhook | None = None
        self.authorizer: Authorizer | None = None
        self.undiscovered: set[str] = set()
        """apiVersions whose discovery fails, as for an aggregated API server that is down."""
        self.strict_namespaces = strict_namespaces
        self._objects: dict[str, dict[tuple[str, str], Stored]] = {}
        self._kinds: dict[str, Kind] = {}
        self._used: set[Kind] = set()
        self._defined: set[Kind] = set()
        self._schemas: dict[tuple[str, str], dict[str, Any]] = {}
        self._scales: dict[tuple[str, str], dict[str, str] | None] = {}
        self._without_status = set(_NO_STATUS)
        self._unserved: set[str] = set()
        self._count = 0
        for crd in crds:
            self.define(crd)

    # ---- what is served ------------------------------------------------------------------------

    def define(self, crd: Object) -> None:
        """Serve the kind of a CustomResourceDefinition by its structural schema."""
        spec = crd["spec"]
        resource = f"{spec['names']['plural']}.{spec['group']}"
        namespaced = spec.get("scope", "Namespaced") == "Namespaced"
        self._defined = {kind for kind in self._defined if kind.resource != resource}
        for version in spec["versions"]:
            name, names = version["name"], spec["names"]
            schema = version.get("schema", {}).get("openAPIV3Schema", {})
            self._schemas[resource, name] = schema
            if "status" not in version.get("subresources", {}):
                self._without_status.add(resource)
            scale = version.get("subresources", {}).get("scale")
            self._scales[resource, name] = scale
            if version.get("served", True):
                kind = Kind(spec["group"], name, names["kind"], names["plural"], namespaced)
                self._defined.add(kind)
        self._unserved.discard(resource)

    def unserve(self, kind: Kind) -> None:
        """Stop serving a kind: every path of it answers 404, its watches end."""
        self._unserved.add(kind.resource)
        self.journal.wake()

    def serve(self, kind: Kind) -> None:
        """Serve a kind (again), with the objects it had."""
        self._unserved.discard(kind.resource)
        self._used.add(kind)

    def serves(self, kind: Kind) -> bool:
        """Is the kind served? Every kind is, also without a CRD, unless unserved."""
        return kind.resource not in self._unserved

    def discovery(self) -> Discovery:
        """The served kinds that are built in, have a CRD, or were used."""
        known = BUILT_IN | self._defined | self._used
        served = frozenset(kind for kind in known if self.serves(kind))
        return Discovery(served, frozenset(self.undiscovered))

    def compact(self) -> None:
        """Drop the history up to now: a watch from an older resource version gets a 410."""
        self.journal.compact(self.revision)

    def restart(self) -> None:
        """Restart as far as watches notice: a new revision, and no history."""
        self.revision += 1
        self.compact()

    # ---- reading -------------------------------------------------------------------------------

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """A copy of the live object, or None."""
        stored = self._of(kind).get((namespace if kind.namespaced else "", name))
        return None if stored is None else self.shown(kind, stored.object)

    def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        *,
        at: Listing | None = None,
    ) -> Listing:
        """Copies of all objects that the selectors match, by namespace and name.

        ``at`` answers from an older ``snapshot``, as a server with a stale cache would.
        """
        selects = self.matcher(kind, namespace, labels, fields)
        found, revision = at or self.snapshot(kind)
        return Listing([self.shown(kind, obj) for obj in found if selects(obj)], revision)

    def snapshot(self, kind: Kind) -> Listing:
        """All present objects of a kind; the caller must not change them."""
        found = sorted(self._of(kind).items())
        return Listing([stored.object for _, stored in found], str(self.revision))

    def kinds(self) -> tuple[Kind, ...]:
        """Every served kind that was requested so far."""
        return tuple(kind for kind in self._kinds.values() if self.serves(kind))

    def matcher(self, kind: Kind, namespace: str | None, labels: str, fields: str) -> Matcher:
        """The test that list and watch share."""
        by_label = label_matcher(labels)
        by_field = field_matcher(fields, _FIELD_SELECTORS.get(kind.resource, frozenset()))

        def selects(obj: Object) -> bool:
            inside = namespace is None or obj["metadata"].get("namespace", "") == namespace
            return inside and by_label(obj) and by_field(obj)

        return selects

    def _of(self, kind: Kind) -> dict[tuple[str, str], Stored]:
        if not self.serves(kind):
            raise rules.not_served()
        self._kinds.setdefault(kind.resource, kind)
        self._used.add(kind)
        return self._objects.setdefault(kind.resource, {})

    def shown(self, kind: Kind, obj: Object) -> Object:
        """A copy of a stored object in the requested version."""
        shown: Object = clone(obj)
        # One object is served in every version of its kind.
        return {**shown, "apiVersion": kind.api_version, "kind": kind.kind}

    def counts_generations(self, kind: Kind) -> bool:
        """Has the kind a ``metadata.generation``?"""
        return kind.resource not in _NO_GENERATION

    def has_status(self, kind: Kind) -> bool:
        """Is ``status`` a subresource of the kind?"""
        return kind.resource not in self._without_status

    def _schema(self, kind: Kind) -> dict[str, Any] | None:
        return self._schemas.get((kind.resource, kind.version))

    def _scale(self, kind: Kind) -> dict[str, str] | None:
        return self._scales.get((kind.resource, kind.version))

    def _checked(self, kind: Kind, old: Object | None, new: Object) -> Object:
        """The object as stored; raises 422 where the schema of a custom resource refuses it."""
        schema = self._schema(kind)
        new = normalised(kind, new, schema)
        if schema:
            check_schema(kind, old, new, schema, self._scale(kind))
        return new

    def _shape(self, kind: Kind) -> Shape:
        return shape_of(kind, self._schema(kind))

    # ---- changing -----------------------------------------------------------------------------

    def restore(self, objects: Iterable[tuple[Kind, Object]]) -> None:
        """Store objects unchanged: no defaults, no event, the same resource version."""
        for kind, obj in objects:
            metadata = obj["metadata"]
            owners = owners_of(metadata.get("managedFields") or (), self._shape(kind))
            self._of(kind)[self._key(kind, obj)] = Stored(clone(obj), owners)
            self.revision = max(self.revision, int(metadata["resourceVersion"]))
            self._count = max(self._count, uuid.UUID(metadata["uid"]).int & 0xFFFF_FFFF)
        self.compact()

    def _key(self, kind: Kind, obj: Object) -> tuple[str, str]:
        metadata = obj["metadata"]
        return (metadata["namespace"] if kind.namespaced else ""), metadata["name"]

    def _live(self, kind: Kind, namespace: str, name: str) -> Stored:
        live = self._of(kind).get((namespace if kind.namespaced else "", name))
        if live is None:
            raise rules.not_found(kind, name)
        return live

    def _store(
        self, kind: Kind, live: Stored | None, new: Object, owners: dict[Manager, Owned]
    ) -> Object:
        self.revision += 1
        new["metadata"]["resourceVersion"] = str(self.revision)
        stored = Stored(new, owners)
        self._of(kind)[self._key(kind, new)] = stored
        before = live.object if live else None
        self.journal.append(Entry(self.revision, kind.resource, before, new))
        if kind.resource == _DEFINITIONS:
            self.define(new)
        return new

    def _drop(self, kind: Kind, live: Stored) -> None:
        self.revision += 1
        del self._of(kind)[self._key(kind, live.object)]
        self.journal.append(Entry(self.revision, kind.resource, live.object, None))
        if kind.resource == _DEFINITIONS:
            self._undefine(live.object)

    def _undefine(self, crd: Object) -> None:
        """Delete the objects of a deleted CRD, and stop serving its kinds."""
        for kind in {kind for kind in self._defined if kind.resource == crd["metadata"]["name"]}:
            for stored in list(self._of(kind).values()) if self.serves(kind) else ():
                self._drop(kind, stored)
            self.unserve(kind)

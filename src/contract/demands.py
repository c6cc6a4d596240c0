"""What a plan wants to see, and what it is shown.

A demand is a value: a kind to watch, objects to look up, or a question to a source outside the
API. The same demands give the same ``Seen`` in a pass and in ``plan``, which writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from contract.facts import Ask, Fact
from contract.model import Key, Kind, Object


@dataclass(frozen=True, slots=True)
class Watch:
    """One kind that a controller looks at, how much of it is cached, and what its changes wake.

    ``child`` kinds are written by the controller; the others are only read. A child that is no
    longer wanted is deleted, unless its kind is not ``removable`` (every plan wants it): then
    the right to delete it is not asked for either. Plans go on without an ``optional`` kind that
    is not served or not allowed; ``Seen.absent`` names it.

    ``namespace`` limits the cache to one namespace, ``labels`` to a label selector;
    ``names_only`` caches the metadata alone. ``keep`` cuts an object down before it is cached,
    and drops it by answering None: memory is paid for what plans read. ``index`` answers the
    value under which a Need finds an object. Both are module-level functions: watches are
    compared.
    """

    kind: Kind
    child: bool = False
    removable: bool = True
    optional: bool = False
    namespace: str | None = None
    labels: str = ""
    names_only: bool = False
    keep: Callable[[Object], Object | None] | None = None
    index: Callable[[Object], str | None] | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """Objects that a plan wants to see beside its own children.

    Of one kind in one namespace: the one called ``name``, or those for which ``Watch.index``
    answers ``index``. Of a cluster-scoped kind, the namespace is empty.
    """

    kind: Kind
    namespace: str
    name: str | None = None
    index: str | None = None


Demand = Watch | Need | Ask


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's answer to a write that it refused for good: status code, reason, message."""

    code: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a plan is shown of the cluster and of the sources.

    ``namespace`` is the parent's. ``children`` are the objects proven to be the parent's own,
    those that are being deleted included. ``needed`` answers each Need, empty or not, and
    ``facts`` each Ask. ``absent`` are the optional kinds that cannot be watched now.

    ``foreign`` are objects that hold the name of a wanted child and are not the parent's; the
    text names their owner. ``refused`` is the API server's answer to the last write of a child;
    ``contested`` names the field manager that keeps reverting a child.
    """

    namespace: str = ""
    children: Mapping[Key, Object] = field(default_factory=dict)
    needed: Mapping[Need, tuple[Object, ...]] = field(default_factory=dict)
    facts: Mapping[Ask, Fact] = field(default_factory=dict)
    absent: frozenset[Kind] = frozenset()
    foreign: Mapping[Key, str] = field(default_factory=dict)
    refused: Mapping[Key, Refusal] = field(default_factory=dict)
    contested: Mapping[Key, str] = field(default_factory=dict)

    def child(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """The parent's own child, or None; as it stands, in the parent's namespace."""
        if not kind.namespaced:
            namespace = ""
        elif namespace is None:
            namespace = self.namespace
        return self.children.get(Key(kind, namespace, name))

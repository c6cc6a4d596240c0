"""The whole contract between the runtime and a domain, on one screen.

A domain is two pure functions over the values below: ``needs`` says what has to
be looked at, ``plan`` says what should be there. No client, no clock and no
``await`` reaches them: time comes in as an argument, the next moment of interest
goes out as ``Plan.again_at``. The runtime does all input and output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

Object = dict[str, Any]
"""One Kubernetes object as decoded JSON. Objects from the cache must not be changed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One served resource type: what is needed to write its path and its apiVersion."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name RBAC and the CRDs use: ``deployments.apps``, ``services``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def __str__(self) -> str:
        return self.kind


class Key(NamedTuple):
    """What the queue holds: the name of one object that a controller is responsible for."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Watch:
    """One kind a controller looks at, how much of it is cached, and whom its changes wake.

    ``labels`` scopes the cache by label selector. ``keep`` cuts an object down before it
    is stored, and drops it by answering None: memory is paid for what plans read.
    ``index`` names the value under which a Need finds objects of this kind.
    A change wakes the owner and whoever's Need asks for the object.
    ``child`` kinds are written by the controller; the others are only read. A child that is
    wanted no more is deleted, unless its kind is not ``removable`` (every plan wants it): then
    the right to delete it is not asked for either.
    """

    kind: Kind
    child: bool = False
    removable: bool = True
    labels: str = ""
    keep: Callable[[Object], Object | None] | None = None
    index: Callable[[Object], str | None] | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """Objects that a plan wants to see beside its own children.

    Of one kind in one namespace: the one called ``name``, or those whose ``Watch.index``
    answered ``index``.
    """

    kind: Kind
    namespace: str
    name: str | None = None
    index: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the cache knew, gathered for one plan.

    ``children`` are the objects proven to be the parent's own, by (kind, name).
    ``foreign`` are those that hold the name of a wanted child and are not the parent's;
    the text says whose they are. ``needed`` answers each Need, empty or not.
    ``refused`` is what the API server answered to the last try for a child; ``contested``
    says who keeps changing back what we apply.
    """

    children: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    needed: Mapping[Need, tuple[Object, ...]] = field(default_factory=dict)
    foreign: Mapping[tuple[str, str], str] = field(default_factory=dict)
    refused: Mapping[tuple[str, str], Refusal] = field(default_factory=dict)
    contested: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def child(self, kind: Kind, name: str) -> Object | None:
        """The parent's own child of that kind and name, or None."""
        return self.children.get((kind.kind, name))


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server's answer to a write that it refused for good: status code, reason, message."""

    code: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Child:
    """One wanted object: every field we mean to own and no other.

    ``yields`` are paths whose ownership goes to others while their value stays
    (``("spec", "replicas")`` when an autoscaler takes over). ``wave`` orders the writes:
    a lower wave is written first, and removed last.
    """

    kind: Kind
    body: Object
    yields: tuple[tuple[str, ...], ...] = ()
    wave: int = 0

    @property
    def id(self) -> tuple[str, str]:
        """(kind, name): unique among the children of one parent."""
        return self.kind.kind, self.body["metadata"]["name"]


@dataclass(frozen=True, slots=True)
class Note:
    """A Kubernetes Event to send about the parent once the status that goes with it is written."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What should be there.

    ``children`` is the complete set: what is owned and not in it is removed. None means
    that nothing is to be written or removed (suspended, or an invalid spec: what runs
    keeps running). ``status`` is the complete status. ``again_at`` is when to look again
    without being woken.
    """

    status: Object
    children: tuple[Child, ...] | None = None
    notes: tuple[Note, ...] = ()
    again_at: datetime | None = None


class Controller(Protocol):
    """What a domain gives the runtime for one kind. All methods are pure."""

    kind: Kind
    watches: tuple[Watch, ...]

    def needs(self, parent: Object) -> tuple[Need, ...]:
        """Which objects beside its children the plan of this parent wants to see."""

    def plan(self, parent: Object, seen: Seen, now: datetime) -> Plan:
        """What this parent should have, given what was seen."""

"""The contract of a domain: read a parent, name what to watch, plan what should exist.

A domain is pure functions over values. No client, no clock and no ``await`` reaches them: time
comes in as an argument, and the next moment of interest goes out as ``Plan.again_at``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from contract.demands import Demand, Seen, Watch
from contract.model import Key, Kind, Object

Hold = Literal["owned", "kept", "shared"]


@dataclass(frozen=True, slots=True)
class Child:
    """One wanted object: every field that the operator means to own, and no other.

    ``body`` carries no owner reference and no mark of ours: ``ownership.stamp`` adds them.
    ``wave`` orders the writes, lower ones first; deletions have no waves, a plan orders them by
    wanting less in each pass. ``yields`` are paths that others own from now on while their value
    stays (``("spec", "replicas")`` when an autoscaler takes over).

    ``hold``: an ``owned`` child is deleted when it is no longer wanted; a ``kept`` one never is,
    and a later parent of the same kind, namespace and name takes it over; a ``shared`` one is
    somebody else's, is neither created nor deleted nor marked, and is written with the
    resourceVersion that was seen, so that no simultaneous edit is lost.

    An owned child that is ``replaced`` is deleted and created anew when its intent changes (Jobs).
    A ``delegated`` one is read, written and deleted as ``Plan.acting_as``, with its rights only.
    """

    kind: Kind
    body: Object
    wave: int = 0
    yields: tuple[tuple[str, ...], ...] = ()
    hold: Hold = "owned"
    replaced: bool = False
    delegated: bool = False

    @property
    def key(self) -> Key:
        """Unique among the children of one parent."""
        return Key.of(self.kind, self.body)


@dataclass(frozen=True, slots=True)
class Note:
    """A Kubernetes Event about the parent, sent once the status of the same plan is written."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What should be there.

    ``status`` is the complete status.
    ``children`` is the complete set: what is owned and not in it is deleted. None means that
    nothing is written or deleted (suspended, or an invalid spec: what runs keeps running).

    ``record`` is the small state that cannot be observed again, stored in an annotation of the
    parent; None leaves it as it is. ``finalizer`` is whether the operator's finalizer is on
    the parent; None leaves it as it is. A pass either stores these two or acts: what they allow
    happens in the next pass, so that a crash between the two is like a restart.

    ``acting_as`` is the user that delegated children are written as. ``again_at`` is when to
    reconcile again without being woken.
    """

    status: Object
    children: tuple[Child, ...] | None = None
    record: Mapping[str, Any] | None = None
    finalizer: bool | None = None
    acting_as: str = ""
    notes: tuple[Note, ...] = ()
    again_at: datetime | None = None


class Right(NamedTuple):
    """One verb on one resource; ``resource`` may be ``plural/subresource``."""

    group: str
    resource: str
    verb: str


NO_RIGHTS: tuple[Right, ...] = ()
"""For a controller that needs none beyond those of its watches."""


class Controller(Protocol):
    """What a domain gives the runtime for one kind. All methods are pure."""

    @property
    def kind(self) -> Kind:
        """The kind of the parents."""

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What is looked at in every pass."""

    @property
    def rights(self) -> tuple[Right, ...]:
        """Rights that neither the watches nor the children imply."""

    def read(self, parent: Object) -> Any:
        """The parent's spec, parsed once a pass. An invalid spec is a value, not an exception."""

    def needs(self, parent: Object, spec: Any, seen: Seen, now: datetime) -> tuple[Demand, ...]:
        """What the plan wants to see, given what is seen so far.

        Asked again with the answers until it asks for nothing new; that takes six rounds at most.
        """

    def plan(self, parent: Object, spec: Any, seen: Seen, now: datetime) -> Plan:
        """What this parent should have, given what was seen."""

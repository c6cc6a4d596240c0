"""What an intent and a live object ask for. Pure: ``decide`` is a table, ``apply`` carries it out.

The rows, in this order; the first that fits decides:

    live                                        decision
    --------------------------------------------------------------------------------
    missing, shared                             WAIT: its owner has not created it
    missing                                     CREATE
    left by an earlier parent of the name       WAIT for the garbage collector
    ... and not collected in time               FOREIGN
    not the parent's own                        FOREIGN
    being deleted                               WAIT
    replaced, of another intent                 REPLACE
    holds the intent                            UNCHANGED
    is what the API server made of the intent   UNCHANGED
    of another intent                           CONFIGURE
    of this intent, fields differ               DRY_RUN: the server's rewrite or drift?
    ... and the server agrees                   UNCHANGED
    ... drift, reverted too often               CONTESTED until the next repair is due
    ... drift                                   REPAIR

A live object holds an intent when it carries the intent's digest (so fields that are no longer
wanted are gone) and has every field of it (so nobody changed one). Where the server rewrites what
is sent (an admission webhook), one dry run for each state separates the rewrite from drift.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from contract import ownership
from contract.metadata import digest
from contract.model import Object
from contract.ownership import Owner
from contract.plan import Child
from objects.matching import content_digest, differences
from reconciler.contention import Repairs

COLLECTED_SECONDS = 60.0
"""How long the garbage collector has for what an earlier parent left; then it is a conflict."""

GONE_SECONDS = 5.0
"""Until an object that is being deleted, or is not there yet, is read again."""


class Step(Enum):
    """What to do about one child."""

    CREATE = auto()
    WAIT = auto()
    FOREIGN = auto()
    REPLACE = auto()
    UNCHANGED = auto()
    CONFIGURE = auto()
    DRY_RUN = auto()
    REPAIR = auto()
    CONTESTED = auto()


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of one child between passes; all of it can be lost without harm.

    ``agreed`` is the digest of an intent and of the content that the API server made of it.
    ``intent`` is the digest of the last intent written: on the object, a different one was
    written by someone else. ``blocked_since`` is when an object of an earlier parent was first
    met under the child's name, ``rival`` the field manager that keeps reverting it.
    Times are the event loop's, in seconds.
    """

    agreed: str = ""
    intent: str = ""
    repairs: Repairs = field(default_factory=Repairs)
    rival: str = ""
    blocked_since: float | None = None


NOTHING = Memory()


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the table: the step, what differs, when to look again, what to remember."""

    step: Step
    memory: Memory
    paths: tuple[str, ...] = ()
    wait: float | None = None


def decide(
    child: Child,
    body: Object,
    live: Object | None,
    owner: Owner,
    memory: Memory,
    now: float,
    *,
    server_agrees: bool | None = None,
) -> Decision:
    """What to do about a child, given its stamped ``body`` and what is ``live`` under its name.

    ``server_agrees`` is the answer to an earlier DRY_RUN decision.
    """
    if live is None:
        if child.hold == "shared":
            return Decision(Step.WAIT, memory, wait=GONE_SECONDS)
        return Decision(Step.CREATE, memory)
    if child.hold != "shared" and not ownership.is_own(live, owner):
        return _not_own(live, owner, memory, now)
    if "deletionTimestamp" in live["metadata"]:
        return Decision(Step.WAIT, memory, wait=GONE_SECONDS)
    paths = tuple(differences(body, live))
    changed = _is_new_intent(child, body, live, owner, memory)
    if changed and _may_replace(child, live, owner):
        return Decision(Step.REPLACE, memory, paths)
    if not paths or memory.agreed == agreement(body, live):
        # A contest lasts for as long as the next repair would have to wait.
        return Decision(Step.UNCHANGED, memory, wait=memory.repairs.wait(now) or None)
    if changed:
        return Decision(Step.CONFIGURE, memory, paths)
    if server_agrees is None:
        return Decision(Step.DRY_RUN, memory, paths)
    if server_agrees:
        return Decision(Step.UNCHANGED, replace(memory, agreed=agreement(body, live)))
    wait = memory.repairs.wait(now)
    return Decision(Step.CONTESTED if wait > 0 else Step.REPAIR, memory, paths, wait or None)


def _may_replace(child: Child, live: Object, owner: Owner) -> bool:
    """A replacement deletes, so it is not for what is kept or shared, now or by an earlier plan."""
    return child.replaced and child.hold == "owned" and not ownership.is_kept(live, owner)


def _not_own(live: Object, owner: Owner, memory: Memory, now: float) -> Decision:
    if not ownership.is_left_behind(live, owner):
        return Decision(Step.FOREIGN, memory)
    since = now if memory.blocked_since is None else memory.blocked_since
    if now - since >= COLLECTED_SECONDS:
        return Decision(Step.FOREIGN, memory)
    return Decision(Step.WAIT, replace(memory, blocked_since=since), wait=GONE_SECONDS)


def _is_new_intent(child: Child, body: Object, live: Object, owner: Owner, memory: Memory) -> bool:
    intent = intent_of(child, body, owner)
    if child.hold == "shared":
        # The object carries no mark of ours: only this process knows what it wrote last.
        return memory.intent not in ("", intent)
    return intent not in (intent_of(child, live, owner), memory.intent)


def intent_of(child: Child, obj: Object, owner: Owner) -> str:
    """The digest of the intent that an object or a stamped body carries; empty for none."""
    if child.hold == "shared":
        return digest(obj)
    return ownership.annotations_of(obj).get(ownership.intent_annotation(owner.group), "")


def after_create(body: Object, answer: Object) -> Memory:
    """What to remember once the API server created the child: an earlier contest is over."""
    return Memory(agreed=_rewritten(body, answer))


def after_write(memory: Memory, child: Child, body: Object, answer: Object, owner: Owner) -> Memory:
    """What to remember once the API server accepted a write of the child."""
    return replace(memory, agreed=_rewritten(body, answer), intent=intent_of(child, body, owner))


def _rewritten(body: Object, answer: Object) -> str:
    return agreement(body, answer) if differences(body, answer) else ""


def agreement(body: Object, live: Object) -> str:
    """The digest of an intent and of the content that stands for it."""
    marks = body["metadata"].get("annotations")
    return digest([marks if marks is not None else body, content_digest(live)])

"""One pass over one parent: look, plan, apply, plan again, status, Events.

The plan is asked a second time after the writes, with what they returned, and only that plan's
status counts: a status reports what is there and never what was intended. Nothing is decided here
that a domain could decide, and a domain's error in one parent ends at that parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from contract.demands import Demand, Refusal, Seen, Watch
from contract.metadata import key_parts
from contract.model import Key, Object
from contract.plan import Child, Controller, Note, Plan
from contract.record import has_finalizer
from contract.status import Condition, conditions
from reconciler.client.api import RETRY_AFTER_LIMIT, Api, ApiError, Unreachable
from reconciler.look import Library, Look, Unsettled, change_set, find, look
from reconciler.parents import Parents, is_marked
from reconciler.target import WRITTEN, Action, Change, DeploymentTarget


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass came to.

    ``again`` is in how many seconds to reconcile again though nothing failed; ``error`` asks for
    another try with backoff, not before ``retry_after`` seconds. ``writes`` are the objects
    written, as (kind, operation); ``contested`` the kinds that another manager keeps reverting.
    ``waits_for`` is a watch whose cache is being filled: nothing was planned yet.
    """

    again: float | None = None
    error: str = ""
    retry_after: float = 0.0
    writes: tuple[tuple[str, str], ...] = ()
    contested: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    waits_for: Watch | None = None


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings the objects of one controller to what its plan wants."""

    controller: Controller
    api: Api
    target: DeploymentTarget
    parents: Parents
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def reconcile(
        self,
        parent: Object,
        library: Library,
        demanded: Callable[[tuple[Demand, ...]], None],
    ) -> Outcome:
        """One pass. ``demanded`` is called with what the parent's plan asks for.

        Raises NotLeader, and Unsettled once the parent's status shows it; every other expected
        trouble is in the Outcome.
        """
        now = self.clock()
        try:
            if await self.parents.is_outdated(parent):
                return Outcome(again=0.0)
            spec = self.controller.read(parent)
            try:
                sight = look(self.controller, parent, spec, now, library)
            except Unsettled as bug:
                demanded(bug.asks)
                demanded(())  # no plan waits for the answers: other questions come next time
                await self._report(parent, bug, now)
                raise
            demanded(sight.demands)
            if sight.unfilled:
                return Outcome(waits_for=sight.unfilled[0])
            return await _Pass(self, parent, spec, now).run(sight)
        except (ApiError, Unreachable) as error:
            return outcome((), error)

    async def _report(self, parent: Object, bug: Unsettled, now: datetime) -> None:
        """Store that the parent cannot be planned; the rest of its status stays as it was."""
        status = parent.get("status") or {}
        old, generation = status.get("conditions") or [], parent["metadata"].get("generation", 0)
        stalled = Condition("Stalled", "True", "DemandsUnsettled", str(bug))
        others = [each for each in old if each.get("type") != "Stalled"]
        status = {**status, "conditions": [*others, *conditions([stalled], old, generation, now)]}
        if self.parents.status_due(parent, status) is not None:
            await self.parents.write_status(parent, status)

    def forget(self, uid: str) -> None:
        """The parent of that uid is gone."""
        self.parents.forget(uid)
        self.target.forget(uid)

    def remembered(self) -> int:
        """Of how many parents anything is remembered."""
        return self.parents.remembered() + self.target.remembered()


class _Pass:
    """One parent in one pass: its stages in order, and what they have come to so far."""

    def __init__(self, owner: Reconciler, parent: Object, spec: Any, now: datetime) -> None:
        self._controller = owner.controller
        self._api = owner.api
        self._target = owner.target
        self._parents = owner.parents
        self._parent = parent
        self._spec = spec
        self._now = now
        self._changes: tuple[Change, ...] = ()
        self._failed: ApiError | Unreachable | None = None
        self._writes: list[tuple[str, str]] = []
        self._notes: tuple[Note, ...] = ()

    async def run(self, sight: Look) -> Outcome:
        """All stages. Raises ApiError and Unreachable where nothing was written yet."""
        plan = first = self._plan(sight.seen)
        if not self._is_marked(plan):
            return await self._mark(plan)
        if plan.children is not None:
            found = await self._find(sight, plan)
            if found is None:
                return Outcome()
            sight, live, more = found
            if more:
                plan = first = self._plan(sight.seen)
                if not self._is_marked(plan):
                    return await self._mark(plan)
            plan = await self._apply(sight, live, plan)
            if not self._is_marked(plan):
                # What the writes taught is stored before it is acted on (a name that is taken).
                return await self._mark(plan)
        gone, due = await self._status(plan)
        if gone:
            return Outcome(writes=tuple(self._writes), notes=self._notes)
        waits = [due] if due else []
        if plan.children != first.children and self._writes:
            waits.append(0.0)  # what the writes returned changed the plan: write the rest now
        if plan.again_at is not None:
            waits.append(max(0.0, (plan.again_at - self._now).total_seconds()))
        return self._outcome(waits)

    def _plan(self, seen: Seen) -> Plan:
        return self._controller.plan(self._parent, self._spec, seen, self._now)

    def _is_marked(self, plan: Plan) -> bool:
        return is_marked(self._parent, plan, self._controller.kind.group)

    async def _mark(self, plan: Plan) -> Outcome:
        """Store record and finalizer, and end the pass.

        Going on after a record is the path of a restart, so a crash right after it is the ordinary
        case. A parent whose finalizer was taken off may be gone already: the watch shows it.
        """
        try:
            await self._parents.mark(self._parent, plan)
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and error.code == 404:
                return self._outcome()
            self._failed = error
            return self._outcome()
        self._writes.append((self._controller.kind.kind, "Record"))
        return self._outcome([] if plan.finalizer is False else [0.0])

    async def _find(self, sight: Look, plan: Plan) -> tuple[Look, dict[Key, Object], bool] | None:
        """What is there under the names of the wanted children; None: the parent is gone.

        What the caches do not show is read from the API server, but for a parent without status:
        whatever exists is reported by the 409 of the create.
        """
        wanted = plan.children or ()
        known = sight.seen.children
        asked = [each for each in wanted if each.key not in known and not sight.cached(each)]
        if not asked or not self._parent.get("status"):
            return await find(sight, wanted, None)
        # The parent first: the garbage collector's delete of a child can be seen before that of
        # the parent, and must not be answered by a new child.
        fresh = await self._api.get(self._controller.kind, *key_parts(self._parent))
        if fresh is None or fresh["metadata"]["uid"] != self._parent["metadata"]["uid"]:
            return None
        if "deletionTimestamp" in fresh["metadata"]:
            if not has_finalizer(fresh, self._controller.kind.group):
                return None
            if "deletionTimestamp" not in self._parent["metadata"]:
                return None  # the watch brings the deletion, and with it another plan

        async def get(child: Child) -> Object | None:
            user = plan.acting_as if child.delegated else ""
            try:
                return await self._target.get(child.kind, *key_parts(child.body), acting_as=user)
            except ApiError as error:
                if error.code != 403:
                    raise
                # The write is refused as well, or its 409 shows what there is: either of one child.
                return None

        return await find(sight, wanted, get)

    async def _apply(self, sight: Look, live: dict[Key, Object], plan: Plan) -> Plan:
        """Carry the plan out; answers the plan of what is there afterwards."""
        self._changes = await self._target.apply(change_set(self._parent, sight, live, plan))
        self._failed = next(
            (each.error for each in self._changes if each.action is Action.FAILED), None
        )
        self._notes = summary(self._changes)
        self._writes += [
            (each.kind.kind, each.action.value) for each in self._changes if each.action in WRITTEN
        ]
        if all(each.action is Action.UNCHANGED and not each.detail for each in self._changes):
            return plan
        # A shared object is not a child, so plans do not see it; its refusal or rival they see.
        shared = {each.key for each in plan.children or () if each.hold == "shared"}
        of_children = [each for each in self._changes if each.key not in shared or not each.object]
        return self._plan(after(sight.again(), of_children))

    async def _status(self, plan: Plan) -> tuple[bool, float | None]:
        """Write the status where it is due: (is the parent gone?, seconds until it is due)."""
        if self._failed is not None:
            return False, None  # the retry reports; a status of half a pass would flap
        due = self._parents.status_due(self._parent, plan.status)
        if due != 0:
            return False, due
        try:
            await self._parents.write_status(self._parent, plan.status)
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and error.code == 404:
                return True, None
            self._failed = error
            return False, due
        self._writes.append((self._controller.kind.kind, "Status"))
        self._notes += plan.notes
        return False, due

    def _outcome(self, waits: Iterable[float] = ()) -> Outcome:
        return outcome(self._changes, self._failed, waits, tuple(self._writes), self._notes)


def outcome(
    changes: Iterable[Change],
    failed: ApiError | Unreachable | None,
    waits: Iterable[float] = (),
    writes: tuple[tuple[str, str], ...] = (),
    notes: tuple[Note, ...] = (),
) -> Outcome:
    """What the changes of a pass come to: an error asks for a try with backoff, a wait for none.

    ``waits`` are seconds after which the plan itself wants to be asked again. A server that is
    busy names when to try again, and until then not even an edit is reconciled: so for a bounded
    time only. A Retry-After on any other answer may be an admission webhook's, and is ignored.
    """
    changes = tuple(changes)
    refused = next((change.error for change in changes if change.action is Action.REFUSED), None)
    error = failed or refused
    disputed = (Action.REPAIRED, Action.CONTESTED)
    contested = tuple(each.kind.kind for each in changes if each.detail and each.action in disputed)
    if error is not None:
        retry_after = None
        if isinstance(error, ApiError) and error.code in (429, 503):
            retry_after = min(error.retry_after or 0.0, RETRY_AFTER_LIMIT)
        return Outcome(None, str(error), retry_after or 0.0, writes, contested, notes)
    waits = [*waits, *(change.wait for change in changes if change.wait is not None)]
    return Outcome(min(waits, default=None), "", 0.0, writes, contested, notes)


def after(seen: Seen, changes: Iterable[Change]) -> Seen:
    """What is seen once the changes are made; an object that is being deleted is still seen."""
    children = dict(seen.children)
    foreign: dict[Key, str] = {}
    refused: dict[Key, Refusal] = {}
    contested: dict[Key, str] = {}
    for change in changes:
        if change.action is Action.DELETED:
            children.pop(change.key, None)
        elif change.action is Action.FOREIGN:
            children.pop(change.key, None)
            foreign[change.key] = change.detail
        elif change.object is not None:
            children[change.key] = change.object
        if change.refusal is not None:
            refused[change.key] = change.refusal
        if change.action is Action.CONTESTED or (change.detail and change.object is not None):
            contested[change.key] = change.detail
    return replace(seen, children=children, foreign=foreign, refused=refused, contested=contested)


def summary(changes: Iterable[Change]) -> tuple[Note, ...]:
    """One Event for each sort of change, naming the objects and the fields that differed."""
    by_action: dict[Action, list[str]] = {}
    for change in changes:
        if change.action in WRITTEN:
            by_action.setdefault(change.action, []).append(_describe(change))
    return tuple(
        Note("Normal", action.value, f"{action.value} {', '.join(items)}")
        for action, items in by_action.items()
    )


def _describe(change: Change) -> str:
    marks = ("metadata.annotations", "metadata.labels")
    paths = [path for path in change.paths if not path.startswith(marks)]
    name = f"{change.kind} {change.key.name}"
    if change.action in (Action.CREATED, Action.DELETED, Action.DELETING):
        return name
    if not paths:
        return f"{name} (labels, annotations, or fields no longer wanted)"
    shown = ", ".join(paths[:4]) + (", ..." if len(paths) > 4 else "")
    return f"{name} ({shown})"

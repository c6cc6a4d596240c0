"""One pass over one object: gather, plan, apply, plan again, status, events.

The plan is asked a second time after the writes, with what they returned, and only its status
counts then: so a status tells what is there and never what was meant. Nothing is decided here
that a domain could decide, and a domain's error in one object ends at that object.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from contract.metadata import digest, key_parts
from contract.model import Child, Controller, Kind, Need, Note, Object, Plan, Seen
from contract.ownership import is_own
from reconciler.client.api import RETRY_AFTER_LIMIT, Api, ApiError, Unreachable
from reconciler.target import WRITTEN, Action, Change, ChangeSet, DeploymentTarget

PROGRESS_SECONDS = 1.0
"""Between two statuses of one object that tell nothing new but numbers."""


class Reader(Protocol):
    """The cache of one kind, as the loop reads it."""

    def get(self, namespace: str, name: str) -> Object | None:
        """The object of that name."""

    def owned(self, uid: str) -> Iterable[Object]:
        """The objects that belong to the parent of that uid."""

    def needed(self, need: Need) -> Iterable[Object]:
        """The objects that a Need asks for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass came to.

    ``again`` is in how many seconds to look again though nothing failed; ``error`` asks for
    another try with backoff, not before ``retry_after`` seconds. ``writes`` are the objects
    written, as (kind, operation); ``contested`` the kinds of those that others keep changing.
    """

    again: float | None = None
    error: str = ""
    retry_after: float = 0.0
    writes: tuple[tuple[str, str], ...] = ()
    contested: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(slots=True)
class Reconciler:
    """Brings the objects of one controller to what its plan says.

    ``readers`` are the caches by kind name, the parent's own included. ``status_written`` is
    told of the parent as the status write returned it.
    """

    controller: Controller
    api: Api
    target: DeploymentTarget
    readers: Mapping[str, Reader]
    manager: str
    status_written: Callable[[Kind, Object], None] = lambda _kind, _obj: None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _statuses: dict[str, str] = field(default_factory=dict)
    _unsure: set[str] = field(default_factory=set)
    _told_at: dict[str, float] = field(default_factory=dict)

    async def reconcile(self, parent: Object, needs: tuple[Need, ...]) -> Outcome:
        """One pass, with what the controller needs for this parent.

        Raises NotLeader; all other expected trouble is in the Outcome.
        """
        now = self.clock()
        try:
            if await self._is_outdated(parent):
                return Outcome(again=0.0)
        except (ApiError, Unreachable) as error:
            return outcome((), error)
        seen = self._gather(parent, needs)
        plan = first = self.controller.plan(parent, seen, now)
        changes: tuple[Change, ...] = ()
        failed: ApiError | Unreachable | None = None
        status_due: float | None = None
        if plan.children is not None:
            try:
                live = await self._live(parent, seen, plan.children)
            except (ApiError, Unreachable) as error:
                return outcome((), error)
            if live is None:
                return Outcome()
            seen, found = self._claim(parent, seen, live)
            if found:
                plan = first = self.controller.plan(parent, seen, now)
            changes = await self.target.apply(self._change_set(parent, seen, live, plan))
            if any(change.action is not Action.UNCHANGED or change.detail for change in changes):
                plan = self.controller.plan(parent, after(seen, changes), now)
            failed = next((each.error for each in changes if each.action is Action.FAILED), None)
        notes = summary(changes)
        writes = [(each.kind.kind, each.action.value) for each in changes if each.action in WRITTEN]
        if failed is None:
            status_due = self._status_due(parent, plan.status)
        if status_due == 0:
            try:
                await self._write_status(parent, plan.status)
                writes.append((self.controller.kind.kind, "Status"))
                notes += plan.notes
            except (ApiError, Unreachable) as error:
                if isinstance(error, ApiError) and error.code == 404:
                    return Outcome(writes=tuple(writes), notes=notes)  # deleted by now
                failed = error
        waits = [status_due] if status_due else []
        if plan.children != first.children and writes:
            waits.append(0.0)
        if plan.again_at is not None:
            waits.append(max(0.0, (plan.again_at - now).total_seconds()))
        return outcome(changes, failed, waits, tuple(writes), notes)

    async def _is_outdated(self, parent: Object) -> bool:
        """Does the server hold another status than the cache?

        Asked only where the answer to our last write of it was lost: it may have been carried
        out, and what is decided from the one before would change it back or date it anew.
        """
        uid = parent["metadata"]["uid"]
        if uid not in self._unsure:
            return False
        fresh = await self.api.get(self.controller.kind, *key_parts(parent))
        self._unsure.discard(uid)
        if fresh is None or fresh["metadata"]["uid"] != uid:
            return False  # the watch will say so
        self.status_written(self.controller.kind, fresh)
        return bool(fresh.get("status") != parent.get("status"))

    async def _live(
        self, parent: Object, seen: Seen, wanted: Iterable[Child]
    ) -> dict[tuple[str, str], Object] | None:
        """What is there under the names of the wanted children, whosever it is; None: no parent.

        What the caches do not show is asked of the server, but for a new parent, of which nothing
        can be there that is not told by a create. First the parent: the watches of two kinds are
        not in step, and the garbage collector's delete of a child, seen before that of its
        parent, must not be answered by a new child.
        """
        live = dict(seen.children)
        missing = []
        for child in wanted:
            cached = live.get(child.id) or self._cached(child)
            if cached is None:
                missing.append(child)
            else:
                live[child.id] = cached
        if not missing or not parent.get("status"):
            return live
        fresh = await self.api.get(self.controller.kind, *key_parts(parent))
        if fresh is None or fresh["metadata"]["uid"] != parent["metadata"]["uid"]:
            return None
        if "deletionTimestamp" in fresh["metadata"]:
            return None
        for child in missing:
            obj = await self.target.get(child.kind, *key_parts(child.body))
            if obj is not None:
                live[child.id] = obj
        return live

    def _cached(self, child: Child) -> Object | None:
        return self.readers[child.kind.kind].get(*key_parts(child.body))

    def _claim(
        self, parent: Object, seen: Seen, live: Mapping[tuple[str, str], Object]
    ) -> tuple[Seen, bool]:
        """Count what is the parent's own by another mark as its children; was there any?

        An object is planned with before it is written: who has not seen how many replicas an
        autoscaler gave a Deployment would take them away.
        """
        found = {
            id_: obj
            for id_, obj in live.items()
            if id_ not in seen.children and is_own(obj, parent, self.controller.kind.group)
        }
        return replace(seen, children={**seen.children, **found}), bool(found)

    def forget(self, uid: str) -> None:
        """The object of that uid is gone."""
        self._statuses.pop(uid, None)
        self._unsure.discard(uid)
        self._told_at.pop(uid, None)
        self.target.forget(uid)

    def _gather(self, parent: Object, needs: tuple[Need, ...]) -> Seen:
        uid = parent["metadata"]["uid"]
        children = {
            (watch.kind.kind, obj["metadata"]["name"]): obj
            for watch in self.controller.watches
            if watch.child
            for obj in self.readers[watch.kind.kind].owned(uid)
            if is_own(obj, parent, self.controller.kind.group)
        }
        needed = {need: tuple(self.readers[need.kind.kind].needed(need)) for need in needs}
        return Seen(children=children, needed=needed)

    def _change_set(
        self, parent: Object, seen: Seen, live: Mapping[tuple[str, str], Object], plan: Plan
    ) -> ChangeSet:
        wanted = plan.children or ()
        names = {child.id for child in wanted}
        removable = {
            watch.kind.kind: watch.kind
            for watch in self.controller.watches
            if watch.child and watch.removable
        }
        surplus = tuple(
            (removable[id_[0]], obj)
            for id_, obj in seen.children.items()
            if id_ not in names and id_[0] in removable
        )
        return ChangeSet(parent, self.controller.kind, wanted, live, surplus)

    def _status_due(self, parent: Object, status: Object) -> float | None:
        """In how many seconds the status is to be written; None where it is what is stored.

        A status into which somebody else wrote a field never equals ours: what the server made
        of our last one counts as written. What only tells how far a change has come is told at
        most once in ``PROGRESS_SECONDS``: a rollout counts its pods many times a second.
        """
        stored = parent.get("status") or {}
        uid = parent["metadata"]["uid"]
        if stored == status or self._statuses.get(uid) == digest([status, stored]):
            return None
        if verdict(stored) != verdict(status):
            return 0.0
        return max(0.0, self._told_at.get(uid, -math.inf) + PROGRESS_SECONDS - _now())

    async def _write_status(self, parent: Object, status: Object) -> None:
        """Apply the status to exactly this object; what the server makes of it is remembered."""
        uid = parent["metadata"]["uid"]
        kind = self.controller.kind
        namespace, name = key_parts(parent)
        body: Object = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "status": status,
        }
        if not namespace:
            del body["metadata"]["namespace"]
        self._told(uid)
        try:
            answer = await self.api.apply(kind, body, manager=self.manager, subresource="status")
        except (ApiError, Unreachable) as error:
            if isinstance(error, Unreachable) or error.code >= 500:
                self._unsure.add(uid)
            raise
        answered = answer.get("status") or {}
        if answered == status:
            self._statuses.pop(uid, None)
        else:
            self._statuses[uid] = digest([status, answered])
        self.status_written(kind, answer)

    def _told(self, uid: str) -> None:
        """Remember when a status was written, and forget those that hold nothing back any more."""
        now = _now()
        self._told_at.pop(uid, None)
        self._told_at[uid] = now
        for oldest in list(self._told_at):
            if self._told_at[oldest] + PROGRESS_SECONDS > now:
                break
            del self._told_at[oldest]


def verdict(status: Object) -> Object:
    """What of a status is news: all but numbers of things and the wording of messages."""
    news = {
        name: value
        for name, value in status.items()
        if name == "observedGeneration" or not isinstance(value, int)
    }
    news["conditions"] = [
        {name: value for name, value in each.items() if name != "message"}
        for each in status.get("conditions") or ()
    ]
    return news


def _now() -> float:
    return asyncio.get_running_loop().time()


def outcome(
    changes: Iterable[Change],
    failed: ApiError | Unreachable | None,
    waits: Iterable[float] = (),
    writes: tuple[tuple[str, str], ...] = (),
    notes: tuple[Note, ...] = (),
) -> Outcome:
    """What the changes of a pass come to: an error asks for a try with backoff, a wait for none.

    ``waits`` are seconds after which the plan itself wants to be asked again. A server that is
    busy says when to try again, and until then not even an edit is looked at: so for a while
    only. What any other answer says of that may be an admission webhook's word.
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
    """What is seen once the changes are made."""
    children = dict(seen.children)
    foreign: dict[tuple[str, str], str] = {}
    refused = {}
    contested = {}
    for change in changes:
        if change.action is Action.DELETED:
            children.pop(change.id, None)
        elif change.action is Action.FOREIGN:
            children.pop(change.id, None)
            foreign[change.id] = change.detail
        elif change.object is not None:
            children[change.id] = change.object
        if change.refusal is not None:
            refused[change.id] = change.refusal
        if change.action is Action.CONTESTED or (change.detail and change.object is not None):
            contested[change.id] = change.detail
    return replace(seen, children=children, foreign=foreign, refused=refused, contested=contested)


def summary(changes: Iterable[Change]) -> tuple[Note, ...]:
    """One Event for each sort of change, naming the objects and what differed in them."""
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
    if change.action in (Action.CREATED, Action.DELETED):
        return f"{change.kind} {change.name}"
    if not paths:
        return f"{change.kind} {change.name} (labels, annotations, or fields no longer wanted)"
    shown = ", ".join(paths[:4]) + (", ..." if len(paths) > 4 else "")
    return f"{change.kind} {change.name} ({shown})"

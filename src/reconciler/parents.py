"""Everything that is written to a parent: record and finalizer, status.

Each is written once and not again while the API server has it; each write names the parent's uid.
Where the answer to a write was lost, the parent is read before anything is decided from the cache.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from contract.metadata import digest, key_parts
from contract.model import Kind, Object
from contract.ownership import annotations_of
from contract.plan import Plan
from contract.record import finalizer, has_finalizer, record_annotation, recorded
from reconciler.child_write import unchanged
from reconciler.client.api import JSON_PATCH, Api, ApiError, Unreachable

PROGRESS_SECONDS = 1.0
"""Between two statuses of one parent that differ only in counters and messages."""


def is_marked(parent: Object, plan: Plan, group: str) -> bool:
    """Does the parent carry the record and the finalizer that the plan asks for?"""
    if plan.record is not None and json.loads(_canonical(plan.record)) != recorded(parent, group):
        return False
    return plan.finalizer is None or plan.finalizer == has_finalizer(parent, group)


def with_marks(parent: Object, plan: Plan, group: str) -> Object:
    """The parent as it is once the record and the finalizer of a plan are stored."""
    metadata = dict(parent["metadata"])
    if plan.record is not None:
        text = _canonical(plan.record)
        metadata["annotations"] = {**annotations_of(parent), record_annotation(group): text}
    if plan.finalizer is not None:
        others = [each for each in metadata.get("finalizers") or () if each != finalizer(group)]
        metadata["finalizers"] = [*others, finalizer(group)] if plan.finalizer else others
    return {**parent, "metadata": metadata}


def own_fields(parent: Object, group: str) -> list[Any]:
    """What the operator writes to a parent: status, record, finalizer."""
    record = annotations_of(parent).get(record_annotation(group))
    return [parent.get("status"), record, has_finalizer(parent, group)]


class Parents:
    """Writes to the parents of one kind.

    ``written`` is called with each parent as the API server answered; ``manager`` is the field
    manager.
    """

    def __init__(
        self, api: Api, kind: Kind, *, manager: str, written: Callable[[Object], None]
    ) -> None:
        self._api = api
        self._kind = kind
        self._manager = manager
        self._written = written
        self._statuses: dict[str, str] = {}  # uid: digest of a status and of what became of it
        self._unsure: set[str] = set()  # uids whose last write has no known answer
        self._written_at: dict[str, float] = {}  # uid: when its status was written, oldest first

    def forget(self, uid: str) -> None:
        """The parent of that uid is gone."""
        self._statuses.pop(uid, None)
        self._unsure.discard(uid)
        self._written_at.pop(uid, None)

    def remembered(self) -> int:
        """Of how many parents anything is remembered."""
        return len({*self._statuses, *self._unsure, *self._written_at})

    async def is_outdated(self, parent: Object) -> bool:
        """Does the API server hold another status, record or finalizer than the cache?

        Asked only where the answer to our last write was lost: it may have been carried out, and
        what is decided from the state before would revert it or date it anew.
        """
        uid = parent["metadata"]["uid"]
        if uid not in self._unsure:
            return False
        fresh = await self._api.get(self._kind, *key_parts(parent))
        self._unsure.discard(uid)
        if fresh is None or fresh["metadata"]["uid"] != uid:
            return False  # the watch brings its deletion
        self._written(fresh)
        return own_fields(fresh, self._kind.group) != own_fields(parent, self._kind.group)

    async def mark(self, parent: Object, plan: Plan) -> None:
        """Store the record and the finalizer of a plan, on exactly this parent.

        An apply that leaves a field out gives up its ownership, so the body holds both. A
        finalizer is removed by a patch: a user who applied an exported manifest owns it too, and
        no apply of the operator would remove it.
        """
        group = self._kind.group
        if plan.finalizer is False and has_finalizer(parent, group):
            await self._take_off(parent)
            return
        metadata = self._identity(parent)
        text = annotations_of(parent).get(record_annotation(group))
        if plan.record is not None and (plan.record or text is not None):
            # An empty one too: an apply without an annotation that a user wrote removes nothing.
            text = _canonical(plan.record)
        if text is not None:
            metadata["annotations"] = {record_annotation(group): text}
        if plan.finalizer or has_finalizer(parent, group):
            metadata["finalizers"] = [finalizer(group)]
        await self._send(parent, {"metadata": metadata})

    async def _take_off(self, parent: Object) -> None:
        metadata = parent["metadata"]
        index = metadata["finalizers"].index(finalizer(self._kind.group))
        patch = [
            *unchanged(parent),
            {"op": "remove", "path": f"/metadata/finalizers/{index}"},
        ]
        try:
            answer = await self._api.patch(
                self._kind, *key_parts(parent), patch, content_type=JSON_PATCH
            )
        except (ApiError, Unreachable) as error:
            self._doubt(parent, error)
            raise
        self._written(answer)

    def status_due(self, parent: Object, status: Object) -> float | None:
        """In how many seconds the status is to be written; None where it is stored already.

        A status into which another manager wrote a field never equals ours: what the API server
        made of our last one counts as written. Progress alone is written at most once in
        ``PROGRESS_SECONDS``: a rollout counts its pods many times a second.
        """
        stored = parent.get("status") or {}
        uid = parent["metadata"]["uid"]
        if stored == status or self._statuses.get(uid) == digest([status, stored]):
            return None
        if without_progress(stored) != without_progress(status):
            return 0.0
        return max(0.0, self._written_at.get(uid, -math.inf) + PROGRESS_SECONDS - _now())

    async def write_status(self, parent: Object, status: Object) -> None:
        """Apply the status to exactly this object; remember what the API server makes of it."""
        uid = parent["metadata"]["uid"]
        self._note_status_write(uid)
        body = {"metadata": self._identity(parent), "status": status}
        answer = await self._send(parent, body, subresource="status")
        answered = answer.get("status") or {}
        if answered == status:
            self._statuses.pop(uid, None)
        else:
            self._statuses[uid] = digest([status, answered])

    async def _send(self, parent: Object, body: Object, subresource: str = "") -> Object:
        whole = {"apiVersion": self._kind.api_version, "kind": self._kind.kind, **body}
        try:
            answer = await self._api.apply(
                self._kind, whole, manager=self._manager, subresource=subresource
            )
        except (ApiError, Unreachable) as error:
            self._doubt(parent, error)
            raise
        self._written(answer)
        return answer

    def _doubt(self, parent: Object, error: ApiError | Unreachable) -> None:
        if isinstance(error, Unreachable) or error.code >= 500:
            self._unsure.add(parent["metadata"]["uid"])

    def _identity(self, parent: Object) -> dict[str, Any]:
        namespace, name = key_parts(parent)
        identity = {"name": name, "uid": parent["metadata"]["uid"]}
        return {**identity, "namespace": namespace} if namespace else identity

    def _note_status_write(self, uid: str) -> None:
        """Remember when a status was written; drop entries older than ``PROGRESS_SECONDS``."""
        now = _now()
        self._written_at.pop(uid, None)
        self._written_at[uid] = now
        for oldest in list(self._written_at):
            if self._written_at[oldest] + PROGRESS_SECONDS > now:
                break
            del self._written_at[oldest]


def without_progress(status: Object) -> Object:
    """The status without counters and message texts; where it is equal, only progress changed."""
    kept = {
        name: value
        for name, value in status.items()
        if name == "observedGeneration" or not isinstance(value, int)
    }
    kept["conditions"] = [
        {name: value for name, value in each.items() if name != "message"}
        for each in status.get("conditions") or ()
    ]
    return kept


def _canonical(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


def _now() -> float:
    return asyncio.get_running_loop().time()

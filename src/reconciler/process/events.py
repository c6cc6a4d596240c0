"""Kubernetes Events about a parent, as ``kubectl describe`` shows them.

The rule: a reconcile never waits for an Event and never fails with one. One background task
writes Events, in bounded number and memory; an Event that cannot be written is counted and
dropped. A repeated note raises the count of its Event, at most once a minute. While objects wait
for a worker, each Event waits a moment: writes of Events and of children share the API server.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

import structlog

from contract.metadata import digest
from contract.model import Kind, Object
from contract.plan import Note
from contract.status import rfc3339
from reconciler.client.api import MERGE_PATCH, Api, ApiError, NotLeader, Unreachable
from reconciler.process.logs import redact

EVENT = Kind("", "v1", "Event", "events")

SERIES = timedelta(minutes=10)
"""A note within this time of an equal one raises its count; a later one is a new Event."""
QUIET = timedelta(minutes=1)
"""Shortest time between two writes of one Event."""
BURST = 25
"""Writes about one object without a wait; after those, one in each REFILL."""
REFILL = timedelta(minutes=5)
MESSAGE_LIMIT = 1024
"""Characters kept of a message: the API server's own limit for events.k8s.io."""
REMEMBERED = 1024
"""Series and objects remembered; the least recently used ones above that are forgotten."""
WAITING = 4000
"""Events waiting to be written; new ones above that are dropped."""
PAUSE_WHILE_BUSY = 0.2
"""Seconds before each Event while there are keys to reconcile, and half of WAITING is free: an
Event is a write that no object waits for."""

_QUIET = QUIET.total_seconds()
_TRIES = 3
_RETRY_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class _Series:
    """The count of one Event, and how much of it is written; the message is not kept.

    Times are seconds since the epoch, which take less memory than datetimes.
    """

    first: float
    last: float
    count: int = 1
    written_at: float | None = None  # when a write was last put into the queue
    created: bool = False
    waiting: bool = False

    def outdated(self, now: float) -> bool:
        """Does the next equal note begin another Event?"""
        return not self.waiting and now - self.last > SERIES.total_seconds()


@dataclass(slots=True)
class _Bucket:
    """How much may still be written about one object."""

    tokens: float
    filled: float

    def fill(self, now: float) -> None:
        """Add the tokens of the time since the last fill."""
        refilled = self.tokens + max(now - self.filled, 0.0) / REFILL.total_seconds()
        self.tokens, self.filled = min(BURST, refilled), now

    def outdated(self, now: float) -> bool:
        """Is the bucket full again, and so equal to a new one?"""
        return self.tokens + (now - self.filled) / REFILL.total_seconds() >= BURST


class _Waiting(NamedTuple):
    """An Event to write, without its count and last time."""

    series: _Series
    namespace: str
    name: str
    regarding: Object
    note: Note


E = TypeVar("E", _Series, _Bucket)


class _Recent(Generic[E]):
    """The values of the most recently used keys; outdated ones at the oldest end are dropped."""

    def __init__(self, limit: int) -> None:
        self._items: dict[bytes, E] = {}
        self._limit = limit

    def get(self, key: bytes, now: float) -> E | None:
        """The value of a key; the key becomes the most recently used one."""
        while self._items and self._items[oldest := next(iter(self._items))].outdated(now):
            del self._items[oldest]
        value = self._items.pop(key, None)
        if value is None or value.outdated(now):
            return None
        self._items[key] = value
        return value

    def put(self, key: bytes, value: E) -> E:
        """Remember a value, and forget the least recently used one where there are too many."""
        self._items[key] = value
        if len(self._items) > self._limit:
            del self._items[next(iter(self._items))]
        return value


class Recorder:
    """Turns Notes into Events; ``run`` is the background task that writes them.

    ``component`` is the controller's name, ``instance`` the process (the lease identity).
    ``dropped`` is called for each Event that is dropped, with the reason: ``queue_full``, ``spam``,
    ``not_leader``, ``refused`` (by the API server) or ``unreachable``. ``busy`` returns whether
    keys wait for a worker or are reconciled.
    """

    def __init__(
        self,
        api: Api,
        component: str,
        instance: str,
        *,
        dropped: Callable[[str], None] = lambda _reason: None,
        busy: Callable[[], bool] = lambda: False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._component = component
        self._instance = instance
        self._dropped = dropped
        self._busy = busy
        self._now = now
        self._series = _Recent[_Series](REMEMBERED)
        self._buckets = _Recent[_Bucket](REMEMBERED)
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(WAITING)
        self._logged_reason = ""

    def record(self, parent: Object, kind: Kind, note: Note) -> None:
        """Take a note about ``parent``, an object of ``kind``. Returns at once, never fails."""
        now = self._now().timestamp()
        uid = parent["metadata"].get("uid", "")
        message = str(redact(note.message))
        message = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
        note = Note(note.type, note.reason, message)
        key = _key(uid, *_texts(note))
        series = self._series.get(key, now)
        if series is None:
            series = self._series.put(key, _Series(now, now))
        else:
            series.count += 1
            series.last = now
        if series.waiting or (
            series.written_at is not None and 0 <= now - series.written_at < _QUIET
        ):
            return  # the next write has this count
        if not self._allowed(uid, now):
            self._dropped("spam")
            return
        try:
            self._queue.put_nowait(_waiting(series, parent, kind, note))
        except asyncio.QueueFull:
            self._dropped("queue_full")
            return
        series.waiting, series.written_at = True, now

    async def run(self) -> None:
        """Write recorded Events without end; run it as a task."""
        while True:
            event = await self._queue.get()
            if self._busy() and self._queue.qsize() < WAITING // 2:
                await asyncio.sleep(PAUSE_WHILE_BUSY)
            await self._next(event)

    async def drain(self, seconds: float) -> None:
        """Wait until all recorded Events are written, for at most ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._queue.join()

    async def _next(self, event: _Waiting) -> None:
        try:
            for remaining in reversed(range(_TRIES)):
                try:
                    await self._write(event)
                    self._logged_reason = ""
                    return
                except Unreachable as error:
                    if not remaining:
                        self._give_up("unreachable", error)
                        return
                    await asyncio.sleep(_RETRY_SECONDS)
                except ApiError as error:
                    if not remaining or (error.code != 429 and error.code < 500):
                        self._give_up("refused", error)
                        return
                    await asyncio.sleep(min(error.retry_after or _RETRY_SECONDS, 10))
                except NotLeader as error:
                    self._give_up("not_leader", error)
                    return
        finally:
            self._queue.task_done()

    async def _write(self, event: _Waiting) -> None:
        """Create the Event, or raise its count; create a deleted Event again."""
        series = event.series
        series.waiting = False
        latest = {"count": series.count, "lastTimestamp": _timestamp(series.last)}
        if series.created:
            try:
                await self._api.patch(
                    EVENT, event.namespace, event.name, latest, content_type=MERGE_PATCH
                )
                return
            except ApiError as error:
                if error.code != 404:
                    raise
        try:
            await self._api.create(EVENT, {**self._body(event), **latest})
        except ApiError as error:
            if error.code != 409:
                raise
            # An earlier create was stored, and its answer lost, or it was before a restart.
        series.created = True

    def _give_up(self, reason: str, error: Exception) -> None:
        self._dropped(reason)
        if self._logged_reason != reason:
            self._logged_reason = reason
            _log.warning("events are dropped", reason=reason, error=str(error))

    def _allowed(self, uid: str, now: float) -> bool:
        """Take a token from the object's bucket, if there is one."""
        key = _key(uid)
        bucket = self._buckets.get(key, now) or self._buckets.put(key, _Bucket(BURST, now))
        bucket.fill(now)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _body(self, event: _Waiting) -> Object:
        """The Event without its count and last time."""
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"namespace": event.namespace, "name": event.name},
            "involvedObject": event.regarding,
            "type": event.note.type,
            "reason": event.note.reason,
            "message": event.note.message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance[:128],
            "firstTimestamp": _timestamp(event.series.first),
        }


def _waiting(series: _Series, parent: Object, kind: Kind, note: Note) -> _Waiting:
    """The Event to write.

    Its name is a digest of its content and of the ten minutes that it belongs to: a create that is
    sent again, also after a restart, is answered 409 and adds no second Event.
    """
    metadata = parent["metadata"]
    uid = metadata.get("uid", "")
    window = int(series.first // SERIES.total_seconds())
    name = digest([uid, *_texts(note), window])
    return _Waiting(
        series,
        metadata.get("namespace") or "default",
        f"{metadata['name'][:200].rstrip('.-')}.{name}",
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": uid,
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        note,
    )


def _texts(note: Note) -> tuple[str, ...]:
    return note.type, note.reason, note.message


def _key(*texts: str) -> bytes:
    """Texts of any length as a short key."""
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).digest()


def _timestamp(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))

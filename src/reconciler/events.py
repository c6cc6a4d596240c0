"""Kubernetes Events about a parent, as ``kubectl describe`` shows them.

The rule kept here: Events are help for people and never a duty. They are written by one
background task, in bounded number and memory; what cannot be written is counted and
dropped, and no reconcile waits for or fails with it. What repeats raises a count, at most
once a minute, and only when it repeats: an object about which nothing is said costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import structlog

from reconciler.api import MERGE_PATCH, Api, ApiError, NotLeader, Unreachable
from reconciler.logs import redact
from reconciler.meta import digest
from reconciler.model import Kind, Note, Object
from reconciler.status import rfc3339

EVENT = Kind("", "v1", "Event", "events")

SERIES = timedelta(minutes=10)
"""The same note within this time of the last one raises a count; later it is a new Event."""
QUIET = timedelta(minutes=1)
"""Shortest time between two writes of one Event."""
BURST = 25
"""Writes about one object at once; after that, one in each REFILL."""
REFILL = timedelta(minutes=5)
MESSAGE_LIMIT = 1024
"""Characters kept of a message: the API server's own limit for events.k8s.io."""
REMEMBERED = 4096
"""Series and objects remembered; beyond that the oldest are forgotten."""
WAITING = 1000
"""Events waiting to be written; beyond that new ones are dropped."""

_TRIES = 3
_RETRY_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)

V = TypeVar("V")


@dataclass(slots=True)
class _Series:
    """One Event: what it says, how often it was said, and what of that is written."""

    body: Object
    last: datetime
    count: int = 1
    written: datetime | None = None  # when a write was last asked for
    created: bool = False
    waiting: bool = False


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: datetime


class _Recent(Generic[V]):
    """The values of the most recently used keys."""

    def __init__(self, limit: int) -> None:
        self._items: OrderedDict[tuple[str, ...], V] = OrderedDict()
        self._limit = limit

    def get(self, key: tuple[str, ...]) -> V | None:
        if key in self._items:
            self._items.move_to_end(key)
        return self._items.get(key)

    def put(self, key: tuple[str, ...], value: V) -> V:
        self._items[key] = value
        if len(self._items) > self._limit:
            self._items.popitem(last=False)
        return value


class Recorder:
    """Turns Notes into Events; ``run`` is the background task that writes them.

    ``component`` is the controller's name, ``instance`` the process (the lease identity).
    ``dropped`` is told each time one is given up: ``queue_full``, ``spam``, ``not_leader``,
    ``refused`` (the API server said no) or ``unreachable``.
    """

    def __init__(
        self,
        api: Api,
        component: str,
        instance: str,
        *,
        dropped: Callable[[str], None] = lambda _reason: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._component = component
        self._instance = instance
        self._dropped = dropped
        self._now = now
        self._series = _Recent[_Series](REMEMBERED)
        self._buckets = _Recent[_Bucket](REMEMBERED)
        self._queue: asyncio.Queue[_Series] = asyncio.Queue(WAITING)
        self._complaint = ""

    def record(self, parent: Object, kind: Kind, note: Note) -> None:
        """Say something about ``parent``, an object of ``kind``. Returns at once, never fails."""
        now = self._now()
        uid = parent["metadata"].get("uid", "")
        message = str(redact(note.message))
        message = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
        key = (uid, note.type, note.reason, message)
        series = self._series.get(key)
        if series is None or now - series.last > SERIES:
            series = self._series.put(key, _Series(self._body(parent, kind, note, key, now), now))
        else:
            series.count += 1
            series.last = now
        if series.waiting or (series.written and timedelta() <= now - series.written < QUIET):
            return  # said in the next write
        if not self._allowed(uid, now):
            self._dropped("spam")
            return
        try:
            self._queue.put_nowait(series)
        except asyncio.QueueFull:
            self._dropped("queue_full")
            return
        series.waiting, series.written = True, now

    async def run(self) -> None:
        """Write what is recorded, for ever; to be run as a task."""
        while True:
            await self._next(await self._queue.get())

    async def drain(self, seconds: float) -> None:
        """Wait until all is written that was recorded, but no longer than ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._queue.join()

    async def _next(self, series: _Series) -> None:
        try:
            for remaining in reversed(range(_TRIES)):
                try:
                    await self._write(series)
                    self._complaint = ""
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

    async def _write(self, series: _Series) -> None:
        """Create the Event, or raise its count; one that was deleted meanwhile is made again."""
        series.waiting = False
        said = {"count": series.count, "lastTimestamp": rfc3339(series.last)}
        metadata = series.body["metadata"]
        if series.created:
            try:
                await self._api.patch(
                    EVENT,
                    metadata["namespace"],
                    metadata["name"],
                    said,
                    content_type=MERGE_PATCH,
                )
                return
            except ApiError as error:
                if error.code != 404:
                    raise
        try:
            await self._api.create(EVENT, {**series.body, **said})
        except ApiError as error:
            if error.code != 409:
                raise
            # The answer to our own create was lost, or we said this before a restart.
        series.created = True

    def _give_up(self, reason: str, error: Exception) -> None:
        self._dropped(reason)
        if self._complaint != reason:
            self._complaint = reason
            _log.warning("events are dropped", reason=reason, error=str(error))

    def _allowed(self, uid: str, now: datetime) -> bool:
        """Take a token from the object's bucket, if there is one."""
        bucket = self._buckets.get((uid,)) or self._buckets.put((uid,), _Bucket(BURST, now))
        refilled = bucket.tokens + max(now - bucket.filled, timedelta()) / REFILL
        bucket.tokens, bucket.filled = min(BURST, refilled), now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _body(
        self, parent: Object, kind: Kind, note: Note, key: tuple[str, ...], now: datetime
    ) -> Object:
        """The Event but for its count and last time.

        Its name is made of what it says and of the ten minutes that it belongs to: a create
        that is sent again, or said again after a restart, meets its own name.
        """
        metadata = parent["metadata"]
        namespace = metadata.get("namespace") or "default"
        window = int(now.timestamp() // SERIES.total_seconds())
        name = f"{metadata['name'][:200].rstrip('.-')}.{digest([*key, window])}"
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"namespace": namespace, "name": name},
            "involvedObject": {
                "apiVersion": kind.api_version,
                "kind": kind.kind,
                "namespace": metadata.get("namespace", ""),
                "name": metadata["name"],
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": note.type,
            "reason": note.reason,
            "message": key[3],
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance[:128],
            "firstTimestamp": rfc3339(now),
        }

"""Keeps one Store equal to the objects of the API server: list, watch, list again where needed.

The rule: the store takes a list over in one step, so that deletions missed in a gap are noticed. A
list is a WatchList, or comes in pages where the server has none. The table in ``phases`` decides
what follows an attempt and after which wait; this module carries the decision out. A reflector
ends only when it is cancelled.
https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/3157-watch-list
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

import structlog

from contract.metadata import key_parts, known_newer
from reconciler.cache import Store
from reconciler.client.api import RETRY_AFTER_LIMIT, Api, ApiError, Unreachable, WatchEvent
from reconciler.held import Held, NamespacedName
from reconciler.phases import (
    Ended,
    EndMarkMissing,
    Event,
    Listed,
    Phase,
    Progress,
    Wait,
    next_phase,
)

INITIAL_EVENTS_END = "k8s.io/initial-events-end"

INITIAL_PATIENCE = 10.0
"""Seconds without a frame after which a WatchList that has not ended is replaced by pages."""

BACKOFF_MEMORY = 120.0
"""Seconds after a backoff from which on earlier failures do not count."""

log = structlog.stdlib.get_logger(__name__)


class State(StrEnum):
    """What a reflector is doing, for logs and readiness."""

    STARTING = "starting"
    LISTING = "listing"
    WATCHING = "watching"
    BACKING_OFF = "backing-off"
    WAITING = "waiting"
    """For a kind to be served or a right to be granted; ``reason`` names it."""


class Backoff:
    """Exponential, with jitter: ``first`` seconds, doubled up to ``most``, times 1 to 2."""

    def __init__(self, first: float, most: float, rng: random.Random) -> None:
        self._first = first
        self._most = most
        self._random = rng
        self._failures = 0
        self._delay = 0.0
        self._until = 0.0

    def failures(self, now: float) -> int:
        """Failures in a row before ``now`` (loop time)."""
        return 0 if now - self._until > BACKOFF_MEMORY else self._failures

    def worked(self, seconds: float) -> None:
        """It worked for so many seconds; if longer than the last wait, the count starts again."""
        if seconds > self._delay:
            self._failures = 0

    def next(self, now: float) -> float:
        """Count a failure at ``now``; the seconds to wait after it."""
        failures = self.failures(now)
        self._failures = failures + 1
        self._delay = min(self._most, self._first * 2.0 ** min(failures, 32))
        self._delay *= self._random.uniform(1, 2)
        self._until = now + self._delay
        return self._delay


class Reflector:
    """Lists and watches one kind in one namespace (None: in all) into a store.

    ``names_only`` asks for the metadata of the objects and nothing else. ``optional``: where the
    kind is not served, it is not asked for again before ``retry``. ``lists`` bounds the lists that
    run at once. ``remedies`` are commands to name in ``reason`` by HTTP status (401, 403, 404).

    Readable at any time: ``state``, ``reason`` (empty while all is well), ``absent`` (an optional
    kind that is not served or may not be read), ``last_frame_at`` (loop time),
    ``resource_version`` (up to which the history of the server is known).
    """

    def __init__(
        self,
        api: Api,
        store: Store,
        namespace: str | None = None,
        *,
        names_only: bool = False,
        optional: bool = False,
        lists: asyncio.Semaphore | None = None,
        remedies: Mapping[int, str] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.state = State.STARTING
        self.reason = ""
        self.absent = False
        self.last_frame_at: float | None = None
        self.resource_version = ""
        self.store = store
        self.namespace = namespace
        self._api = api
        self._kind = store.kind
        self._request: dict[str, Any] = {"labels": store.watch.labels}
        if names_only:
            self._request["names_only"] = True
        self._optional = optional
        self._lists = lists or asyncio.Semaphore()
        self._remedies = remedies or {}
        self._random = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._errors = Backoff(0.8, 30.0, self._random)
        self._waits = Backoff(5.0, 15.0, self._random)
        self._progress = Progress()
        self._retry = asyncio.Event()

    def __str__(self) -> str:
        return (
            f"{self._kind.resource} in {self.namespace}" if self.namespace else self._kind.resource
        )

    @property
    def synced(self) -> bool:
        """Has this scope been listed, with nothing missing since?"""
        return self.store.scope_synced(self.namespace)

    def retry(self) -> None:
        """Try again at once if the kind is not served or may not be read.

        Discovery calls it each time it finds the kind served: a kind that was served before may
        have been missing for a moment, and nothing else ends the wait for an optional kind.
        """
        self._retry.set()

    async def run(self) -> None:
        """Keep the store up to date until cancelled."""
        while True:
            # Before the attempt: a kind that is served during the attempt ends the wait after it.
            self._retry.clear()
            event = await self._attempt()
            phase = self._progress.phase
            wait = self._advance(event)
            if wait in (Wait.FOR_KIND, Wait.FOR_RIGHT):
                await self._wait_for_kind_or_right(wait, event, phase)
            elif wait is not Wait.NONE:
                await self._back_off(wait, event)

    async def _attempt(self) -> Event:
        """Carry out the present phase; returns how it ended."""
        try:
            if self._progress.phase is Phase.LIST_IN_PAGES:
                return await self._list_in_pages()
            if self._progress.phase is Phase.LIST_BY_WATCH:
                return await self._list_by_watch()
            async with self._frames() as frames:
                return await self._follow(frames)
        except (ApiError, Unreachable) as error:
            return self._ended(error)

    def _advance(self, event: Event) -> Wait:
        before = self._progress
        self._progress, wait = next_phase(before, event)
        if self._progress.listing is not before.listing:
            why = str(event.error) if isinstance(event, Ended) else "its end mark does not come"
            log.info("WatchList does not work here, listing instead", watch=str(self), why=why)
        return wait

    def _ended(
        self, error: ApiError | Unreachable | None, frames: int = 0, lasted: float = 0.0
    ) -> Ended:
        failures = self._errors.failures(_now())
        return Ended(error, frames, lasted, failures=failures, synced=self.synced)

    # Listing

    async def _list_by_watch(self) -> Event:
        """Take the present objects, their end mark and the changes since from one stream."""
        self._show(State.LISTING)
        async with contextlib.AsyncExitStack() as turn, self._frames(initial=True) as frames:
            await turn.enter_async_context(self._lists)
            try:
                await self._collect(frames)
            except TimeoutError:
                return EndMarkMissing()
            self._advance(Listed())
            await turn.aclose()  # the list is complete and its stream goes on: the next may list
            return replace(await self._follow(frames), after_list=True)

    async def _collect(self, frames: AsyncIterator[WatchEvent]) -> None:
        """Take the present objects over at the end mark; before it, frames are in no order.

        Raises TimeoutError where a frame does not come in time.
        """
        present: dict[NamespacedName, Held] = {}
        while True:
            async with asyncio.timeout(INITIAL_PATIENCE):
                event = await anext(frames, None)
            if event is None:
                raise Unreachable("the stream ended before its list was complete")
            metadata = event.object["metadata"]
            if event.type == "BOOKMARK":
                if INITIAL_EVENTS_END in (metadata.get("annotations") or {}):
                    await self._take_over(present, metadata["resourceVersion"])
                    return
                continue
            # A change during the list comes in the same stream, and `keep` may drop the object now.
            present.pop(key_parts(event.object), None)
            if event.type != "DELETED":
                present |= self.store.cut([event.object])

    async def _list_in_pages(self) -> Event:
        self._show(State.LISTING)
        async with self._lists:
            await self._take_over(*await self._list())
        return Listed()

    async def _list(self) -> tuple[dict[NamespacedName, Held], str]:
        present: dict[NamespacedName, Held] = {}
        version = ""
        # Page by page: a whole list, decoded, takes ten times the memory of what is held of it.
        async for page in self._api.pages(self._kind, self.namespace, **self._request):
            present |= self.store.cut(page.items)
            version = page.resource_version
        return present, version

    async def _take_over(self, present: dict[NamespacedName, Held], version: str) -> None:
        """Replace the store's objects by the list.

        A list older than the version that this reflector has reached means that the server was
        restored from a backup. A second list confirms that: one answer may come from a replica of
        the server that lags behind.
        """
        back_in_time = known_newer(self.resource_version, version)
        if back_in_time:
            present, version = await self._list()
            back_in_time = known_newer(self.resource_version, version)
        if back_in_time:
            log.warning("the API server was restored to an earlier state", watch=str(self))
        self.absent = False  # before the store calls on_synced, which starts plans of this kind
        self.store.replace(present, version, self.namespace, reset=back_in_time)
        self._note_frame(version)

    # Watching

    async def _follow(self, frames: AsyncIterator[WatchEvent]) -> Ended:
        """Take frames into the store until the stream ends."""
        self._show(State.WATCHING)
        started, count = _now(), 0
        error: ApiError | Unreachable | None = None
        try:
            async for event in frames:
                count += 1
                self.store.observe(event, self.namespace)
                self._note_frame(event.object["metadata"].get("resourceVersion", ""))
        except (ApiError, Unreachable) as caught:
            error = caught
        ended = self._ended(error, count, _now() - started)
        if ended.worked:
            self._errors.worked(ended.lasted)
        return ended

    @contextlib.asynccontextmanager
    async def _frames(self, *, initial: bool = False) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        frames = self._api.watch(
            self._kind,
            self.namespace,
            resource_version="" if initial else self.resource_version,
            initial_events=initial,
            **self._request,
        )
        try:
            yield aiter(frames)
        finally:
            # Without this, the connection stays open until the garbage collector runs.
            if isinstance(frames, AsyncGenerator):
                await frames.aclose()

    def _note_frame(self, resource_version: str) -> None:
        self.resource_version = resource_version or self.resource_version
        self.last_frame_at = _now()

    # Waiting

    async def _back_off(self, wait: Wait, event: Event) -> None:
        """Wait after a temporary failure, at least as long as the server asks for."""
        error = event.error if isinstance(event, Ended) else None
        delay = self._random.uniform(0, 1) if wait is Wait.SOON else self._errors.next(_now())
        if isinstance(error, ApiError):
            asked = min(error.retry_after or 0.0, RETRY_AFTER_LIMIT)
            delay = max(delay, asked * self._random.uniform(1, 1.2))
        reason = str(error or "the watch ended as soon as it began")
        log.info("watch interrupted", watch=str(self), reason=reason, again_in=round(delay, 1))
        self._show(State.BACKING_OFF, reason)
        await asyncio.sleep(delay)

    async def _wait_for_kind_or_right(self, wait: Wait, event: Event, phase: Phase) -> None:
        """Wait for a kind or a right. Plans that require the kind wait too, others go on.

        The store keeps its objects: the next list shows which of them were deleted since.
        """
        code = event.code if isinstance(event, Ended) else 0
        verb = "list" if phase is Phase.LIST_IN_PAGES else "watch"
        reason = {
            401: f"unauthorized: {verb} {self}",
            403: f"forbidden: {verb} {self}",
            404: f"not served: {self._kind.resource} {self._kind.version}",
        }[code]
        remedy = self._remedies.get(code)
        self.absent = self._optional and code in (403, 404)
        self._show(State.WAITING, f"{reason}; to fix it: {remedy}" if remedy else reason)
        self.store.unsync(self.namespace)
        until_retry = self._optional and wait is Wait.FOR_KIND
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if until_retry else self._waits.next(_now())):
                await self._retry.wait()

    def _show(self, state: State, reason: str = "") -> None:
        """Show a state. The reason of a failure stays while listing; a complete list clears it."""
        if not (state is State.LISTING and self.reason):
            self.state, self.reason = state, reason


def _now() -> float:
    return asyncio.get_running_loop().time()

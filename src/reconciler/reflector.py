"""Keeps one Store equal to what the API server has: fill, follow, start over where needed.

    starting -> listing -> watching -> (end of stream) watching -> ...
                   ^           |
                   +-----------+ 410, nothing heard in a whole window, kind or right came back

Listing is a WatchList, or a LIST where the server does not do that; the store takes the result
over in one step, so that deletions missed in a gap are noticed. A resource version that was
refused once is never tried again. Whatever fails is tried again later, and later each time; it
never ends. https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/3157-watch-list
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from enum import StrEnum

import structlog

from contract.metadata import key_parts, known_newer
from reconciler.cache import Held, NamespacedName, Store
from reconciler.client.api import RETRY_AFTER_LIMIT, Api, ApiError, Unreachable, WatchEvent

INITIAL_EVENTS_END = "k8s.io/initial-events-end"

INITIAL_PATIENCE = 10.0
"""Seconds without a frame after which a WatchList that has not ended is given up for a LIST."""

SILENT_WINDOW = 60.0
"""Seconds. A watch that lasted longer and brought nothing, no bookmark either, is not trusted:
a server that was restored from a backup waits so for a version that is yet to come."""

_REFUSALS = frozenset({400, 405, 406, 415, 422, 501})
_MISSING = frozenset({401, 403, 404})
_PATIENCE_WITH_5XX = 5
_DOUBTS = 2
"""An API server that starts answers 403 until it has read its own roles: what was allowed before
is asked for again so many times before its refusal is believed."""

log = structlog.stdlib.get_logger(__name__)


class State(StrEnum):
    """What a reflector does at the moment."""

    STARTING = "starting"
    LISTING = "listing"
    WATCHING = "watching"
    BACKING_OFF = "backing-off"
    WAITING = "waiting"
    """For a kind to be served or a right to be given; ``reason`` says which."""


class Backoff:
    """Exponential, with jitter: ``first`` seconds, doubled up to ``most``, forgotten after 2 min."""

    def __init__(self, first: float, most: float, rng: random.Random) -> None:
        self._first = first
        self._most = most
        self._random = rng
        self._at = 0.0
        self._delay = 0.0
        self.failures = 0

    def worked(self, seconds: float) -> None:
        """What failed has worked for so long: a new incident begins where that is long enough."""
        if seconds > self._delay:
            self.failures = 0

    def next(self, now: float) -> float:
        """Seconds to wait after a failure at ``now``."""
        if now - self._at > 120:
            self.failures = 0
        delay = min(self._most, self._first * 2.0 ** min(self.failures, 32))
        delay *= self._random.uniform(1, 2)
        self._delay = delay
        self._at = now + delay
        self.failures += 1
        return delay


class Reflector:
    """Lists and watches one kind in one namespace (None: in all) into a store.

    ``lists`` bounds the listings that run at once, ``spread`` (seconds) scatters their start.
    ``remedies`` are commands to name in ``reason`` by HTTP status (401, 403, 404). Readable at
    any time: ``state``, ``reason`` (empty while all is well), ``last_frame_at`` (loop time),
    ``resource_version`` (up to where the server's history is known).
    """

    def __init__(
        self,
        api: Api,
        store: Store,
        namespace: str | None = None,
        *,
        fields: str = "",
        lists: asyncio.Semaphore | None = None,
        spread: float = 0.0,
        remedies: Mapping[int, str] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.state = State.STARTING
        self.reason = ""
        self.last_frame_at: float | None = None
        self.resource_version = ""
        self.store = store
        self.namespace = namespace
        self._api = api
        self._kind = store.kind
        self._fields = fields
        self._lists = lists or asyncio.Semaphore()
        self._spread = spread
        self._remedies = remedies or {}
        self._random = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._listed = False
        self._watch_list = True
        self._errors = Backoff(0.8, 30.0, self._random)
        self._waits = Backoff(5.0, 15.0, self._random)
        self._expired = False
        self._refusals = 0

    def __str__(self) -> str:
        return (
            f"{self._kind.resource} in {self.namespace}" if self.namespace else self._kind.resource
        )

    @property
    def synced(self) -> bool:
        """Has this scope been listed, with nothing missing since?"""
        return self.store.scope_synced(self.namespace)

    async def run(self) -> None:
        """Keep the store up to date until cancelled."""
        await asyncio.sleep(self._random.uniform(0, self._spread))
        while True:
            try:
                if self._listed:
                    await self._resume()
                elif self._watch_list:
                    await self._list_by_watch()
                else:
                    await self._list_in_pages()
            except (ApiError, Unreachable) as error:
                await self._failed(error)

    # Listing

    async def _list_by_watch(self) -> None:
        """The present set, its end mark, and what happens from there, all in one stream."""
        self._enter(State.LISTING)
        present: dict[NamespacedName, Held] = {}
        async with contextlib.AsyncExitStack() as turn, self._frames(initial=True) as frames:
            await turn.enter_async_context(self._lists)
            try:
                while not self._listed:
                    async with asyncio.timeout(INITIAL_PATIENCE):
                        event = await anext(frames, None)
                    await self._collect(event, present)
            except TimeoutError:
                self._give_up_watch_list("its end mark does not come")
            else:
                present.clear()
                await turn.aclose()
                await self._heed(frames)

    async def _collect(self, event: WatchEvent | None, present: dict[NamespacedName, Held]) -> None:
        """One frame before the end mark; they come in no order of versions."""
        if event is None:
            raise Unreachable("the stream ended before the present set was complete")
        if event.type != "BOOKMARK":
            present.pop(key_parts(event.object), None)
            if event.type != "DELETED":
                present |= self.store.cut([event.object])
        elif INITIAL_EVENTS_END in (event.object["metadata"].get("annotations") or {}):
            await self._take_over(present, event.object["metadata"]["resourceVersion"])

    def _give_up_watch_list(self, why: str) -> None:
        log.info("WatchList does not work here, listing instead", watch=str(self), why=why)
        self._watch_list = False

    async def _list_in_pages(self) -> None:
        self._enter(State.LISTING)
        async with self._lists:
            await self._take_over(*await self._list())

    async def _list(self) -> tuple[dict[NamespacedName, Held], str]:
        present: dict[NamespacedName, Held] = {}
        version = ""
        labels = self.store.watch.labels
        pages = self._api.pages(self._kind, self.namespace, labels=labels, fields=self._fields)
        async for page in pages:
            present |= self.store.cut(page.items)
            version = page.resource_version
        return present, version

    async def _take_over(self, present: dict[NamespacedName, Held], version: str) -> None:
        """A list from before what we saw means a restored backup, if a second one says the same."""
        back = known_newer(self.resource_version, version)
        if back:
            present, version = await self._list()
            back = known_newer(self.resource_version, version)
        if back:
            log.warning("the API server went back in time", watch=str(self))
        self.store.replace(present, version, self.namespace, reset=back)
        self._heard(version)
        self._listed = True

    # Watching

    async def _resume(self) -> None:
        started = _now()
        async with self._frames() as frames:
            if not await self._heed(frames) and _now() - started < 1:
                raise Unreachable("the watch ended as soon as it began")

    async def _heed(self, frames: AsyncIterator[WatchEvent]) -> int:
        """Take frames as they come, until the stream ends; how many there were."""
        self._enter(State.WATCHING)
        started, count = _now(), 0
        try:
            async for event in frames:
                count += 1
                self.store.observe(event, self.namespace)
                self._heard(event.object["metadata"].get("resourceVersion", ""))
        finally:
            lasted = _now() - started
            if count or lasted >= 1:
                self._expired, self._refusals = False, 0
                self._errors.worked(lasted)
            if count == 0 and lasted >= SILENT_WINDOW:
                self._listed = False
        return count

    @contextlib.asynccontextmanager
    async def _frames(self, *, initial: bool = False) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        frames = self._api.watch(
            self._kind,
            self.namespace,
            labels=self.store.watch.labels,
            fields=self._fields,
            resource_version="" if initial else self.resource_version,
            initial_events=initial,
        )
        try:
            yield aiter(frames)
        finally:
            if isinstance(frames, AsyncGenerator):
                await frames.aclose()

    def _heard(self, resource_version: str) -> None:
        self.resource_version = resource_version or self.resource_version
        self.last_frame_at = _now()

    # Failing

    async def _failed(self, error: ApiError | Unreachable) -> None:
        """Decide from where to go on, and wait before that."""
        if isinstance(error, ApiError) and error.code in _MISSING and not self._doubted(error):
            await self._wait_for_what_is_missing(error)
            return
        if isinstance(error, ApiError) and error.code == 410 and self._listed and not self._expired:
            # Nothing is wrong with the server: it only has to be listed anew.
            delay, self._expired = self._random.uniform(0, 1), True
        else:
            delay = self._errors.next(_now())
        if isinstance(error, ApiError):
            too_often = error.code >= 500 and self._errors.failures > _PATIENCE_WITH_5XX
            refused = error.code in _REFUSALS or too_often
            if refused and not self._listed and self._watch_list:
                self._give_up_watch_list(str(error))
            if (error.code < 500 and error.code != 429) or too_often:
                self._listed = False
            asked = min(error.retry_after or 0.0, RETRY_AFTER_LIMIT)
            delay = max(delay, asked * self._random.uniform(1, 1.2))
        log.info("watch interrupted", watch=str(self), reason=str(error), again_in=round(delay, 1))
        self._enter(State.BACKING_OFF, str(error))
        await asyncio.sleep(delay)

    def _doubted(self, error: ApiError) -> bool:
        """May this refusal of what was allowed before pass by itself?"""
        if error.code == 404 or not self.synced or self._refusals >= _DOUBTS:
            return False
        self._refusals += 1
        return True

    async def _wait_for_what_is_missing(self, error: ApiError) -> None:
        """Plans that need this kind wait; others go on. What is held stays for the next list."""
        verb = "watch" if self._listed or self._watch_list else "list"
        reason = {
            401: f"unauthorized: {verb} {self}",
            403: f"forbidden: {verb} {self}",
            404: f"not served: {self._kind.resource} {self._kind.version}",
        }[error.code]
        remedy = self._remedies.get(error.code)
        self._listed = False
        self.store.unsync(self.namespace)
        self._enter(State.WAITING, f"{reason}; to mend it: {remedy}" if remedy else reason)
        await asyncio.sleep(self._waits.next(_now()))

    def _enter(self, state: State, reason: str = "") -> None:
        """A try to list mends nothing yet: what was told before stays until it has worked."""
        if not (state is State.LISTING and self.reason):
            self.state, self.reason = state, reason


def _now() -> float:
    return asyncio.get_running_loop().time()

"""Which kinds the API server serves, discovered again when a CRD or an APIService changes.

The rule: unknown is not absent. A kind is absent only where the server listed the group without the
kind, or its groups without the group. Before the first discovery has worked, each kind is unknown.
A group whose discovery fails (an aggregated API server that is down) keeps its last result, and
discovery is repeated once a minute until it works. A discovery that fails as a whole changes
nothing.

CRDs and APIServices are watched by name only. Such a watch shows that a CRD is created, but not
when its kind is served, which is a moment later. So several discoveries follow each change.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from contract.model import Kind
from reconciler.backoff import backoff
from reconciler.client.api import RETRY_AFTER_LIMIT, Api, ApiError, Discovery, Unreachable

AFTER_A_CHANGE = (1.0, 4.0, 15.0)
"""Seconds from a change to the first discovery, from the first to the second, and so on. All
changes within the first second are one change."""

POLL_SECONDS = 60.0
"""How often discovery is repeated where changes cannot be watched, or a group's failed."""

BACKOFF_LIMIT = 60.0
"""Seconds to the next try at most, while discovery fails as a whole."""

log = structlog.stdlib.get_logger(__name__)


class Discovered:
    """Whether the kinds that ``serves`` was called for are served.

    ``watched`` returns whether CRDs and APIServices are watched at the moment; their watcher calls
    ``refresh``. ``on_discovery`` is called after each discovery that worked, also where the result
    of ``serves`` is as before: a kind that was away for less than a second is served as before,
    and its watch has ended. Callbacks must not raise.
    """

    def __init__(
        self,
        api: Api,
        *,
        watched: Callable[[], bool],
        rng: random.Random | None = None,
    ) -> None:
        self.on_discovery: list[Callable[[], None]] = []
        self._api = api
        self._watched = watched
        self._random = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._latest: Discovery | None = None
        self._known: dict[Kind, bool | None] = {}
        self._wanted = asyncio.Event()
        self._failures = 0

    def serves(self, kind: Kind) -> bool | None:
        """Is this version of the kind served? None: unknown, so the caller has to try."""
        if kind not in self._known:
            self._known[kind] = self._latest.serves(kind) if self._latest else None
        return self._known[kind]

    def refresh(self) -> None:
        """A CRD or an APIService was created, changed or deleted: discover within a second."""
        self._wanted.set()

    async def run(self) -> None:
        """Keep the results up to date until cancelled."""
        later: tuple[float, ...] = ()
        while True:
            pause = await self._discover()
            if pause is None and later:
                pause, *rest = later
                later = tuple(rest)
            if await self._changed_within(pause):
                later = AFTER_A_CHANGE[1:]

    async def _discover(self) -> float | None:
        """One discovery: None if it worked, or the seconds to wait before the next."""
        try:
            self._latest = await self._api.discover()
        except (ApiError, Unreachable) as error:
            return self._failed(error)
        self._failures = 0
        for kind in self._known:
            served = self._latest.serves(kind)
            if served is not None:
                self._known[kind] = served
        for callback in self.on_discovery:
            callback()
        return None

    def _failed(self, error: ApiError | Unreachable) -> float:
        if not self._failures:
            log.info("discovery failed; the last result stays", reason=str(error))
        delay = backoff(1.0, BACKOFF_LIMIT, self._failures, self._random)
        self._failures += 1
        asked = error.retry_after if isinstance(error, ApiError) else None
        return max(delay, min(asked or 0.0, RETRY_AFTER_LIMIT))

    async def _changed_within(self, seconds: float | None) -> bool:
        """Wait so many seconds (None: until a poll is due) or for a change; True for a change."""
        while True:
            pause = POLL_SECONDS * self._random.uniform(0.8, 1.2) if seconds is None else seconds
            try:
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            except TimeoutError:
                if seconds is None and self._watched() and not self._is_partial():
                    continue
                return False
            await asyncio.sleep(AFTER_A_CHANGE[0])
            self._wanted.clear()  # before the discovery: a change during it is the next one
            return True

    def _is_partial(self) -> bool:
        """Did the latest discovery fail for the group of a kind that ``serves`` was called for?"""
        return any(
            self._latest is None or self._latest.serves(kind) is None for kind in self._known
        )

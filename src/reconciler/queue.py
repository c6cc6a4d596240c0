"""A work queue of keys, with delays and a backoff for each key.

The rules are those of client-go's workqueue. A key is queued once, however often it is added, and
never worked on by two workers; a key that is added while a worker has it is handed out once more
afterwards. A failing key backs off exponentially and delays no other key.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict, deque
from typing import Generic, TypeVar

from reconciler.backoff import backoff

K = TypeVar("K")


class WorkQueue(Generic[K]):
    """Keys to work on. ``get`` hands one out, ``done`` must be called for it afterwards.

    ``base`` and ``limit`` bound the backoff in seconds: base, 2 x base, 4 x base, ... limit,
    each multiplied by a random factor in [0.5, 1] so that failures spread out.
    """

    def __init__(
        self, *, base: float = 1.0, limit: float = 300.0, rng: random.Random | None = None
    ) -> None:
        self._base = base
        self._limit = limit
        self._random = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._ready: OrderedDict[K, None] = OrderedDict()  # in turn; a drop is cheap
        self._dirty: set[K] = set()  # to be handed out: ready, or active and added again
        self._active: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._failing_since: dict[K, float] = {}
        self._not_before: dict[K, float] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Does no key wait for a worker, and has no worker a key?"""
        return not self._ready and not self._active

    def remembered(self) -> int:
        """Of how many keys anything is remembered: ready, worked on, delayed or failing."""
        parts = (self._dirty, self._active, self._timers, self._failures, self._not_before)
        return len(set().union(*parts))

    def add(self, key: K) -> None:
        """Work on the key as soon as a worker is free; adding twice is adding once.

        While the server asked not to be asked again (``retry``), that is when this time is over.
        """
        if self._closed or key in self._dirty:
            return
        if key in self._not_before:
            wait = self._not_before[key] - asyncio.get_running_loop().time()
            if wait > 0:
                self.add_after(key, wait)
                return
            del self._not_before[key]
        self._dirty.add(key)
        if key not in self._active:
            self._ready[key] = None
            self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """Add the key in so many seconds, or at the earlier time that is already set."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Add the key after its backoff; returns the delay.

        ``at_least`` seconds is what the server asked for: nothing else that adds the key, and no
        ``forget``, makes it earlier than that.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self._failing_since.setdefault(key, asyncio.get_running_loop().time())
        delay = max(backoff(self._base, self._limit, failures, self._random), at_least)
        if at_least > 0:
            self._not_before[key] = asyncio.get_running_loop().time() + at_least
            self._dirty.discard(key)  # added while worked on: the timer adds the key again
        self.add_after(key, delay)
        return delay

    @property
    def oldest_retry(self) -> float:
        """For how many seconds the longest failing key has been failing; 0 if none is."""
        if not self._failing_since:
            return 0.0
        return asyncio.get_running_loop().time() - min(self._failing_since.values())

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure starts at the shortest backoff again."""
        self._failures.pop(key, None)
        self._failing_since.pop(key, None)

    def drop(self, key: K) -> None:
        """Forget the key and do not hand it out: its object is deleted."""
        self.forget(key)
        self._dirty.discard(key)
        self._ready.pop(key, None)
        self._not_before.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def get(self) -> K:
        """The next key, as soon as there is one; raises CancelledError once the queue is closed."""
        while not self._ready:
            if self._closed:
                raise asyncio.CancelledError
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():
                    self._wake_one()  # this worker ends, and its key is another's
                raise
        key, _ = self._ready.popitem(last=False)
        self._dirty.discard(key)
        self._active.add(key)
        return key

    def done(self, key: K) -> None:
        """A worker has finished with the key."""
        self._active.discard(key)
        if key in self._dirty and not self._closed:
            self._ready[key] = None
            self._wake_one()

    def close(self) -> None:
        """Hand out no more keys; workers finish the keys that they have."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ready.clear()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.cancel()

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _wake_one(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return

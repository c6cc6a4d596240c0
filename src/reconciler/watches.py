"""The caches of one process, and the reflectors that fill them.

The rule: equal watches share one cache, however many controllers and parents read it. A
controller's own watches run for as long as the process; a watch that parents demand runs until ten
minutes after the last demand. An optional or demanded kind is absent where it is not served, not
allowed, or not answered within ten seconds: plans go on without it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from contract.demands import Watch
from contract.model import Key, Kind, Object
from contract.ownership import owner_uids
from contract.plan import Controller
from reconciler.cache import Store
from reconciler.client.api import Api
from reconciler.reflector import Reflector, State

PATIENCE = 10.0
"""Seconds that a pass waits for an optional or demanded cache to be filled."""

LINGER = 600.0
"""Seconds that a demanded watch outlives its last demand."""

LISTS_AT_ONCE = 8
"""Bounds the memory of a start: objects are decoded while they are listed."""

OnChange = Callable[[Watch, Object | None, Object | None], None]
"""Called with the cached watch and (old, new) after its cache changed."""


def cached_form(watch: Watch) -> Watch:
    """The part of a watch that decides what is cached: two that agree in it share one cache."""
    return replace(watch, child=False, removable=True, optional=False)


@dataclass(slots=True)
class _Cache:
    """One store, its reflectors, and what keeps it: a controller's own watch, or demands."""

    store: Store
    reflectors: list[Reflector]
    permanent: bool
    optional: bool
    since: float
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    demanded_by: set[Key] = field(default_factory=set)
    ending: asyncio.TimerHandle | None = None

    def is_absent(self) -> bool:
        """Can plans not wait for it? Not served, not allowed, or not answered in time."""
        if self.store.synced or not self.optional:
            return False
        waiting = any(each.state is State.WAITING for each in self.reflectors)
        return waiting or _now() - self.since >= PATIENCE


class Watches:
    """All caches by what they cache.

    ``changed`` is called with each change, ``filled`` with the cached watch whenever its cache was
    filled or can no longer be watched, ``optional_wanted`` when a kind is wanted that may not be
    served: then discovery is to call ``retry``. ``scopes`` are the namespaces that the process
    watches (None: all); ``remedies`` are named beside the reason why a kind cannot be watched.
    """

    def __init__(
        self,
        api: Api,
        controllers: Sequence[Controller],
        *,
        scopes: Sequence[str | None],
        changed: OnChange,
        filled: Callable[[Watch], None],
        optional_wanted: Callable[[], None],
        remedies: Mapping[int, str] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._api = api
        self._groups = sorted({controller.kind.group for controller in controllers})
        self._scopes = scopes
        self._changed = changed
        self._filled = filled
        self._optional_wanted = optional_wanted
        self._remedies = remedies
        self._random = rng
        self._lists = asyncio.Semaphore(LISTS_AT_ONCE)
        self._caches: dict[Watch, _Cache] = {}
        self._tasks: asyncio.TaskGroup | None = None
        watched = [
            watch
            for controller in controllers
            for watch in (Watch(controller.kind), *controller.watches)
        ]
        required = {cached_form(watch) for watch in watched if not watch.optional}
        for watch in watched:
            form = cached_form(watch)
            self._cache(form, permanent=True, optional=form not in required)

    # What a look reads.

    def store(self, watch: Watch) -> Store | None:
        """See ``look.Library``."""
        cache = self._caches.get(cached_form(watch))
        return cache.store if cache is not None and cache.store.synced else None

    def absent(self, watch: Watch) -> bool:
        """See ``look.Library``."""
        cache = self._caches.get(cached_form(watch))
        return cache is not None and cache.is_absent()

    def parents(self, controller: Controller) -> Store:
        """The cache of a controller's own kind, filled or not."""
        return self._caches[Watch(controller.kind)].store

    def unfilled(self, controller: Controller) -> Watch | None:
        """The first of a controller's own watches whose cache its plans have to wait for."""
        for watch in (Watch(controller.kind), *controller.watches):
            cache = self._caches[cached_form(watch)]
            if not cache.store.synced and not cache.is_absent():
                return cached_form(watch)
        return None

    def put(self, kind: Kind, obj: Object) -> None:
        """The answer to an own write goes into each cache that could hold it."""
        for cache in self._of(kind):
            cache.store.put(obj)

    def remove(self, kind: Kind, obj: Object) -> None:
        """An own delete was answered: the object is gone."""
        for cache in self._of(kind):
            cache.store.remove(obj)

    def _of(self, kind: Kind) -> list[_Cache]:
        return [each for each in self._caches.values() if each.store.kind == kind]

    # What is wanted.

    def keep(self, watch: Watch) -> None:
        """Watch this for as long as the process runs, where it is served and allowed."""
        self._cache(cached_form(watch), permanent=True, optional=True)

    def demand(self, key: Key, watches: Iterable[Watch]) -> None:
        """The key's last pass demands these watches beside its controller's, and no others."""
        wanted = {cached_form(watch) for watch in watches}
        for form in wanted:
            cache = self._cache(form, permanent=False, optional=True)
            cache.demanded_by.add(key)
            if cache.ending is not None:
                cache.ending.cancel()
                cache.ending = None
        for form, cache in self._caches.items():
            if key in cache.demanded_by and form not in wanted:
                cache.demanded_by.discard(key)
                if not cache.demanded_by and not cache.permanent:
                    loop = asyncio.get_running_loop()
                    cache.ending = loop.call_later(LINGER, self._end, form)

    def _cache(self, form: Watch, *, permanent: bool, optional: bool) -> _Cache:
        cache = self._caches.get(form)
        if cache is not None:
            return cache
        scopes = self._scopes if form.namespace is None else (form.namespace,)
        store = Store(form, scopes, owners=self._owners)
        store.on_change.append(partial(self._changed, form))
        store.on_synced.append(partial(self._filled, form))
        reflectors = [
            Reflector(
                self._api,
                store,
                scope,
                names_only=form.names_only,
                optional=optional,
                lists=self._lists,
                remedies=self._remedies,
                rng=self._random,
            )
            for scope in store.scopes
        ]
        cache = _Cache(store, reflectors, permanent, optional, _now())
        self._caches[form] = cache
        if optional:
            self._optional_wanted()
        if self._tasks is not None:
            self._start(cache)
        return cache

    def _owners(self, obj: Object) -> tuple[str, ...]:
        found = [uid for group in self._groups for uid in owner_uids(obj, group)]
        return tuple(dict.fromkeys(found))

    def _end(self, form: Watch) -> None:
        cache = self._caches[form]
        if cache.demanded_by:
            return
        del self._caches[form]
        for task in cache.tasks:
            task.cancel()

    # Running.

    @property
    def reflectors(self) -> list[Reflector]:
        """All reflectors, of every cache that there is now."""
        return [each for cache in self._caches.values() for each in cache.reflectors]

    @property
    def required(self) -> list[Reflector]:
        """The reflectors of the watches that are not optional: some controller needs each."""
        caches = self._caches.values()
        return [each for cache in caches if not cache.optional for each in cache.reflectors]

    def readiness(self) -> dict[str, str]:
        """For each required kind why it is not cached; empty where it is."""
        reasons: dict[str, str] = {}
        for reflector in self.required:
            reason = "" if reflector.synced else reflector.reason or reflector.state.value
            # Two watches that differ in their labels have one name here.
            reasons[str(reflector)] = reasons.get(str(reflector)) or reason
        return reasons

    def retry(self, served: Callable[[Kind], bool | None]) -> None:
        """A discovery worked: try the optional kinds that are served now and not watched."""
        for cache in self._caches.values():
            if cache.optional and not cache.store.synced and served(cache.store.kind):
                for reflector in cache.reflectors:
                    reflector.retry()

    async def run(self) -> None:
        """Keep all caches up to date until cancelled. Raises what ends a reflector: a bug."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for cache in self._caches.values():
                cache.since = _now()
                self._start(cache)
            await asyncio.Event().wait()

    def _start(self, cache: _Cache) -> None:
        assert self._tasks is not None  # noqa: S101 - for the type checker: both callers know
        cache.tasks = [self._tasks.create_task(each.run()) for each in cache.reflectors]
        if cache.optional:
            # A cache that is not filled by then counts as absent: plans that wait go on without it.
            loop = asyncio.get_running_loop()
            loop.call_later(PATIENCE, self._filled, cache.store.watch)

    def remembered(self) -> int:
        """How many keys demand watches."""
        return len({key for cache in self._caches.values() for key in cache.demanded_by})


def _now() -> float:
    return asyncio.get_running_loop().time()

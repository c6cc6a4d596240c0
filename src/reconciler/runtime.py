"""Wires caches, queue and workers to the controllers of one process, and runs them.

One key is never worked on by two workers; one kind that is not served, or may not be read,
stops only the controllers that need it; an object that fails delays only itself. Nothing is
written before every cache that a plan reads has been filled once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any, Literal, Protocol

import structlog

from contract.metadata import key_parts
from contract.model import Controller, Key, Kind, Note, Object, Watch
from contract.ownership import owner_uid
from reconciler.apply import KubernetesTarget
from reconciler.cache import Store
from reconciler.client.api import Api, NotLeader
from reconciler.interests import Interests
from reconciler.loop import Outcome, Reconciler
from reconciler.queue import WorkQueue
from reconciler.reflector import Reflector
from reconciler.target import DeploymentTarget

log = structlog.get_logger(__name__)

STOP_SECONDS = 20.0
"""How long a stop waits for the passes that are under way."""

Result = Literal["success", "requeue", "error"]

State = tuple[str, str]
"""Uid and resource version: one state of one object."""

_GONE: State = ("", "")

_current: ContextVar[Key | None] = ContextVar("current", default=None)


class Recorder(Protocol):
    """Takes Events without ever making a pass wait or fail."""

    def record(self, parent: Object, kind: Kind, note: Note) -> None:
        """Send one Event about the parent, some time soon."""


class Observer(Protocol):
    """Counts what happens."""

    def reconciled(self, controller: str, result: Result, seconds: float) -> None:
        """One pass ended."""

    def written(self, kind: str, operation: str) -> None:
        """One object was written."""

    def contested(self, kind: str) -> None:
        """Somebody keeps changing back what was applied to an object of this kind."""


class Unobserved:
    """Counts and records nothing: for tests and tools."""

    def reconciled(self, controller: str, result: Result, seconds: float) -> None:
        """See ``Observer.reconciled``."""

    def written(self, kind: str, operation: str) -> None:
        """See ``Observer.written``."""

    def contested(self, kind: str) -> None:
        """See ``Observer.contested``."""

    def record(self, parent: Object, kind: Kind, note: Note) -> None:
        """See ``Recorder.record``."""


class Runtime:
    """The controllers of one process at work.

    ``namespaces`` are those it looks at, empty for all. ``operator_class`` selects the parents
    whose label ``<group>/operator-class`` says so (or that have none, for the empty class).
    ``backoff`` is the shortest and the longest wait of a failing key in seconds.
    ``resync`` seconds, if not 0, is how often everything is looked at though nothing changed.
    ``remedies`` says, for 403 and 404, which command mends a kind that cannot be watched.
    """

    def __init__(
        self,
        api: Api,
        controllers: Sequence[Controller],
        *,
        manager: str,
        namespaces: Sequence[str] = (),
        operator_class: str = "",
        workers: int = 32,
        resync: float = 0.0,
        backoff: tuple[float, float] = (1.0, 300.0),
        recorder: Recorder | None = None,
        observer: Observer | None = None,
        remedies: Mapping[int, str] | None = None,
        target: Callable[[KubernetesTarget], DeploymentTarget] = lambda target: target,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self.controllers = {controller.kind.kind: controller for controller in controllers}
        self.queue: WorkQueue[Key] = WorkQueue(base=backoff[0], limit=backoff[1], rng=rng)
        self.stores: dict[Watch, Store] = {}
        self.reflectors: list[Reflector] = []
        self._operator_class = operator_class
        self._workers = workers
        self._resync = resync
        self._recorder = recorder or Unobserved()
        self._observer = observer or Unobserved()
        self._random = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._reconcilers: dict[str, Reconciler] = {}
        self._readers: dict[str, dict[str, Store]] = {}
        self._interests = Interests()
        self._news: dict[Key, set[State]] = {}
        self._parked: dict[str, set[Key]] = {kind: set() for kind in self.controllers}
        self._leading = asyncio.Event()
        self._stopping = asyncio.Event()
        self._passes = count(1)
        self._scopes: tuple[str | None, ...] = tuple(namespaces) or (None,)
        lists = asyncio.Semaphore(4)
        for controller in controllers:
            self._readers[controller.kind.kind] = {
                watch.kind.kind: self._store(watch, controller)
                for watch in (Watch(controller.kind), *controller.watches)
            }
            readers = self._readers[controller.kind.kind]
            kubernetes = KubernetesTarget(
                api,
                group=controller.kind.group,
                manager=manager,
                written=partial(self._answered, readers),
                removed=partial(_remove, readers),
            )
            self._reconcilers[controller.kind.kind] = Reconciler(
                controller,
                api,
                target(kubernetes),
                readers,
                manager,
                status_written=partial(self._answered, readers),
                clock=clock,
            )
        for store in self.stores.values():
            self.reflectors += [
                Reflector(api, store, scope, lists=lists, remedies=remedies, rng=rng)
                for scope in store.scopes
            ]

    async def run(self) -> None:
        """Work until ``stop``; the passes under way are given ``STOP_SECONDS`` to end."""
        tasks = [asyncio.create_task(reflector.run()) for reflector in self.reflectors]
        workers = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        if self._resync:
            tasks.append(asyncio.create_task(self._resync_for_ever()))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait(
                [stopping, *tasks, *workers], return_when=asyncio.FIRST_COMPLETED
            )
            if stopping not in done:
                for task in done:
                    task.result()  # a task that ends by itself is a bug: raise what ended it
                raise RuntimeError("a task of the runtime ended by itself")
            self.queue.close()
            self._leading.set()  # who waits to lead finds the queue closed
            await asyncio.wait(workers, timeout=STOP_SECONDS)
        finally:
            for task in (stopping, *tasks, *workers):
                task.cancel()
            await asyncio.gather(stopping, *tasks, *workers, return_exceptions=True)

    def lead(self) -> None:
        """Start writing: this process holds the lease (or needs none)."""
        self._leading.set()

    def stop(self) -> None:
        """Take no new key; ``run`` returns once the passes under way have ended."""
        self._stopping.set()

    def not_ready(self) -> list[str]:
        """One line for each kind that is not synced, saying why; empty when all are."""
        return [
            f"{reflector.store.kind.resource}{_scope(reflector.namespace)}: "
            f"{reflector.reason or reflector.state.value}"
            for reflector in self.reflectors
            if not reflector.synced
        ]

    def _store(self, watch: Watch, controller: Controller) -> Store:
        """The cache for a watch; two controllers that watch alike share it."""
        store = self.stores.get(watch)
        if store is None:
            group = controller.kind.group
            store = Store(watch, self._scopes, owner=lambda obj: owner_uid(obj, group))
            self.stores[watch] = store
            store.on_synced.append(lambda _synced: self._unpark())
        if watch.kind == controller.kind:
            store.on_change.append(lambda old, new: self._parent_changed(controller, old, new))
        else:
            store.on_change.append(
                lambda old, new: self._child_changed(controller, watch, old, new)
            )
        return store

    def _parent_changed(
        self, controller: Controller, old: Object | None, new: Object | None
    ) -> None:
        obj = new or old
        if obj is None:
            return
        key = Key(controller.kind.kind, *key_parts(obj))
        if new is None:
            self._reconcilers[key.kind].forget(obj["metadata"]["uid"])
            self._interests.look_at(key, ())
            self._parked[key.kind].discard(key)
            self.queue.drop(key)
        elif old is None or _told(old) != _told(new):
            # A user who changes an object is not made to wait for the backoff of its old state.
            self.queue.forget(key)
            self.queue.add(key)
        elif old.get("status") != new.get("status"):
            self._wake(key, _state(new))

    def _child_changed(
        self, controller: Controller, watch: Watch, old: Object | None, new: Object | None
    ) -> None:
        """Wake the parents that the cache knows.

        Of one that is gone, children tell after it, and nothing would make the key be forgotten
        once more; one that is yet to come wakes itself.
        """
        parents = self._readers[controller.kind.kind][controller.kind.kind]
        for key in self._interests.woken(controller.kind, watch, old, new):
            if parents.uid(key.namespace, key.name) is not None:
                self._wake(key, _state(new) if new else _GONE)

    def _wake(self, key: Key, state: State) -> None:
        """Look at the key again, unless this state of an object is an answer to its own pass.

        The watch can be faster than the answer: what comes in during a pass is looked at when it
        has ended, and only if it was not the pass that made it so.
        """
        if key == _current.get():
            return
        if key in self._news:
            self._news[key].add(state)
        else:
            self.queue.add(key)

    def _answered(self, stores: Mapping[str, Store], kind: Kind, obj: Object) -> None:
        """The answer to our own write goes into the cache before the watch brings it."""
        key = _current.get()
        if key in self._news:
            self._news[key].discard(_state(obj))
        stores[kind.kind].put(obj)

    def _ready(self, kind: str) -> bool:
        return all(store.synced for store in self._readers[kind].values())

    def _unpark(self) -> None:
        for kind, keys in self._parked.items():
            if keys and self._ready(kind):
                for key in keys:
                    self.queue.add(key)
                keys.clear()

    async def _work(self) -> None:
        await self._leading.wait()
        while True:
            key = await self.queue.get()
            _current.set(key)
            self._news[key] = set()
            try:
                with structlog.contextvars.bound_contextvars(
                    key=str(key), reconcile_id=next(self._passes)
                ):
                    await self._pass(key)
            finally:
                _current.set(None)
                if self._news.pop(key):
                    self.queue.add(key)
                self.queue.done(key)

    async def _pass(self, key: Key) -> None:
        """One pass over the key, and what its outcome means for the queue."""
        parent = self._readers[key.kind][key.kind].get(key.namespace, key.name)
        if parent is None:
            self.queue.drop(key)
            return
        if not self._ready(key.kind):
            self._parked[key.kind].add(key)
            return
        if not self._selected(key.kind, parent) or "deletionTimestamp" in parent["metadata"]:
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            needs = self.controllers[key.kind].needs(parent)
            self._interests.look_at(key, needs)
            outcome = await self._reconcilers[key.kind].reconcile(parent, needs)
        except NotLeader:
            self.queue.retry(key)
            return
        except Exception:  # one object's bug must not end the others' work; it is told loudly
            delay = self.queue.retry(key)
            log.exception("a bug in reconciling this object", retry_in=round(delay, 1))
            self._observer.reconciled(key.kind, "error", loop.time() - started)
            return
        finally:
            uid = parent["metadata"]["uid"]
            if self._readers[key.kind][key.kind].uid(key.namespace, key.name) != uid:
                self._reconcilers[key.kind].forget(uid)  # it went while it was worked on
        self._conclude(key, parent, outcome, loop.time() - started)

    def _conclude(self, key: Key, parent: Object, outcome: Outcome, seconds: float) -> None:
        kind = self.controllers[key.kind].kind
        for note in outcome.notes:
            log.info(note.message, reason=note.reason)
            self._recorder.record(parent, kind, note)
        for written, operation in outcome.writes:
            self._observer.written(written, operation)
        for contested in outcome.contested:
            self._observer.contested(contested)
        if outcome.error:
            delay = self.queue.retry(key, at_least=outcome.retry_after)
            log.warning(outcome.error, retry_in=round(delay, 1))
            self._observer.reconciled(key.kind, "error", seconds)
            return
        self.queue.forget(key)
        if outcome.again is None:
            self._observer.reconciled(key.kind, "success", seconds)
            return
        self._observer.reconciled(key.kind, "requeue", seconds)
        if outcome.again <= 0:
            self.queue.add(key)
        else:
            self.queue.add_after(key, outcome.again * self._random.uniform(1.0, 1.1))

    def _selected(self, kind: str, parent: Object) -> bool:
        group = self.controllers[kind].kind.group
        labels = parent["metadata"].get("labels") or {}
        return bool(labels.get(f"{group}/operator-class", "") == self._operator_class)

    async def _resync_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._resync * self._random.uniform(0.9, 1.1))
            for kind in self.controllers:
                for key in self.keys(kind):
                    self.queue.add(key)

    def keys(self, kind: str) -> Iterable[Key]:
        """The keys of all parents of a kind that the cache knows."""
        for namespace, name in self._readers[kind][kind]:
            yield Key(kind, namespace, name)


def _scope(namespace: str | None) -> str:
    return f" in {namespace}" if namespace else ""


def _remove(stores: Mapping[str, Store], kind: Kind, obj: Object) -> None:
    stores[kind.kind].remove(obj)


def _state(obj: Object) -> State:
    metadata = obj["metadata"]
    return metadata.get("uid", ""), metadata.get("resourceVersion", "")


def _told(parent: Object) -> list[Any]:
    """What of a parent is somebody's word to us.

    The answer to our own status write can bring it too, before the watch does: an edit that came
    in between. The watch's frame of that edit is then older than the cache, and wakes nobody.
    """
    metadata = parent["metadata"]
    names = ("uid", "generation", "labels", "annotations", "deletionTimestamp")
    return [metadata.get(name) for name in names]

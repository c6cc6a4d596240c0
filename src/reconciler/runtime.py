"""Wires caches, triggers, queue and workers to the controllers of one process, and runs them.

Nothing is written before every cache that a plan reads has been filled once, and nothing before
this process leads. One kind that is not served, or may not be read, stops only the controllers
that cannot plan without it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from contract.demands import Demand, Watch
from contract.facts import Ask, Fact, Source
from contract.model import Key, Kind, Object
from contract.ownership import Owner
from contract.plan import Controller
from objects.kinds import API_SERVICE, CUSTOM_RESOURCE_DEFINITION
from reconciler.apply import KubernetesTarget
from reconciler.cache import Store
from reconciler.client.api import Api
from reconciler.discovery import Discovered
from reconciler.facts import Facts
from reconciler.loop import Reconciler
from reconciler.parents import Parents
from reconciler.queue import WorkQueue
from reconciler.reflector import Reflector
from reconciler.target import DeploymentTarget
from reconciler.triggers import Triggers
from reconciler.watches import Watches
from reconciler.workers import Observer, Recorder, Unobserved, Workers

DISCOVERY = (
    Watch(CUSTOM_RESOURCE_DEFINITION, names_only=True),
    Watch(API_SERVICE, names_only=True),
)
"""What is watched to learn which kinds are served; by name only, because the bodies are huge."""

STOP_SECONDS = 20.0
"""How long a stop waits for the passes that are under way."""


class Runtime:
    """The controllers of one process at work.

    ``namespaces`` are those it looks at, empty for all; ``sources`` answer the questions of plans.
    ``backoff`` is the shortest and the longest wait of a failing key in seconds. ``resync`` is
    every how many seconds all parents are reconciled though nothing changed; 0 for never.
    ``remedies`` names, for 403 and 404, the command that makes a kind watchable.
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
        sources: Sequence[Source] = (),
        recorder: Recorder | None = None,
        observer: Observer | None = None,
        remedies: Mapping[int, str] | None = None,
        target: Callable[[KubernetesTarget], DeploymentTarget] = lambda target: target,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self.controllers = tuple(controllers)
        self.queue: WorkQueue[Key] = WorkQueue(base=backoff[0], limit=backoff[1], rng=rng)
        self._random = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._count = workers
        self._resync = resync
        self._leading = asyncio.Event()
        self._stopping = asyncio.Event()
        self.triggers = Triggers(self.controllers, self.queue, self._parents, self._forget)
        self.discovery = Discovered(api, watched=self._is_discovery_watched, rng=rng)
        self.discovery.on_discovery.append(self._discovered)
        self._discovering = asyncio.Event()
        self.watches = Watches(
            api,
            self.controllers,
            scopes=tuple(namespaces) or (None,),
            changed=self._changed,
            filled=self.triggers.filled,
            optional_wanted=self._discovering.set,
            remedies=remedies,
            rng=rng,
        )
        self.facts = Facts(sources, changed=self.triggers.learned, clock=clock, rng=rng)
        self.reconcilers: dict[Kind, Reconciler] = {
            each.kind: self._reconciler(api, each, manager, target, clock)
            for each in self.controllers
        }
        self.workers = Workers(
            self.queue,
            self.triggers,
            self.watches,
            _Shelves(self.watches, self.facts),
            self.reconcilers,
            operator_class=operator_class,
            recorder=recorder or Unobserved(),
            observer=observer or Unobserved(),
            rng=self._random,
            asks=self._asks,
        )

    def _reconciler(
        self,
        api: Api,
        controller: Controller,
        manager: str,
        target: Callable[[KubernetesTarget], DeploymentTarget],
        clock: Callable[[], datetime],
    ) -> Reconciler:
        kind = controller.kind

        def written(owner: Owner, child: Kind, obj: Object) -> None:
            key = Key(kind, owner.namespace, owner.name)
            self.triggers.answered(key, obj, lambda: self.watches.put(child, obj))

        def removed(owner: Owner, child: Kind, obj: Object) -> None:
            key = Key(kind, owner.namespace, owner.name)
            self.triggers.answered(key, obj, lambda: self.watches.remove(child, obj))

        def parent_written(obj: Object) -> None:
            key = Key(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            self.triggers.answered(key, obj, lambda: self.watches.put(kind, obj))

        kubernetes = KubernetesTarget(api, manager=manager, written=written, removed=removed)
        parents = Parents(api, kind, manager=manager, written=parent_written)
        return Reconciler(controller, api, target(kubernetes), parents, clock)

    async def run(self) -> None:
        """Work until ``stop``; the passes under way are given ``STOP_SECONDS`` to end."""
        workers = [asyncio.create_task(self._work()) for _ in range(self._count)]
        tasks = [asyncio.create_task(self.watches.run()), asyncio.create_task(self._discover())]
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
            self._leading.set()  # whoever waits to lead finds the queue closed
            await asyncio.wait(workers, timeout=STOP_SECONDS)
        finally:
            for task in (stopping, *tasks, *workers):
                task.cancel()
            await asyncio.gather(stopping, *tasks, *workers, return_exceptions=True)
            await self.facts.close()

    async def _work(self) -> None:
        await self._leading.wait()
        await self.workers.work()

    async def _discover(self) -> None:
        """Follow which kinds are served, as soon as a plan can go on without one that is not."""
        await self._discovering.wait()
        for watch in DISCOVERY:
            self.watches.keep(watch)
        await self.discovery.run()

    def _is_discovery_watched(self) -> bool:
        return all(self.watches.store(watch) is not None for watch in DISCOVERY)

    def _discovered(self) -> None:
        self.watches.retry(self.discovery.serves)

    def _changed(self, form: Watch, old: Object | None, new: Object | None) -> None:
        if form in DISCOVERY:
            self.discovery.refresh()
        self.triggers.changed(form, old, new)

    async def _resync_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._resync * self._random.uniform(0.9, 1.1))
            for controller in self.controllers:
                for key in self.triggers.keys(controller):
                    self.queue.add(key)

    def lead(self) -> None:
        """Start writing: this process holds the lease (or needs none)."""
        self._leading.set()

    def stop(self) -> None:
        """Take no new key; ``run`` returns once the passes under way have ended."""
        self._stopping.set()

    @property
    def reflectors(self) -> list[Reflector]:
        """What fills the caches, at this moment."""
        return self.watches.reflectors

    def not_ready(self) -> list[str]:
        """One line for each required kind that is not cached, with the reason."""
        readiness = self.watches.readiness()
        return [f"{name}: {reason}" for name, reason in readiness.items() if reason]

    def remembered(self) -> int:
        """Of how many parents and questions anything is remembered, in all parts together."""
        parts = [self.triggers.remembered(), self.watches.remembered(), self.facts.remembered()]
        return sum(parts) + sum(each.remembered() for each in self.reconcilers.values())

    def _parents(self, controller: Controller) -> Store:
        return self.watches.parents(controller)

    def _forget(self, key: Key, uid: str, ended: tuple[Demand, ...]) -> None:
        self.reconcilers[key.kind].forget(uid)
        self._asks(key, (), ended)

    def _asks(self, key: Key, demands: tuple[Demand, ...], ended: tuple[Demand, ...]) -> None:
        self.watches.demand(key, [each for each in demands if isinstance(each, Watch)])
        for each in ended:
            if isinstance(each, Ask):
                self.facts.release(each)


class _Shelves:
    """What a look reads in a running process: caches and facts. See ``look.Library``."""

    def __init__(self, watches: Watches, facts: Facts) -> None:
        self.store = watches.store
        self.absent = watches.absent
        self._facts = facts

    def fact(self, ask: Ask, now: datetime) -> Fact:
        """See ``look.Library``."""
        return self._facts.look(ask, now)

"""One small cluster in one process: an API server, its controllers, and the operator under test.

    async with World(controllers=[...]) as world:
        world.create(obj)
        await world.settle()
        mark = world.mark()
        world.touch(obj)
        await world.settle()
        assert world.writes_since(mark) == []

The operator is real; server, controllers and time are not. Under looptime
(``pytest.mark.looptime``) minutes pass in microseconds: the world's clock is the loop's. An
operator that dies is started again with ``restart``, on the same server and with an empty memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, Self

from contract.model import Kind, Object
from contract.plan import Controller
from memoryserver import CrashPoint, MemoryApi, Server, Write
from memoryserver.patches import clone
from reconciler.client.api import MERGE_PATCH
from reconciler.runtime import Runtime
from world import consistency
from world.controllers import (
    Autoscaler,
    DeploymentController,
    Fake,
    GarbageCollector,
    NamespaceController,
)
from world.kinds import NAMESPACE, body
from world.sources import Point, ScriptedSource, When

BEGINNING = datetime(2026, 1, 1, 12, tzinfo=UTC)
TICK = 0.5
"""Seconds that the cluster's controllers take to see a change."""


class Operator(Protocol):
    """The process under test."""

    async def run(self) -> None:
        """Work until cancelled."""


OperatorFactory = Callable[["World", MemoryApi], Operator]


class NeverQuiet(AssertionError):
    """Somebody goes on writing: the world does not come to rest."""


class World:
    """``controllers`` run in a real ``Runtime``, unless ``operator`` makes another process.

    ``fakes`` replaces the cluster's controllers; those of the default set are reachable as
    ``deployments`` and ``autoscaler``. ``namespaces`` exist from the beginning. ``sources`` answer
    the operator's questions in all its lives.
    """

    def __init__(
        self,
        controllers: Sequence[Controller] = (),
        *,
        crds: Iterable[Object] = (),
        operator: OperatorFactory | None = None,
        fakes: Sequence[Fake] | None = None,
        namespaces: Sequence[str] = ("default",),
        manager: str = "operator",
        sources: Sequence[ScriptedSource] = (),
        seed: int = 0,
    ) -> None:
        self.controllers = controllers
        self.manager = manager
        self.sources = tuple(sources)
        self.random = random.Random(seed)
        self.deployments = DeploymentController()
        self.autoscaler = Autoscaler()
        self.fakes: Sequence[Fake] = (
            (self.deployments, self.autoscaler, GarbageCollector(), NamespaceController())
            if fakes is None
            else fakes
        )
        self.server = Server(self.now, crds=crds, strict_namespaces=True)
        for name in namespaces:
            self.server.create(NAMESPACE, body(NAMESPACE, name), "setup")
        self.writes: list[Write] = []
        """What the operator sent, through all its lives."""
        self.api = self._connect()
        self._make = operator or real_operator
        self._task: asyncio.Task[None] | None = None
        self._died = asyncio.Event()

    def now(self) -> datetime:
        """The world's time: the loop's, from a fixed beginning."""
        try:
            seconds = asyncio.get_running_loop().time()
        except RuntimeError:
            seconds = 0.0
        return BEGINNING + timedelta(seconds=seconds)

    # ---- the operator

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.kill()
        if kind is None:
            consistency.check_server(self.server)

    def start(self) -> None:
        """Start the operator, with what connection it has."""
        assert self._task is None, "the operator is running"
        self._died.clear()
        # A Runtime unless the test makes another; what a test looks at in it is its own affair.
        self.operator: Any = self._make(self, self.api)
        self._task = asyncio.create_task(self._live(self.operator))

    async def restart(self) -> None:
        """Kill the operator, if it lives, and start a new one that knows and suffers nothing."""
        await self.kill()
        self.api = self._connect()
        self.start()

    async def kill(self) -> None:
        """End the operator as SIGKILL does: not one more call of it is answered."""
        task, self._task = self._task, None
        if task is None:
            return
        self.api.faults.crashed = True
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and (error := task.exception()) and not _is_crash(error):
            raise error

    @property
    def dead(self) -> bool:
        """Did the operator die of a crash point?"""
        return self._died.is_set()

    def points(self) -> list[Point]:
        """Every moment so far at which the operator could have died."""
        calls = {"": len(self.writes_since(0))}
        calls |= {source.name: len(source.calls) for source in self.sources}
        whens: tuple[When, ...] = ("before", "after")
        return [
            Point(source, number, when)
            for source, count in calls.items()
            for number in range(1, count + 1)
            for when in whens
        ]

    def crash_at(self, point: Point) -> None:
        """Let the operator die there, counted from now."""
        if not point.source:
            self.api.crash_after(point.number, when=point.when)
            return
        (source,) = (each for each in self.sources if each.name == point.source)
        source.crash_at(point.number, point.when)

    def _connect(self) -> MemoryApi:
        api = MemoryApi(server=self.server, manager=self.manager)
        api.writes = self.writes
        api.faults.on_crash = lambda: self._died.set()  # noqa: PLW0108 - made anew by each start
        for source in self.sources:
            source.connect(api.faults.crash)
        return api

    async def _live(self, operator: Operator) -> None:
        running = asyncio.create_task(operator.run())
        dying = asyncio.create_task(self._died.wait())
        try:
            await asyncio.wait([running, dying], return_when=asyncio.FIRST_COMPLETED)
            if not dying.done():
                running.result()  # an operator that ends by itself: raise what ended it
                raise RuntimeError("the operator ended by itself")
        finally:
            # Whatever it still does while it unwinds, no call of it is answered any more.
            self.api.faults.crashed = True
            for task in (running, dying):
                task.cancel()
            await asyncio.gather(running, dying, return_exceptions=True)

    # ---- time ------------------------------------------------------------------------------------

    async def run_for(self, seconds: float) -> None:
        """Let time pass, for the operator and for the cluster's controllers."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        end = loop.time() + seconds
        self.server.journal.listeners.add(changed.set)
        try:
            while True:
                changed.clear()
                again = self.step()
                left = end - loop.time()
                if left <= 0:
                    return
                wait = left if again is None else min(left, (again - self.now()).total_seconds())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), max(wait, 0.001))
                if changed.is_set():
                    # Controllers do not see a change at once, and see several as one.
                    await asyncio.sleep(min(TICK, max(end - loop.time(), 0)))
                self._check_operator()
        finally:
            self.server.journal.listeners.discard(changed.set)

    async def settle(self, *, quiet: float = 5.0, limit: float = 900.0) -> float:
        """Let time pass until nobody has written anything for ``quiet`` seconds.

        Answers the seconds that took. Raises NeverQuiet with the last writes after ``limit``,
        and ImpossibleWorld where the world that came out cannot be. An operator that died counts
        as quiet.
        """
        loop = asyncio.get_running_loop()
        started = changed = loop.time()
        before = self._writes_so_far()
        while loop.time() - changed < quiet:
            if loop.time() - started > limit:
                last = "\n".join(map(str, self.writes[-10:]))
                raise NeverQuiet(f"not quiet within {limit:g} s; the operator's last:\n{last}")
            await self.run_for(min(1.0, quiet))
            if (now := self._writes_so_far()) != before:
                before, changed = now, loop.time()
        consistency.check_server(self.server)
        return loop.time() - started - quiet

    async def until(self, holds: Callable[[], object], *, limit: float = 900.0) -> float:
        """Let time pass until something holds; answers the seconds that took."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not holds():
            assert loop.time() - started < limit, f"does not hold within {limit:g} s"
            await self.run_for(TICK)
        return loop.time() - started

    def step(self) -> datetime | None:
        """One step of every controller of the cluster; answers when one wants the next."""
        moments = [fake.step(self.server) for fake in self.fakes]
        return min((moment for moment in moments if moment is not None), default=None)

    def _writes_so_far(self) -> tuple[int, int]:
        return self.server.revision, len(self.writes)

    def _check_operator(self) -> None:
        task = self._task
        if task is not None and task.done() and not self.dead:
            task.result()

    # ---- what people do

    def create(self, kind: Kind, obj: Object) -> Object:
        """Somebody creates an object (in ``default`` where it names no namespace)."""
        return self.server.create(kind, self._placed(kind, obj), "kubectl-create")

    def apply(self, kind: Kind, obj: Object, manager: str = "kubectl") -> Object:
        """Somebody applies an object."""
        return self.server.apply(kind, self._placed(kind, obj), manager)

    def edit(self, kind: Kind, name: str, patch: Any, namespace: str = "default") -> Object:
        """Somebody edits an object by a merge patch."""
        return self.server.patch(
            kind, namespace, name, patch, "kubectl-edit", content_type=MERGE_PATCH
        )

    def delete(self, kind: Kind, name: str, namespace: str = "default") -> None:
        """Somebody deletes an object."""
        self.server.delete(kind, namespace, name)

    def get(self, kind: Kind, name: str, namespace: str = "default") -> Object | None:
        """The live object, or None."""
        return self.server.get(kind, namespace, name)

    def live(self, kind: Kind, name: str, namespace: str = "default") -> Object:
        """The live object, which has to be there."""
        obj = self.get(kind, name, namespace)
        assert obj is not None, f"there is no {kind} {namespace}/{name}"
        return obj

    def all(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """All live objects of a kind."""
        return self.server.list(kind, namespace).items

    def _placed(self, kind: Kind, obj: Object) -> Object:
        obj = clone(obj)
        if kind.namespaced:
            obj["metadata"].setdefault("namespace", "default")
        return obj

    # ---- what the operator did

    def mark(self) -> int:
        """A point in the operator's writes, for ``writes_since``."""
        return len(self.writes)

    def writes_since(self, mark: int, *, dry_runs: bool = False) -> list[Write]:
        """What the operator wrote since then; dry runs only where they are asked for."""
        return [write for write in self.writes[mark:] if dry_runs or not write.dry_run]

    def state(self) -> dict[tuple[str, str, str], Object]:
        """All objects but for what differs from run to run: for comparing end states."""
        return {
            (
                kind.kind,
                obj["metadata"].get("namespace", ""),
                obj["metadata"]["name"],
            ): consistency.stable(obj)
            for kind in self.server.kinds()
            for obj in self.server.list(kind).items
        }


def real_operator(world: World, api: MemoryApi) -> Operator:
    """The real runtime with the world's controllers, as leader."""
    runtime = Runtime(
        api,
        world.controllers,
        manager=world.manager,
        sources=world.sources,
        clock=world.now,
        rng=world.random,
    )
    runtime.lead()
    return runtime


async def end_state(
    script: Callable[[World], Awaitable[None]], **options: Any
) -> dict[Any, Object]:
    """The state of a fresh world after a script and rest: what other runs are compared with."""
    async with World(**options) as world:
        await script(world)
        await world.settle()
        return world.state()


def _is_crash(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_crash, error.exceptions))
    return isinstance(error, CrashPoint)

"""One operator process from start to stop.

The rule is the order. At the start: health endpoints first (they show why nothing happens yet),
caches before the lease (a standby has them filled), the lease before any write. At the end: no new
pass, the passes under way, the questions to sources, Events, the lease, the connections. A lost
lease ends the process at once: what is under way is cancelled, and the lease is not released.

The log line ``started`` carries ``health_port``: the port of the health endpoints, for those who
let the system choose it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from contract.facts import Source
from contract.plan import Controller
from reconciler.client.client import Client
from reconciler.client.kubeconfig import Cluster
from reconciler.process.endpoints import HealthServer
from reconciler.process.events import Recorder
from reconciler.process.leader import LeaderThread
from reconciler.process.lease import Timing
from reconciler.process.telemetry import Telemetry, Watched
from reconciler.reflector import State
from reconciler.runtime import Runtime
from reconciler.watches import Watches

log = structlog.stdlib.get_logger(__name__)

STALE_SECONDS = 900.0
"""The process is unhealthy when every required watch has been silent for longer than this."""

EVENT_SECONDS = 3.0
"""Seconds that a stop waits for Events that are still to be sent."""

LOG_SECONDS = 0.5
"""Seconds between two checks of what is logged about the watches."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one operator process runs; times in seconds.

    ``name`` is the field manager, the component of Events and the Lease's name;
    ``namespaces`` are the namespaces that are watched (empty: all). ``lease_namespace`` is the
    namespace of the Lease; None runs without election, for one replica on a laptop.
    """

    name: str
    version: str
    namespaces: tuple[str, ...] = ()
    operator_class: str = ""
    lease_namespace: str | None = None
    timing: Timing | None = None
    health_address: str = "127.0.0.1:0"
    workers: int = 32
    resync: float = 36_000.0
    backoff: float = 1.0
    backoff_limit: float = 300.0
    remedies: Mapping[int, str] | None = None

    @property
    def lease_name(self) -> str:
        """One Lease for each class: operators of two classes lead side by side."""
        return f"{self.name}-{self.operator_class}" if self.operator_class else self.name


async def run(
    cluster: Cluster,
    controllers: Sequence[Controller],
    settings: Settings,
    sources: Sequence[Source] = (),
) -> int:
    """Run until SIGTERM or SIGINT (returns 0) or until the lease is lost (1).

    ``sources`` answer the questions of plans. Raises HealthAddressError where the health address
    cannot be used.
    """
    return await _Process(cluster, controllers, settings, sources).run()


class _Process:
    """The parts of one process, wired to one another."""

    def __init__(
        self,
        cluster: Cluster,
        controllers: Sequence[Controller],
        settings: Settings,
        sources: Sequence[Source],
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._agent = f"{settings.name}/{settings.version}"
        self._stopping = asyncio.Event()
        self._lost = ""
        self._telemetry = telemetry = Telemetry(settings.version)
        self._leader = self._candidate() if settings.lease_namespace is not None else None
        self._client = Client(
            cluster,
            user_agent=self._agent,
            guard=self._leader.guard if self._leader else None,
            telemetry=telemetry.api_request,
            in_flight=settings.workers,
        )
        self._recorder = Recorder(
            self._client,
            settings.name,
            os.environ.get("POD_NAME", ""),
            dropped=telemetry.event_dropped,
            busy=lambda: not self._runtime.queue.idle,
        )
        self._runtime = Runtime(
            self._client,
            controllers,
            manager=settings.name,
            namespaces=settings.namespaces,
            operator_class=settings.operator_class,
            workers=settings.workers,
            resync=settings.resync,
            backoff=(settings.backoff, settings.backoff_limit),
            sources=sources,
            recorder=self._recorder,
            observer=telemetry,
            remedies=settings.remedies,
        )
        queue, watches = self._runtime.queue, self._runtime.watches
        telemetry.observe_queue(lambda: len(queue), lambda: queue.oldest_retry)
        telemetry.observe_watches(lambda: _watched(watches))
        self._health = HealthServer(
            settings.health_address,
            alive=lambda: _alive(watches),
            ready=watches.readiness,
            metrics=telemetry.render,
        )

    def _candidate(self) -> LeaderThread:
        leader = LeaderThread(
            self._settings.lease_namespace or "",
            self._settings.lease_name,
            lambda: Client(self._cluster, user_agent=self._agent),
            timing=self._settings.timing,
            on_started=self._lead,
            on_lost=self._give_up,
        )
        self._telemetry.observe_leader(lambda: leader.elector.is_leader)
        return leader

    def _lead(self) -> None:
        self._runtime.lead()

    def _give_up(self, reason: str) -> None:
        self._lost = reason
        self._stopping.set()

    async def run(self) -> int:
        """See ``run``."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        async with self._health:
            log.info(
                "started",
                version=self._settings.version,
                server=self._cluster.server,
                namespaces=list(self._settings.namespaces) or "all",
                health_port=self._health.port,
            )
            return await self._work()

    async def _work(self) -> int:
        background = [
            asyncio.create_task(self._recorder.run(), name="events"),
            asyncio.create_task(self._telemetry.probe_loop(), name="loop-lag"),
            asyncio.create_task(_log_watches(self._runtime.watches), name="log-watches"),
        ]
        working = asyncio.create_task(self._runtime.run(), name="runtime")
        waiting = asyncio.create_task(self._stopping.wait())
        if self._leader:
            self._leader.start()
        else:
            self._lead()
        try:
            await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
            if self._lost:
                log.error("the lease is lost; ending this process at once", reason=self._lost)
                return 1
            await self._stop(working)
            return 0
        finally:
            for task in (working, waiting, *background):
                task.cancel()
            await asyncio.gather(working, waiting, *background, return_exceptions=True)
            with contextlib.suppress(Exception):  # the process ends in any case
                await self._client.close()

    async def _stop(self, working: asyncio.Task[None]) -> None:
        log.info("stopping")
        self._runtime.stop()
        await working  # raises what ended the runtime, if that was not this stop
        await self._recorder.drain(EVENT_SECONDS)
        if self._leader:
            await self._leader.stop()
        log.info("stopped")


def _alive(watches: Watches) -> Mapping[str, str]:
    """A failing check where every required watch has been silent for ``STALE_SECONDS``.

    A loop that does not run answers nothing, which is unhealthy too.
    """
    now = asyncio.get_running_loop().time()
    watching = [each for each in watches.required if each.state is State.WATCHING]
    ages = [now - each.last_frame_at for each in watching if each.last_frame_at is not None]
    silent = bool(ages) and min(ages) > STALE_SECONDS
    return {"watches": "every watch has been silent for 15 minutes" if silent else ""}


def _watched(watches: Watches) -> Iterator[Watched]:
    """What the metrics show of each reflector."""
    now = asyncio.get_running_loop().time()
    for reflector in watches.reflectors:
        # An absent kind has no watch: an age that grows would look like a silent one.
        last = None if reflector.absent else reflector.last_frame_at
        age = None if last is None else now - last
        yield Watched(reflector.store.kind.kind, reflector.synced, age)


async def _log_watches(watches: Watches) -> None:
    """Log once when a kind cannot be watched, once when it can again, once when all are cached."""
    before: dict[str, str] = {}
    filled = False
    while True:
        required = set(watches.required)
        waiting = [each for each in watches.reflectors if each.state is State.WAITING]
        for reflector in waiting:
            if before.get(str(reflector)) != reflector.reason:
                # Plans do not wait for an optional kind: its absence is ordinary.
                write = log.warning if reflector in required else log.info
                write("waiting", kind=str(reflector), reason=reflector.reason)
        reasons = {str(reflector): reflector.reason for reflector in waiting}
        for name in before.keys() - reasons.keys():
            log.info("no longer waiting", kind=name)
        before = reasons
        ready = not any(watches.readiness().values())
        if ready and not filled:
            log.info("caches are filled", kinds=len(required))
        filled = ready
        await asyncio.sleep(LOG_SECONDS)

"""One operator process from start to stop.

The order is the rule: health endpoints first (they tell why nothing happens yet), caches before
the lease (a standby is warm), the lease before any write; and backwards at the end: no new
pass, the passes under way, Events, the lease, the connections. A lost lease ends the process at
once, without any of that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from contract.plan import Controller
from reconciler.client.client import Client
from reconciler.client.kubeconfig import Cluster
from reconciler.process.endpoints import HealthServer
from reconciler.process.events import Recorder
from reconciler.process.leader import LeaderThread
from reconciler.process.lease import Timing
from reconciler.process.telemetry import Telemetry
from reconciler.reflector import State
from reconciler.runtime import Runtime

log = structlog.stdlib.get_logger(__name__)

STALE_SECONDS = 900.0
"""A process whose every watch has been silent for so long only a restart can help."""

EVENT_SECONDS = 3.0
"""How long a stop waits for Events that are still to be sent."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one operator process runs; times in seconds.

    ``name`` is the field manager, the component of Events and the Lease's name;
    ``namespaces`` are those it looks at (empty: all). ``lease_namespace`` is where its Lease
    lives; None runs without election, for one replica on a laptop.
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
        """One Lease for each class, so that two installs do not wait for one another."""
        return f"{self.name}-{self.operator_class}" if self.operator_class else self.name


async def run(cluster: Cluster, controllers: Sequence[Controller], settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (returns 0) or until the lease is lost (1).

    Raises HealthAddressError where the health address cannot be used.
    """
    telemetry = Telemetry(settings.version)
    agent = f"{settings.name}/{settings.version}"
    stopping = asyncio.Event()
    lost: list[str] = []

    def give_up(reason: str) -> None:
        lost.append(reason)
        stopping.set()

    leader = None
    if settings.lease_namespace is not None:
        leader = LeaderThread(
            settings.lease_namespace,
            settings.lease_name,
            lambda: Client(cluster, user_agent=agent),
            timing=settings.timing,
            on_started=lambda: runtime.lead(),  # noqa: PLW0108 - runtime is made below
            on_lost=give_up,
        )
        telemetry.observe_leader(lambda: leader.elector.is_leader)
    client = Client(
        cluster,
        user_agent=agent,
        guard=leader.guard if leader else None,
        telemetry=telemetry.api_request,
        in_flight=settings.workers,
    )
    recorder = Recorder(
        client,
        settings.name,
        os.environ.get("POD_NAME", ""),
        dropped=telemetry.event_dropped,
        busy=lambda: len(runtime.queue) > 0,
    )
    runtime = Runtime(
        client,
        controllers,
        manager=settings.name,
        namespaces=settings.namespaces,
        operator_class=settings.operator_class,
        workers=settings.workers,
        resync=settings.resync,
        backoff=(settings.backoff, settings.backoff_limit),
        recorder=recorder,
        observer=telemetry,
        remedies=settings.remedies,
    )
    telemetry.observe_queue(lambda: len(runtime.queue), lambda: runtime.queue.oldest_retry)
    health = HealthServer(
        settings.health_address,
        alive=lambda: _alive(runtime),
        ready=lambda: _ready(runtime),
        metrics=telemetry.render,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with health:
        log.info(
            "started",
            version=settings.version,
            server=cluster.server,
            namespaces=list(settings.namespaces) or "all",
            health=f"port {health.port}",
        )
        background = [
            asyncio.create_task(recorder.run(), name="events"),
            asyncio.create_task(telemetry.probe_loop(), name="loop-lag"),
            asyncio.create_task(_report(runtime, telemetry), name="report"),
        ]
        working = asyncio.create_task(runtime.run(), name="runtime")
        waiting = asyncio.create_task(stopping.wait())
        if leader:
            leader.start()
        else:
            runtime.lead()
        try:
            await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
            if lost:
                log.error("the lease is lost; ending this process at once", reason=lost[0])
                return 1
            log.info("stopping")
            runtime.stop()
            await working  # raises what ended it, should it have ended by itself
            await recorder.drain(EVENT_SECONDS)
            if leader:
                await leader.stop()
            log.info("stopped")
            return 0
        finally:
            for task in (working, waiting, *background):
                task.cancel()
            await asyncio.gather(working, waiting, *background, return_exceptions=True)
            with contextlib.suppress(Exception):  # we are leaving; nobody can use its failure
                await client.close()


def _ready(runtime: Runtime) -> Mapping[str, str]:
    """A standby is ready too: its caches are what readiness is about."""
    return {
        str(reflector): "" if reflector.synced else reflector.reason or reflector.state.value
        for reflector in runtime.reflectors
    }


def _alive(runtime: Runtime) -> Mapping[str, str]:
    """Dead is a loop that does not answer this, or one none of whose watches has heard anything."""
    now = asyncio.get_running_loop().time()
    watching = [each for each in runtime.reflectors if each.state is State.WATCHING]
    ages = [now - each.last_frame_at for each in watching if each.last_frame_at is not None]
    silent = bool(ages) and min(ages) > STALE_SECONDS
    return {"watches": "every watch has been silent for 15 minutes" if silent else ""}


async def _report(runtime: Runtime, telemetry: Telemetry) -> None:
    """Say once when a kind cannot be watched, and once when it can again; keep the metrics."""
    told: dict[str, str] = {}
    everything = False
    while True:
        for reflector in runtime.reflectors:
            name = str(reflector)
            telemetry.watch_synced(reflector.store.kind.kind, reflector.synced)
            reason = reflector.reason if reflector.state is State.WAITING else ""
            if reason and told.get(name) != reason:
                log.warning("waiting", kind=name, reason=reason)
            elif not reason and told.get(name):
                log.info("no longer waiting", kind=name)
            told[name] = reason
        synced = all(reflector.synced for reflector in runtime.reflectors)
        if synced and not everything:
            log.info("caches are filled", kinds=len(runtime.reflectors))
        everything = synced
        await asyncio.sleep(0.5)

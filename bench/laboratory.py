"""Where measurements are made: control planes, operators and the floor, each started and stopped.

The rule kept here: everything that is started here is stopped here, whatever happens, and nothing
is shared with another run but the saved clusters, which nobody changes.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import yaml

import devcluster
from bench import bodies, floor
from bench.client import Client
from bench.seeding import Seeds, access_of
from bench.settings import Settings
from devcluster import Cluster
from devcluster.leash import leashed, leashed_environment
from harness.operator_process import ACCOUNT, OperatorProcess

BARE = ("kube-controller-manager", "kube-scheduler", "kwok")
"""Left out where only the operator's own work is measured: nobody else sets the time then."""

STEADY = ("--no-leader-elect", "--resync=0")
"""No wait for a Lease, and no pass that nobody asked for."""

ROOT = Path(__file__).parents[1]
WARM_UP = 64


class MeasurementFailedError(Exception):
    """What was measured is not what should have been; the text says what is wrong."""


class Laboratory:
    """Starts what a measurement needs. ``folder`` is for logs, ``seeds`` for saved clusters."""

    def __init__(
        self, settings: Settings, folder: Path, seeds: Path, say: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.say = say
        self.seeds = Seeds(seeds, self.cluster, say, settings.in_flight)
        self._folder = folder
        self._numbers = count(1)

    @contextmanager
    def cluster(self, data: Path | None, without: Sequence[str] = BARE) -> Iterator[Cluster]:
        """A control plane with saved data, by default nothing but etcd and the API server."""
        with devcluster.start(without=tuple(without), etcd_data=data) as cluster:
            yield cluster

    @contextmanager
    def operator(self, cluster: Cluster, flags: tuple[str, ...] = STEADY) -> Iterator[Operator]:
        """The operator as it ships, for all namespaces, not started yet; ended at the end."""
        log = self._folder / f"operator-{next(self._numbers)}.log"
        operator = Operator(cluster, "", log, flags=flags)
        try:
            yield operator
        finally:
            if operator.running:
                operator.terminate()

    def client(self, cluster: Cluster) -> Client:
        """An administrator's client, to be entered inside an event loop."""
        return Client(access_of(cluster), self.settings.in_flight)

    def run_floor(self, cluster: Cluster, handlers: list[dict[str, Any]]) -> floor.Cost:
        """Write the children and statuses of handlers without a controller, as its account."""
        kubeconfig = cluster.service_account_kubeconfig(*ACCOUNT)
        user = yaml.safe_load(kubeconfig.read_text("utf-8"))["users"][0]["user"]
        task = floor.Task(
            cluster.url,
            str(cluster.ca_file),
            user["token"],
            self.settings.in_flight,
            handlers,
        )
        done = subprocess.run(
            leashed([sys.executable, "-m", "bench.floor"]),
            input=msgspec.json.encode(task),
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=leashed_environment(dict(os.environ)),
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=floor.Cost)


class Operator(OperatorProcess):
    """The operator's process with the questions that only the benchmark asks."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def start_and_pass(self, handlers: int, seconds: float = 300.0) -> tuple[float, float]:
        """Start it; seconds from then to ready, and to the end of a pass over every handler.

        Raises MeasurementFailedError when it does not get there in time.
        """
        began = time.perf_counter()
        self.start()
        ready = self._until(lambda: self.answer("/readyz")[0] == 200, began, seconds)
        passed = self._until(lambda: self.reconciles() >= handlers, began, seconds)
        return ready, passed

    def tasks(self) -> float | None:
        """How many asyncio tasks it runs, or None where it does not tell."""
        return self.metrics().get("reconciler_tasks")

    def _until(self, reached: Callable[[], bool], began: float, seconds: float) -> float:
        while not reached():
            if not self.running or time.perf_counter() - began > seconds:
                raise MeasurementFailedError(f"the operator did not get there: see {self.log.name}")
            time.sleep(0.02)
        return time.perf_counter() - began


def wait(what: str, reached: Callable[[], bool], seconds: float, pause: float = 0.1) -> None:
    """Until ``reached()``. Raises MeasurementFailedError when that takes longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise MeasurementFailedError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


def warm_up(laboratory: Laboratory, cluster: Cluster) -> None:
    """Let a new API server do once, and store none of it, what it will be measured at.

    Its first applies build schemas and caches, which would be charged to whoever comes first.
    """

    async def go() -> None:
        async with laboratory.client(cluster) as client:
            parent = await client.json(dry(bodies.create_handler("warm-up")))
            writes = [bodies.create_child(parent, child) for child in bodies.children(parent)]
            await client.send_all(dry(write) for write in writes * WARM_UP)

    asyncio.run(go())


def dry(write: bodies.Write) -> bodies.Write:
    """The same request as a dry run: the server does everything but store it."""
    mark = "&" if "?" in write.path else "?"
    return write._replace(path=f"{write.path}{mark}dryRun=All")


async def read_handlers(client: Client) -> list[dict[str, Any]]:
    """All handlers of the benchmark's namespace, with their kind, as a watch shows them."""
    listing = await client.get(bodies.handlers_path())
    return [dict(each) for each in listing["items"]]

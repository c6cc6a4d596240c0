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
from bench.client import Client, RequestFailedError
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
PATIENCE = 120.0


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
        """A control plane, by default nothing but etcd and the API server; warm with saved data."""
        with devcluster.start(without=tuple(without), etcd_data=data) as cluster:
            if data is not None:
                asyncio.run(warm_up(self.client(cluster)))
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
        deadline = began + seconds
        ready = self._until(lambda: self.answer("/readyz")[0] == 200, deadline, 0.02)
        # Its metrics cost it more to tell.
        passed = self._until(lambda: self.reconciles() >= handlers, deadline, 0.05)
        return ready - began, passed - began

    def tasks(self) -> float | None:
        """How many asyncio tasks it runs, or None where it does not tell."""
        return self.metrics().get("reconciler_tasks")

    def _until(self, reached: Callable[[], bool], deadline: float, pause: float) -> float:
        while not reached():
            if not self.running or time.perf_counter() > deadline:
                told = [line["event"] for line in self.lines()][-5:]
                raise MeasurementFailedError(
                    f"the operator did not get there; its last words: {told}"
                )
            time.sleep(pause)
        return time.perf_counter()


def wait(what: str, reached: Callable[[], bool], seconds: float, pause: float = 0.1) -> None:
    """Until ``reached()``. Raises MeasurementFailedError when it takes longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise MeasurementFailedError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


async def warm_up(client: Client) -> None:
    """Let a new API server do once what it will be measured at; none of it is stored.

    It refuses watches of a kind until it has read all of that kind, and its first applies build
    schemas: that would be charged to whoever comes first.
    """

    async def watchable(path: str) -> None:
        while not await is_watchable(client, path):  # noqa: ASYNC110 - the server's state
            await asyncio.sleep(0.1)

    async with client, asyncio.timeout(PATIENCE):
        await client.each([bodies.collection(kind) for kind in bodies.KINDS], watchable)
        parent = await client.json(dry(bodies.create_handler("warm-up")))
        writes = [bodies.create_child(parent, child) for child in bodies.children(parent)]
        await client.send_all(dry(write) for write in writes * WARM_UP)


async def is_watchable(client: Client, path: str) -> bool:
    """Does the server serve a watch of a collection yet? Takes a second where it does."""
    watch = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    query = f"{watch}&allowWatchBookmarks=true&timeoutSeconds=1"
    try:
        await client.send(bodies.Write("GET", f"{path}?{query}"))
    except RequestFailedError:
        return False
    return True


def dry(write: bodies.Write) -> bodies.Write:
    """The same request as a dry run: the server does everything but store it."""
    mark = "&" if "?" in write.path else "?"
    return write._replace(path=f"{write.path}{mark}dryRun=All")


async def read_handlers(client: Client) -> list[dict[str, Any]]:
    """All handlers of the benchmark's namespace, with their kind, as a watch shows them."""
    listing = await client.get(bodies.handlers_path())
    return [dict(each) for each in listing["items"]]

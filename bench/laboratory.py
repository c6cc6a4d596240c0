"""The environment of measurements: starts and stops control planes, operators and the floor.

The rule kept here: the laboratory stops everything that it starts, also after an error. Runs share
only the saved clusters, which are never changed.
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
"""Components to leave out where only the operator's own work is measured."""

STEADY = ("--no-leader-elect", "--resync=0")
"""No leader election, and no resync."""

ROOT = Path(__file__).parents[1]
WARM_UP = 64
PATIENCE = 120.0


class MeasurementFailedError(Exception):
    """The measurement is invalid; the text gives the reason."""


class Laboratory:
    """Starts control planes, operators and clients. ``folder`` gets logs, ``seeds`` saved clusters.

    ``say`` prints a line of progress.
    """

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
        """A control plane, by default only etcd and the API server; warmed up with saved data."""
        with devcluster.start(without=tuple(without), etcd_data=data) as cluster:
            if data is not None:
                asyncio.run(warm_up(self.client(cluster)))
            yield cluster

    @contextmanager
    def operator(self, cluster: Cluster, flags: tuple[str, ...] = STEADY) -> Iterator[Operator]:
        """The shipped operator, for all namespaces, not started yet; stopped at the end."""
        log = self._folder / f"operator-{next(self._numbers)}.log"
        operator = Operator(cluster, "", log, flags=flags)
        try:
            yield operator
        finally:
            if operator.running:
                operator.terminate()

    def client(self, cluster: Cluster) -> Client:
        """An administrator's client; an async context manager."""
        return Client(access_of(cluster), self.settings.in_flight)

    def run_floor(self, cluster: Cluster, handlers: list[dict[str, Any]]) -> floor.Cost:
        """Run the floor for some handlers, with the operator's account; its cost."""
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
    """The operator's process, with measurements of the benchmark."""

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def start_and_pass(self, handlers: int, seconds: float = 300.0) -> tuple[float, float]:
        """Start the process; the seconds until it is ready, and until as many reconciles ended.

        Raises MeasurementFailedError after ``seconds``.
        """
        began = time.perf_counter()
        self.start()
        deadline = began + seconds
        ready = self._until(lambda: self.answer("/readyz")[0] == 200, deadline, 0.02)
        # Less often: serving metrics costs the operator more.
        passed = self._until(lambda: self.reconciles() >= handlers, deadline, 0.05)
        return ready - began, passed - began

    def tasks(self) -> float | None:
        """The number of the operator's asyncio tasks, or None where it has no such metric."""
        return self.metrics().get("reconciler_tasks")

    def _until(self, reached: Callable[[], bool], deadline: float, pause: float) -> float:
        while not reached():
            if not self.running or time.perf_counter() > deadline:
                last = [line["event"] for line in self.lines()][-5:]
                raise MeasurementFailedError(
                    f"the operator ended or was too slow; its last log lines: {last}"
                )
            time.sleep(pause)
        return time.perf_counter()


def wait(what: str, reached: Callable[[], bool], seconds: float, pause: float = 0.1) -> None:
    """Wait until ``reached()``. Raises MeasurementFailedError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise MeasurementFailedError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


async def warm_up(client: Client) -> None:
    """Warm up a new API server with watches and dry runs, which store nothing.

    A new API server refuses watches of a kind until its watch cache is filled, and builds schemas
    at the first applies: the first contestant would pay for both.
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
    """Does the server serve a watch of a collection yet? Takes a second if so."""
    watch = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    query = f"{watch}&allowWatchBookmarks=true&timeoutSeconds=1"
    try:
        await client.send(bodies.Write("GET", f"{path}?{query}"))
    except RequestFailedError:
        return False
    return True


def dry(write: bodies.Write) -> bodies.Write:
    """The same request as a dry run: the server does everything but store the object."""
    mark = "&" if "?" in write.path else "?"
    return write._replace(path=f"{write.path}{mark}dryRun=All")


async def read_handlers(client: Client) -> list[dict[str, Any]]:
    """All handlers of the benchmark's namespace."""
    listing = await client.get(bodies.handlers_path())
    return [dict(each) for each in listing["items"]]

"""Latency: from a user's change to the change of the child, with many converged objects.

The rule kept here: a third client measures. The clock starts before the user's request is sent and
stops when another client's watch shows the child, so the figure includes the API server's time for
both writes and for the watch.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from bench import bodies, machine
from bench.client import Client, Frame, Watcher
from bench.figures import Row, Sample, percentile, spread
from bench.laboratory import Laboratory
from bench.measurements.shape import Measurement
from gati import names

LIMIT_MS = 100.0
PATIENCE = 30.0
PAUSE = (0.02, 0.08)
SEED = 20
UNCOUNTED = 10
"""Changes at the beginning of each series, which open connections, are left out."""
CHANGES = {
    "edit": "from a new image to the Deployment",
    "repair": "from a deleted Service to its return",
}


def measure(laboratory: Laboratory) -> Iterator[Sample]:
    """In each round a series of edits, then a series of deletions."""
    settings = laboratory.settings
    data = laboratory.seeds.converged(settings.at_rest)
    with laboratory.cluster(data) as cluster, laboratory.operator(cluster) as operator:
        operator.start_and_pass(settings.at_rest)
        operator.settle()
        for round_ in range(settings.rounds):
            for change in CHANGES:
                load = machine.load()
                found = asyncio.run(
                    series(
                        laboratory.client(cluster),
                        change,
                        round_,
                        settings.at_rest,
                        settings.edits,
                    )
                )
                laboratory.say(f"{change}: median {spread(found).median:.1f} ms")
                yield {"round": round_, "change": change, "load": load, "ms": found}


async def series(
    client: Client, change: str, round_: int, handlers: int, count: int
) -> list[float]:
    """The latencies in milliseconds of ``count`` changes to random handlers, with short pauses."""
    async with client:
        changes = edits if change == "edit" else repairs
        targets = picked(round_, handlers, UNCOUNTED + count)
        return [each async for each in changes(client, targets, round_)][UNCOUNTED:]


def picked(round_: int, handlers: int, count: int) -> list[str]:
    """The handlers that a round changes: random, but the same in each run."""
    choice = random.Random(SEED + round_)
    return [bodies.handler_name(choice.randrange(handlers)) for _ in range(count)]


async def edits(client: Client, targets: Sequence[str], mark: object) -> AsyncIterator[float]:
    """Set a new image of each handler; milliseconds until its Deployment has the image."""
    async with Watcher(client, bodies.deployment_path()) as deployments:
        for number, name in enumerate(targets):
            image = f"web:bench-{mark}-{number}"
            seen = deployments.expect(has_image(names.workload(name), image))
            began = time.perf_counter()
            await client.send(bodies.set_image(name, image))
            frame = await asyncio.wait_for(seen, PATIENCE)
            yield (frame.at - began) * 1000
            await asyncio.sleep(random.uniform(*PAUSE))


async def repairs(client: Client, targets: Sequence[str], _mark: object) -> AsyncIterator[float]:
    """Delete the Service of each handler; milliseconds until it is recreated."""
    async with Watcher(client, bodies.service_path()) as services:
        for name in targets:
            seen = services.expect(is_added(names.workload(name)))
            began = time.perf_counter()
            await client.send(bodies.Write("DELETE", bodies.service_path(name)))
            frame = await asyncio.wait_for(seen, PATIENCE)
            yield (frame.at - began) * 1000
            await asyncio.sleep(random.uniform(*PAUSE))


def has_image(name: str, image: str) -> Any:
    """A check whether a frame shows the Deployment of that name with that image."""

    def check(frame: Frame) -> bool:
        if frame.object["metadata"]["name"] != name:
            return False
        containers = frame.object["spec"]["template"]["spec"]["containers"]
        return any(each["image"] == image for each in containers)

    return check


def is_added(name: str) -> Any:
    """A check whether a frame is the ADDED event of an object of that name."""
    return lambda frame: frame.type == "ADDED" and frame.object["metadata"]["name"] == name


def judge(samples: Sequence[Sample]) -> list[Row]:
    """The 99th percentiles of the rounds, then other percentiles."""
    rows, details = [], []
    for change, words in CHANGES.items():
        rounds = [sample["ms"] for sample in samples if sample["change"] == change]
        if not rounds:
            continue
        p99 = spread(percentile(each, 0.99) for each in rounds)
        rows.append(Row(f"{words}: p99", "ms", p99, LIMIT_MS))
        for share in (0.5, 0.9):
            middle = spread(percentile(each, share) for each in rounds)
            details.append(Row(f"{words}: p{share * 100:.0f}", "ms", middle))
        details.append(Row(f"{words}: longest", "ms", spread(max(each) for each in rounds)))
    return rows + details


MEASUREMENT = Measurement(
    "latency",
    "How soon does a change of one handler reach its child, beside many converged handlers?",
    f"""\
One operator over converged handlers; etcd and the API server only. Handlers are picked at random
and changed one after another with pauses of 20 to 80 ms. The clock starts before the user's request
is sent and stops when the watch of a third client shows the child: the Deployment with the new
image, or the recreated Service. So the figure includes two writes and the watch. The first
{UNCOUNTED} changes of a series open connections and do not count. A percentile is taken for each
round, and the median over the rounds is judged.""",
    measure,
    judge,
)

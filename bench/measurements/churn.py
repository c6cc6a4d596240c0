"""Churn: does anything stay behind of handlers that come and go?

The rule kept here: no name is used twice, so that state kept by name adds up; and a sample is taken
only after every object of a batch is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from bench import bodies, machine
from bench.client import Client
from bench.figures import Row, Sample, growth, slope, spread
from bench.laboratory import Laboratory, MeasurementFailedError, Operator
from bench.measurements.shape import Measurement, cases
from devcluster import Cluster

GROWTH_LIMIT_PERCENT = 3.0
PATIENCE = 300.0
WITHOUT_PODS = ("kube-scheduler", "kwok")
FIRST = 50_000
"""Above the numbers of all other measurements' handlers."""


def measure(laboratory: Laboratory) -> Iterator[Sample]:
    """Create and delete batches of handlers without replicas; a sample after each batch."""
    for round_ in range(laboratory.settings.long_rounds):
        data = laboratory.seeds.created(0)
        with (
            laboratory.cluster(data, WITHOUT_PODS) as cluster,
            laboratory.operator(cluster) as operator,
        ):
            operator.start_and_pass(0)
            for sample in batches(laboratory, cluster, operator):
                yield {"round": round_, "load": machine.load()} | sample


def batches(laboratory: Laboratory, cluster: Cluster, operator: Operator) -> Iterator[Sample]:
    """The operator's memory and tasks, before the first batch and after each."""
    settings = laboratory.settings
    last = -(-settings.churn_handlers // settings.churn_batch)
    for batch in range(last + 1):
        if batch:
            first = FIRST + (batch - 1) * settings.churn_batch
            numbers = range(first, first + settings.churn_batch)
            asyncio.run(create_and_delete(laboratory.client(cluster), numbers))
        operator.settle(1)
        rss, tasks = machine.resident(operator.pid), operator.tasks()
        laboratory.say(f"batch {batch} of {last}: {rss / 1e6:.1f} MB")
        handlers = batch * settings.churn_batch
        yield {"batch": batch, "handlers": handlers, "rss": rss, "tasks": tasks}


async def create_and_delete(client: Client, numbers: range) -> None:
    """Create handlers, wait for their statuses, delete them, wait until every child is deleted."""
    names = [bodies.handler_name(number) for number in numbers]
    async with client, asyncio.timeout(PATIENCE):
        await client.send_all(bodies.create_handler(name, replicas=0) for name in names)
        await client.until(
            bodies.handlers_path(), lambda found: all("status" in each for each in found), 0.2
        )
        await client.send_all(bodies.delete_handler(name) for name in names)
        for path in (bodies.handlers_path(), bodies.deployment_path(), bodies.service_path()):
            await client.until(f"{path}?limit=1", lambda found: not found, 0.2)


def judge(samples: Sequence[Sample]) -> list[Row]:
    """The growth of memory over the last half and of tasks, then the absolute values."""
    rounds = [
        sorted((each for each in samples if each["round"] == one), key=lambda each: each["batch"])
        for one in cases(samples, "round")
    ]
    if any(len(each) < 2 for each in rounds):
        raise MeasurementFailedError("churn needs two batches and more")
    grown = spread(growth([sample["rss"] for sample in each]) for each in rounds)
    prices = spread(price_of_one(each) / 1024 for each in rounds)
    rows = [Row("memory, growth over the last half", "%", grown, GROWTH_LIMIT_PERCENT)]
    if all(each[-1]["tasks"] is not None for each in rounds):
        more = spread(each[-1]["tasks"] - each[0]["tasks"] for each in rounds)
        rows.append(Row("asyncio tasks, after minus before", "", more, 0))
        rows.append(Row("asyncio tasks after", "", spread(each[-1]["tasks"] for each in rounds)))
    rows.append(Row("memory for each handler that came and went, last half", "KiB", prices))
    for time, index in (("before", 0), ("after the first batch", 1), ("after", -1)):
        found = spread(each[index]["rss"] / 1e6 for each in rounds)
        rows.append(Row(f"memory {time}", "MB", found))
    rows.append(Row("handlers that came and went", "", spread(e[-1]["handlers"] for e in rounds)))
    return rows


def price_of_one(samples: Sequence[Sample]) -> float:
    """Bytes that each handler of the last half leaves behind, by the regression line."""
    half = samples[len(samples) // 2 :]
    return slope([(float(each["handlers"]), float(each["rss"])) for each in half])


MEASUREMENT = Measurement(
    "churn",
    "Do created and deleted handlers leave memory or tasks behind?",
    f"""\
Batches of handlers with 0 replicas are created, get children and status, are deleted, and are
garbage-collected by kube-controller-manager; each batch has new names. When every object of a batch
is deleted and the operator is idle, its resident memory and asyncio tasks are read. *Flat* is: the
regression line through the last half of the batches rises by no more than
{GROWTH_LIMIT_PERCENT:g} % of the mean over that half, and there are not more tasks than before.""",
    measure,
    judge,
)

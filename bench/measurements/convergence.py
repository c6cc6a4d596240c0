"""Cold convergence: the time until new handlers have children and a status.

The rule kept here: both contestants start from equal states (a fresh control plane, restored from
the same data, without other controllers), use the same account, and are timed by the server's
audit log: from the contestant's first request of any kind to the answer to the last child or
status. So the operator's lists, watches and planning count. Only the start of the Python process
is left out, and reported in another row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from bench import audit, bodies, machine
from bench.figures import TIMES, Row, Sample, ratios, spread
from bench.laboratory import (
    Laboratory,
    MeasurementFailedError,
    read_handlers,
    wait,
)
from bench.measurements.shape import Measurement, cases
from devcluster import Cluster

LIMIT = 1.25
PATIENCE = 600.0
CHILDREN = ("deployments", "services")
OURS, FLOOR = "operator", "floor"


def measure(laboratory: Laboratory) -> Iterator[Sample]:
    """For each count and round a run of the operator and one of the floor, in alternating order."""
    settings = laboratory.settings
    for handlers in settings.cold_counts:
        data = laboratory.seeds.created(handlers)
        for round_ in range(settings.cold_rounds):
            order = (OURS, FLOOR) if round_ % 2 == 0 else (FLOOR, OURS)
            for contestant in order:
                run = run_operator if contestant == OURS else run_floor
                with laboratory.cluster(data) as cluster:
                    load = machine.load()
                    sample = run(laboratory, cluster, handlers)
                    asyncio.run(check(laboratory, cluster, handlers))
                case = {"round": round_, "handlers": handlers, "contestant": contestant}
                laboratory.say(f"{contestant}, {handlers} handlers: {sample['seconds']:.2f} s")
                yield case | {"load": load} | sample


def run_operator(laboratory: Laboratory, cluster: Cluster, handlers: int) -> Sample:
    """Run the operator from its start until every handler has a status."""
    mark = cluster.audit_log.stat().st_size
    follower = audit.Follower(cluster.audit_log, mark)
    with laboratory.operator(cluster) as operator:
        started = time.time()
        operator.start()
        wait("a status for each", lambda: follower.handlers() >= handlers, PATIENCE, 0.05)
        operator.settle()
        cpu, peak = machine.cpu_seconds(operator.pid), machine.peak_resident(operator.pid)
    requests = audit.read(cluster.audit_log, mark)
    sample = timed(requests)
    return sample | {
        "seconds_with_start": sample["ended"] - started,
        "cpu_seconds": cpu,
        "peak_rss": peak,
    }


def run_floor(laboratory: Laboratory, cluster: Cluster, handlers: int) -> Sample:
    """Send the same writes with a minimal client."""

    async def read() -> list[dict[str, object]]:
        async with laboratory.client(cluster) as client:
            return await read_handlers(client)

    found = asyncio.run(read())
    mark = cluster.audit_log.stat().st_size
    cost = laboratory.run_floor(cluster, found)
    sample = timed(audit.read(cluster.audit_log, mark))
    return sample | {
        "seconds_with_start": cost.seconds,
        "cpu_seconds": cost.cpu_seconds,
        "peak_rss": cost.peak_rss,
        "expected": handlers,
    }


def timed(requests: Sequence[audit.Request]) -> Sample:
    """The times and the number of a contestant's requests."""
    writes = [each for each in requests if each.is_write]
    counted = [each for each in writes if each.is_status or each.resource in CHILDREN]
    began = min(each.received for each in requests)
    ended = max(each.answered for each in counted)
    return {
        "seconds": ended - began,
        "seconds_from_first_write": ended - min(each.received for each in writes),
        "ended": ended,
        "writes": len(writes),
        "requests": len(requests),
        "refused": sum(each.code >= 400 for each in requests),
    }


async def check(laboratory: Laboratory, cluster: Cluster, handlers: int) -> None:
    """Raise MeasurementFailedError where a child or a status is missing."""
    async with laboratory.client(cluster) as client:
        done = [
            each
            for each in await read_handlers(client)
            if each.get("status", {}).get("observedGeneration") == each["metadata"]["generation"]
        ]
        deployments = (await client.get(bodies.deployment_path()))["items"]
        services = (await client.get(bodies.service_path()))["items"]
    counts = [len(done), len(deployments), len(services)]
    if counts != [handlers] * 3:
        raise MeasurementFailedError(f"statuses, Deployments, Services: {counts} of {handlers}")


def judge(samples: Sequence[Sample]) -> list[Row]:
    """The ratios to the floor, then the values of both contestants."""
    rows, details = [], []
    for handlers in cases(samples, "handlers"):
        these = [sample for sample in samples if sample["handlers"] == handlers]
        ours = [sample for sample in these if sample["contestant"] == OURS]
        base = [sample for sample in these if sample["contestant"] == FLOOR]
        for_all = f"{handlers} handlers"
        paired = ratios(these, "seconds", OURS, FLOOR)
        if paired:
            rows.append(Row(f"{for_all}: operator / floor", TIMES, spread(paired), LIMIT))
        first_write = ratios(these, "seconds_from_first_write", OURS, FLOOR)
        if first_write:
            name = f"{for_all}: the same from the first write on"
            details.append(Row(name, TIMES, spread(first_write)))
        for contestant, found in ((OURS, ours), (FLOOR, base)):
            if not found:
                continue
            details += [
                Row(f"{for_all}: {contestant}", "s", spread(each["seconds"] for each in found)),
                Row(f"{for_all}: {contestant}, handlers a second", "/s",
                    spread(handlers / each["seconds"] for each in found)),
                Row(f"{for_all}: {contestant}, writes for each", "",
                    spread(each["writes"] / handlers for each in found)),
                Row(f"{for_all}: {contestant}, CPU for each", "ms",
                    spread(each["cpu_seconds"] / handlers * 1000 for each in found)),
                Row(f"{for_all}: {contestant}, peak memory", "MB",
                    spread(each["peak_rss"] / 1e6 for each in found)),
            ]  # fmt: skip
        if ours:
            name = f"{for_all}: operator, with the start of its process"
            details.append(Row(name, "s", spread(each["seconds_with_start"] for each in ours)))
    return rows + details


MEASUREMENT = Measurement(
    "convergence",
    "How long until many new handlers have children and a status, compared with the bare writes?",
    """\
Only the handlers exist: etcd and the API server only, a fresh control plane for each run, restored
from the same data and warmed up by dry runs. *Converged* is: Deployment and Service exist, and the
status has observed the present generation. The floor sends the same writes, byte for byte and with
the same account (server-side apply, 32 in flight), and decides nothing. Both are timed by the API
server's audit log, from the first request (the operator's first list or watch) to the answer to the
last child or status; the order alternates and each round gives one ratio. Why so: a running
operator would be timed by the client that creates the handlers; and timed from its first write, an
operator that fills its caches slowly would look fast. The latter figure, and the one with the start
of the process, are below the verdict.""",
    measure,
    judge,
)

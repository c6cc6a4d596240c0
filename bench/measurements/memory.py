"""Memory: the resident memory of an idle process, by the number of converged handlers.

The rule kept here: the kernel reports the memory, each figure is from a new process, and the memory
of one handler is the slope over all counts, not a difference of two counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import msgspec

from bench import audit, bodies, machine
from bench.figures import Row, Sample, slope, spread
from bench.laboratory import Laboratory, MeasurementFailedError
from bench.measurements.shape import Measurement, cases
from devcluster import Cluster

BASE_LIMIT_MB = 80.0
HANDLER_LIMIT_KIB = 30.0
QUIET_SECONDS = 3.0


def measure(laboratory: Laboratory) -> Iterator[Sample]:
    """For each count one control plane, and a new operator in each round."""
    settings = laboratory.settings
    for handlers in settings.memory_counts:
        with laboratory.cluster(laboratory.seeds.converged(handlers)) as cluster:
            cached = asyncio.run(cached_bytes(laboratory, cluster))
            for round_ in range(settings.rounds):
                load = machine.load()
                mark = cluster.audit_log.stat().st_size
                with laboratory.operator(cluster) as operator:
                    operator.start_and_pass(handlers)
                    time.sleep(QUIET_SECONDS)
                    rss = machine.resident(operator.pid)
                    peak = machine.peak_resident(operator.pid)
                writes = sum(each.is_write for each in audit.read(cluster.audit_log, mark))
                if writes:
                    raise MeasurementFailedError(f"{writes} writes: the handlers had not converged")
                laboratory.say(f"{handlers} handlers: {rss / 1e6:.0f} MB")
                yield {
                    "round": round_,
                    "handlers": handlers,
                    "load": load,
                    "rss": rss,
                    "peak_rss": peak,
                    "cached": cached,
                }


async def cached_bytes(laboratory: Laboratory, cluster: Cluster) -> dict[str, int]:
    """The bytes of JSON that the cache keeps of one object, by kind."""
    async with laboratory.client(cluster) as client:
        found = {}
        for watch in bodies.watched_kinds():
            items = (await client.get(f"{bodies.collection(watch.kind)}?limit=1"))["items"]
            for item in items:
                kept = bodies.cached(watch, item)
                found[watch.kind.kind] = len(msgspec.json.encode(kept)) if kept else 0
    return found


def judge(samples: Sequence[Sample]) -> list[Row]:
    """The base and the memory for each handler, then the memory at each count."""
    points = [(float(each["handlers"]), float(each["rss"])) for each in samples]
    rows = []
    empty = [each["rss"] / 1e6 for each in samples if each["handlers"] == 0]
    if empty:
        rows.append(Row("base, with no handler", "MB", spread(empty), BASE_LIMIT_MB))
    by_round = [
        slope([(float(each["handlers"]), each["rss"]) for each in samples if each["round"] == one])
        for one in cases(samples, "round")
    ]
    if len({x for x, _ in points}) > 1:
        prices = spread(price / 1024 for price in by_round)
        rows.append(Row("for each handler (slope)", "KiB", prices, HANDLER_LIMIT_KIB))
    for handlers in cases(samples, "handlers"):
        these = [each for each in samples if each["handlers"] == handlers]
        rows += [
            Row(f"{handlers} handlers", "MB", spread(each["rss"] / 1e6 for each in these)),
            Row(f"{handlers} handlers: peak while starting", "MB",
                spread(each["peak_rss"] / 1e6 for each in these)),
        ]  # fmt: skip
    for kind, size in samples[-1]["cached"].items():
        rows.append(Row(f"kept of one {kind}, as JSON", "bytes", spread([size])))
    return rows


def cached_kinds() -> str:
    """The cached kinds and parts, from the operator's watches and their ``keep`` functions."""
    lines = []
    for watch in bodies.watched_kinds():
        scope = f"those with the label `{watch.labels}`" if watch.labels else "all"
        kept = "whole"
        if watch.keep:
            sentence = (watch.keep.__doc__ or watch.keep.__name__.replace("_", " ")).strip()
            kept = sentence.partition("\n")[0].rpartition(": ")[2].strip(" .")
        lines.append(f"- {watch.kind}: {scope}; kept: {kept}.")
    return "\n".join(lines)


MEASUREMENT = Measurement(
    "memory",
    "How much memory does the operator need, and for what?",
    f"""\
Resident memory (the kernel's VmRSS) of a newly started operator, {QUIET_SECONDS:g} s after its
first pass over all handlers; in a cluster of converged handlers, each with Deployment, Service and
a running pod, on which this start wrote nothing. MB are 10⁶ bytes, KiB 2¹⁰. The memory for each
handler is the slope of the regression line through all counts. The cache keeps, without managed
fields:

{cached_kinds()}""",
    measure,
    judge,
)

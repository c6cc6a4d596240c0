"""At rest: writes and CPU of the operator while nothing changes.

The rule kept here: the server counts the writes and the kernel the CPU; no client requests metrics
meanwhile, because serving them is work. The operator runs with the default flags.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from bench import audit, machine
from bench.figures import Row, Sample, spread
from bench.laboratory import Laboratory
from bench.measurements.shape import Measurement

CPU_LIMIT = 1.0


def measure(laboratory: Laboratory) -> Iterator[Sample]:
    """A window without changes in each round, with one operator process."""
    settings = laboratory.settings
    data = laboratory.seeds.converged(settings.at_rest)
    with laboratory.cluster(data) as cluster, laboratory.operator(cluster, flags=()) as operator:
        operator.start_and_pass(settings.at_rest)
        operator.settle(3)
        for round_ in range(settings.long_rounds):
            load = machine.load()
            mark = operator.audit_mark()
            before, began = machine.cpu_seconds(operator.pid), time.monotonic()
            laboratory.say(f"{settings.rest_seconds:g} s of rest")
            time.sleep(settings.rest_seconds)
            seconds = time.monotonic() - began
            cpu = machine.cpu_seconds(operator.pid) - before
            requests = audit.read(cluster.audit_log, mark)
            yield {
                "round": round_,
                "load": load,
                "seconds": seconds,
                "cpu_percent": cpu / seconds * 100,
                "writes": sum(each.is_write for each in requests),
                "requests": audit.by_verb(requests),
                "rss": machine.resident(operator.pid),
            }


def judge(samples: Sequence[Sample]) -> list[Row]:
    """Writes and CPU, then all requests."""
    return [
        Row("writes", "", spread(each["writes"] for each in samples), 0),
        Row("CPU", "% of a core", spread(each["cpu_percent"] for each in samples), CPU_LIMIT),
        Row("requests for the Lease a minute", "", spread(
            each["requests"].get("lease", 0) / each["seconds"] * 60 for each in samples)),
        Row("other requests (watches that were renewed)", "", spread(
            sum(count for verb, count in each["requests"].items() if verb != "lease")
            for each in samples)),
    ]  # fmt: skip


MEASUREMENT = Measurement(
    "rest",
    "How much does the operator write and compute while nothing changes?",
    """\
One operator with the default flags (leader election on) over converged handlers, idle after its
first pass. Writes and other requests are from the audit log, the CPU time from the kernel; no
client requests metrics meanwhile. Writes of the Lease do not count as writes, and have a row.""",
    measure,
    judge,
)

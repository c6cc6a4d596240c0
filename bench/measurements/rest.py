"""At rest: what the operator does while nothing happens. It should be nothing.

The rule kept here: writes are counted by the server and CPU by the kernel; the operator is not
asked anything meanwhile, because answering is work. It runs with the flags that it ships with.
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
    """A quiet while, as often as asked for, in one life of the operator."""
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
    """Writes and CPU, then every request that there was."""
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
    "What does the operator write, and what does it compute, while nothing changes?",
    """\
One operator with the flags it ships with (election on) over converged handlers, left alone after
its first pass. Writes and other requests come from the audit log, CPU from the kernel's account of
the process; the operator is asked nothing meanwhile. The Lease is no write here, and is shown.""",
    measure,
    judge,
)

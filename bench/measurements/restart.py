"""Restart: the time until an operator has reconciled everything again, and the server's cost.

The rule kept here: a restart over converged handlers must write nothing, so the number of writes is
a figure with a target of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from bench import audit, machine
from bench.figures import Row, Sample, spread
from bench.laboratory import Laboratory
from bench.measurements.shape import Measurement, cases

LIMITS = {1000: 5.0}
QUIET_SECONDS = 3.0


def measure(laboratory: Laboratory) -> Iterator[Sample]:
    """For each count one control plane, and a start of the operator in each round."""
    settings = laboratory.settings
    for handlers in settings.restart_counts:
        with laboratory.cluster(laboratory.seeds.converged(handlers)) as cluster:
            for round_ in range(settings.rounds):
                load = machine.load()
                mark = cluster.audit_log.stat().st_size
                with laboratory.operator(cluster) as operator:
                    ready, passed = operator.start_and_pass(handlers)
                    cpu = machine.cpu_seconds(operator.pid)
                    time.sleep(QUIET_SECONDS)  # a late write is a write too
                # The audit log has a watch only after its end, with the operator's.
                requests = audit.read(cluster.audit_log, mark)
                laboratory.say(f"{handlers} handlers: {passed:.2f} s")
                yield {
                    "round": round_,
                    "handlers": handlers,
                    "load": load,
                    "ready_seconds": ready,
                    "passed_seconds": passed,
                    "cpu_seconds": cpu,
                    "writes": sum(each.is_write for each in requests),
                    "requests": audit.by_verb(requests),
                }


def judge(samples: Sequence[Sample]) -> list[Row]:
    """Seconds and writes for each count, then CPU and the requests by verb."""
    rows, details = [], []
    for handlers in cases(samples, "handlers"):
        these = [sample for sample in samples if sample["handlers"] == handlers]
        for_all = f"{handlers} handlers"
        rows += [
            Row(f"{for_all}: to ready and a pass over all", "s",
                spread(each["passed_seconds"] for each in these), LIMITS.get(handlers)),
            Row(f"{for_all}: writes", "", spread(each["writes"] for each in these), 0),
        ]  # fmt: skip
        details += [
            Row(f"{for_all}: to ready", "s", spread(each["ready_seconds"] for each in these)),
            Row(f"{for_all}: CPU", "s", spread(each["cpu_seconds"] for each in these)),
        ]
        verbs = sorted({verb for each in these for verb in each["requests"]})
        details += [
            Row(f"{for_all}: requests, {verb}", "",
                spread(each["requests"].get(verb, 0) for each in these))
            for verb in verbs
        ]  # fmt: skip
    return rows + details


MEASUREMENT = Measurement(
    "restart",
    "How long until a restarted operator has reconciled every handler again, and at what cost?",
    """\
Converged handlers, each with Deployment, Service and a running pod; etcd and the API server only.
From the start of the process, Python included, until `/readyz` is ok, and until as many passes have
ended as there are handlers. Without leader election: a new leader would first wait for the old
Lease. Requests are from the audit log, read after the operator was stopped, so that it includes the
watches.""",
    measure,
    judge,
)

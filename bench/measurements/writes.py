"""Writes for each handler, from its creation until it is Ready, with the whole control plane.

The rule kept here: the worst handler is judged, not the average, and every mutating request
counts, whatever the server answered.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from bench import audit, bodies, machine
from bench.client import Client
from bench.figures import Row, Sample, spread
from bench.laboratory import Laboratory
from bench.measurements.shape import Measurement
from gati import names

STATUS_LIMIT = 3
EVENTS_LIMIT = 2
CHILDREN = 2
PATIENCE = 600.0


def measure(laboratory: Laboratory) -> Iterator[Sample]:
    """An idle operator, then many handlers at once, until all are Ready."""
    settings = laboratory.settings
    handlers = [bodies.handler_name(number) for number in range(settings.ready_count)]
    for round_ in range(settings.rounds):
        with laboratory.cluster(laboratory.seeds.created(0), without=()) as cluster:
            with laboratory.operator(cluster) as operator:
                operator.start_and_pass(0)
                load = machine.load()
                mark = operator.audit_mark()
                began = time.time()
                asyncio.run(until_ready(laboratory.client(cluster), handlers))
                operator.settle(3)
                time.sleep(2)  # Events are written after the statuses
            requests = audit.read(cluster.audit_log, mark)
            ended = max(each.answered for each in requests if each.is_status)
            sample = count(requests, handlers)
            laboratory.say(f"{len(handlers)} handlers Ready in {ended - began:.1f} s")
            yield {"round": round_, "load": load, "seconds": ended - began} | sample


async def until_ready(client: Client, handlers: Sequence[str]) -> None:
    """Create handlers and wait until each is Ready."""
    async with client, asyncio.timeout(PATIENCE):
        await client.send_all(bodies.create_handler(name) for name in handlers)
        await client.until(bodies.handlers_path(), lambda found: all(map(is_ready, found)), 0.5)


def is_ready(handler: dict[str, object]) -> bool:
    """Is the condition Ready True?"""
    status = handler.get("status")
    conditions = status.get("conditions", ()) if isinstance(status, dict) else ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def count(requests: Sequence[audit.Request], handlers: Sequence[str]) -> Sample:
    """The number of writes for each handler, by kind of write; ``other``: for no handler."""
    of_workload = {names.workload(name): name for name in handlers}
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    other = 0
    for each in requests:
        if not each.is_write:
            continue
        sort, name = sort_of(each, of_workload)
        if name in of_workload.values():
            found[sort][name] += 1
        else:
            other += 1
    return {
        sort: [found[sort][name] for name in handlers] for sort in ("children", "status", "events")
    } | {"other": other, "refused": sum(each.code >= 400 for each in requests)}


def sort_of(request: audit.Request, of_workload: dict[str, str]) -> tuple[str, str]:
    """The kind of a write, and the name of its handler."""
    if request.resource == "events":
        return "events", request.name.rpartition(".")[0]
    if request.resource == "gatihandlers":
        return request.subresource, request.name
    return "children", of_workload.get(request.name, "")


def judge(samples: Sequence[Sample]) -> list[Row]:
    """The worst handler of each round, then the means, and the time until all were Ready."""
    limits = {"children": CHILDREN, "status": STATUS_LIMIT, "events": EVENTS_LIMIT}
    rows = [
        Row(f"{sort}, the handler with most", "", spread(max(e[sort]) for e in samples), limit)
        for sort, limit in limits.items()
    ]
    rows.append(Row("writes for no handler", "", spread(each["other"] for each in samples), 0))
    rows += [
        Row(f"{sort}, mean", "", spread(sum(e[sort]) / len(e[sort]) for e in samples))
        for sort in limits
    ]
    rows.append(Row("requests refused", "", spread(each["refused"] for each in samples)))
    handlers = len(samples[0]["status"])
    name = f"{handlers} handlers, from the first create to the last Ready"
    rows.append(Row(name, "s", spread(each["seconds"] for each in samples)))
    return rows


MEASUREMENT = Measurement(
    "writes",
    "How many writes does one handler cost from its creation until it is Ready?",
    """\
The whole control plane, with kube-controller-manager, scheduler and kwok (pods become ready at
once). The operator runs and is idle; then a fast client creates all handlers, 32 in flight. Every
mutating request of the operator in the audit log, refused ones too, is counted for its handler. The
handler with the most writes is judged: one write for each child, at most three statuses, at most
two Events.""",
    measure,
    judge,
)

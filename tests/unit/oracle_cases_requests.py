"""What the oracles about requests object to: tries without a wait, writes in a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chaos.evidence import Evidence, Exit
from chaos.proxy.rules import Rule
from chaos.proxy.trace import Entry
from unit.oracle_evidence import PLAN, Case, every, evidence, failing, write

# The first request is answered with 429 and the wish for two seconds of peace.
ASKED = Rule(phase="before", fault="respond", code=429, retry_after=2.0)
IMPATIENT = msgspec.structs.replace(PLAN, rules=(ASKED,))


def tried(*entries: Entry, exits: Sequence[Exit] = ()) -> Evidence:
    """Requests, and the processes that ended meanwhile."""
    return evidence(entries=list(entries), exits=list(exits))


def asked(*later: Entry, exits: Sequence[Exit] = ()) -> Evidence:
    """Requests after one that was answered with Retry-After: 2."""
    first = write(0, code=429, rule=0)
    return evidence(IMPATIENT, entries=[first, *later], exits=list(exits))


def killed(replica: str, at: float) -> Exit:
    """The end of a process that was killed."""
    return Exit(replica, -9, planned=True, at=at)


def writes(count: int, pause: float = 0.1, **fields: Any) -> Evidence:
    """Writes of one object, this many seconds apart."""
    return tried(*(write(at, **fields) for at in every(pause, count)))


def events(count: int, *replicas: str) -> Evidence:
    """New Events, a tenth of a second apart, by these replicas in turn."""
    return tried(
        *(
            write(at, resource="events", name=f"e-{at}", replica=replicas[n % len(replicas)])
            for n, at in enumerate(every(0.1, count))
        )
    )


RETRIES = (
    Case(
        "bounded-retries",
        "a request is tried again without a wait",
        bad=tried(*failing(every(0.01, 20))),
        good=tried(*failing(every(0.5, 20))),
    ),
    Case(  # over the whole run the number of tries would be allowed
        "bounded-retries",
        "a short burst in a long run",
        bad=tried(*failing(every(3.0, 20)), *failing(every(0.01, 15, start=60.0))),
        good=tried(*failing(every(3.0, 20)), *failing(every(3.0, 15, start=60.0))),
    ),
    Case(
        "bounded-retries",
        "no success comes between the failures",
        bad=tried(*failing(every(0.1, 30))),
        good=tried(
            *failing(every(0.2, 15)),
            *(write(at) for at in every(0.2, 15, start=0.1)),
        ),
    ),
    Case(
        "bounded-retries",
        "a dry run between the failures is not a success",
        bad=tried(
            *failing(every(0.05, 20)),
            *(write(at, dry_run=True) for at in every(0.05, 20, start=0.02)),
        ),
        good=tried(
            *failing(every(0.05, 20)),
            *(write(at, dry_run=False) for at in every(0.05, 20, start=0.02)),
        ),
    ),
    Case(
        "bounded-retries",
        "one process fails all the time, not two processes one after the other",
        bad=tried(*failing(every(0.1, 20))),
        good=tried(*failing(every(0.1, 20)), exits=[killed("a", 0.95)]),
    ),
    Case(
        "bounded-retries",
        "the failures are about one object, not about four",
        bad=tried(*failing(every(0.01, 20), name="web")),
        good=tried(
            *failing(every(0.04, 5), name="web"),
            *failing(every(0.04, 5, start=0.01), name="api"),
            *failing(every(0.04, 5, start=0.02), name="jobs"),
            *failing(every(0.04, 5, start=0.03), name="mail"),
        ),
    ),
    Case(
        "bounded-retries",
        "no answer is a failure, 404 to a GET is not",
        bad=tried(*failing(every(0.01, 20), verb="get", code=0)),
        good=tried(*failing(every(0.01, 20), verb="get", code=404)),
    ),
    Case(
        "bounded-retries",
        "a watch that a fault ends is opened again and again",
        bad=tried(*failing(every(0.01, 20), verb="watch", code=200, fault="stream/gone")),
        good=tried(*failing(every(0.01, 20), verb="watch", code=200, fault="")),
    ),
    Case(
        "bounded-retries",
        "a try comes before the time of Retry-After",
        bad=asked(write(1.9)),
        good=asked(write(2.1)),
    ),
    Case(
        "bounded-retries",
        "a dry run of the same object comes before the time of Retry-After",
        bad=asked(write(1, dry_run=True, name="web")),
        good=asked(write(1, dry_run=True, name="x")),
    ),
    Case(
        "bounded-retries",
        "the process that got Retry-After tries early, not its successor",
        bad=asked(write(1), exits=[killed("b", 0.5)]),
        good=asked(write(1), exits=[killed("a", 0.5)]),
    ),
)

WRITES = (
    Case(
        "bounded-writes",
        "an object is written in a loop",
        bad=writes(31, pause=0.2),
        good=writes(31, pause=0.4),
    ),
    Case(
        "bounded-writes",
        "the writes are accepted, not refused",
        bad=writes(40, code=200),
        good=writes(40, code=409),
    ),
    Case(
        "bounded-writes",
        "the writes arrive though no answer comes",
        bad=writes(40, code=0, server_code=200),
        good=writes(40, code=0, server_code=0),
    ),
    Case(
        "bounded-writes",
        "one replica writes Events in a loop, not two in turn",
        bad=events(40, "a"),
        good=events(40, "a", "b"),
    ),
    Case(
        "bounded-writes",
        "one object is written in a loop, not two in turn",
        bad=writes(40, pause=0.1),
        good=tried(
            *(write(at, name="web") for at in every(0.2, 20)),
            *(write(at, name="api") for at in every(0.2, 20, start=0.1)),
        ),
    ),
)

CASES = (*RETRIES, *WRITES)

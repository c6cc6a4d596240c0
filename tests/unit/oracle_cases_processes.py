"""What the oracles about processes object to: the Lease, ends, resources, and faults."""

from __future__ import annotations

import msgspec

from chaos.evidence import Evidence, Exit
from chaos.oracles import MORE_BYTES, MORE_TASKS
from chaos.plan import Plan
from chaos.proxy.rules import Rule
from unit.oracle_evidence import PLAN, Case, crashed, evidence, lease, led, samples, write

# A plan with one rule, which does something in some runs and nothing in others.
FAULTY = msgspec.structs.replace(PLAN, rules=(Rule(phase="before", fault="respond", code=429),))


def struck(*hits: int, plan: Plan = FAULTY) -> Evidence:
    """How often each rule of the plan did something."""
    return evidence(plan, hits=list(hits))


def logged(text: str) -> Evidence:
    """The log of a process."""
    return evidence(outputs={"a log": text})


LEASES = (
    Case(
        "single-writer",
        "a standby writes",
        bad=led(lease(0, "a"), write(1, replica="b")),
        good=led(lease(0, "a"), write(1, replica="a")),
    ),
    Case(
        "single-writer",
        "a standby's write is sent though its answer is not awaited",
        bad=led(lease(0, "a"), write(1, replica="b", code=0, forwarded=1.0)),
        good=led(lease(0, "a"), write(1, replica="b", code=0, forwarded=0.0)),
    ),
    Case(
        "single-writer",
        "a replica writes before anybody leads",
        bad=led(lease(2, "a"), write(1)),
        good=led(lease(0, "a"), write(1)),
    ),
    Case(
        "single-writer",
        "a write is sent after another replica took the Lease",
        bad=led(lease(0, "a"), write(3.6, ended=9.0), lease(3.5, "b")),
        good=led(lease(0, "a"), write(2.9, ended=9.0), lease(3.5, "b")),
    ),
    Case(
        "single-writer",
        "a leader writes after its Lease ran out",
        bad=led(lease(0, "a"), write(3.2)),
        good=led(lease(0, "a"), write(2.9)),
    ),
    Case(
        "single-writer",
        "a renewal that was refused does not extend the Lease",
        bad=led(lease(0, "a"), lease(2, "a", code=500), write(4)),
        good=led(lease(0, "a"), lease(2, "a", code=200), write(4)),
    ),
    Case(
        "single-writer",
        "a renewal that did not arrive does not extend the Lease",
        bad=led(lease(0, "a"), lease(2, "a", code=0, server_code=0), write(4)),
        good=led(lease(0, "a"), lease(2, "a", code=0, server_code=200), write(4)),
    ),
    Case(
        "single-writer",
        "a Lease is taken before it ran out",
        bad=led(lease(0, "a"), lease(2.5, "b")),
        good=led(lease(0, "a"), lease(3.1, "b")),
    ),
    Case(
        "single-writer",
        "a replica releases the Lease of another",
        bad=led(lease(0, "a"), lease(1, "b", holder="")),
        good=led(lease(0, "a"), lease(1, "a", holder="")),
    ),
    Case(
        "single-writer",
        "a write follows the release",
        bad=led(lease(0, "a"), lease(2, "a", holder=""), write(2.5)),
        good=led(lease(0, "a"), lease(1.5, "a", holder=""), lease(1.6, "a"), write(2.5)),
    ),
)

ENDS = (
    Case(
        "health",
        "a process ended by itself",
        bad=evidence(exits=[Exit("a", 1, planned=False, at=1.0)]),
        good=evidence(exits=[Exit("a", 1, planned=True, at=1.0)]),
    ),
    Case(
        "health",
        "a leader ended though its last renewal was younger than the renewal deadline",
        bad=crashed(9.5, at=[10.0]),
        good=crashed(7.0, at=[10.0]),
    ),
    Case(
        "health",
        "a process ended that never had the Lease",
        bad=crashed(at=[10.0]),
        good=crashed(5.0, at=[10.0]),
    ),
    Case(
        "health",
        "a process ended that had no renewal of its own, only its predecessor had",
        bad=crashed(3.0, at=[5.0, 10.0]),
        good=crashed(3.0, 6.0, at=[5.0, 10.0]),
    ),
    Case(
        "health",
        "a log has a traceback",
        bad=logged("line\nTraceback (most recent call last):\n"),
        good=logged("line\n"),
    ),
    Case(
        "health",
        "a log names a bug",
        bad=logged("a bug in reconciling web"),
        good=logged("no trouble in reconciling web"),
    ),
)

GROWTH = (
    Case(
        "resources",
        "tasks pile up",
        bad=samples((10, 0), (10 + MORE_TASKS + 1, 0)),
        good=samples((10, 0), (10 + MORE_TASKS, 0)),
    ),
    Case(
        "resources",
        "tasks pile up after a sample that could not be taken",
        bad=samples((-1, 0), (10, 0), (10 + MORE_TASKS + 1, 0)),
        good=samples((-1, 0), (10, 0), (10 + MORE_TASKS, 0)),
    ),
    Case(
        "resources",
        "memory grows",
        bad=samples((10, 100), (10, 100 + MORE_BYTES + 1)),
        good=samples((10, 100), (10, 100 + MORE_BYTES)),
    ),
    Case(
        "resources",
        "one process grows, not its successor",
        bad=samples((10, 0), (50, 0), pids=(1, 1)),
        good=samples((10, 0), (50, 0), pids=(1, 2)),
    ),
)

FAULTS = (
    Case("strikes", "a fault did not happen", bad=struck(0), good=struck(1)),
    Case("strikes", "the hits of a fault were not counted", bad=struck(), good=struck(2)),
    Case(
        "strikes",
        "a fault did not happen in a plan that asks for it",
        bad=struck(0, plan=msgspec.structs.replace(FAULTY, strikes=True)),
        good=struck(0, plan=msgspec.structs.replace(FAULTY, strikes=False)),
    ),
    Case(
        "strikes",
        "a disturbance could not be carried out",
        bad=evidence(misses=["kill-apiserver at scale: no such process"]),
        good=evidence(misses=[]),
    ),
)

CASES = (*LEASES, *ENDS, *GROWTH, *FAULTS)

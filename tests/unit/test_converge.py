"""The table of ``converge.decide``: each row, and their order.

The rows' texts are those of the docstring of ``converge``; the first row that fits has to decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings

from reconciler import converge
from reconciler.converge import COLLECTED_SECONDS, GONE_SECONDS, Step
from unit.child_situations import CONTESTED, NOW, SITUATIONS, Situation


@dataclass(frozen=True)
class Row:
    """One row of the table: as text, as a predicate, by an example, and what it decides."""

    text: str
    step: Step
    example: Situation
    fits: Callable[[Situation], bool]
    wait: float | None = None
    remembers: dict[str, Any] = field(default_factory=dict)


DRIFT = Situation(drifted=True)
OTHER = Situation(intent="other")

ROWS = (
    Row(
        "missing, shared",
        Step.WAIT,
        Situation(hold="shared", there="nothing"),
        lambda s: s.there == "nothing" and s.shared,
        wait=GONE_SECONDS,
    ),
    Row(
        "missing",
        Step.CREATE,
        Situation(there="nothing"),
        lambda s: s.there == "nothing",
    ),
    Row(
        "left by an earlier parent of the name",
        Step.WAIT,
        Situation(there="earlier parent"),
        lambda s: (
            s.there == "earlier parent"
            and not s.shared
            and (s.blocked is None or s.blocked < COLLECTED_SECONDS)
        ),
        wait=GONE_SECONDS,
        remembers={"blocked_since": NOW},
    ),
    Row(
        "... and not collected in time",
        Step.FOREIGN,
        Situation(there="earlier parent", blocked=COLLECTED_SECONDS),
        lambda s: s.there == "earlier parent" and not s.shared,
    ),
    Row(
        "not the parent's own",
        Step.FOREIGN,
        Situation(there="foreign"),
        lambda s: s.there == "foreign" and not s.shared,
    ),
    Row(
        "being deleted",
        Step.WAIT,
        Situation(deleting=True),
        lambda s: s.deleting,
        wait=GONE_SECONDS,
    ),
    Row(
        "replaced, of another intent",
        Step.REPLACE,
        replace(OTHER, replaced=True),
        lambda s: s.replaced and s.changed and s.hold == "owned" and s.there != "kept",
    ),
    Row(
        "holds the intent",
        Step.UNCHANGED,
        Situation(),
        lambda s: s.holds,
    ),
    Row(
        "is what the API server made of the intent",
        Step.UNCHANGED,
        replace(DRIFT, agreed=True),
        lambda s: s.agreed,
    ),
    Row(
        "of another intent",
        Step.CONFIGURE,
        OTHER,
        lambda s: s.changed,
    ),
    Row(
        "of this intent, fields differ",
        Step.DRY_RUN,
        DRIFT,
        lambda s: s.server_agrees is None,
    ),
    Row(
        "... and the server agrees",
        Step.UNCHANGED,
        replace(DRIFT, server_agrees=True),
        lambda s: s.server_agrees is True,
        remembers={"agreed": replace(DRIFT, agreed=True).memory().agreed},
    ),
    Row(
        "... drift, reverted too often",
        Step.CONTESTED,
        replace(DRIFT, server_agrees=False, contested=True),
        lambda s: s.contested,
        wait=CONTESTED.wait(NOW),
    ),
    Row(
        "... drift",
        Step.REPAIR,
        replace(DRIFT, server_agrees=False),
        lambda _: True,
    ),
)


def documented() -> list[tuple[str, str]]:
    """The rows of the docstring: what is live, and the name of the step that is decided."""
    lines = (converge.__doc__ or "").splitlines()
    start = next(number for number, line in enumerate(lines) if "------" in line)
    rows = []
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        text, _, decision = line.strip().partition("  ")
        rows.append((text, decision.split()[0].rstrip(":")))
    return rows


def test_the_docstring_and_these_rows_are_the_same_table():
    assert documented() == [(row.text, row.step.name) for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text)
def test_each_row_decides_its_example(row):
    decision = row.example.decide()
    assert decision.step is row.step
    assert decision.wait == row.wait
    assert decision.memory == replace(row.example.memory(), **row.remembers)
    assert first_fit(row.example) is row


@settings(max_examples=500)
@given(situation=SITUATIONS)
def test_the_first_row_that_fits_decides(situation):
    assert situation.decide().step is first_fit(situation).step


def first_fit(situation: Situation) -> Row:
    return next(row for row in ROWS if row.fits(situation))


@pytest.mark.parametrize("server_agrees", [None, False])
def test_a_decision_names_the_fields_that_differ(server_agrees):
    assert replace(DRIFT, server_agrees=server_agrees).decide().paths == ("data.a",)


def test_a_repaired_child_stays_contested_until_its_next_repair():
    decision = Situation(contested=True).decide()
    assert (decision.step, decision.wait) == (Step.UNCHANGED, CONTESTED.wait(NOW))


def test_the_wait_for_an_earlier_parents_object_starts_once():
    decision = Situation(there="earlier parent", blocked=20.0).decide()
    assert decision.memory.blocked_since == NOW - 20.0

"""Each oracle of the fault rig objects to what is wrong, and to nothing that is only like it."""

from __future__ import annotations

import msgspec
import pytest

from chaos.evidence import Exit
from chaos.oracles import EVENTS, ORACLES, judge, tries_within
from unit import (
    oracle_cases_objects,
    oracle_cases_processes,
    oracle_cases_requests,
    oracle_cases_status,
)
from unit.oracle_evidence import PLAN, SECRET, TWO, Case, evidence, frame, lease, led, write

CASES = (
    *oracle_cases_objects.CASES,
    *oracle_cases_processes.CASES,
    *oracle_cases_requests.CASES,
    *oracle_cases_status.CASES,
)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case.oracle}: {case.what}") for case in CASES]
)
def test_an_oracle_objects_to_bad_evidence_only(case: Case) -> None:
    assert list(ORACLES[case.oracle](case.bad))
    assert list(ORACLES[case.oracle](case.good)) == []


def test_every_oracle_has_a_case() -> None:
    assert {case.oracle for case in CASES} == set(ORACLES)


def test_no_oracle_objects_to_an_empty_run() -> None:
    assert judge(evidence()) == []
    assert judge(evidence(TWO)) == []


def test_a_finding_names_its_oracle() -> None:
    ended = evidence(exits=[Exit("a", 1, planned=False, at=1.0)])
    assert [str(each) for each in judge(ended)] == ["health: a ended by itself with code 1"]


def test_a_waived_oracle_does_not_judge() -> None:
    waived = msgspec.structs.replace(PLAN, waived={"health": "it is to end"})
    assert judge(evidence(waived, exits=[Exit("a", 1, planned=False, at=1.0)])) == []


def test_a_plan_cannot_waive_an_unknown_oracle() -> None:
    with pytest.raises(ValueError, match="wealth"):
        judge(evidence(msgspec.structs.replace(PLAN, waived={"wealth": "a slip of the pen"})))


def test_one_secret_in_many_frames_is_reported_once() -> None:
    frames = [frame({"metadata": {"name": "web"}, "x": SECRET}) for _ in range(5)]
    found = list(ORACLES["no-secret"](evidence(frames=frames, secrets={"it": SECRET})))
    assert found == ["gatihandlers/web holds it"]


def test_a_lease_changes_hands_when_its_write_is_done() -> None:
    """The old leader may write while the request that deposes it is on its way."""
    taking = lease(2.96, "b")
    taking.ended = 3.5
    assert list(ORACLES["single-writer"](led(lease(0.0, "a"), write(2.98), taking))) == []


@pytest.mark.parametrize("seconds", [0.0, 1.0, 10.0, 100.0])
def test_the_bound_of_tries_is_above_the_work_queues_tries(seconds: float) -> None:
    """Its shortest waits, one after another, and a resync as often as jitter allows."""
    tries, at, wait = 1, 0.0, 0.2
    while (at := at + wait * 0.5) <= seconds:
        tries += 1
        wait = min(2 * wait, 5.0)
    resyncs = int(seconds / 0.9)
    assert tries + resyncs + EVENTS <= tries_within(seconds) <= tries + resyncs + EVENTS + 1

"""A plan is run again only while its fault did not strike."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import pool
from chaos.evidence import Evidence, Finding, Reference
from chaos.plan import Plan
from chaos.pool import Job, run
from chaos.proxy.rules import Rule

PLAN = Plan(
    group="watches",
    name="gone",
    scenario="handler-life",
    rules=(Rule(phase="stream", fault="cut"),),
)
MISSED = Finding("strikes", "never struck")
WRONG = Finding("end-state", "create: its end is not reached")

Outcome = tuple[Evidence, list[Finding]]


def struck(*findings: Finding) -> Outcome:
    return Evidence(PLAN, hits=[1]), list(findings)


def missed(*findings: Finding) -> Outcome:
    return Evidence(PLAN, hits=[0]), [MISSED, *findings]


def not_carried_out() -> Outcome:
    finding = Finding("strikes", "not carried out: cut at scale: OSError")
    return Evidence(PLAN, hits=[0], misses=["cut at scale: OSError"]), [finding]


@pytest.mark.parametrize(
    ("outcomes", "tries", "findings"),
    [
        ([struck()], 1, 0),
        ([struck(WRONG)], 1, 1),
        ([missed(), missed(), struck()], 3, 0),
        ([missed(), struck(WRONG)], 2, 1),
        ([missed()] * 9, pool.TRIES, 1),
        ([missed(WRONG)], 1, 2),
        ([not_carried_out()], 1, 1),
        ([missed(), not_carried_out()], 2, 1),
    ],
    ids=[
        "it struck",
        "it struck, and something is wrong",
        "it strikes at the third try",
        "it strikes at the second try, and something is wrong",
        "it never strikes",
        "it did not strike, and something is wrong",
        "a disturbance could not be carried out",
        "a disturbance of the second try could not be carried out",
    ],
)
def test_a_plan_runs_again_only_while_its_fault_does_not_strike(
    outcomes: list[Outcome],
    tries: int,
    findings: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    following = iter(outcomes)
    monkeypatch.setattr(pool, "_once", lambda _job, _folder: next(following))
    reference = Reference("handler-life", {}, {}, (), (), 1.0)
    result = run(Job(PLAN, "cluster", tmp_path, reference))
    assert (result.tries, len(result.findings)) == (tries, findings)

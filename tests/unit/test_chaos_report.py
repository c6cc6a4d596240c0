"""The report counts what was run, struck and failed, and shows how to run a failure again."""

from __future__ import annotations

from pathlib import Path

from chaos.evidence import Finding
from chaos.plan import Plan
from chaos.pool import Result
from chaos.report import SHOWN, failures, summary


def plan(group: str, name: str) -> Plan:
    return Plan(group=group, name=name, scenario="handler-life")


def failed(count: int = 1) -> Result:
    findings = tuple(Finding("health", f"bug {number}") for number in range(count))
    return Result(plan("watches", "gone"), findings, 1.0, struck=False, folder=Path("out/1"))


def calm(recovery: float | None = None, group: str = "requests") -> Result:
    return Result(plan(group, f"{recovery}"), (), 1.0, recovery=recovery)


def rows(*results: Result) -> dict[str, list[str]]:
    table = list(summary(results, []))
    return {row.split()[0]: row.split()[1:] for row in table[1 : table.index("")]}


def test_each_group_has_a_row_with_its_counts():
    table = rows(calm(1.0), calm(2.0), failed())
    assert table["requests"][:3] == ["2", "2", "0"]
    assert table["watches"] == ["1", "0", "1"]


def test_recovery_is_shown_as_median_p95_and_maximum():
    table = rows(*(calm(float(number)) for number in range(1, 21)))
    assert table["requests"][3:] == ["10.5", "s", "19.0", "s", "20.0", "s"]


def test_a_run_without_a_fault_has_no_recovery():
    assert rows(calm())["requests"] == ["1", "1", "0"]
    assert rows(calm(), calm(3.0))["requests"][3:] == ["3.0", "s"] * 3


def test_a_failure_shows_its_findings_and_its_command():
    assert list(failures([calm(), failed()])) == [
        "",
        "FAILED watches/gone",
        "  health: bug 0",
        "  again: make chaos REPLAY=out/1/plan.json",
    ]


def test_many_findings_are_cut_with_a_pointer_to_the_rest():
    lines = list(failures([failed(SHOWN + 3)]))
    assert lines[-3:] == [
        f"  health: bug {SHOWN - 1}",
        "  and 3 more in out/1/findings.txt",
        "  again: make chaos REPLAY=out/1/plan.json",
    ]


def test_the_summary_ends_with_the_failures():
    assert list(summary([failed()], []))[-1] == "  again: make chaos REPLAY=out/1/plan.json"
    assert "FAILED" not in "\n".join(summary([calm()], []))

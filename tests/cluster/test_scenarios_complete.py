"""The table of scenarios is whole: every known scenario and bug has its test or its reason."""

from __future__ import annotations

from pathlib import Path

from cluster.scenarios import FOLDER, IDS, SCENARIOS, NotApplicable, Scenario, problems, unlisted


def test_every_scenario_has_a_test_or_a_reason() -> None:
    assert problems() == []
    assert tuple(SCENARIOS) == IDS
    assert len(IDS) == 20 + 23 + 14


def test_what_does_not_apply_says_why() -> None:
    left_out = {id_ for id_, row in SCENARIOS.items() if isinstance(row, NotApplicable)}
    later = {"S18", "B10", "B11", "B18", "B19", "B20", "B21"}
    assert left_out == later | {"B12", "B13", "B16"}


def test_a_row_without_its_test_is_found() -> None:
    short = {id_: row for id_, row in SCENARIOS.items() if id_ != "S7"}
    assert "S7 has no row" in problems(short)
    ghost = SCENARIOS | {"S1": Scenario("a rule", ("test_handler_gone.py::test_gone",))}
    assert "S1 names test_handler_gone.py::test_gone, which does not exist" in problems(ghost)
    assert "B1 names no test" in problems(SCENARIOS | {"B1": Scenario("a rule", ())})
    empty = SCENARIOS | {"B13": NotApplicable("a rule", " ")}
    assert "B13 is not applicable without a reason" in problems(empty)


def test_every_test_of_a_handler_stands_in_a_row(tmp_path: Path) -> None:
    assert unlisted() == []
    for file in FOLDER.glob("test_handler_*.py"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    (tmp_path / "test_handler_more.py").write_text("def test_more() -> None: ...\n", "utf-8")
    assert unlisted(folder=tmp_path) == ["test_handler_more.py::test_more"]

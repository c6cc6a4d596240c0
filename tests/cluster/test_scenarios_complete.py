"""The table of scenarios is whole: every known scenario and bug has its test or its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.scenario_checks import FOLDER, problems, unlisted
from cluster.scenarios import SCENARIOS, Inapplicable, Row, Waiting, shown


def test_every_scenario_has_a_test_or_a_reason() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("id_", "row", "problem"),
    [
        ("B1", shown("a bug"), "B1 names no test"),
        (
            "S1",
            shown("a rule", "test_gone.py::test_x"),
            "S1 names test_gone.py::test_x, which does not exist",
        ),
        ("B13", Inapplicable("a bug", reason=" "), "B13 is not applicable without a reason"),
        (
            "S2",
            Waiting("a rule", kind="GatiHandler"),
            "S2 waits for GatiHandler, which is managed: name the tests that show it",
        ),
    ],
)
def test_a_wrong_row_is_reported(id_: str, row: Row, problem: str) -> None:
    assert problems({**SCENARIOS, id_: row}) == [problem]


def test_a_row_that_is_missing_between_others_is_reported() -> None:
    assert problems({i: row for i, row in SCENARIOS.items() if i != "S7"}) == ["S7 has no row"]


def test_every_test_of_a_handler_stands_in_a_row(tmp_path: Path) -> None:
    assert unlisted() == []
    for file in FOLDER.glob("test_handler_*.py"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    (tmp_path / "test_handler_more.py").write_text("def test_more() -> None: ...\n", "utf-8")
    assert unlisted(folder=tmp_path) == ["test_handler_more.py::test_more"]

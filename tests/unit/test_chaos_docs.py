"""docs/chaos.md: its tables are generated, and the lists that people write are complete."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.crash_points import crash_plans
from chaos.evidence import Reference, WriteKey
from chaos.suite import Suite
from scripts.tables import TABLES, Table, first_paragraph, outdated, written

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "chaos.md").read_text("utf-8")
PAGE = """Before.

<!-- generated: colours -->
| an older | table |
<!-- end of generated -->

After.
"""


def colours() -> Iterator[tuple[str, ...]]:
    """What a
    prism shows.

    More of it.
    """
    yield "colour", "wave"
    yield "red", "700 nm"


def test_a_block_gets_its_table_and_the_rest_of_the_page_stays() -> None:
    assert (
        written(PAGE, {"colours": colours})
        == """Before.

<!-- generated: colours -->
| colour | wave |
|---|---|
| red | 700 nm |
<!-- end of generated -->

After.
"""
    )


@pytest.mark.parametrize("tables", [{}, {"sounds": colours}, {"colours": colours, "more": colours}])
def test_a_block_without_a_table_is_an_error(
    tables: dict[str, Table],
) -> None:
    with pytest.raises(ValueError, match="blocks"):
        written(PAGE, tables)


def test_a_row_shows_the_first_paragraph_of_a_docstring() -> None:
    assert first_paragraph(colours) == "What a prism shows."
    with pytest.raises(ValueError, match="no docstring"):
        first_paragraph(lambda: None)


def test_a_page_that_is_not_generated_anew_is_out_of_date(tmp_path: Path) -> None:
    for page in TABLES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / page).read_text("utf-8")
        (tmp_path / page).write_text(text.replace("| `end-state` |", "| `end` |"), "utf-8")
    assert outdated(tmp_path) == ["docs/chaos.md"]


def test_every_group_of_plans_is_explained() -> None:
    groups = {plan.group for plan in Suite().plans(tuple(string.ascii_lowercase))}
    key = WriteKey("create", "apply", "services", "x", "", 1)
    crash = next(crash_plans(Reference("SCENARIO", {}, {}, (key,), (), 1.0)))
    table = TEXT[TEXT.index("| group | plans |") :].split("\n\n")[0]
    assert set(re.findall(r"^\| `(.+?)`", table, re.MULTILINE)) == groups | {crash.group}


def test_every_fault_has_one_row() -> None:
    rows = re.findall(r"^\| (F\d\d) \| (.+?) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
    assert [row[0] for row in rows] == [f"F{number:02}" for number in range(1, 36)]


def test_every_file_that_the_page_names_exists() -> None:
    for path in re.findall(r"`((?:chaos|tests)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists(), path

"""docs/chaos.md lists what the rig has: every scenario, action, oracle, mask, mutation, fault."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.crash_points import crash_plans
from chaos.disturbances import ACTIONS
from chaos.evidence import Reference, WriteKey
from chaos.mutations import MUTATIONS
from chaos.oracles import ORACLES
from chaos.scenarios import SCENARIOS
from chaos.snapshot import MASKS
from chaos.suite import Suite

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "chaos.md").read_text("utf-8")
NUMBERS = {
    "end-state": "O1",
    "object-counts": "O2",
    "quiescence": "O3",
    "foreign": "O4",
    "status-rules": "O5",
    "single-writer": "O6",
    "resources": "O7",
    "bounded-retries": "O8",
    "bounded-writes": "O8",
    "no-secret": "O9",
    "health": "O10",
    "strikes": "",
}


def _said(function: Callable[..., object]) -> str:
    """What a docstring says first."""
    assert function.__doc__
    return " ".join(function.__doc__.split("\n\n")[0].split())


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def scenarios() -> Iterator[str]:
    yield from ("| scenario | steps |", "|---|---|")
    for name, scenario in SCENARIOS.items():
        yield _row(f"`{name}`", ", ".join(step.name for step in scenario.steps))


def actions() -> Iterator[str]:
    yield from ("| action | what happens |", "|---|---|")
    for name, action in ACTIONS.items():
        yield _row(f"`{name}`", _said(action))


def oracles() -> Iterator[str]:
    yield from ("| oracle | | what holds |", "|---|---|---|")
    for name, oracle in ORACLES.items():
        yield _row(f"`{name}`", NUMBERS[name], _said(oracle))


def masks() -> Iterator[str]:
    yield from ("| mask | reason |", "|---|---|")
    for name, reason in MASKS.items():
        yield _row(name, reason)


def mutations() -> Iterator[str]:
    yield from ("| mutation | the bug | caught by |", "|---|---|---|")
    for each in MUTATIONS:
        yield _row(f"`{each.name}`", each.what, ", ".join(f"`{name}`" for name in each.oracles))


TABLES = (scenarios, actions, oracles, masks, mutations)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_a_table_is_what_the_code_says(table: Callable[[], Iterator[str]]):
    wanted = list(table())
    start = TEXT.find(wanted[0])
    found = TEXT[start:].split("\n\n")[0].splitlines() if start >= 0 else []
    assert found == wanted, "docs/chaos.md needs this table:\n" + "\n".join(wanted)


def test_every_group_of_plans_is_explained():
    groups = {plan.group for plan in Suite().plans(tuple(string.ascii_lowercase))}
    key = WriteKey("create", "apply", "services", "x", "", 1)
    crash = next(crash_plans(Reference("SCENARIO", {}, {}, (key,), (), 1.0)))
    table = TEXT[TEXT.index("| group | plans |") :].split("\n\n")[0]
    assert set(re.findall(r"^\| `(.+?)`", table, re.MULTILINE)) == groups | {crash.group}


def test_every_fault_of_the_list_has_one_row_that_says_where_it_is_tested():
    rows = re.findall(r"^\| (F\d\d) \| (.+?) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
    assert [row[0] for row in rows] == [f"F{number:02}" for number in range(1, 36)]


def test_what_the_page_names_is_there():
    for path in re.findall(r"`((?:chaos|tests)/[\w/.]+)`", TEXT):
        assert (ROOT / path).exists(), path

"""The table of scenarios is whole, or the run of the tests stops before it begins.

Ids count without a gap, a row names tests that exist, each test of a handler stands in a row, and
a row about a kind that is not managed yet is wrong as soon as the kind is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from cluster.scenarios import SCENARIOS, Inapplicable, Row, Shown, Waiting
from gati.operator import Settings, controllers

FOLDER = Path(__file__).parent
_TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


def problems(table: Mapping[str, Row] = SCENARIOS) -> list[str]:
    """What is wrong with the rows, one line each."""
    return [*_gaps(table), *_wrong_rows(table, set(handler_tests(FOLDER)), managed_kinds())]


def unlisted(table: Mapping[str, Row] = SCENARIOS, folder: Path = FOLDER) -> list[str]:
    """The tests of a handler that stand in no row."""
    named = {test for row in table.values() if isinstance(row, Shown) for test in row.tests}
    return [test for test in handler_tests(folder) if test not in named]


def handler_tests(folder: Path) -> list[str]:
    """Every test of a handler in the folder, as ``file::test``."""
    return [
        f"{file.name}::{test}"
        for file in sorted(folder.glob("test_handler_*.py"))
        for test in _TEST.findall(file.read_text("utf-8"))
    ]


def managed_kinds() -> set[str]:
    """The kinds for which the operator makes children, and so watches them."""
    return {each.kind.kind for each in controllers(Settings(default_image="i")) if each.watches}


def _gaps(table: Mapping[str, Row]) -> Iterator[str]:
    """Rows that are missing between others: the ids of each letter count from 1."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for id_ in table:
        numbers[id_[0]].append(int(id_[1:]))
    for letter, found in numbers.items():
        yield from (f"{letter}{n} has no row" for n in range(1, max(found)) if n not in found)


def _wrong_rows(
    table: Mapping[str, Row], existing: Collection[str], managed: Collection[str]
) -> Iterator[str]:
    for id_, row in table.items():
        match row:
            case Waiting(kind=kind) if kind in managed:
                yield f"{id_} waits for {kind}, which is managed: name the tests that show it"
            case Inapplicable(reason=reason) if not reason.strip():
                yield f"{id_} is not applicable without a reason"
            case Shown(tests=()):
                yield f"{id_} names no test"
            case Shown(tests=tests):
                missing = (test for test in tests if test not in existing)
                yield from (f"{id_} names {test}, which does not exist" for test in missing)

"""``python -m scripts.tables [--check]``: writes the tables of docs that are generated from code.

Such a table is between two comments of a page, and must not be edited by hand:

    <!-- generated: NAME -->
    <!-- end of generated -->

Exit code 0 when the pages are up to date; with ``--check`` exit code 1 and a line with the names of
the outdated pages.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from chaos.disturbances import ACTIONS
from chaos.mutations import MUTATIONS
from chaos.oracles import ORACLES
from chaos.scenarios import SCENARIOS
from chaos.snapshot import MASKS

ROOT = Path(__file__).resolve().parent.parent
Row = tuple[str, ...]
Table = Callable[[], Iterator[Row]]

_BLOCK = re.compile(r"<!-- generated: ([\w-]+) -->\n.*?<!-- end of generated -->", re.DOTALL)


def scenarios() -> Iterator[Row]:
    """The fault rig's scenarios, with their steps."""
    yield "scenario", "steps"
    for name, scenario in SCENARIOS.items():
        yield f"`{name}`", ", ".join(step.name for step in scenario.steps)


def actions() -> Iterator[Row]:
    """The actions of the fault rig's disturbances."""
    yield "action", "what happens"
    for name, action in ACTIONS.items():
        yield f"`{name}`", first_paragraph(action)


def oracles() -> Iterator[Row]:
    """The fault rig's oracles."""
    yield "oracle", "what holds"
    for name, oracle in ORACLES.items():
        yield f"`{name}`", first_paragraph(oracle)


def masks() -> Iterator[Row]:
    """The masks of the fault rig."""
    yield "mask", "reason"
    for name, mask in MASKS.items():
        yield name, mask.reason


def mutations() -> Iterator[Row]:
    """The mutations of the fault rig."""
    yield "mutation", "the bug", "caught by"
    for each in MUTATIONS:
        yield f"`{each.name}`", each.bug, ", ".join(f"`{name}`" for name in each.oracles)


TABLES: Mapping[str, Mapping[str, Table]] = {
    "docs/chaos.md": {
        "scenarios": scenarios,
        "actions": actions,
        "oracles": oracles,
        "masks": masks,
        "mutations": mutations,
    }
}
"""The generated tables by name, of each page."""


def written(text: str, tables: Mapping[str, Table]) -> str:
    """The text of a page with the given tables in its blocks.

    Raises ValueError unless the page has exactly one block for each table, in order.
    """
    if (found := _BLOCK.findall(text)) != list(tables):
        raise ValueError(f"blocks {found}, tables {list(tables)}")
    return _BLOCK.sub(lambda block: _block(block[1], tables[block[1]]()), text)


def first_paragraph(described: object) -> str:
    """The first paragraph of a docstring, as one line. Raises ValueError without a docstring."""
    if not described.__doc__:
        raise ValueError(f"{described} has no docstring")
    return " ".join(described.__doc__.split("\n\n")[0].split())


def outdated(root: Path = ROOT) -> list[str]:
    """The outdated pages."""
    pages = {page: (root / page).read_text("utf-8") for page in TABLES}
    return [page for page, text in pages.items() if written(text, TABLES[page]) != text]


def _block(name: str, rows: Iterable[Row]) -> str:
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    rule = f"|{'---|' * (head.count(' | ') + 1)}"
    lines = "\n".join([head, rule, *others])
    return f"<!-- generated: {name} -->\n{lines}\n<!-- end of generated -->"


def main() -> None:
    """Write the tables, or with --check compare them."""
    if "--check" not in sys.argv[1:]:
        for page, tables in TABLES.items():
            path = ROOT / page
            path.write_text(written(path.read_text("utf-8"), tables), "utf-8")
    elif stale := outdated():
        sys.exit(f"out of date: {', '.join(stale)}; run make generate and commit the result")


if __name__ == "__main__":
    main()

"""Records as text: a table for the terminal and the page `docs/benchmarks.md`. Pure.

The rule kept here: every number of the page is from a record, and the page states the run, the
machine, the versions and the other busy programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.figures import TIMES, Row, number
from bench.published import PEERS, SHAPE, TAKEN
from bench.records import Record

HEADER = "<!-- Written by `python -m bench report`: do not edit. -->"


class Section(NamedTuple):
    """One measurement of the page.

    ``record`` is None before the first run; ``before`` are the rows of the previous run;
    ``picture`` is the path of a plot, relative to the page.
    """

    name: str
    question: str
    method: str
    record: Record | None
    rows: Sequence[Row]
    before: Sequence[Row] = ()
    picture: str = ""


def summary(name: str, rows: Sequence[Row]) -> str:
    """The rows of a measurement with a target, as a table for a terminal."""
    judged = [row for row in rows if row.limit is not None] or list(rows)
    cells = [(name, "median", "range", "target", "verdict")]
    cells += [(row.figure, value(row), extent(row), target(row), row.verdict) for row in judged]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def page(sections: Sequence[Section]) -> str:
    """The whole page."""
    return "\n".join(_page(sections)) + "\n"


def _page(sections: Sequence[Section]) -> Iterator[str]:
    records = [section.record for section in sections if section.record]
    yield HEADER
    yield "# Benchmarks"
    yield ""
    yield "How fast, how small and how quiet `gati-operator` is. [How to rerun](benchmarking.md)."
    if any(record.settings.get("quick") for record in records):
        yield ""
        yield "**Some figures are from `--quick` runs: they show that the benchmark works, and are"
        yield "not results.**"
    yield ""
    yield "## Verdicts"
    yield ""
    yield (
        "Medians over the rounds; the range is from the lowest round to the highest. *Before* shows"
    )
    yield "whether the previous run had the same verdict."
    yield ""
    yield "| measurement | figure | median | range | target | verdict | before |"
    yield "|---|---|---|---|---|---|---|"
    for section in sections:
        link = f"[{section.name}](#{section.name})"
        if section.record is None:
            yield _line(link, "not measured yet", "", "", "", "", "")
        for row in section.rows:
            if row.limit is not None:
                cells = (link, row.figure, value(row), extent(row), target(row), row.verdict)
                yield _line(*cells, agreement(row, section.before))
    yield ""
    if records:
        yield from _machine(records)
        yield ""
    for section in sections:
        yield from _section(section)
        yield ""
    yield from _peers()


def value(row: Row) -> str:
    """The median with its unit."""
    return f"{number(row.spread.median)} {row.unit}".strip()


def extent(row: Row) -> str:
    """The range over the rounds, or ``one round``."""
    if row.spread.count == 1:
        return "one round"
    low, high = number(row.spread.low), number(row.spread.high)
    return low if low == high else f"{low} to {high}"


def target(row: Row) -> str:
    """The target, with its unit."""
    return "" if row.limit is None else f"≤ {number(row.limit)} {row.unit}".strip()


def agreement(row: Row, before: Sequence[Row]) -> str:
    """Whether the same figure had the same verdict in the previous run, with its value."""
    for old in before:
        if old.figure == row.figure and old.met is not None:
            verdict = "same" if old.met == row.met else "**other**"
            return f"{verdict} ({value(old)})"
    return ""


def _machine(records: Sequence[Record]) -> Iterator[str]:
    yield "## Machine and versions"
    yield ""
    yield "| | |"
    yield "|---|---|"
    for key in dict.fromkeys(key for record in records for key in record.machine):
        values = dict.fromkeys(str(record.machine.get(key, "?")) for record in records)
        yield _line(key, "; ".join(values))
    yield ""
    yield "etcd does not sync to disk; all programs run as processes of one machine, on loopback."
    yield "Where a row has several values, each measurement names its operator."


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.name}"
    yield ""
    yield f"**{section.question}**"
    yield ""
    yield section.method
    yield ""
    record = section.record
    if record is None:
        yield f"Not measured yet: `python -m bench run {section.name}`."
        return
    loads = [float(sample["load"]) for sample in record.samples if "load" in sample]
    yield f"Measured {record.began} to {record.ended} UTC on {record.machine.get('operator', '?')}."
    yield f"Load average before the run: {record.load:.2f}" + (
        f"; before each round, with the benchmark: {min(loads):.2f} to {max(loads):.2f}."
        if loads
        else "."
    )
    beside = ", ".join(record.beside) or "none above 5 % of a core"
    yield f"Other busy programs before the run: {beside}."
    yield ""
    yield "| figure | median | range | rounds | target | verdict |"
    yield "|---|---|---|---|---|---|"
    for row in section.rows:
        rounds = str(row.spread.count)
        yield _line(row.figure, value(row), extent(row), rounds, target(row), row.verdict)
    yield ""
    if section.picture:
        yield f"![{section.question}]({section.picture})"
        yield ""
    yield f"<details><summary>Settings</summary>\n\n{_settings(record)}\n\n</details>"


def _settings(record: Record) -> str:
    return ", ".join(f"{name}: {value}" for name, value in record.settings.items())


def _peers() -> Iterator[str]:
    yield "## Other frameworks, for comparison"
    yield ""
    yield f"**Measured on another day and not rerun here**: {TAKEN}. {SHAPE}; the same kind of"
    yield "floor, one after another on one cluster. No verdict above depends on these figures."
    yield ""
    yield _line("program", f"{TIMES} floor", "CPU s", "peak memory")
    yield "|---|---|---|---|"
    for peer in PEERS:
        yield _line(*peer)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"

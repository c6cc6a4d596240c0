"""Records as text: a table for the terminal and the page `docs/benchmarks.md`. Pure.

The rule kept here: every number in the page comes from a record, and the page says which run, which
machine, which versions and what else ran. Nobody edits it by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.figures import TIMES, Row, number, spread
from bench.published import PEERS, SHAPE, TAKEN
from bench.records import Record

HEADER = "<!-- Written by `python -m bench report`: do not edit. -->"

Judged = tuple[str, str, str, Record, Sequence[Row]]
"""Name, question and method of a measurement, its record, and its rows."""


def summary(name: str, rows: Sequence[Row]) -> str:
    """The judged rows of a measurement as a table for a terminal."""
    judged = [row for row in rows if row.limit is not None] or list(rows)
    cells = [(name, "median", "range", "target", "verdict")]
    cells += [(row.figure, value(row), extent(row), target(row), row.verdict) for row in judged]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def page(judged: Sequence[Judged], before: Mapping[str, Sequence[Row]]) -> str:
    """The whole page. ``before`` are the rows of earlier runs by name, where there are some."""
    return "\n".join(_page(judged, before)) + "\n"


def _page(judged: Sequence[Judged], before: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    yield HEADER
    yield "# Benchmarks"
    yield ""
    yield "How fast, how small and how quiet `gati-operator` is. [How to rerun](benchmarking.md)."
    if any(record.settings.get("quick") for _, _, _, record, _ in judged):
        yield ""
        yield "**Some of this comes from `--quick` runs: it shows that the machinery works, and is "
        yield "no result.**"
    yield ""
    yield "## Verdicts"
    yield ""
    yield "Medians over the rounds; the range is from the lowest round to the highest. *Before* says"
    yield "whether the run before came to the same verdict."
    yield ""
    yield "| measurement | figure | median | range | target | verdict | before |"
    yield "|---|---|---|---|---|---|---|"
    for name, _, _, _, rows in judged:
        for row in rows:
            if row.limit is not None:
                cells = (f"[{name}](#{name})", row.figure, value(row), extent(row), target(row))
                yield _line(*cells, row.verdict, agreement(row, before.get(name, ())))
    yield ""
    yield from _machines([record for _, _, _, record, _ in judged])
    for name, question, method, record, rows in judged:
        yield ""
        yield from _section(name, question, method, record, rows)
    yield ""
    yield from _peers()


def value(row: Row) -> str:
    """The median with its unit."""
    return f"{number(row.spread.median)} {row.unit}".strip()


def extent(row: Row) -> str:
    """The range over the rounds, or that there was only one."""
    if row.spread.count == 1:
        return "one round"
    low, high = number(row.spread.low), number(row.spread.high)
    return low if low == high else f"{low} to {high}"


def target(row: Row) -> str:
    """The target, with its unit."""
    return "" if row.limit is None else f"≤ {number(row.limit)} {row.unit}".strip()


def agreement(row: Row, before: Sequence[Row]) -> str:
    """Whether the same figure had the same verdict in an earlier run, with the value of then."""
    for old in before:
        if old.figure == row.figure and old.met is not None:
            word = "same" if old.met == row.met else "**other**"
            return f"{word} ({value(old)})"
    return ""


def _machines(records: Sequence[Record]) -> Iterator[str]:
    yield "## Machine and versions"
    yield ""
    described = {tuple(record.machine.items()) for record in records}
    if len(described) > 1:
        yield "The measurements were made on different states; each is listed once."
        yield ""
    for one in sorted(described, key=str):
        yield "| | |"
        yield "|---|---|"
        for key, what in one:
            yield _line(key, str(what))
        yield ""
    yield "etcd does not sync to disk; everything runs as processes of one machine on loopback."


def _section(
    name: str, question: str, method: str, record: Record, rows: Sequence[Row]
) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield f"**{question}**"
    yield ""
    yield method
    yield ""
    loads = [float(sample["load"]) for sample in record.samples if "load" in sample]
    beside = ", ".join(record.beside) or "nothing that used more than 5 % of a core"
    within = f", {number(spread(loads).low)} to {number(spread(loads).high)}" if loads else ""
    yield (
        f"Measured {record.began} to {record.ended} UTC. Load of the minute before: "
        f"{record.load:.2f}; before the single rounds (ours included){within or ': not told'}. "
        f"Beside it ran: {beside}."
    )
    yield ""
    yield "| figure | median | range | rounds | target | verdict |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        count = str(row.spread.count)
        yield _line(row.figure, value(row), extent(row), count, target(row), row.verdict)


def _peers() -> Iterator[str]:
    yield "## Other frameworks, for comparison"
    yield ""
    yield f"**Taken on another day and not rerun here**: {TAKEN}. {SHAPE}; the same sort of floor,"
    yield "one after another on one cluster. No verdict above rests on this."
    yield ""
    yield _line("program", f"{TIMES} floor", "CPU s", "peak memory")
    yield "|---|---|---|---|"
    for peer in PEERS:
        yield _line(*peer)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"

"""The output of a run: one line for each change and each result, and a table at the end.

A terminal adds colour and a status line for the running step; without a terminal, or with
NO_COLOR, the output is plain text. The other lines are the same.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from demo.runner import Row
from demo.steps import Step

PLAIN_WIDTH = 120
HEARTBEAT_SECONDS = 10.0
"""Without a terminal, how often a waiting step prints the state that it reads."""


class LineScreen:
    """Writes to standard output."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._console = Console(
            file=sys.stdout,
            force_terminal=self._live,
            no_color=not self._live,
            width=None if self._live else PLAIN_WIDTH,
            highlight=False,
            markup=False,
            soft_wrap=not self._live,
        )
        self._started = time.monotonic()
        self._status: Status | None = None
        self._name = ""
        self._printed_at = self._started

    def say(self, text: str = "", style: str = "") -> None:
        """Print one line."""
        self._console.print(Text(text, style), soft_wrap=True)

    def begin(self, step: Step) -> None:
        """See ``Screen.begin``."""
        self.say()
        self.say(f"{step.name}: {step.expected}", "bold")
        self._name = step.name
        self._printed_at = time.monotonic()
        if self._live:
            self._status = self._console.status(Text(step.name))
            self._status.start()

    def change(self, title: str, state: str) -> None:
        """See ``Screen.change``."""
        kind, _, name = title.partition(" ")
        subject = "Event" if kind == "Event" else f"{kind} {name}"
        self.say(f"{self._elapsed()}  {subject}: {state}", "dim" if kind == "Event" else "")

    def tick(self, seen: str) -> None:
        """See ``Screen.tick``."""
        if self._status is not None:
            self._status.update(Text(f"{self._name}: {seen}", overflow="ellipsis", no_wrap=True))
        elif time.monotonic() - self._printed_at > HEARTBEAT_SECONDS:
            self._printed_at = time.monotonic()
            self.say(f"{self._elapsed()}  not yet: {seen}")

    def end(self, row: Row) -> None:
        """See ``Screen.end``."""
        self.rest()
        mark, style = ("seen", "green") if row.passed else ("FAILED", "bold red")
        self.say(f"{self._elapsed()}  {mark}: {row.seen}", style)

    def rest(self) -> None:
        """Remove the status line."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def table(self, steps: Sequence[Step], rows: Sequence[Row]) -> None:
        """Print the table of all steps: expected, seen, seconds."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("step", "expected", "seen"):
            table.add_column(heading, overflow="fold")
        table.add_column("seconds", justify="right")
        for row in rows:
            style = "" if row.passed else "bold red"
            seen = row.seen if row.passed else f"FAILED: {row.seen}"
            cells = (row.step.name, row.step.expected, seen, f"{row.seconds:.1f}")
            table.add_row(*(Text(cell) for cell in cells), style=style)
        for step in steps[len(rows) :]:
            table.add_row(Text(step.name), Text(step.expected), Text("not reached"), "")
        self.say()
        self._console.print(table)

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._started:6.1f}"

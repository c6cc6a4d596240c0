"""How long work is shown: one live line on a terminal, plain lines with a heartbeat elsewhere.

Everything goes to standard error, so that standard output stays a command's result.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

HEARTBEAT_SECONDS = 15.0


def elapsed_text(seconds: float) -> str:
    """`seconds` as `42s` or `3m07s`."""
    whole = int(seconds)
    return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60:02d}s"


@dataclass
class Step:
    """One piece of work that is going on; call `tick` often, it decides what is shown when."""

    console: Console
    name: str
    started: float = field(default_factory=time.monotonic)
    spoken: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def tick(self) -> None:
        """Show that the work goes on: a line each 15 seconds, unless a terminal shows it live."""
        if self.console.is_terminal:
            return
        now = time.monotonic()
        if now - self.spoken >= HEARTBEAT_SECONDS:
            self.spoken = now
            self.console.print(f"  {escape(self.name)} ... {elapsed_text(self.elapsed())}")


class Progress:
    """Shows steps one after another on one console (standard error unless another is given)."""

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True, highlight=False, quiet=quiet, soft_wrap=True)

    def say(self, text: str) -> None:
        """One plain line."""
        self.console.print(escape(text))

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Announces `name`, yields the step to tick, and closes it with its elapsed time: as done,
        or as failed when the block raises.
        """
        step = Step(self.console, name)
        end = "failed after"
        try:
            if self.console.is_terminal:
                with self._live(step):
                    yield step
            else:
                self.console.print(f"  {escape(name)}")
                yield step
            end = "done in"
        finally:
            self.console.print(f"  {escape(name)} {end} {elapsed_text(step.elapsed())}")

    @contextmanager
    def _live(self, step: Step) -> Iterator[None]:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Bar(*columns, console=self.console, transient=True) as bar:
            bar.add_task(escape(step.name), total=None)
            yield

"""Runs the steps one after the other, each with a deadline, until one is not seen.

A step that fails ends the run: what comes after it is not reached, and says so. An operator that
ends by itself fails the step that is going on, at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from demo.kubectl import KubectlError
from demo.snapshot import Snapshot, lines, take
from demo.steps import Demo, Sight, Step
from devcluster import DevclusterError

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Row:
    """What came of one step. ``seen`` is what was read last."""

    step: Step
    seen: str
    seconds: float
    passed: bool


class Screen(Protocol):
    """Where the run is shown."""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def change(self, title: str, state: str) -> None:
        """An object of the namespace reads otherwise than before."""

    def tick(self, seen: str) -> None:
        """The step goes on; this is what was read last."""

    def end(self, row: Row) -> None:
        """A step ended."""


class Watcher:
    """Tells the screen what is new in each snapshot."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._told: dict[str, str] = {}

    def show(self, snapshot: Snapshot) -> None:
        """Each object that came, changed or went."""
        present = lines(snapshot)
        for name, state in present.items():
            if self._told.get(name) != state:
                self._screen.change(name, state)
        for name in sorted(self._told.keys() - present.keys()):
            if not name.startswith("Event "):
                self._screen.change(name, "gone")
        self._told = present


def run(demo: Demo, steps: Sequence[Step], screen: Screen, seconds: float) -> list[Row]:
    """The rows of the steps up to the first that was not seen within its ``seconds``."""
    watcher = Watcher(screen)
    rows: list[Row] = []
    for step in steps:
        screen.begin(step)
        started = time.monotonic()
        sight = perform(demo, step, watcher, screen, seconds)
        row = Row(step, sight.text, time.monotonic() - started, sight.fits)
        rows.append(row)
        screen.end(row)
        if not row.passed:
            break
    return rows


def perform(demo: Demo, step: Step, watcher: Watcher, screen: Screen, seconds: float) -> Sight:
    """Do what the step does, then look until it is seen or its time is up."""
    try:
        step.act(demo)
    except (KubectlError, DevclusterError, OSError) as error:
        return Sight(str(error), fits=False)
    deadline = time.monotonic() + seconds
    while True:
        sight = look(demo, step, watcher)
        if sight.fits:
            return sight
        trouble = demo.operator.trouble()
        if trouble:
            return Sight(f"{trouble}; {sight.text}", fits=False)
        if time.monotonic() > deadline:
            return Sight(f"not within {seconds:g} s: {sight.text}", fits=False)
        screen.tick(sight.text)
        time.sleep(POLL_SECONDS)


def look(demo: Demo, step: Step, watcher: Watcher) -> Sight:
    """One look; an API server that does not answer is something to wait for."""
    try:
        snapshot = Snapshot()
        if step.watches:
            snapshot = take(demo.cluster.kubectl, demo.cluster.namespace)
            watcher.show(snapshot)
        return step.look(demo, snapshot)
    except (KubectlError, DevclusterError) as error:
        return Sight(str(error), fits=False)

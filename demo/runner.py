"""Runs the steps one after the other, each with a deadline, up to the first that fails.

The steps after a failed one are shown as not reached. An operator that ends without being stopped
fails the running step at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from demo.kubectl import KubectlError
from demo.snapshot import Snapshot, lines, take
from demo.steps import Demo, Observation, Step
from devcluster import DevclusterError

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Row:
    """The result of one step. ``seen`` is the last state that was read."""

    step: Step
    seen: str
    seconds: float
    passed: bool


class Screen(Protocol):
    """Where the run is shown."""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def change(self, title: str, state: str) -> None:
        """An object of the namespace was created, changed or deleted."""

    def tick(self, seen: str) -> None:
        """The step still waits; ``seen`` is the last state that was read."""

    def end(self, row: Row) -> None:
        """A step ended."""


class Watcher:
    """Shows the differences between one snapshot and the next."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._shown: dict[str, str] = {}

    def show(self, snapshot: Snapshot) -> None:
        """Show each object that was created, changed or deleted since the last snapshot."""
        present = lines(snapshot)
        for name, state in present.items():
            if self._shown.get(name) != state:
                self._screen.change(name, state)
        for name in sorted(self._shown.keys() - present.keys()):
            if not name.startswith("Event "):
                self._screen.change(name, "deleted")
        self._shown = present


def run(demo: Demo, steps: Sequence[Step], screen: Screen, seconds: float) -> list[Row]:
    """Run the steps, ``seconds`` each at most; their rows up to the first that failed."""
    watcher = Watcher(screen)
    rows: list[Row] = []
    for step in steps:
        screen.begin(step)
        started = time.monotonic()
        observation = perform(demo, step, watcher, screen, seconds)
        row = Row(step, observation.text, time.monotonic() - started, observation.expected)
        rows.append(row)
        screen.end(row)
        if not row.passed:
            break
    return rows


def perform(
    demo: Demo, step: Step, watcher: Watcher, screen: Screen, seconds: float
) -> Observation:
    """Perform the step's action, then read the cluster until the expected state or the deadline."""
    try:
        step.act(demo)
    except (KubectlError, DevclusterError, OSError) as error:
        return Observation(str(error), expected=False)
    deadline = time.monotonic() + seconds
    while True:
        observation = observe(demo, step, watcher)
        if observation.expected:
            return observation
        exited = demo.operator.unexpected_exit()
        if exited:
            return Observation(f"{exited}; {observation.text}", expected=False)
        if time.monotonic() > deadline:
            return Observation(f"not within {seconds:g} s: {observation.text}", expected=False)
        screen.tick(observation.text)
        time.sleep(POLL_SECONDS)


def observe(demo: Demo, step: Step, watcher: Watcher) -> Observation:
    """Read the cluster once; a failed request is not yet a failed step."""
    try:
        snapshot = Snapshot()
        if step.watches:
            snapshot = take(demo.cluster.kubectl, demo.cluster.namespace)
            watcher.show(snapshot)
        return step.observe(demo, snapshot)
    except (KubectlError, DevclusterError) as error:
        return Observation(str(error), expected=False)

"""Scenarios: the steps of a user, each with a check of its effect.

The rule kept here: a step knows nothing about faults, oracles or the operator. A scenario for a
new kind is a list of steps, registered in ``chaos.scenarios``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chaos.recorder import Recorder
from contract.model import Object
from harness.objects import CHILDREN, Objects, is_ready


@dataclass
class Stage:
    """The namespace of a scenario: ``objects`` writes to it, ``seen`` reads the recorded objects.

    ``memory`` holds values from a step's change for its check. ``release`` restarts the operator
    with the release "current" or "previous" (see ``chaos.releases``).
    """

    objects: Objects
    seen: Recorder
    release: Callable[[str], None] = lambda _name: None
    memory: dict[str, Any] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """A step begins: what it remembers is read anew."""
        self._kept.clear()

    def remember(self, name: str, read: Callable[[], Any]) -> Any:
        """What ``read`` returned before the step's change, also in ``memory``.

        A step whose change failed is tried again, and the change may have been carried out: then
        what was read the first time is what the change is compared with.
        """
        if name not in self._kept:
            self.memory[name] = read()
            self._kept.add(name)
        return self.memory[name]

    def handler(self, name: str, **spec: Any) -> Object:
        """Apply a GatiHandler as a user, and store its new generation in ``memory``."""
        applied = self.objects.handler(name, **spec)
        self.memory[name] = applied["metadata"]["generation"]
        return applied

    def is_ready(self, name: str) -> bool:
        """Is the handler Ready in the last applied generation?"""
        found = self.seen.get("gatihandlers", name)
        if found is None or found["metadata"]["generation"] < self.memory.get(name, 1):
            return False
        return is_ready(found)

    def get(self, resource: str, name: str) -> Object | None:
        """The present object, or None."""
        return self.seen.get(resource, name)

    def has_children(self, handler: str) -> bool:
        """Does any child with this handler's label exist?"""
        return any(
            (obj["metadata"].get("labels") or {}).get("gati.dev/handler") == handler
            and (obj["metadata"].get("annotations") or {}).get("chaos/foreign") is None
            for resource in CHILDREN
            for obj in self.seen.all(resource)
        )


Act = Callable[[Stage], object]
Check = Callable[[Stage], bool]


@dataclass(frozen=True)
class Step:
    """One change of a user, and the check of its effect."""

    name: str
    act: Act
    until: Check


@dataclass(frozen=True)
class Scenario:
    """A named list of steps; objects of ``resources`` are compared after each step."""

    name: str
    steps: tuple[Step, ...]
    resources: tuple[str, ...] = ("gatihandlers", *CHILDREN)
    prepare: Act = lambda _stage: None

    def step(self, name: str) -> Step:
        """The step of that name; KeyError where there is none."""
        return {step.name: step for step in self.steps}[name]

"""What a scenario is: steps of a user, and for each what they expect to come of it.

A step changes something and says when its effect is there; nothing in it knows about faults,
oracles or the operator. A scenario for a new kind is a list of steps, registered in
``chaos.scenarios``.
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
    """Where a scenario acts: the objects of one namespace, and what is seen of them.

    ``memory`` is for what one half of a step must tell the other. ``release`` chooses the
    operator's release, "current" or "previous" (see ``chaos.releases``); it restarts the operator.
    ``again``: the step's change is tried once more, and may have been carried out the first time.
    """

    objects: Objects
    seen: Recorder
    release: Callable[[str], None] = lambda _name: None
    memory: dict[str, Any] = field(default_factory=dict)
    again: bool = False

    def handler(self, name: str, **spec: Any) -> Object:
        """Apply a GatiHandler as its user, and remember which generation that made."""
        applied = self.objects.handler(name, **spec)
        self.memory[name] = applied["metadata"]["generation"]
        return applied

    def is_ready(self, name: str) -> bool:
        """Is the handler Ready in the generation that was applied last?"""
        found = self.seen.get("gatihandlers", name)
        if found is None or found["metadata"]["generation"] < self.memory.get(name, 1):
            return False
        return is_ready(found)

    def get(self, resource: str, name: str) -> Object | None:
        """An object as it is now, or None."""
        return self.seen.get(resource, name)

    def has_children(self, handler: str) -> bool:
        """Is there any child left that carries this handler's label?"""
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
    """One thing a user does, and how to see that it came about."""

    name: str
    act: Act
    until: Check


@dataclass(frozen=True)
class Scenario:
    """A named list of steps; ``resources`` are those whose objects are compared at each step."""

    name: str
    steps: tuple[Step, ...]
    resources: tuple[str, ...] = ("gatihandlers", *CHILDREN)
    prepare: Act = lambda _stage: None

    def step(self, name: str) -> Step:
        """The step of that name; KeyError where there is none."""
        return {step.name: step for step in self.steps}[name]

"""A controller whose plans want nothing: tests give it what they are about."""

from __future__ import annotations

from typing import Any

from contract.demands import Demand, Seen, Watch
from contract.model import Kind, Object
from contract.plan import Plan, Right


class Idle:
    """A controller of ``kind`` that watches ``watches`` and demands ``demands``."""

    rights: tuple[Right, ...] = ()

    def __init__(self, kind: Kind, *watches: Watch, demands: tuple[Demand, ...] = ()) -> None:
        self.kind = kind
        self.watches = watches
        self.demands = demands

    def read(self, parent: Object) -> None:
        """See ``Controller.read``."""

    def needs(self, parent: Object, spec: None, seen: Seen, now: Any) -> tuple[Demand, ...]:
        """See ``Controller.needs``."""
        return self.demands

    def plan(self, parent: Object, spec: None, seen: Seen, now: Any) -> Plan:
        """See ``Controller.plan``."""
        return Plan({})

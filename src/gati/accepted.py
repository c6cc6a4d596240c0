"""The controller of a kind that is understood and not managed yet: one condition, Accepted.

The status shows exactly that and no more. What a definition leaves optional may be absent here
too: what an object needs to run is asked for by the release that runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contract.demands import Demand, Seen, Watch
from contract.model import Kind, Object
from contract.plan import NO_RIGHTS, Plan, Right
from contract.status import Condition, conditions
from crds.decode import Invalid, decode
from crds.part import Part
from gati.reasons import Reason

MESSAGE = "understood, but managed by a later release of this operator: nothing is created for it"


@dataclass(slots=True)
class AcceptedController:
    """The controller of a kind whose objects are held to ``spec`` and nothing else."""

    kind: Kind
    spec: type[Part]
    watches: tuple[Watch, ...] = ()

    rights: tuple[Right, ...] = NO_RIGHTS

    def read(self, parent: Object) -> Invalid | None:
        """What is wrong with the object, or None."""
        try:
            decode(parent.get("spec"), self.spec, "spec")
        except Invalid as error:
            return error.with_traceback(None)
        return None

    def needs(
        self, parent: Object, spec: Invalid | None, seen: Seen, now: datetime
    ) -> tuple[Demand, ...]:
        """Nothing: there are no children yet."""
        return ()

    def plan(self, parent: Object, spec: Invalid | None, seen: Seen, now: datetime) -> Plan:
        """Accepted or not; nothing is created and nothing removed."""
        if spec is None:
            condition = Condition("Accepted", "True", Reason.ACCEPTED_NOT_MANAGED, MESSAGE)
        else:
            condition = Condition("Accepted", "False", Reason.INVALID_SPEC, str(spec))
        generation = parent["metadata"].get("generation", 0)
        old = (parent.get("status") or {}).get("conditions") or ()
        status: Object = {
            "observedGeneration": generation,
            "conditions": conditions([condition], old, generation, now),
        }
        if spec is None:
            status["phase"] = "Accepted"
        return Plan(status=status)

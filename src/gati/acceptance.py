"""The answer to an object that is understood and not managed yet: one condition, Accepted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from contract.model import Object
from contract.plan import Plan
from contract.status import Condition, conditions
from gati import reasons as r
from gati.spec.fields import Invalid

MESSAGE = "understood, but managed by a later release of this operator: nothing is created for it"


def accepted(parent: Object, parse: Callable[[Object], Any]) -> Condition:
    """Accepted is False where ``parse`` raises Invalid."""
    try:
        parse(parent)
    except Invalid as error:
        return Condition("Accepted", "False", r.INVALID_SPEC, str(error))
    return Condition("Accepted", "True", r.ACCEPTED_NOT_MANAGED, MESSAGE)


def answer(parent: Object, condition: Condition, now: datetime) -> Plan:
    """A plan that writes no object: its status holds the condition."""
    generation = parent["metadata"].get("generation", 0)
    old = (parent.get("status") or {}).get("conditions") or ()
    status: Object = {
        "observedGeneration": generation,
        "conditions": conditions([condition], old, generation, now),
    }
    if condition.status == "True":
        status["phase"] = "Accepted"
    return Plan(status=status)

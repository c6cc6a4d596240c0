"""What the oracle about statuses objects to: claims, conditions and times."""

from __future__ import annotations

from typing import Any

from unit.oracle_evidence import READY, Case, condition, handler, statuses

AUTOSCALED = condition("Autoscaled", "True")


def at(time: str, kind: str = "Ready", status: str = "True") -> dict[str, Any]:
    """A condition whose last transition was at this time."""
    return condition(kind, status, lastTransitionTime=time)


CASES = (
    Case(
        "status-rules",
        "the observed generation is above the generation",
        bad=statuses(handler(observedGeneration=3)),
        good=statuses(handler(observedGeneration=2)),
    ),
    Case(
        "status-rules",
        "the observed generation of a condition is above the generation",
        bad=statuses(handler(condition("Ready", "True", observedGeneration=3))),
        good=statuses(handler(condition("Ready", "True", observedGeneration=2))),
    ),
    Case(
        "status-rules",
        "the observed generation of one object falls",
        bad=statuses(handler(), handler(observedGeneration=1, uid="u")),
        good=statuses(handler(), handler(observedGeneration=1, uid="another")),
    ),
    Case(
        "status-rules",
        "the condition Ready is missing",
        bad=statuses(handler(AUTOSCALED)),
        good=statuses(handler(READY)),
    ),
    Case(
        "status-rules",
        "a condition stands there twice",
        bad=statuses(handler(READY, READY)),
        good=statuses(handler(READY, AUTOSCALED)),
    ),
    Case(
        "status-rules",
        "Ready is contradicted by Stalled",
        bad=statuses(handler(READY, condition("Stalled", "True"))),
        good=statuses(handler(READY, condition("Stalled", "False"))),
    ),
    Case(
        "status-rules",
        "Reconciling and Stalled are both True",
        bad=statuses(
            handler(
                condition("Ready", "False"),
                condition("Stalled", "True"),
                condition("Reconciling", "True"),
            )
        ),
        good=statuses(
            handler(
                condition("Ready", "False"),
                condition("Stalled", "True"),
                condition("Reconciling", "Unknown"),
            )
        ),
    ),
    Case(
        "status-rules",
        "a reason is empty",
        bad=statuses(handler(condition("Ready", "True", reason=""))),
        good=statuses(handler(condition("Ready", "True", reason="AllReady"))),
    ),
    Case(
        "status-rules",
        "the transition time moves without a transition",
        bad=statuses(handler(at("t1")), handler(at("t2"))),
        good=statuses(handler(at("t1")), handler(at("t2", status="False"))),
    ),
    Case(
        "status-rules",
        "the transition time moves though the status was not wiped",
        bad=statuses(handler(at("t1")), handler(at("t2"))),
        good=statuses(handler(at("t1")), handler() | {"status": {}}, handler(at("t2"))),
    ),
    Case(
        "status-rules",
        "the transition time moves though the condition was not absent",
        bad=statuses(
            handler(READY, at("t1", "Autoscaled")),
            handler(READY, at("t1", "Autoscaled")),
            handler(READY, at("t2", "Autoscaled")),
        ),
        good=statuses(
            handler(READY, at("t1", "Autoscaled")),
            handler(READY),
            handler(READY, at("t2", "Autoscaled")),
        ),
    ),
    Case(
        "status-rules",
        "a live object is judged, not one that is deleted",
        bad=statuses(handler(observedGeneration=9), kind="MODIFIED"),
        good=statuses(handler(observedGeneration=9), kind="DELETED"),
    ),
    Case(
        "status-rules",
        "a parent is judged, not a child",
        bad=statuses(handler(observedGeneration=9), resource="gatihandlers"),
        good=statuses(handler(observedGeneration=9), resource="deployments"),
    ),
)

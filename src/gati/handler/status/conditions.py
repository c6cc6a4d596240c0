"""The status of a GatiHandler. Pure.

The whole status follows from what is seen: wiped, it comes back the same but for the times.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from contract.demands import Seen
from contract.model import Object
from contract.status import Condition, conditions
from gati import names
from gati.handler.autoscaling import Scaling
from gati.handler.resolve import Handler
from gati.handler.status.judge import Verdict, by_name
from gati.handler.status.observe import Observed
from gati.reasons import FAILURES, Reason

SUSPENDED = Condition(
    "Suspended",
    "True",
    Reason.SUSPENDED,
    "spec.suspend is true: nothing is written but this status; set it to false to go on",
)


def status(
    parent: Object,
    verdict: Verdict,
    observed: Observed,
    now: datetime,
    *,
    handler: Handler | None = None,
    more: tuple[Condition, ...] = (),
) -> Object:
    """The complete status. Version and image are those of the Deployment, once there is one."""
    generation = parent["metadata"].get("generation", 0)
    old = (parent.get("status") or {}).get("conditions") or ()
    wanted = [*_verdict_conditions(verdict, suspended=SUSPENDED in more), *more]
    result: Object = {
        "observedGeneration": generation,
        "phase": _phase(verdict, suspended=SUSPENDED in more),
        "replicas": observed.replicas,
        "readyReplicas": observed.ready,
        "updatedReplicas": observed.updated,
        "selector": f"{names.WORKLOAD}={names.workload(parent['metadata']['name'])}",
        "conditions": conditions(wanted, old, generation, now),
    }
    version = observed.version or (handler.version if handler else "")
    image = observed.image or ((handler.image or "") if handler else "")
    shown = {"version": version, "image": image, "templateHash": observed.template}
    return result | {name: value for name, value in shown.items() if value}


def scaling_conditions(scaling: Scaling) -> tuple[Condition, ...]:
    """Who sets the number of replicas, where the handler itself does not."""
    if not scaling.autoscaler:
        return ()
    owner = "your" if scaling.foreign else "this handler's"
    message = f"replicas follow {owner} HorizontalPodAutoscaler {scaling.autoscaler}"
    reason = Reason.USERS_AUTOSCALER if scaling.foreign else Reason.OWN_AUTOSCALER
    return (Condition("Autoscaled", "True", reason, message),)


def contested_conditions(seen: Seen) -> tuple[Condition, ...]:
    """The field managers that keep changing back what the operator writes."""
    if not seen.contested:
        return ()
    rivals = [
        f"{key.kind} {key.name} by {rival}"
        for key, rival in sorted(seen.contested.items(), key=by_name)
    ]
    message = (
        f"keeps being changed back: {'; '.join(rivals)}; stop the other writer or set "
        "spec.suspend: true"
    )
    return (Condition("Contested", "True", Reason.CONTESTED, message),)


def _verdict_conditions(verdict: Verdict, *, suspended: bool) -> Iterator[Condition]:
    yield Condition("Ready", "True" if verdict.ready else "False", verdict.reason, verdict.message)
    if verdict.stalled:
        yield Condition("Stalled", "True", verdict.stalled, verdict.message)
    elif not verdict.ready and not suspended:
        yield Condition("Reconciling", "True", Reason.PROGRESSING, verdict.message)


def _phase(verdict: Verdict, *, suspended: bool) -> str:
    if suspended:
        return "Suspended"
    if verdict.stalled:
        return "Failed"
    if verdict.ready or verdict.serving:
        return "Running"
    return "Failed" if verdict.reason in FAILURES else "Pending"

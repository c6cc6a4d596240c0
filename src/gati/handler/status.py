"""The status of a GatiHandler and the Events that go with its changes. Pure.

The whole status follows from what is seen: wiped, it comes back the same but for the times.
Events follow from how the conditions differ from those that were stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from contract.demands import Seen
from contract.model import Key, Object
from contract.plan import Note
from contract.status import Condition, conditions, find
from gati import names
from gati import reasons as r
from gati.contracts import HandlerSpec
from gati.handler.autoscaling import Scaling
from gati.handler.readiness import Observed, Verdict, refusal_reason
from gati.kinds import GATI_HANDLER

SUSPENDED = Condition(
    "Suspended",
    "True",
    r.SUSPENDED,
    "spec.suspend is true: nothing is written but this status; set it to false to go on",
)


def obstacle(seen: Seen, handler: str) -> Verdict | None:
    """What stops the handler from being written as it should be; None where nothing does."""
    if seen.foreign:
        clashes = [
            _clash(key.kind.kind, key.name, owner, handler)
            for key, owner in sorted(seen.foreign.items(), key=_by_name)
        ]
        return Verdict(False, r.NAME_CONFLICT, "; ".join(clashes), r.NAME_CONFLICT)
    for key, refusal in sorted(seen.refused.items(), key=_by_name):
        reason = refusal_reason(refusal.message, r.API_REFUSED)
        message = f"the API server refuses {key.kind} {key.name}: {refusal.message}"
        return Verdict(False, reason, message, reason)
    return None


def status(
    parent: Object,
    verdict: Verdict,
    observed: Observed,
    now: datetime,
    *,
    spec: HandlerSpec | None = None,
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
    version = observed.version or (spec.version if spec else "")
    image = observed.image or ((spec.image or "") if spec else "")
    shown = {"version": version, "image": image, "templateHash": observed.template}
    return result | {name: value for name, value in shown.items() if value}


def scaling_conditions(scaling: Scaling) -> tuple[Condition, ...]:
    """Who sets the number of replicas, where the handler itself does not."""
    if not scaling.autoscaler:
        return ()
    whose = "your" if scaling.foreign else "this handler's"
    message = f"replicas follow {whose} HorizontalPodAutoscaler {scaling.autoscaler}"
    reason = r.USERS_AUTOSCALER if scaling.foreign else r.OWN_AUTOSCALER
    return (Condition("Autoscaled", "True", reason, message),)


def _by_name(item: tuple[Key, object]) -> tuple[str, str]:
    return item[0].kind.kind, item[0].name


def contested_conditions(seen: Seen) -> tuple[Condition, ...]:
    """Who keeps changing back what the operator writes."""
    if not seen.contested:
        return ()
    rivals = [
        f"{key.kind} {key.name} by {who}"
        for key, who in sorted(seen.contested.items(), key=_by_name)
    ]
    message = (
        f"keeps being changed back: {'; '.join(rivals)}; stop the other writer or set "
        "spec.suspend: true"
    )
    return (Condition("Contested", "True", r.CONTESTED, message),)


def notes(parent: Object, new_status: Object) -> tuple[Note, ...]:
    """The Events that tell how ``new_status`` differs from the stored one."""
    return tuple(_notes(parent, {"status": new_status}))


def _notes(parent: Object, new: Object) -> Iterator[Note]:
    yield from _ready_notes(find(parent, "Ready"), find(new, "Ready"))
    was, is_ = find(parent, "Suspended")["status"], find(new, "Suspended")["status"]
    if is_ == "True" != was:
        yield Note("Normal", r.SUSPENDED, SUSPENDED.message)
    if was == "True" != is_:
        yield Note("Normal", "Resumed", "spec.suspend is off: the handler is written again")
    contested = find(new, "Contested")
    if contested["status"] == "True" != find(parent, "Contested")["status"]:
        yield Note("Warning", contested["reason"], contested["message"])


def _ready_notes(old: Object, new: Object) -> Iterator[Note]:
    changed = (old["status"], old["reason"]) != (new["status"], new["reason"])
    if new["status"] == "True":
        if old["status"] != "True":
            yield Note("Normal", r.READY, new["message"])
    elif new["reason"] in r.FAILURES:
        if changed:
            yield Note("Warning", new["reason"], new["message"])
    elif old["status"] == "True" and old.get("observedGeneration") == new["observedGeneration"]:
        # Nobody changed the handler, and still it does not do its work any more.
        yield Note("Warning", "NotReady", new["message"])


def _clash(kind: str, name: str, owner: str, handler: str) -> str:
    return (
        f"{kind} {name} exists already and is not this {GATI_HANDLER}'s ({owner}): give this one "
        f"another name, delete that {kind}, or hand it over with the annotation "
        f"{names.ADOPT}={handler} on it"
    )


def _verdict_conditions(verdict: Verdict, *, suspended: bool) -> Iterator[Condition]:
    yield Condition("Ready", "True" if verdict.ready else "False", verdict.reason, verdict.message)
    if verdict.stalled:
        yield Condition("Stalled", "True", verdict.stalled, verdict.message)
    elif not verdict.ready and not suspended:
        yield Condition("Reconciling", "True", r.PROGRESSING, verdict.message)


def _phase(verdict: Verdict, *, suspended: bool) -> str:
    if suspended:
        return "Suspended"
    if verdict.stalled:
        return "Failed"
    if verdict.ready or verdict.serving:
        return "Running"
    return "Failed" if verdict.reason in r.FAILURES else "Pending"

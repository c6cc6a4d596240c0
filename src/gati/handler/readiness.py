"""Is the handler doing its work? Read off the Deployment; no history, no clock.

Ready: the Deployment's present generation is rolled out (no pod of an older template is left)
and at least the floor of replicas is available. An autoscaler that adds pods above its minimum
makes nothing unready.
"""

from __future__ import annotations

from dataclasses import dataclass

from contract.metadata import digest
from contract.model import Object
from gati import reasons as r
from gati.handler.pod_problems import Problem, stable
from gati.names import VERSION
from gati.spec.handler import CONTAINER


@dataclass(frozen=True, slots=True)
class Observed:
    """What a Deployment shows: counts of pods, and what its conditions say.

    ``current`` tells that the counts belong to the present spec; ``template`` is a digest of the
    pods' template. ``paused`` names a Deployment that somebody paused.
    """

    exists: bool = False
    current: bool = False
    template: str = ""
    desired: int = 0
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    deadline_exceeded: bool = False
    paused: str = ""
    failure: Problem | None = None
    version: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the conditions say. ``stalled`` is the reason why it cannot go on, or empty."""

    ready: bool
    reason: str
    message: str
    stalled: str = ""
    serving: bool = False
    """Are enough replicas available, of whatever version?"""


def observe(deployment: Object | None) -> Observed:
    """The facts about a Deployment, or about there being none."""
    if deployment is None:
        return Observed()
    spec, status = deployment["spec"], deployment.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    behind = deployment["metadata"].get("generation", 0) - status.get("observedGeneration", -1)
    template = spec["template"]
    return Observed(
        exists=True,
        current=behind <= 0,
        template=digest(template, 10),
        desired=spec.get("replicas", 1),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        deadline_exceeded=(conditions.get("Progressing") or {}).get("reason")
        == r.PROGRESS_DEADLINE_EXCEEDED,
        paused=deployment["metadata"]["name"] if spec.get("paused") else "",
        failure=_failure(conditions.get("ReplicaFailure")),
        version=(template["metadata"].get("annotations") or {}).get(VERSION, ""),
        image=_image(template["spec"]["containers"]),
    )


def _image(containers: list[Object]) -> str:
    """The handler's own: somebody may have put a container of theirs before it."""
    images = (each.get("image", "") for each in containers if each.get("name") == CONTAINER)
    return next(images, "")


def judge(
    observed: Observed, floor: int, problem: Problem | None, *, settled: bool = False
) -> Verdict:
    """The verdict on a Deployment that should have at least ``floor`` replicas available.

    ``problem`` is why pods do not start, where one was seen. ``settled`` tells that the handler
    was Ready in its present generation and with this very template: whatever else of the
    Deployment its controller has not looked at yet, its counts are still good. A new template may
    come without a new generation of the handler, from other settings of its or of the operator's.
    """
    serving = observed.exists and observed.available >= max(floor, 1)
    counted = observed.current or settled
    rolled_out = counted and observed.replicas == observed.updated >= floor
    if rolled_out and observed.available >= floor:
        if observed.desired == 0:
            return Verdict(True, r.SCALED_TO_ZERO, "no replica is asked for")
        return Verdict(True, r.READY, _count(observed, floor), serving=serving)
    progress = _progress(observed)
    cause = observed.failure or problem
    stuck = observed.current and observed.deadline_exceeded
    stalled = r.PROGRESS_DEADLINE_EXCEEDED if stuck else ""
    if cause is not None:
        return Verdict(False, cause.reason, f"{progress}: {cause.message}", stalled, serving)
    if stuck:
        late = f"{progress}: no progress within the Deployment's deadline, see its pods"
        return Verdict(False, stalled, late, stalled, serving)
    return Verdict(False, r.PROGRESSING, progress, serving=serving)


def _progress(observed: Observed) -> str:
    if not observed.exists:
        return "the Deployment is not there yet"
    if not observed.current:
        return "waiting for the Deployment to be rolled out"
    if observed.paused:
        command = f"kubectl rollout resume deployment/{observed.paused}"
        return f"the Deployment is paused, so nothing is rolled out: {command}"
    if observed.replicas > observed.updated:
        return f"rolling out, {observed.updated} of {observed.desired} replicas updated"
    return _count(observed)


def _count(observed: Observed, floor: int = 0) -> str:
    count = f"{observed.available} of {observed.desired} replicas ready"
    # Fewer than asked for is no contradiction to Ready, but has to be explained.
    return (
        f"{count}, {floor} needed" if 0 < floor <= observed.available < observed.desired else count
    )


def _failure(condition: Object | None) -> Problem | None:
    """Why the Deployment cannot make pods at all."""
    if condition is None or condition.get("status") != "True":
        return None
    message = stable(str(condition.get("message", "")))
    return Problem(refusal_reason(message, r.REPLICA_FAILURE), message)


def refusal_reason(message: str, otherwise: str) -> str:
    """The API server says only in words that a refusal comes from a quota."""
    return r.QUOTA_EXCEEDED if "exceeded quota" in message else otherwise

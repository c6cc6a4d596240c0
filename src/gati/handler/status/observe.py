"""What a Deployment shows, as facts; whether they are good is judged elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from contract.metadata import digest
from contract.model import Object
from gati.names import CONTAINER, VERSION
from gati.reasons import Reason, refusal_reason
from objects.pods import Problem, stable


@dataclass(frozen=True, slots=True)
class Observed:
    """What a Deployment shows: counts of pods, and its conditions.

    ``current`` means that the counts belong to the present spec; ``template`` is a digest of the
    pods' template. ``paused`` names a Deployment that a user paused.
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


def observe(deployment: Object | None) -> Observed:
    """The facts about a Deployment, or about there being none."""
    if deployment is None:
        return Observed()
    spec, status = deployment["spec"], deployment.get("status") or {}
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
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
        == Reason.PROGRESS_DEADLINE_EXCEEDED,
        paused=deployment["metadata"]["name"] if spec.get("paused") else "",
        failure=_failure(conditions.get("ReplicaFailure")),
        version=(template["metadata"].get("annotations") or {}).get(VERSION, ""),
        image=_image(template["spec"]["containers"]),
    )


def _image(containers: list[Object]) -> str:
    """The handler's own: a user or a webhook may have put another container before it."""
    images = (each.get("image", "") for each in containers if each.get("name") == CONTAINER)
    return next(images, "")


def _failure(condition: Object | None) -> Problem | None:
    """Why the Deployment cannot make pods at all."""
    if condition is None or condition.get("status") != "True":
        return None
    message = stable(str(condition.get("message", "")))
    return Problem(refusal_reason(message, Reason.REPLICA_FAILURE), message)

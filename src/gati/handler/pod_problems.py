"""Why a handler's pods do not start: the cache keeps pods with such a problem, and only that."""

from __future__ import annotations

from collections.abc import Iterable

from contract.model import Object
from gati import names
from objects.pods import Problem, diagnose, gravest

_PROBLEM = "problem"
_IDENTITY = ("name", "namespace", "uid", "resourceVersion")


def keep(pod: Object) -> Object | None:
    """What the cache stores of a pod: its identity and its problem, or nothing at all."""
    problem = diagnose(pod)
    if problem is None:
        return None
    metadata = pod["metadata"]
    workload = {names.WORKLOAD: (metadata.get("labels") or {}).get(names.WORKLOAD, "")}
    identity = {key: metadata[key] for key in _IDENTITY if key in metadata}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": identity | {"labels": workload},
        _PROBLEM: {"reason": problem.reason, "message": problem.message},
    }


def worst(pods: Iterable[Object]) -> Problem | None:
    """The problem to report of the pods that the cache kept: the one that blocks most."""
    return gravest(Problem(**pod[_PROBLEM]) for pod in pods if _PROBLEM in pod)

"""Objects beside a parent, as the API server holds them: its children, and those of others."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from contract.model import Kind, Object
from contract.ownership import Owner, stamp
from contract.plan import Child
from objects.kinds import CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD
from unit.schema_values import WORDS
from unit.subjects import NAMESPACE


@st.composite
def live(draw: st.DrawFn, child: Child, owner: Owner, parent: Object) -> Object:
    """A child as the API server holds it: with marks, a status, and what others did to it."""
    obj = copy.deepcopy(stamp(child, owner, parent))
    obj["metadata"] |= _identity(draw)
    if draw(st.integers(0, 4)) == 0:
        obj["metadata"]["deletionTimestamp"] = "2026-01-02T03:00:00Z"
    if draw(st.booleans()):
        obj["metadata"].pop("labels", None)
    return _with_status(draw, child.kind, obj)


@st.composite
def others(draw: st.DrawFn, kind: Kind, children: tuple[Child, ...]) -> Object:
    """A foreign object: with the labels of a child's pods, perhaps, or its name."""
    bodies = [child.body for child in children if child.kind == kind]
    workloads = [child.body for child in children if child.kind == DEPLOYMENT]
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in workloads]
    metadata: Object = {
        "name": draw(st.sampled_from(["theirs", *(each["metadata"]["name"] for each in bodies)])),
        "labels": draw(st.sampled_from([{}, *labels])),
        **_identity(draw),
    }
    if kind.namespaced:
        metadata["namespace"] = NAMESPACE
    obj: Object = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    if kind == CONFIG_MAP:
        obj["data"] = draw(st.dictionaries(st.sampled_from(WORDS), st.text(max_size=8), max_size=2))
    if kind == DEPLOYMENT:
        obj["spec"] = {
            "replicas": draw(st.integers(0, 5)),
            "selector": {"matchLabels": {"app": "x"}},
            "template": {
                "metadata": {"labels": {"app": "x"}},
                "spec": {"containers": [{"name": "x", "image": "x"}]},
            },
        }
    if kind == HORIZONTAL_POD_AUTOSCALER:
        target = draw(st.sampled_from(["x", *(each["metadata"]["name"] for each in workloads)]))
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
        low = draw(st.integers(0, 3))
        obj["spec"] = {"scaleTargetRef": reference, "minReplicas": low, "maxReplicas": low + 1}
    return _with_status(draw, kind, obj)


def _identity(draw: st.DrawFn) -> Object:
    number = draw(st.integers(1, 9))
    return {
        "uid": f"uid-{number}",
        "resourceVersion": str(number),
        "generation": number,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }


_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
_REASONS = (
    "ImagePullBackOff",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "ContainerCreating",
)
_CONDITIONS: st.SearchStrategy[Any] = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Available", "Progressing", "ReplicaFailure", "PodScheduled"]),
            "status": st.sampled_from(["True", "False", "Unknown"]),
        },
        optional={
            "reason": st.sampled_from(
                ["ProgressDeadlineExceeded", "FailedCreate", "Unschedulable"]
            ),
            "message": st.sampled_from(["no", "x" * 5000]),
        },
    ),
    max_size=3,
    unique_by=lambda condition: condition["type"],
)
_CONTAINERS: st.SearchStrategy[Any] = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.just("main"),
            "image": st.sampled_from(["x", "x" * 3000]),
            "ready": st.booleans(),
            "restartCount": st.integers(0, 5),
        },
        optional={
            "state": st.sampled_from(_REASONS).map(lambda reason: {"waiting": {"reason": reason}})
        },
    ),
    max_size=2,
)


def _with_status(draw: st.DrawFn, kind: Kind, obj: Object) -> Object:
    status: Object = {}
    if kind in (DEPLOYMENT, POD) and (conditions := draw(_CONDITIONS)):
        status["conditions"] = conditions
    if kind == DEPLOYMENT:
        if draw(st.booleans()):
            status["observedGeneration"] = draw(st.integers(1, 9))
        for name in draw(st.lists(st.sampled_from(_COUNTS), unique=True)):
            status[name] = draw(st.integers(1, 5))
    if kind == POD:
        status["phase"] = draw(st.sampled_from(["Pending", "Running", "Failed"]))
        status["containerStatuses"] = draw(_CONTAINERS)
    return {**obj, "status": status} if bool(status) or draw(st.booleans()) else obj

"""Handlers, Deployments and pods for the tests of the Gati domain, as the API would return them."""

from datetime import UTC, datetime
from typing import Any

from contract.demands import Demand, Need, Seen
from contract.model import Key, Object
from contract.ownership import Owner, stamp
from contract.plan import Child, Controller, Plan
from gati.handler import pod_problems
from gati.handler.controller import HandlerController
from gati.kinds import GATI_HANDLER
from objects.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGE = "registry.example/users:v1"


KINDS = {
    each.kind: each
    for each in (
        CONFIG_MAP,
        DEPLOYMENT,
        SERVICE,
        HORIZONTAL_POD_AUTOSCALER,
        POD_DISRUPTION_BUDGET,
        POD,
    )
}


def key(kind: str, name: str) -> Key:
    """The key of a child in the handlers' namespace."""
    return Key(KINDS[kind], "shop", name)


def planned(controller: Controller, parent: Object, seen: Seen, now: datetime) -> Plan:
    """The plan of a controller for a parent as it reads it."""
    return controller.plan(parent, controller.read(parent), seen, now)


def needed(controller: Controller, parent: Object) -> tuple[Demand, ...]:
    """What the plan of a parent needs to see, before anything is seen."""
    return controller.needs(parent, controller.read(parent), Seen("shop"), NOW)


def stamped(parent: Object, child: Child) -> Object:
    """A child as it is applied for that handler."""
    return stamp(child, Owner.of(GATI_HANDLER, parent), parent)


def handler(name: str = "users", *, generation: int = 1, **spec: Any) -> Object:
    """A GatiHandler with a path and an image, unless ``spec`` has others (None: absent)."""
    merged = {"path": "/users", "image": IMAGE, "replicas": 3} | spec
    return {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-of-{name}",
            "generation": generation,
        },
        "spec": {key: value for key, value in merged.items() if value is not None},
    }


def live_deployment(
    parent: Object,
    *,
    replicas: int = 3,
    updated: int | None = None,
    available: int | None = None,
    ready: int | None = None,
    total: int | None = None,
    current: bool = True,
    conditions: tuple[Object, ...] = (),
    seen: Seen | None = None,
) -> Object:
    """The Deployment that the plan of the parent makes, with a status."""
    plan = planned(HandlerController(default_image=IMAGE), parent, seen or Seen("shop"), NOW)
    body = next(one.body for one in children(plan) if one.kind == DEPLOYMENT)
    metadata = body["metadata"] | {"uid": "d", "generation": 2, "resourceVersion": "7"}
    total = replicas if total is None else total
    available = replicas if available is None else available
    status = {
        "observedGeneration": 2 if current else 1,
        "replicas": total,
        "updatedReplicas": total if updated is None else updated,
        "readyReplicas": available if ready is None else ready,
        "availableReplicas": available,
        "conditions": list(conditions),
    }
    return body | {
        "metadata": metadata,
        "spec": body["spec"] | {"replicas": replicas},
        "status": status,
    }


def condition(type_: str, status: str, reason: str, message: str = "") -> Object:
    """One condition of a Deployment or a pod."""
    return {"type": type_, "status": status, "reason": reason, "message": message}


def seeing(deployment: Object | None, *objects: Object, **seen: Any) -> Seen:
    """What is seen of a handler: its Deployment, and pods and autoscalers beside it."""
    children = {}
    if deployment is not None:
        children[key("Deployment", deployment["metadata"]["name"])] = deployment
    kinds = {"Pod": POD, "HorizontalPodAutoscaler": HORIZONTAL_POD_AUTOSCALER}
    needed: dict[Need, tuple[Object, ...]] = {}
    for obj in objects:
        need = Need(kinds[obj["kind"]], "shop", index="handler-users")
        needed[need] = (*needed.get(need, ()), obj)
    return Seen("shop", children=children, needed=needed, **seen)


def autoscaler(name: str = "mine", low: int = 2, high: int = 6, **metadata: Any) -> Object:
    """A user's own HorizontalPodAutoscaler on the Deployment of the handler ``users``."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "handler-users"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "shop"} | metadata,
        "spec": {"scaleTargetRef": target, "minReplicas": low, "maxReplicas": high},
    }


def pod(status: Object, name: str = "handler-users-7d9f8-x2k4p", **metadata: Any) -> Object:
    """A pod of the handler ``users`` with that status."""
    labels = {"gati.dev/workload": "handler-users", "gati.dev/handler": "users"}
    base = {"name": name, "namespace": "shop", "uid": "p", "resourceVersion": "9", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": base | metadata, "status": status}


def problem(status: Object, **metadata: Any) -> Object:
    """What is kept of a pod with that status, which must be a problem."""
    kept = pod_problems.keep(pod(status, **metadata))
    assert kept is not None
    return kept


def waiting(reason: str, message: str = "", **container: Any) -> Object:
    """The status of a pod whose container waits for that reason."""
    state = {"waiting": {"reason": reason, "message": message}}
    one = {"name": "handler", "image": IMAGE, "ready": False, "restartCount": 0, "state": state}
    return {"phase": "Pending", "containerStatuses": [one | container]}


def plan(parent: Object, seen: Seen | None = None, **settings: Any) -> Plan:
    """The plan for the parent at the tests' own time."""
    return planned(HandlerController(**settings), parent, seen or Seen("shop"), NOW)


def children(of: Plan) -> tuple[Child, ...]:
    """The wanted children; fails for a plan that leaves the children as they are."""
    assert of.children is not None
    return of.children


def child(of: Plan, kind: str) -> Object:
    """The wanted child of that kind; KeyError where there is none."""
    return {one.kind.kind: one.body for one in children(of)}[kind]


def kinds(of: Plan) -> list[str]:
    """The kinds of the wanted children, in order."""
    return [one.kind.kind for one in children(of)]


def conditions_of(of: Plan) -> dict[str, tuple[str, str]]:
    """(status, reason) of each condition by its type."""
    return {one["type"]: (one["status"], one["reason"]) for one in of.status["conditions"]}


def message(of: Plan, type_: str = "Ready") -> str:
    """The message of the condition of that type."""
    return next(one["message"] for one in of.status["conditions"] if one["type"] == type_)

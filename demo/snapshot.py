"""The objects of one namespace at one moment, and their description in words.

Everything is read from the snapshot of the API server's objects; optional fields may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from contract.model import Object
from demo.kubectl import Kubectl

HANDLER_LABEL = "gati.dev/handler"
OPERATOR = "gati-operator"
RESOURCES = (
    "events",
    "gatihandlers.gati.dev",
    "gatimodules.gati.dev",
    "gativersions.gati.dev",
    "deployments.apps",
    "replicasets.apps",
    "pods",
    "services",
    "endpointslices.discovery.k8s.io",
    "configmaps",
    "horizontalpodautoscalers.autoscaling",
    "poddisruptionbudgets.policy",
)
"""In the order of reading: Events first, so that no Event is newer than the object it is about."""
GATI_KINDS = ("GatiHandler", "GatiModule", "GatiVersion")
CHILD_KINDS = ("Deployment", "Service", "ConfigMap", "HorizontalPodAutoscaler",
               "PodDisruptionBudget")  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """The objects of one namespace."""

    objects: tuple[Object, ...] = ()

    def get(self, kind: str, name: str) -> Object | None:
        """The object of that kind and name, or None."""
        found = (body for body in self.of_kind(kind) if body["metadata"]["name"] == name)
        return next(found, None)

    def of_kind(self, *kinds: str) -> Iterator[Object]:
        """All objects of the kinds."""
        return (body for body in self.objects if body["kind"] in kinds)

    def of_handler(self, handler: str) -> list[Object]:
        """The objects made for a handler, found by the handler's label or else by name; without
        the handler itself.
        """
        workload = f"handler-{handler}"
        return [
            body
            for body in self.objects
            if body["kind"] not in (*GATI_KINDS, "Event")
            and (
                body["metadata"].get("labels", {}).get(HANDLER_LABEL) == handler
                or f"{body['metadata']['name']}-".startswith(f"{workload}-")
            )
        ]

    def pods(self, handler: str) -> list[Object]:
        """The handler's pods, without terminating ones."""
        return [
            body
            for body in self.of_handler(handler)
            if body["kind"] == "Pod" and "deletionTimestamp" not in body["metadata"]
        ]

    def events(self, kind: str, name: str) -> list[Object]:
        """The operator's Events about one object."""
        return [
            body
            for body in self.of_kind("Event")
            if about(body) == (kind, name) and OPERATOR in reporters(body)
        ]


def take(kubectl: Kubectl, namespace: str) -> Snapshot:
    """Read every object of the namespace that the demo shows. Raises KubectlError."""
    return Snapshot(tuple(kubectl.items(",".join(RESOURCES), "-n", namespace)))


def about(event: Object) -> tuple[str, str]:
    """(kind, name) of an Event's involved object; empty where the Event does not name one."""
    involved = event.get("involvedObject") or {}
    return involved.get("kind", ""), involved.get("name", "")


def reporters(event: Object) -> tuple[str, str]:
    """The components that reported an Event: ``reportingComponent`` and ``source.component``."""
    source = event.get("source") or {}
    return event.get("reportingComponent", ""), source.get("component", "")


def reason(event: Object) -> str:
    """An Event's reason, or ``no reason``."""
    return event.get("reason") or "no reason"


def condition(body: Object, type_: str) -> Object | None:
    """The condition of that type in an object's status."""
    conditions = body.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == type_), None)


def holds(body: Object, type_: str) -> bool:
    """Whether the condition of that type exists and is True."""
    found = condition(body, type_)
    return found is not None and found.get("status") == "True"


def is_observed(body: Object) -> bool:
    """Whether the status has observed the present generation."""
    observed = int(body.get("status", {}).get("observedGeneration", 0))
    return observed >= int(body["metadata"]["generation"])


def title(body: Object) -> str:
    """``Deployment handler-users-api``."""
    return f"{body['kind']} {body['metadata']['name']}"


def images(bodies: Iterable[Object]) -> list[str]:
    """The images of pods or pod templates, each once, sorted."""
    return sorted({each["image"] for body in bodies for each in body["spec"]["containers"]})


def lines(snapshot: Snapshot) -> dict[str, str]:
    """A line, by title, for each object of gati.dev, each child and each Event about one."""
    handlers = [body["metadata"]["name"] for body in snapshot.of_kind("GatiHandler")]
    children = [
        body
        for body in snapshot.of_kind(*CHILD_KINDS)
        if body["metadata"].get("labels", {}).get(HANDLER_LABEL)
        or any(body["metadata"]["name"] == f"handler-{name}" for name in handlers)
    ]
    found = {title(body): describe(body) for body in (*snapshot.of_kind(*GATI_KINDS), *children)}
    for event in snapshot.of_kind("Event"):
        kind, name = about(event)
        if kind in GATI_KINDS and name:
            key = f"Event {kind} {name} {event['metadata']['name']}"
            found[key] = f"{name}: {reason(event)}: {event.get('message', '')}"
    return found


def describe(body: Object) -> str:
    """The state of one object in a few words."""
    describers = {
        "GatiHandler": _handler,
        "GatiModule": _accepted,
        "GatiVersion": _accepted,
        "Deployment": _deployment,
        "Service": _service,
        "HorizontalPodAutoscaler": _autoscaler,
        "PodDisruptionBudget": _budget,
    }
    return describers.get(body["kind"], _present)(body)


def _present(_body: Object) -> str:
    return "exists"


def _handler(body: Object) -> str:
    status = body.get("status")
    if not status:
        return "no status yet"
    ready = condition(body, "Ready")
    counts = (
        f"{status.get('phase', '?')}, {status.get('readyReplicas', 0)} of "
        f"{status.get('replicas', 0)} ready, {status.get('updatedReplicas', 0)} updated"
    )
    if ready is None or ready["status"] == "True":
        return counts
    return f"{counts}; {ready['reason']}: {ready['message']}"


def _accepted(body: Object) -> str:
    accepted = condition(body, "Accepted")
    if accepted is None:
        return "no condition Accepted yet"
    return f"Accepted {accepted['status']}: {accepted['reason']}: {accepted['message']}"


def _deployment(body: Object) -> str:
    status, template = body.get("status", {}), body["spec"]["template"]
    return (
        f"{status.get('readyReplicas', 0)} of {body['spec']['replicas']} ready, "
        f"{status.get('updatedReplicas', 0)} updated; {', '.join(images([template]))}"
    )


def _service(body: Object) -> str:
    ports = ", ".join(str(port["port"]) for port in body["spec"].get("ports") or ())
    return (
        f"{body['spec'].get('clusterIP', 'no address')}, {f'port {ports}' if ports else 'no port'}"
    )


def _autoscaler(body: Object) -> str:
    spec, status = body["spec"], body.get("status", {})
    return (
        f"{spec.get('minReplicas', 1)} to {spec['maxReplicas']} replicas, "
        f"{status.get('desiredReplicas', 0)} desired"
    )


def _budget(body: Object) -> str:
    return f"at most {body['spec'].get('maxUnavailable', '?')} unavailable"

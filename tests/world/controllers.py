"""Fakes of the cluster's own controllers, as far as an operator looks at their work.

Each is one synchronous step over the server: read everything, write what follows, return when to
read again though nothing changes. The world takes the steps, always in the same order, so that a
run can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from contract.metadata import digest
from contract.model import Kind, Object
from contract.status import find, rfc3339
from memoryserver import Server
from reconciler.client.api import MERGE_PATCH, ApiError
from world.kinds import AUTOSCALER, DEPLOYMENT, NAMESPACE, POD

MANAGER = "kube-controller-manager"
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")


class Fake(Protocol):
    """A controller of the cluster."""

    def step(self, server: Server) -> datetime | None:
        """Look at everything and write what follows from it; answers when to look again."""


@dataclass
class Broken:
    """What is wrong with the pods of an image: the reason of their containers, or of no pods."""

    reason: str
    message: str = ""
    creates_pods: bool = True


@dataclass
class _Rollout:
    """One template of one Deployment on its way."""

    started: datetime
    done: bool = False


@dataclass
class DeploymentController:
    """Writes the status of Deployments; with ``pods``, their ReplicaSets and Pods too.

    A template is rolled out ``seconds`` after it was first seen, unless an image of it is in
    ``broken``: then its pods never become ready, or never exist, and the old ones stay (as with
    maxUnavailable 0).
    """

    seconds: float = 2.0
    pods: bool = False
    broken: dict[str, Broken] = field(default_factory=dict)
    _rollouts: dict[tuple[str, str], _Rollout] = field(default_factory=dict)
    _serving: dict[str, tuple[str, int]] = field(default_factory=dict)

    def step(self, server: Server) -> datetime | None:
        now, moments = server.now(), []
        for deployment in server.list(DEPLOYMENT).items:
            if "deletionTimestamp" in deployment["metadata"]:
                continue
            template = digest(deployment["spec"]["template"], 10)
            fault = self._fault(deployment)
            status = self._status(deployment, template, fault, now)
            rollout = self._rollouts[deployment["metadata"]["uid"], template]
            waits = (self.seconds, deployment["spec"]["progressDeadlineSeconds"])
            moments += [rollout.started + timedelta(seconds=wait) for wait in waits]
            if status != deployment.get("status"):
                body = {**deployment, "status": status}
                server.replace(DEPLOYMENT, body, MANAGER, subresource="status")
            if self.pods:
                self._write_pods(server, deployment, template, fault)
        return min((moment for moment in moments if moment > now), default=None)

    def _fault(self, deployment: Object) -> Broken | None:
        containers = deployment["spec"]["template"]["spec"]["containers"]
        found = (self.broken.get(container["image"]) for container in containers)
        return next(filter(None, found), None)

    def _status(
        self, deployment: Object, template: str, fault: Broken | None, now: datetime
    ) -> Object:
        uid, spec = deployment["metadata"]["uid"], deployment["spec"]
        wanted = spec["replicas"]
        rollout = self._rollouts.setdefault((uid, template), _Rollout(now))
        serving, old = self._serving.get(uid, (template, 0))
        elapsed = (now - rollout.started).total_seconds()
        if fault is None and (elapsed >= self.seconds or not wanted):
            rollout.done = True
        if fault is None and rollout.done:
            # A scale-up becomes ready by the next step: its pods are of a template that works.
            self._serving[uid] = serving, old = template, wanted
            updated = ready = total = wanted
        else:
            rollout.done = False
            ready = old if serving != template else 0
            updated = 0 if fault and not fault.creates_pods else wanted
            total = ready + updated
        late = not rollout.done and elapsed >= spec["progressDeadlineSeconds"]
        status: Object = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": total,
            "updatedReplicas": updated,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(total, wanted) - ready,
        }
        status = {name: value for name, value in status.items() if value}
        enough = ready >= wanted
        available = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if not enough:
            message = "Deployment does not have minimum availability."
            available = ("False", "MinimumReplicasUnavailable", message)
        progressing = ("True", "NewReplicaSetAvailable", "has successfully progressed.")
        if late:
            progressing = ("False", "ProgressDeadlineExceeded", "has timed out progressing.")
        elif not rollout.done:
            progressing = ("True", "ReplicaSetUpdated", "is progressing.")
        conditions = {"Available": available, "Progressing": progressing}
        if fault and not fault.creates_pods:
            conditions["ReplicaFailure"] = ("True", fault.reason, fault.message)
        status["conditions"] = [
            _condition(deployment, name, *values, now=now) for name, values in conditions.items()
        ]
        return status

    def _write_pods(
        self, server: Server, deployment: Object, template: str, fault: Broken | None
    ) -> None:
        """A ReplicaSet for the template, and pods of it up to what the status counts."""
        namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        wanted = 0 if fault and not fault.creates_pods else deployment["spec"]["replicas"]
        own = f"{name}-{template}"
        replica_set = server.get(REPLICA_SET, namespace, own)
        if replica_set is None:
            spec = {
                "replicas": wanted,
                "selector": {"matchLabels": labels},
                "template": deployment["spec"]["template"],
            }
            body = _owned(REPLICA_SET, own, deployment, labels, spec=spec)
            replica_set = server.create(REPLICA_SET, body, MANAGER)
        names = {f"{own}-{index}" for index in range(wanted)}
        finished = self._rollouts[deployment["metadata"]["uid"], template].done
        for pod in server.list(POD, namespace).items:
            owner = pod["metadata"].get("ownerReferences", [{}])[0].get("name", "")
            if owner.rpartition("-")[0] != name:
                continue
            stale = finished if owner != own else pod["metadata"]["name"] not in names
            if stale:
                server.delete(POD, namespace, pod["metadata"]["name"])
        for pod_name in sorted(names):
            pod = server.get(POD, namespace, pod_name) or server.create(
                POD,
                _owned(
                    POD,
                    pod_name,
                    replica_set,
                    labels,
                    spec=deployment["spec"]["template"]["spec"],
                ),
                MANAGER,
            )
            status = _pod_status(pod, fault, ready=finished)
            if status != pod.get("status"):
                server.replace(POD, {**pod, "status": status}, MANAGER, subresource="status")


@dataclass
class Autoscaler:
    """Writes ``spec.replicas`` of what HorizontalPodAutoscalers target, through the scale.

    ``wanted`` is how many replicas the load of an autoscaler of that name asks for.
    """

    wanted: dict[str, int] = field(default_factory=dict)

    def step(self, server: Server) -> None:
        for autoscaler in server.list(AUTOSCALER).items:
            namespace, name = autoscaler["metadata"]["namespace"], autoscaler["metadata"]["name"]
            spec = autoscaler["spec"]
            target = server.get(DEPLOYMENT, namespace, spec["scaleTargetRef"]["name"])
            if target is None or not target["spec"]["replicas"]:
                continue  # at 0 replicas an autoscaler is off
            current = target["spec"]["replicas"]
            desired = self.wanted.get(name, current)
            desired = max(spec["minReplicas"], min(spec["maxReplicas"], desired))
            if desired != current:
                server.patch(
                    DEPLOYMENT,
                    namespace,
                    target["metadata"]["name"],
                    {"spec": {"replicas": desired}},
                    MANAGER,
                    content_type=MERGE_PATCH,
                    subresource="scale",
                )
            status = {
                "currentReplicas": current,
                "desiredReplicas": desired,
                "conditions": [
                    _condition(
                        autoscaler, "AbleToScale", "True", "ReadyForNewScale", "", now=server.now()
                    )
                ],
            }
            if status != autoscaler.get("status"):
                body = {**autoscaler, "status": status}
                server.replace(AUTOSCALER, body, MANAGER, subresource="status")


class GarbageCollector:
    """Deletes what has owner references and no living owner in its own namespace."""

    def step(self, server: Server) -> None:
        living = {
            (namespace, kind.kind, obj["metadata"]["name"], obj["metadata"]["uid"])
            for kind, namespace, obj in _everything(server)
        }
        for kind, namespace, obj in _everything(server):
            owners = obj["metadata"].get("ownerReferences") or ()
            alive = any(
                (place, owner["kind"], owner["name"], owner["uid"]) in living
                for owner in owners
                for place in {namespace, ""}
            )
            if owners and not alive and "deletionTimestamp" not in obj["metadata"]:
                name, uid = obj["metadata"]["name"], obj["metadata"]["uid"]
                server.delete(kind, namespace, name, uid=uid)


class NamespaceController:
    """Empties a namespace that is being deleted, then lets it go."""

    def step(self, server: Server) -> None:
        for namespace in server.list(NAMESPACE).items:
            name = namespace["metadata"]["name"]
            if "deletionTimestamp" not in namespace["metadata"]:
                continue
            left = [(kind, obj) for kind, place, obj in _everything(server) if place == name]
            for kind, obj in left:
                if "deletionTimestamp" not in obj["metadata"]:
                    server.delete(kind, name, obj["metadata"]["name"])
            if not left:
                server.finalize_namespace(NAMESPACE, name)


def _everything(server: Server) -> Iterator[tuple[Kind, str, Object]]:
    for kind in server.kinds():
        try:
            found = server.list(kind).items
        except ApiError:
            continue  # not served any more
        for obj in found:
            yield kind, obj["metadata"].get("namespace", ""), obj


def _condition(
    obj: Object, type_: str, status: str, reason: str, message: str, *, now: datetime
) -> Object:
    before = find(obj, type_)
    same = before["status"] == status and "lastTransitionTime" in before
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": before["lastTransitionTime"] if same else rfc3339(now),
    }


def _owned(kind: Kind, name: str, owner: Object, labels: Object, *, spec: Object) -> Object:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    metadata = {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "labels": labels,
        "ownerReferences": [reference],
    }
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": metadata,
        "spec": spec,
    }


def _pod_status(pod: Object, fault: Broken | None, *, ready: bool) -> Object:
    containers = []
    for container in pod["spec"]["containers"]:
        state: Object = {"running": {}} if ready else {"waiting": {"reason": "ContainerCreating"}}
        if fault is not None:
            state = {"waiting": {"reason": fault.reason, "message": fault.message}}
        containers.append({"name": container["name"], "ready": ready, "state": state})
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "phase": "Running" if ready else "Pending",
        "conditions": [condition],
        "containerStatuses": containers,
    }

"""The objects and requests of the measurements. Pure.

The rule kept here: children and statuses come from the operator's own planner, so that the floor
writes what the operator writes, and a filled cluster holds what the operator leaves behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from contract.demands import Seen, Watch
from contract.metadata import digest
from contract.model import Key, Kind, Object
from contract.ownership import Owner, stamp
from contract.plan import Child, Plan
from gati import names, operator
from gati.handler.controller import HandlerController
from gati.kinds import GATI_HANDLER
from objects.kinds import DEPLOYMENT, POD, SERVICE
from reconciler.child_write import CREATE_ONLY
from reconciler.client.client import path_of

NAMESPACE = "bench"
MANAGER = "gati-operator"
IMAGE = "web:v1.0.0"
CONTROLLER = HandlerController()
KINDS = tuple(
    dict.fromkeys(
        kind
        for controller in operator.controllers(operator.Settings())
        for kind in (controller.kind, *(watch.kind for watch in controller.watches))
    )
)
"""Every kind that the operator watches."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"


class Write(NamedTuple):
    """One request; ``path`` includes the query."""

    method: str
    path: str
    body: Any = None
    content_type: str = JSON


def handler_name(number: int) -> str:
    """``h00042``: names sort by number."""
    return f"h{number:05}"


def handler(name: str, **spec: Any) -> Object:
    """A typical handler: port, one environment variable, resources, one replica."""
    return {
        "apiVersion": GATI_HANDLER.api_version,
        "kind": GATI_HANDLER.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "path": f"/{name}",
            "version": "v1.0.0",
            "image": IMAGE,
            "replicas": 1,
            "port": 3000,
            "env": [{"name": "LOG_LEVEL", "value": "info"}],
            "resources": {
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"cpu": "500m", "memory": "512Mi"},
            },
        }
        | spec,
    }


def create_handler(name: str, **spec: Any) -> Write:
    """The request with which a user creates a handler."""
    return Write("POST", path_of(GATI_HANDLER, NAMESPACE), handler(name, **spec))


def delete_handler(name: str) -> Write:
    """The request with which a user deletes a handler."""
    return Write("DELETE", path_of(GATI_HANDLER, NAMESPACE, name))


def set_image(name: str, image: str) -> Write:
    """The request with which a user changes a handler's image."""
    path = path_of(GATI_HANDLER, NAMESPACE, name)
    return Write("PATCH", path, {"spec": {"image": image}}, MERGE)


def deployment_path(name: str = "") -> str:
    """The path of a handler's Deployment, or of all Deployments."""
    return path_of(DEPLOYMENT, NAMESPACE, names.workload(name) if name else "")


def service_path(name: str = "") -> str:
    """The path of a handler's Service, or of all Services."""
    return path_of(SERVICE, NAMESPACE, names.workload(name) if name else "")


def handlers_path() -> str:
    """The path of all handlers."""
    return path_of(GATI_HANDLER, NAMESPACE)


NOTHING_SEEN = Seen(NAMESPACE)


def children(parent: Object) -> tuple[Child, ...]:
    """The children that the operator creates for a new handler."""
    return _plan(parent, datetime.now(UTC)).children or ()


def _plan(parent: Object, now: datetime, seen: Seen = NOTHING_SEEN) -> Plan:
    return CONTROLLER.plan(parent, CONTROLLER.read(parent), seen, now)


def create_child(parent: Object, child: Child) -> Write:
    """The request with which the operator creates a child: a create-only apply."""
    body = stamp(child, Owner.of(GATI_HANDLER, parent), parent)
    only = {**body, "metadata": {**body["metadata"], "resourceVersion": CREATE_ONLY}}
    path = path_of(child.kind, NAMESPACE, child.key.name)
    return Write("PATCH", f"{path}?fieldManager={MANAGER}&force=true", only, APPLY)


def first_writes(parent: Object) -> tuple[Write, ...]:
    """The floor for one handler: its children, then its status."""
    wanted = children(parent)
    deployment = next(child.body for child in wanted if child.kind == DEPLOYMENT)
    live = {**deployment, "metadata": {**deployment["metadata"], "generation": 1}}
    return (*(create_child(parent, child) for child in wanted), write_status(parent, live))


def write_status(parent: Object, deployment: Object) -> Write:
    """The request with which the operator writes the status for a live Deployment."""
    seen = Seen(NAMESPACE, children={Key.of(DEPLOYMENT, deployment): deployment})
    status = _plan(parent, datetime.now(UTC), seen).status
    metadata = parent["metadata"]
    body = {
        "apiVersion": GATI_HANDLER.api_version,
        "kind": GATI_HANDLER.kind,
        "metadata": {key: metadata[key] for key in ("name", "namespace", "uid")},
        "status": status,
    }
    path = path_of(GATI_HANDLER, NAMESPACE, metadata["name"], "status")
    return Write("PATCH", f"{path}?fieldManager={MANAGER}&force=true", body, APPLY)


def roll_out(deployment: Object) -> Write:
    """The write of kube-controller-manager to a Deployment with one available replica."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = deployment["metadata"]["name"]
    times = {"lastTransitionTime": now, "lastUpdateTime": now}
    status = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "conditions": [
            {
                "type": "Available",
                "status": "True",
                "reason": "MinimumReplicasAvailable",
                "message": "Deployment has minimum availability.",
                **times,
            },
            {
                "type": "Progressing",
                "status": "True",
                "reason": "NewReplicaSetAvailable",
                "message": f'ReplicaSet "{name}-6c5f7d8b9" has successfully progressed.',
                **times,
            },
        ],
    }
    annotations = {"deployment.kubernetes.io/revision": "1"}
    body = {"metadata": {"annotations": annotations}, "status": status}
    return Write("PATCH", path_of(DEPLOYMENT, NAMESPACE, name, "status"), body, MERGE)


def pod_name(deployment: Object) -> str:
    """The name of the one pod of a Deployment."""
    return f"{deployment['metadata']['name']}-6c5f7d8b9-x2x4x"


def create_pod(deployment: Object) -> Write:
    """The create of a Deployment's one pod, which no kubelet runs."""
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": pod_name(deployment), "namespace": NAMESPACE}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**template["spec"], "nodeName": "bench-node"},
    }
    return Write("POST", path_of(POD, NAMESPACE), body)


def run_pod(deployment: Object) -> Write:
    """The write of a kubelet to the status of a ready pod."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    containers = deployment["spec"]["template"]["spec"]["containers"]
    status = {
        "phase": "Running",
        "startTime": now,
        "conditions": [
            {"type": type_, "status": "True", "lastTransitionTime": now}
            for type_ in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
        ],
        "containerStatuses": [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": "",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
            for each in containers
        ],
    }
    path = path_of(POD, NAMESPACE, pod_name(deployment), "status")
    return Write("PATCH", path, {"status": status}, MERGE)


def fingerprint(*versions: str) -> str:
    """A digest of everything that shapes a filled cluster: an old cluster has another digest."""
    parent = handler("h")
    parent["metadata"] |= {"uid": "0", "generation": 1}
    wanted = [stamp(child, Owner.of(GATI_HANDLER, parent), parent) for child in children(parent)]
    status = dict(_plan(parent, datetime.fromtimestamp(0, UTC)).status or {})
    return digest([parent, wanted, status, *versions])


def watched_kinds(watches: Sequence[Watch] = CONTROLLER.watches) -> tuple[Watch, ...]:
    """The kinds that the operator caches for handlers, with their watches."""
    return (Watch(GATI_HANDLER), *watches)


def cached(watch: Watch, obj: Object) -> Object | None:
    """The part of an object that the cache keeps, as in ``Store``; None for nothing."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    whole = {**obj, "metadata": metadata}
    return watch.keep(whole) if watch.keep else whole


def collection(kind: Kind) -> str:
    """The path of all objects of a kind in the benchmark's namespace."""
    return path_of(kind, NAMESPACE)

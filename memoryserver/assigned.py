"""Values that the API server assigns: addresses, ports, the first status. Pure."""

from __future__ import annotations

from contract.model import Kind, Object
from memoryserver.shapes import is_built_in

_FIRST_STATUS: dict[str, Object] = {
    "services": {"loadBalancer": {}},
    "ingresses.networking.k8s.io": {"loadBalancer": {}},
    "namespaces": {"phase": "Active"},
    "persistentvolumeclaims": {"phase": "Pending"},
    "pods": {"phase": "Pending"},
    "statefulsets.apps": {"replicas": 0, "availableReplicas": 0},
    "replicasets.apps": {"replicas": 0},
    "daemonsets.apps": {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
    "poddisruptionbudgets.policy": {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
    "horizontalpodautoscalers.autoscaling": {"desiredReplicas": 0},
}


def initial_status(kind: Kind, obj: Object) -> Object:
    """The object with the status of a new object; custom resources have none."""
    if not is_built_in(kind):
        return {name: value for name, value in obj.items() if name != "status"}
    return {**obj, "status": dict(_FIRST_STATUS.get(kind.resource, {}))}


def allocated(kind: Kind, obj: Object, old: Object | None, number: int) -> Object:
    """A Service with cluster IP and node ports: those of ``old``, or new ones from ``number``."""
    if kind.resource != "services":
        return obj
    spec = dict(obj.get("spec") or {})
    before = (old or {}).get("spec", {})
    kind_of = spec.get("type", "ClusterIP")
    if kind_of == "ExternalName":
        return obj
    if not spec.get("clusterIP"):
        address = before.get("clusterIP") or f"10.96.{number // 250 % 250}.{number % 250 + 1}"
        spec["clusterIP"] = address
        spec["clusterIPs"] = before.get("clusterIPs") or [address]
    if kind_of in {"LoadBalancer", "NodePort"}:
        had = {(port["port"], port.get("protocol")): port for port in before.get("ports", ())}
        ports = []
        for index, port in enumerate(spec.get("ports") or ()):
            same = had.get((port.get("port"), port.get("protocol", "TCP")), {})
            node_port = same.get("nodePort") or 30000 + (number * 8 + index) % 2768
            ports.append(port if port.get("nodePort") else {**port, "nodePort": node_port})
        spec["ports"] = ports
    return {**obj, "spec": spec}

"""What a handler becomes, as plain objects that hold every field we mean to own and no other.

No null and no empty map: what is sent is what the API server stores, so that an intent can be
compared with what is live.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.model import Kind, Object
from gati import names
from gati.contracts import (
    Autoscaling,
    ConfigMapSpec,
    DeploymentSpec,
    HandlerSpec,
    JsonObject,
    ServiceSpec,
)
from gati.handler.autoscaling import autoscaler_spec
from gati.handler.pods import pod_template
from gati.spec.probes import PORT_NAME

PROGRESS_DEADLINE_SECONDS = 600
REVISION_HISTORY_LIMIT = 3


class KubernetesManifests:
    """The ManifestGenerator of handlers for a plain Kubernetes cluster."""

    def deployment(
        self, spec: HandlerSpec, *, replicas: int | None, config_digest: str
    ) -> DeploymentSpec:
        """A Deployment whose rolling update starts a new pod before it stops an old one."""
        deployment: DeploymentSpec = {
            "selector": names.workload_selector(names.workload(spec.name)),
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
            },
            "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS,
            "revisionHistoryLimit": REVISION_HISTORY_LIMIT,
            "template": pod_template(spec, config_digest),
        }
        if replicas is not None:
            deployment["replicas"] = replicas
        return deployment

    def service(self, spec: HandlerSpec) -> ServiceSpec:
        """The stable address of every pod of the handler, whatever its version."""
        port: JsonObject = {
            "name": PORT_NAME,
            "port": spec.port,
            "targetPort": PORT_NAME,
            "protocol": "TCP",
        }
        return {
            "type": "ClusterIP",
            "selector": {names.HANDLER: names.handler_value(spec.name)},
            "ports": [port],
        }

    def config_map(self, spec: HandlerSpec) -> ConfigMapSpec | None:
        """``spec.config`` as it reaches the container through ``envFrom``."""
        return {"data": dict(spec.config)} if spec.config else None


def horizontal_pod_autoscaler(autoscaling: Autoscaling, spec: HandlerSpec) -> JsonObject:
    """The content of the handler's own autoscaler."""
    return {"spec": autoscaler_spec(autoscaling, names.workload(spec.name))}


def pod_disruption_budget(spec: HandlerSpec) -> JsonObject:
    """One pod at a time may be evicted; a pod that is not ready never holds up a drain."""
    return {
        "spec": {
            "maxUnavailable": 1,
            "selector": names.workload_selector(names.workload(spec.name)),
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
    }


def complete(kind: Kind, spec: HandlerSpec, content: Mapping[str, Any]) -> Object:
    """The whole object: content, name and labels.

    The version stands only on the Deployment, so that a new one writes nothing else; the path
    stands on the Service, where a router looks, and rolls no pod.
    """
    metadata: JsonObject = {
        "name": names.workload(spec.name),
        "namespace": spec.namespace,
        "labels": names.handler_labels(spec.name),
    }
    if kind.kind == "Deployment":
        metadata["labels"] |= names.version_labels(spec.version)
        metadata["annotations"] = names.version_annotations(spec.name, spec.version)
    if kind.kind == "Service":
        metadata["annotations"] = {names.PATH: spec.path}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}

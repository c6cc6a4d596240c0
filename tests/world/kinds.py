"""The kinds that world tests use, and one small custom resource of their own."""

from __future__ import annotations

from contract.model import Kind, Object

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
SECRET = Kind("", "v1", "Secret", "secrets")
SERVICE = Kind("", "v1", "Service", "services")
POD = Kind("", "v1", "Pod", "pods")
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
JOB = Kind("batch", "v1", "Job", "jobs")
AUTOSCALER = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
INGRESS = Kind("networking.k8s.io", "v1", "Ingress", "ingresses")
BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGE = Kind("", "v1", "LimitRange", "limitranges")
CRD = Kind(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)
WIDGET = Kind("world.test", "v1", "Widget", "widgets")

_STRING = {"type": "string"}
WIDGET_CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.world.test"},
    "spec": {
        "group": "world.test",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                    },
                },
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "replicas": {"type": "integer", "default": 1},
                                    "size": _STRING,
                                    "nested": {
                                        "type": "object",
                                        "properties": {
                                            "a": _STRING,
                                            "b": {"type": "string", "default": "bb"},
                                        },
                                    },
                                    "tags": {
                                        "type": "object",
                                        "additionalProperties": _STRING,
                                    },
                                    "list": {"type": "array", "items": _STRING},
                                    "named": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["name"],
                                        "items": {
                                            "type": "object",
                                            "required": ["name"],
                                            "properties": {
                                                "name": _STRING,
                                                "value": _STRING,
                                                "colour": {"type": "string", "default": "red"},
                                            },
                                        },
                                    },
                                },
                            },
                            "status": {
                                "type": "object",
                                "properties": {
                                    "phase": _STRING,
                                    "replicas": {"type": "integer"},
                                    "observedGeneration": {"type": "integer"},
                                    "conditions": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["type"],
                                        "items": {
                                            "type": "object",
                                            "required": ["type"],
                                            "properties": {
                                                "type": _STRING,
                                                "status": _STRING,
                                                "reason": _STRING,
                                                "message": _STRING,
                                                "lastTransitionTime": _STRING,
                                                "observedGeneration": {"type": "integer"},
                                            },
                                        },
                                    },
                                },
                            },
                        },
                    }
                },
            }
        ],
    },
}


def body(kind: Kind, name: str, spec: Object | None = None, **top: object) -> Object:
    """An object without namespace; keywords are its other top-level fields."""
    metadata: Object = {"name": name, **(top.pop("metadata", {}) or {})}  # type: ignore[dict-item]
    made: Object = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **top}
    return made if spec is None else {**made, "spec": spec}


def deployment(name: str, *containers: Object, **spec: object) -> Object:
    """A Deployment that selects ``app: <name>``."""
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": list(containers) or [{"name": "main", "image": "app:1"}]},
    }
    selector = {"matchLabels": {"app": name}}
    return body(DEPLOYMENT, name, {"selector": selector, "template": template, **spec})

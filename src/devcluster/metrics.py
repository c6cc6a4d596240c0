"""A metrics API whose figures a test sets, so that a real HorizontalPodAutoscaler scales.

The autoscaler only lists PodMetrics by label, so the API is a CustomResourceDefinition with the
name and shape of the real one, and a figure is an object that carries its pod's labels. Figures
belong to their pods and are garbage-collected with them; a pod without a figure counts as one
whose metrics are missing, as with the real metrics server.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from .api import Api

GROUP = "metrics.k8s.io"
VERSION = "v1beta1"
DEFINITION_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
# The autoscaler ignores figures that are older than a pod's last change of readiness.
VALID_FOR = timedelta(days=1)


def definition(plural: str, kind: str, scope: str) -> dict[str, Any]:
    """The CustomResourceDefinition of one of the two metrics kinds."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{GROUP}",
            # Without this annotation the server refuses a group below k8s.io.
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for tests"},
        },
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"plural": plural, "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        }
                    },
                }
            ],
        },
    }


DEFINITIONS = (
    definition("pods", "PodMetrics", "Namespaced"),
    definition("nodes", "NodeMetrics", "Cluster"),
)


def install(api: Api) -> None:
    """Makes the API server serve `metrics.k8s.io`."""
    for document in DEFINITIONS:
        api.apply(DEFINITION_PATH + document["metadata"]["name"], document)


def pod_metrics(pod: Mapping[str, Any], cpu_millicores: int, now: datetime) -> dict[str, Any]:
    """The figure of one pod: the CPU is spread evenly over its containers."""
    metadata = pod["metadata"]
    names = [container["name"] for container in pod["spec"]["containers"]]
    # In nanocores, so that an uneven share does not lose a millicore.
    share = cpu_millicores * 1_000_000 // len(names)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "PodMetrics",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": metadata.get("labels", {}),
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                }
            ],
        },
        "timestamp": (now + VALID_FOR).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "window": "10s",
        "containers": [
            {"name": name, "usage": {"cpu": f"{share}n", "memory": "64Mi"}} for name in names
        ],
    }


def pods_path(namespace: str, selector: str = "") -> str:
    """The path of a list of pods."""
    query = f"?{urlencode({'labelSelector': selector})}" if selector else ""
    return f"/api/v1/namespaces/{namespace}/pods{query}"


def set_pod(api: Api, pod: Mapping[str, Any], cpu_millicores: int) -> None:
    """Sets the figure of one pod, which must exist."""
    figure = pod_metrics(pod, cpu_millicores, datetime.now(UTC))
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{pod['metadata']['namespace']}/pods/"
    api.apply(path + pod["metadata"]["name"], figure)


def set_pods(api: Api, namespace: str, cpu_millicores: Mapping[str, int]) -> None:
    """Sets the figures of the pods that are named, in millicores. Raises ApiError (404) when
    there is no such pod.
    """
    for name, figure in cpu_millicores.items():
        set_pod(api, api.json("GET", f"/api/v1/namespaces/{namespace}/pods/{name}"), figure)


def set_selected(api: Api, namespace: str, selector: str, cpu_millicores: int) -> int:
    """Gives every pod that the label selector finds now the same figure; how many there were."""
    pods = api.json("GET", pods_path(namespace, selector))["items"]
    for pod in pods:
        set_pod(api, pod, cpu_millicores)
    return len(pods)

"""The resource types that the Gati operator reads or writes, each named once."""

from __future__ import annotations

from reconciler.model import Kind

GROUP = "gati.dev"
"""API group of the kinds, and prefix of the labels and annotations."""

GATI_HANDLER = Kind(GROUP, "v1", "GatiHandler", "gatihandlers")
GATI_MODULE = Kind(GROUP, "v1", "GatiModule", "gatimodules")
GATI_VERSION = Kind(GROUP, "v1", "GatiVersion", "gativersions")

DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
SERVICE = Kind("", "v1", "Service", "services")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
HORIZONTAL_POD_AUTOSCALER = Kind(
    "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"
)
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
POD = Kind("", "v1", "Pod", "pods")

"""The handler's own HorizontalPodAutoscaler, on the CPU use of its Deployment."""

from __future__ import annotations

from contract.model import Object
from gati.handler.build.metadata import with_metadata
from gati.handler.resolve import Handler
from gati.types.workload import Autoscaling
from objects.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER


def autoscaler(handler: Handler, autoscaling: Autoscaling) -> Object:
    """The HorizontalPodAutoscaler of a handler with that ``spec.autoscaling``."""
    target = {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "name": handler.workload,
    }
    aim = {"type": "Utilization", "averageUtilization": autoscaling.target_cpu}
    spec = {
        "scaleTargetRef": target,
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": aim}}],
    }
    return with_metadata(HORIZONTAL_POD_AUTOSCALER, handler, spec=spec)

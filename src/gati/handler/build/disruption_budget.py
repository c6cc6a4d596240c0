"""The PodDisruptionBudget of a handler that runs on two pods or more."""

from __future__ import annotations

from contract.model import Object
from gati import names
from gati.handler.build.metadata import with_metadata
from gati.handler.resolve import Handler
from objects.kinds import POD_DISRUPTION_BUDGET


def disruption_budget(handler: Handler) -> Object:
    """One pod at a time may be evicted; a pod that is not ready never holds up a drain."""
    spec = {
        "maxUnavailable": 1,
        "selector": names.workload_selector(handler.workload),
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return with_metadata(POD_DISRUPTION_BUDGET, handler, spec=spec)

"""``spec.autoscaling``: the bounds between which the number of pods follows the load."""

from __future__ import annotations

from gati.contracts import Autoscaling
from gati.spec.fields import Fields, Invalid

DEFAULT_TARGET_CPU = 70
_MOST = 2**31 - 1


def parse_autoscaling(fields: Fields) -> Autoscaling | None:
    """``spec.autoscaling``, or None where it is off. Raises Invalid."""
    block = fields.object("autoscaling")
    enabled = block.boolean("enabled")
    low = block.integer("minReplicas", 1, _MOST) or 1
    high = block.integer("maxReplicas", 1, _MOST)
    target = block.integer("targetCPU", 1, _MOST) or DEFAULT_TARGET_CPU
    if not enabled:
        return None
    if high is None:
        raise Invalid(block.at("maxReplicas"), "is missing: write the most replicas to scale to")
    if low > high:
        raise Invalid(
            block.at("minReplicas"),
            f"is {low}, more than maxReplicas {high}: lower one or raise the other",
        )
    return Autoscaling(low, high, target)

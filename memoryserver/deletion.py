"""Deletion: at once, or delayed by finalizers or a grace period. Pure.

https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/
"""

from __future__ import annotations

from datetime import datetime, timedelta

from contract.model import Kind, Object
from contract.status import rfc3339
from memoryserver.patches import clone

_GRACE = "deletionGracePeriodSeconds"


def marked_for_deletion(kind: Kind, obj: Object, now: datetime, grace: int | None) -> Object:
    """The object after a DELETE; ``grace`` in seconds may shorten an earlier grace period."""
    seconds = _grace_of(kind, obj) if grace is None else grace
    marked: Object = clone(obj)
    metadata = marked["metadata"]
    if "deletionTimestamp" in metadata and seconds >= metadata.get(_GRACE, 0):
        return marked
    if "generation" in metadata and "deletionTimestamp" not in metadata:
        metadata["generation"] += 1
    metadata["deletionTimestamp"] = rfc3339(now + timedelta(seconds=seconds))
    if kind.resource == "namespaces":
        marked["status"] = {"phase": "Terminating"}
    else:
        metadata[_GRACE] = seconds
    return marked


def is_kept(obj: Object) -> bool:
    """Does a terminating object stay? A Namespace has finalizers in its spec."""
    metadata = obj["metadata"]
    in_spec = (obj.get("spec") or {}).get("finalizers") if obj["kind"] == "Namespace" else None
    return bool(metadata.get("finalizers") or in_spec or metadata.get(_GRACE))


def _grace_of(kind: Kind, obj: Object) -> int:
    """The grace period in seconds: only a pod on a node has one."""
    spec, phase = obj.get("spec") or {}, (obj.get("status") or {}).get("phase")
    if kind.resource != "pods" or not spec.get("nodeName") or phase in {"Succeeded", "Failed"}:
        return 0
    return int(spec.get("terminationGracePeriodSeconds", 30))

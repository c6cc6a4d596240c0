"""Which operator looks after an object, where two installations share a cluster.

An object without the annotation belongs to the operator without a class. Who it does not belong
to neither writes nor removes anything, its status included.
"""

from __future__ import annotations

from gati.names import OPERATOR_CLASS
from reconciler.model import Object, Plan


def is_ours(parent: Object, operator_class: str) -> bool:
    """Does the object belong to the operator of that class?"""
    annotations = parent["metadata"].get("annotations") or {}
    return bool(annotations.get(OPERATOR_CLASS, "") == operator_class)


def untouched(parent: Object) -> Plan:
    """The plan for an object that belongs to another operator: everything stays as it is."""
    return Plan(status=parent.get("status") or {})

"""What the operator stores on a parent beside its status: the record and the finalizer. Pure."""

from __future__ import annotations

import json
from typing import Any

from contract.model import Object
from contract.ownership import annotations_of


def record_annotation(group: str) -> str:
    """Holds the record of a parent, as canonical JSON."""
    return f"{group}/record"


def finalizer(group: str) -> str:
    """The operator's finalizer: the parent stays until its plan lets go of it."""
    return f"{group}/finalizer"


def recorded(parent: Object, group: str) -> dict[str, Any] | None:
    """The record that a parent carries, empty where there is none; None if it cannot be read.

    Everyone who may edit the parent may edit the record: nothing in it may grant anything.
    """
    text = annotations_of(parent).get(record_annotation(group))
    try:
        found = json.loads(text) if text is not None else {}
    except (ValueError, RecursionError):  # nested by the thousands: a user can write that
        return None
    return found if isinstance(found, dict) else None


def has_finalizer(parent: Object, group: str) -> bool:
    """Does the parent carry the operator's finalizer?"""
    return finalizer(group) in (parent["metadata"].get("finalizers") or ())

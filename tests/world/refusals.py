"""Refusals whose messages are the same from the in-memory API server and a real one."""

from __future__ import annotations

from contract.model import Kind, Object
from reconciler.client.api import Api, ApiError

_INVALID = '422 Deployment.apps "x" is invalid: spec.progressDeadlineSeconds: Invalid value: '
UNREACHABLE = [
    (11, ""),
    (10, f"{_INVALID}10: must be greater than minReadySeconds"),
    (9, f"{_INVALID}9: must be greater than minReadySeconds"),
]
"""A Deployment's progressDeadlineSeconds beside minReadySeconds 10, and the server's message."""


async def refused(api: Api, kind: Kind, obj: Object) -> str:
    """The server's refusal of an object; empty where it accepts the object."""
    try:
        await api.create(kind, obj)
    except ApiError as error:
        return f"{error.code} {error.message}"
    return ""

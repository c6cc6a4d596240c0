"""Status objects as an API server sends them. Pure."""

from __future__ import annotations

from typing import Any

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def status(code: int, verb: str = "", retry_after: float | None = None) -> dict[str, Any]:
    """A failed Status of this HTTP code; ``retry_after`` in seconds.

    The reason of a 409 is AlreadyExists for a create, Conflict for every other verb.
    """
    reason = _REASONS.get(code, "")
    if code == 409 and verb == "create":
        reason = "AlreadyExists"
    details = {} if retry_after is None else {"details": {"retryAfterSeconds": int(retry_after)}}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"the fault proxy answers {code} {reason}".strip(),
        "reason": reason,
        "code": code,
        **details,
    }

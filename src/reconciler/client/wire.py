"""Answers, Status objects and watch frames of an API server, decoded into values. Pure.

The rule: each answer is decoded here and nowhere else. An error, for example a 410 that ends a list
or a watch, is an ApiError. A body that is not of the Kubernetes API is Unreachable: a proxy
answered, and the request may or may not have reached the server.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any, NamedTuple

import msgspec

from contract.model import Kind, Object
from reconciler.client.api import ApiError, Unreachable, WatchEvent

FRAME_LIMIT = 16 * 1024 * 1024
"""Bytes of one watch frame; etcd holds no object above 1.5 MB, so more is not a frame."""

_EVENTS = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})
_MESSAGE_LIMIT = 1024


class Answer(NamedTuple):
    """One HTTP response, whatever its status code."""

    code: int
    headers: Mapping[str, str]
    body: bytes


def encode(body: Any) -> bytes:
    """A JSON value as the body of a request."""
    return msgspec.json.encode(body)


# ---- answers ------------------------------------------------------------------------------------


def object_of(answer: Answer) -> Object:
    """The object of a successful answer. Raises ApiError, or Unreachable for another body."""
    if answer.code >= 300:
        raise error_of(answer)
    decoded = _json(answer.body)
    if not isinstance(decoded, dict):
        raise Unreachable("response is not a JSON object (a proxy in between?)")
    return decoded


def is_about_an_object(answer: Answer) -> bool:
    """Does a 404 name an object? One about a kind that is not served names none."""
    return bool((_json_object(answer.body).get("details") or {}).get("name"))


def remaining(answer: Object) -> Object | None:
    """What a DELETE left, by the server's answer to it; None where nothing is left.

    The answer may be the object also where it is gone: a Service (without a deletionTimestamp),
    a Pod on no node (with one, and a grace period of 0). An object stays only for finalizers,
    those of a Namespace being in its spec, or for a grace period.
    """
    metadata, spec = answer.get("metadata") or {}, answer.get("spec")
    waits = (
        metadata.get("finalizers")
        or (isinstance(spec, dict) and spec.get("finalizers"))
        or (metadata.get("deletionGracePeriodSeconds") or 0) > 0
    )
    return answer if metadata.get("deletionTimestamp") and waits else None


def names_only(kind: Kind, obj: Object) -> Object:
    """An object without all but its metadata, as its own kind and not a PartialObjectMetadata.

    A server that does not know PartialObjectMetadata may have sent the whole object.
    """
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": obj.get("metadata") or {},
    }


# ---- errors -------------------------------------------------------------------------------------


def error_of(answer: Answer) -> ApiError:
    """An unsuccessful answer as ApiError; the body may be a Status, a text or a page."""
    status = _json_object(answer.body)
    if status.get("kind") == "Status":
        error = error_of_status(status, answer.code)
    else:
        text = re.sub(r"<[^>]*>", " ", answer.body[:65536].decode("utf-8", "replace"))
        error = ApiError(answer.code, message=_short(text))
    header = answer.headers.get("Retry-After", "")
    if error.retry_after is None and header.isdecimal():
        error.retry_after = float(header)
    return error


def error_of_status(status: Mapping[str, Any], code: int = 0) -> ApiError:
    """A Status object as ApiError; ``code`` is used where the Status has none."""
    details = status.get("details") or {}
    seconds = details.get("retryAfterSeconds")
    return ApiError(
        code=int(status.get("code") or code or 500),
        reason=str(status.get("reason") or ""),
        message=_short(str(status.get("message") or "")),
        retry_after=float(seconds) if seconds else None,
        causes=details.get("causes") or (),
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_LIMIT else line[: _MESSAGE_LIMIT - 1] + "…"


# ---- watches ------------------------------------------------------------------------------------


async def frames(chunks: AsyncIterable[bytes], limit: int = FRAME_LIMIT) -> AsyncIterator[bytes]:
    """The lines of a watch, from chunks of any size; empty lines are left out.

    A tail without a line end is a frame that was cut off. It is dropped, and the watch resumes
    before it. Only a Status without a line end is yielded: some servers send it instead of a watch.
    """
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        parts.append(first)
        size += len(first)
        if size > limit:
            raise Unreachable(f"a watch frame above {limit} bytes")
        for following in rest:
            if line := b"".join(parts).strip():
                yield line
            parts, size = [following], len(following)
    tail = b"".join(parts).strip()
    if _json_object(tail).get("kind") == "Status":
        yield tail


def event_of(line: bytes) -> WatchEvent | None:
    """A frame as event; None for an event type that this client does not have.

    Raises ApiError for an ERROR frame, and for a Status in place of a frame.
    """
    frame = _json(line)
    if not isinstance(frame, dict):
        raise Unreachable("watch frame is not a JSON object (a proxy in between?)")
    if frame.get("kind") == "Status":
        raise error_of_status(frame)
    if frame.get("type") == "ERROR":
        raise error_of_status(frame.get("object") or {})
    if frame.get("type") not in _EVENTS or not isinstance(frame.get("object"), dict):
        return None
    return WatchEvent(frame["type"], frame["object"])


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreachable("response is not JSON (a proxy in between?)") from None


def _json_object(body: bytes) -> dict[str, Any]:
    """A JSON object; an empty one where the body is something else."""
    try:
        value = _json(body)
    except Unreachable:
        return {}
    return value if isinstance(value, dict) else {}

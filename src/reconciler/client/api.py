"""The Kubernetes API as the runtime uses it: eight verbs, their errors, and nothing else.

``client.Client`` speaks them to an API server; the tests' in-memory server speaks them
too. Whoever needs the API takes an ``Api``, never a client: this is the one seam.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from contract.model import Kind, Object

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
RETRY_AFTER_LIMIT = 60.0
"""The longest that a server is given, however long it asks for (seconds)."""


class ApiError(Exception):
    """The API server answered, and the answer is no.

    ``code`` is the HTTP status, ``reason`` the machine-readable Status reason (``Conflict``,
    ``Invalid``, ...; empty where the body was no Status), ``message`` the server's words cut
    to a sane length, ``retry_after`` seconds where the server named them.
    """

    def __init__(
        self,
        code: int,
        reason: str = "",
        message: str = "",
        retry_after: float | None = None,
        causes: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(f"{code} {reason}: {message}" if reason else f"{code}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = tuple(causes)


class Unreachable(Exception):
    """No answer: refused, reset, timed out, or TLS failed. A write may or may not have happened."""


class NotLeader(Exception):
    """The write was not sent: this process does not hold the lease, or not for long enough."""


class WatchEvent(NamedTuple):
    """One frame of a watch. ERROR frames are raised as ApiError and never seen here."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object


class Listing(NamedTuple):
    """A complete, consistent list: all pages, and the resource version to watch from."""

    items: list[Object]
    resource_version: str


class Api(Protocol):
    """Eight verbs. Every call has a deadline of its own and raises ApiError or Unreachable.

    Mutating verbs raise NotLeader, before anything is sent, where a lease guards the client.
    Objects passed in are not changed; objects returned belong to the caller.
    """

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The live object, or None where there is none. (A missing CRD raises ApiError 404.)"""

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Listing:
        """All objects, in pages, of a namespace or (None) of all; never resourceVersion=0."""

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> AsyncGenerator[Listing, None]:
        """The same page by page, for whom all at once are too many.

        ApiError 410 tells that the rest is lost, and that what came belongs to no list.
        """
        yield await self.list(kind, namespace, labels=labels, fields=fields)

    def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        initial_events: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        """Frames from ``resource_version`` on; ends when the server or the deadline ends it.

        ``initial_events`` asks for the present set first (WatchList, KEP-3157): it ends with a
        BOOKMARK that carries the annotation ``k8s.io/initial-events-end``.
        """

    async def apply(
        self,
        kind: Kind,
        body: Object,
        *,
        manager: str,
        force: bool = True,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        """Server-side apply. ``metadata.resourceVersion: "1"`` in the body makes it create-only."""

    async def create(self, kind: Kind, body: Object) -> Object:
        """POST."""

    async def replace(self, kind: Kind, body: Object, *, subresource: str = "") -> Object:
        """PUT; the body's resourceVersion guards it."""

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Any,
        *,
        content_type: str,
        subresource: str = "",
    ) -> Object:
        """JSON patch or merge patch."""

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = ""
    ) -> None:
        """Delete in the background, only while uid (and resourceVersion) are as given (409)."""

"""The Kubernetes API as the runtime uses it: its verbs and their errors.

The rule: code that needs the API takes an ``Api`` and never a client. ``client.Client`` implements
``Api`` for an API server, and the tests have an in-memory implementation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from contract.model import Kind, Object

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
RETRY_AFTER_LIMIT = 60.0
"""Seconds: a longer Retry-After is cut to this."""


class ApiError(Exception):
    """The API server answered with an error.

    ``code`` is the HTTP status, ``reason`` the machine-readable Status reason (``Conflict``,
    ``Invalid``, ...; empty where the body was not a Status), ``message`` the server's text cut
    to 1024 characters, ``retry_after`` seconds where the server sent them.
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


@dataclass(frozen=True, slots=True)
class Discovery:
    """All kinds of all served versions; ``unknown`` are apiVersions whose discovery failed."""

    kinds: frozenset[Kind] = frozenset()
    unknown: frozenset[str] = frozenset()

    def serves(self, kind: Kind) -> bool | None:
        """Is this kind served in this version? None where the discovery of its group failed."""
        return None if kind.api_version in self.unknown else kind in self.kinds

    def find(self, api_version: str, kind: str) -> Kind | None:
        """The kind of an object by its apiVersion and kind; None where discovery has none."""
        group, _, version = api_version.rpartition("/")
        wanted = (group, version, kind)
        found = (each for each in self.kinds if (each.group, each.version, each.kind) == wanted)
        return next(found, None)

    def __or__(self, other: Discovery) -> Discovery:
        """The kinds and the unknown apiVersions of both."""
        return Discovery(self.kinds | other.kinds, self.unknown | other.unknown)


class Api(Protocol):
    """The verbs. Every call has a deadline of its own and raises ApiError or Unreachable.

    Mutating verbs raise NotLeader, before anything is sent, where a lease guards the client.
    Objects passed in are not changed; objects returned belong to the caller. With ``names_only``
    objects have their apiVersion, kind and metadata, and nothing else is sent.
    """

    def acting_as(self, user: str) -> Api:
        """The same API with the identity of a user: every request impersonates that user.

        Connections, limits and the lease guard are shared with this Api. The groups are added
        by the server; a user that does not exist has only the rights that name that user.
        Raises ValueError for an empty user, and where this Api impersonates a user already.
        """

    async def discover(self) -> Discovery:
        """All kinds that the server serves; those of a group that does not answer are unknown."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The live object, or None where there is none. (A missing CRD raises ApiError 404.)"""

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        names_only: bool = False,
    ) -> Listing:
        """All objects, in pages, of a namespace or (None) of all; never resourceVersion=0."""

    async def pages(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        names_only: bool = False,
    ) -> AsyncGenerator[Listing, None]:
        """The same page by page, where all objects at once are too many.

        ApiError 410: the remaining pages are lost, and those that came are not a list.
        """
        yield await self.list(kind, namespace, labels=labels, fields=fields, names_only=names_only)

    def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        initial_events: bool = False,
        names_only: bool = False,
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
    ) -> Object | None:
        """Delete in the background, only while uid (and resourceVersion) are as given (409).

        Returns what is left: the object while finalizers or a grace period keep it, with its
        deletionTimestamp; None where it is gone.
        """

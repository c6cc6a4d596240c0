"""The Api of a real API server.

The rule: each call has a deadline. Each write passes the guard of the lease right before it is
sent, and gets no more time than the lease has left. No list and no watch asks for
resourceVersion=0, which a server may answer from a cache of any age.
https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Self
from urllib.parse import quote

from contract.model import Kind, Object
from reconciler.client import discovery, wire
from reconciler.client.api import (
    JSON,
    Api,
    ApiError,
    Discovery,
    Listing,
    NotLeader,
    Unreachable,
    WatchEvent,
)
from reconciler.client.kubeconfig import Cluster
from reconciler.client.transport import Call, OnRequest, Transport

PAGE = 500
"""Objects in one page of a list."""

WATCH_SECONDS = (300, 600)
"""A watch asks the server to end it after a random time between these seconds, so that watches
spread over several API servers."""

Guard = Callable[[], float | None]
"""Called before each write: raises NotLeader, or returns the seconds it may take (None: any)."""

_APPLY_PATCH = "application/apply-patch+yaml"
_LIST_RESTARTS = 3
_NAMES_OF_A_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{JSON}"
_NAMES_OF_A_WATCH = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{JSON}"
"""A watch that asks for the List form is accepted and never sends a frame."""


class Client(Api):
    """One cluster's API. Bound to the event loop that it is first used in; close it there.

    ``deadline`` bounds each request, ``list_deadline`` all pages of a list, ``quiet`` the time
    that a watch may pass without a byte (bookmarks come about once a minute); all in seconds.
    ``in_flight`` bounds the writes under way.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        user_agent: str,
        deadline: float = 30.0,
        list_deadline: float = 120.0,
        quiet: float = 90.0,
        in_flight: int = 32,
        guard: Guard | None = None,
        telemetry: OnRequest | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._impersonates = bool(cluster.impersonation)
        self._user = ""
        self._transport = Transport(cluster, user_agent=user_agent, telemetry=telemetry)
        self._deadline = deadline
        self._list_deadline = list_deadline
        self._quiet = quiet
        self._writes = asyncio.Semaphore(in_flight)
        self._guard = guard
        self._random = rng or random.Random()  # noqa: S311 - spreads load, guards nothing

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, after calls and watches have ended or were cancelled."""
        await self._transport.close()

    def acting_as(self, user: str) -> Client:
        """As Api.acting_as; the view is closed with this client."""
        if not user or not user.isprintable():
            raise ValueError(f"not a user to impersonate: {user!r}")
        if self._impersonates:
            raise ValueError(f"cannot act as {user}: this client impersonates a user already")
        view = copy.copy(self)
        view._user, view._impersonates = user, True  # noqa: SLF001 - a view is made nowhere else
        return view

    async def discover(self) -> Discovery:
        return await discovery.discover(self._document)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        answer = await self._read("get", kind.resource, path_of(kind, namespace, name))
        if answer.code == 404 and wire.is_about_an_object(answer):
            return None
        return wire.object_of(answer)

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        names_only: bool = False,
    ) -> Listing:
        select: Any = {"labels": labels, "fields": fields, "names_only": names_only}
        try:
            async with asyncio.timeout(self._list_deadline):
                for _ in range(_LIST_RESTARTS):
                    items: list[Object] = []
                    try:
                        async for page in self.pages(kind, namespace, **select):
                            items += page.items
                        return page._replace(items=items)
                    except ApiError as error:
                        # The continue token expired: later pages would belong to another list.
                        if error.code != 410:
                            raise
        except TimeoutError:
            raise Unreachable(f"list {kind.resource}: not done in time") from None
        raise ApiError(410, "Expired", f"list {kind.resource}: its pages expire before the last")

    async def pages(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        names_only: bool = False,
    ) -> AsyncGenerator[Listing, None]:
        path = path_of(kind, namespace)
        query = _selectors(labels, fields) | {"limit": str(PAGE)}
        accept = _NAMES_OF_A_LIST if names_only else JSON
        while True:
            page = wire.object_of(await self._read("list", kind.resource, path, query, accept))
            metadata = page.get("metadata")
            if not isinstance(metadata, dict):
                raise Unreachable("the answer is no list: is something between us?")
            items = page.get("items") or []
            if names_only:
                items = [wire.names_only(kind, item) for item in items]
            for item in items:
                # Lists of built-in kinds leave these out of their items.
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
            yield Listing(items, metadata.get("resourceVersion", ""))
            if not (more := metadata.get("continue")):
                return
            query["continue"] = more

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        initial_events: bool = False,
        names_only: bool = False,
    ) -> AsyncGenerator[WatchEvent, None]:
        """As Api.watch; a silence longer than ``quiet`` raises Unreachable."""
        seconds = self._random.randint(*WATCH_SECONDS)
        query = _selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        if resource_version:
            query["resourceVersion"] = resource_version
        if initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        call = Call("watch", kind.resource, "GET", path_of(kind, namespace), tuple(query.items()))
        call = call._replace(accept=_NAMES_OF_A_WATCH if names_only else JSON, user=self._user)
        stream = self._transport.stream(call, seconds=seconds + 10.0, quiet=self._quiet)
        async with stream as (answer, chunks):
            if answer.code >= 300:
                raise wire.error_of(answer)
            async for line in wire.frames(chunks):
                if event := wire.event_of(line):
                    if names_only:
                        event = event._replace(object=wire.names_only(kind, event.object))
                    yield event

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
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        path = _own_path(kind, body, subresource)
        call = Call("apply", kind.resource, "PATCH", path, tuple(query.items()), wire.encode(body))
        return await self._write(call._replace(content_type=_APPLY_PATCH), guarded=not dry_run)

    async def create(self, kind: Kind, body: Object) -> Object:
        path = path_of(kind, body["metadata"].get("namespace"))
        return await self._write(
            Call("create", kind.resource, "POST", path, body=wire.encode(body))
        )

    async def replace(self, kind: Kind, body: Object, *, subresource: str = "") -> Object:
        path = _own_path(kind, body, subresource)
        return await self._write(Call("update", kind.resource, "PUT", path, body=wire.encode(body)))

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
        path = path_of(kind, namespace, name, subresource)
        call = Call("patch", kind.resource, "PATCH", path, body=wire.encode(patch))
        return await self._write(call._replace(content_type=content_type))

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = ""
    ) -> Object | None:
        """As Api.delete; 404 where there is none (any more)."""
        preconditions = {"uid": uid}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": preconditions,
        }
        path = path_of(kind, namespace, name)
        call = Call("delete", kind.resource, "DELETE", path, body=wire.encode(options))
        return wire.remaining(await self._write(call))

    async def version(self) -> str:
        """The API server's version, ``v1.36.2``."""
        answer = await self._read("get", "version", "/version")
        return str(wire.object_of(answer).get("gitVersion", ""))

    async def can(
        self,
        verb: str,
        kind: Kind,
        namespace: str | None = None,
        *,
        subresource: str = "",
        name: str = "",
    ) -> bool:
        """Is the account allowed to do this? Asked by a SelfSubjectAccessReview.

        None as the namespace asks about all namespaces.
        """
        attributes = {
            "verb": verb,
            "group": kind.group,
            "version": kind.version,
            "resource": kind.plural,
            "subresource": subresource,
            "namespace": namespace or "",
            "name": name,
        }
        body = {
            "apiVersion": _REVIEW.api_version,
            "kind": _REVIEW.kind,
            "spec": {"resourceAttributes": attributes},
        }
        path = path_of(_REVIEW, None)
        call = Call("create", _REVIEW.resource, "POST", path, body=wire.encode(body))
        review = await self._write(call, guarded=False)  # a review is not stored
        return bool(review["status"].get("allowed"))

    async def _document(self, path: str, accept: str) -> Object:
        return wire.object_of(await self._read("get", "discovery", path, accept=accept))

    async def _read(
        self,
        verb: str,
        resource: str,
        path: str,
        query: Mapping[str, str] | None = None,
        accept: str = JSON,
    ) -> wire.Answer:
        call = Call(verb, resource, "GET", path, tuple((query or {}).items()), accept=accept)
        return await self._transport.send(call._replace(user=self._user), self._deadline)

    async def _write(self, call: Call, *, guarded: bool = True) -> Object:
        async with self._writes:
            seconds = self._deadline
            # After the wait for the semaphore, which may have outlasted the lease.
            if guarded and self._guard and (left := self._guard()) is not None:
                if left <= 0:
                    raise NotLeader(f"{call}: not sent, the lease is about to run out")
                seconds = min(seconds, left)
            call = call._replace(user=self._user)
            return wire.object_of(await self._transport.send(call, seconds))


_REVIEW = Kind(
    "authorization.k8s.io",
    "v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    namespaced=False,
)


def path_of(kind: Kind, namespace: str | None, name: str = "", subresource: str = "") -> str:
    """The quoted path of a collection or object. No namespace: that of all namespaces."""
    parts = ["namespaces", namespace] if namespace and kind.namespaced else []
    parts += [part for part in (kind.plural, name, subresource) if part]
    return "/".join((_root(kind), *(quote(part, safe="") for part in parts)))


def _root(kind: Kind) -> str:
    return f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"


def _own_path(kind: Kind, body: Object, subresource: str) -> str:
    metadata = body["metadata"]
    return path_of(kind, metadata.get("namespace"), metadata["name"], subresource)


def _selectors(labels: str, fields: str) -> dict[str, str]:
    selectors = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in selectors.items() if value}

"""An API of which a test serves the verbs that it is about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from contract.model import Kind, Object
from reconciler.client.api import Api, Discovery, Listing, WatchEvent


class PartialApi(Api):
    """Every verb fails as unexpected; a test's server overrides those that it serves."""

    def acting_as(self, user: str) -> Api:
        raise AssertionError(f"the test expects no requests of the user {user}")

    async def discover(self) -> Discovery:
        raise AssertionError("the test expects no discovery")

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        raise unexpected("get", kind)

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        names_only: bool = False,
    ) -> Listing:
        raise unexpected("list", kind)

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
        raise unexpected("watch", kind)

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
        raise unexpected("apply", kind)

    async def create(self, kind: Kind, body: Object) -> Object:
        raise unexpected("create", kind)

    async def replace(self, kind: Kind, body: Object, *, subresource: str = "") -> Object:
        raise unexpected("replace", kind)

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
        raise unexpected("patch", kind)

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = ""
    ) -> Object | None:
        raise unexpected("delete", kind)


def unexpected(verb: str, kind: Kind) -> AssertionError:
    """The error of a verb that the test does not serve."""
    return AssertionError(f"the test expects no {verb} of a {kind.kind}")

"""Which kinds an API server serves, read from its discovery documents.

The rule: unknown is not absent. Where the discovery of a group version failed or is stale (an
aggregated API server that is down), the version is unknown, beside the kinds of its last discovery.
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import Awaitable, Callable, Iterator

from contract.model import Kind, Object
from reconciler.client.api import JSON, ApiError, Discovery, Unreachable

ACCEPT = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{JSON}"
"""Everything in two documents; a server before 1.30 answers with its list of groups instead."""


async def discover(read: Callable[[str, str], Awaitable[Object]]) -> Discovery:
    """All kinds of a server; ``read`` gets the document of a path for an Accept header.

    Raises what ``read`` raises for the two documents that every server has.
    """
    roots = ("/api", "/apis")
    found = await asyncio.gather(*(_below(root, read) for root in roots))
    return functools.reduce(operator.or_, found)


async def _below(root: str, read: Callable[[str, str], Awaitable[Object]]) -> Discovery:
    async def one_version(api_version: str) -> Discovery:
        try:
            return of_resources(api_version, await read(f"{root}/{api_version}", JSON))
        except (ApiError, Unreachable):
            return Discovery(unknown=frozenset({api_version}))

    document = await read(root, ACCEPT)
    if document.get("kind") == "APIGroupDiscoveryList":
        return of_groups(document)
    found = await asyncio.gather(*map(one_version, api_versions(document)))
    return functools.reduce(operator.or_, found, Discovery())


def of_groups(document: Object) -> Discovery:
    """The kinds of an APIGroupDiscoveryList."""
    kinds, unknown = set(), set()
    for group in document.get("items") or ():
        name = group["metadata"].get("name", "")
        for version in group.get("versions") or ():
            api_version = f"{name}/{version['version']}" if name else version["version"]
            if version.get("freshness") == "Stale":
                unknown.add(api_version)
            for each in version.get("resources") or ():
                # A resource that has only subresources is of no kind.
                if kind := (each.get("responseKind") or {}).get("kind"):
                    namespaced = each.get("scope") == "Namespaced"
                    kinds.add(Kind(name, version["version"], kind, each["resource"], namespaced))
    return Discovery(frozenset(kinds), frozenset(unknown))


def api_versions(document: Object) -> Iterator[str]:
    """The apiVersions that a plain list of groups (APIGroupList or APIVersions) names."""
    yield from document.get("versions") or ()
    for group in document.get("groups") or ():
        for version in group.get("versions") or ():
            yield version["groupVersion"]


def of_resources(api_version: str, document: Object) -> Discovery:
    """The kinds of one version's APIResourceList; its subresources are left out."""
    group, _, version = api_version.rpartition("/")
    return Discovery(
        frozenset(
            Kind(group, version, each["kind"], each["name"], bool(each.get("namespaced")))
            for each in document.get("resources") or ()
            if "/" not in each["name"]
        )
    )

"""``check``: what it finds out about a cluster and an account, and which remedy it names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from commands.check import check_cluster
from gati import operator
from reconciler.client.kubeconfig import Cluster

CONTROLLERS = operator.controllers(operator.Settings())
RESOURCES = {"gatihandlers": "GatiHandler", "gatimodules": "GatiModule"}
"""What the server serves of gati.dev/v1; without GatiVersion."""


def cluster_of(server: Any, *, freshness: str = "Current", version: str = "v1.36.2", missing=()):
    """A cluster whose account lacks the rights ``missing``: verb and resource."""
    resources = [
        {"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced"}
        for plural, kind in RESOURCES.items()
    ]
    versions = [{"version": "v1", "freshness": freshness, "resources": resources}]
    group = {"metadata": {"name": "gati.dev"}, "versions": versions}

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response({"gitVersion": version})
        if request.path in {"/api", "/apis"}:
            items = [group] if request.path == "/apis" else []
            return web.json_response({"kind": "APIGroupDiscoveryList", "items": items})
        asked = json.loads(server.bodies[-1])["spec"]["resourceAttributes"]
        allowed = (asked["verb"], asked["resource"]) not in missing
        return web.json_response({"status": {"allowed": allowed}}, status=201)

    server.answer = answer
    return Cluster(server.url)


async def found(cluster: Cluster) -> dict[str, tuple[bool, str, str]]:
    """Each finding by its subject: does it fit, what was found, the remedy."""
    findings = await check_cluster(cluster, "test/1", CONTROLLERS, ("shop",), "gati-system")
    return {each.subject: (each.fits, each.detail, each.remedy) for each in findings}


async def test_check_names_the_missing_definitions(server):
    findings = await found(cluster_of(server))
    assert findings["CRD gatihandlers.gati.dev"] == (True, "v1 is served", "")
    fits, detail, remedy = findings["CRD gativersions.gati.dev"]
    assert (fits, detail) == (False, "v1 is not served")
    assert "crds | kubectl apply" in remedy
    assert findings["Kubernetes"] == (True, "v1.36.2", "")
    assert findings["rights in namespace shop"][0]
    assert findings["rights on Leases in gati-system"][0]


async def test_check_does_not_call_a_failed_discovery_a_missing_kind(server):
    findings = await found(cluster_of(server, freshness="Stale"))
    for plural in (*RESOURCES, "gativersions"):
        fits, detail, remedy = findings[f"CRD {plural}.gati.dev"]
        assert (fits, detail) == (False, "discovery of gati.dev/v1 failed")
        assert "crds" not in remedy


async def test_check_lists_missing_rights(server):
    missing = {("list", "gatihandlers"), ("update", "leases")}
    findings = await found(cluster_of(server, missing=missing))
    fits, detail, remedy = findings["rights in namespace shop"]
    assert (fits, detail) == (False, "missing: list gatihandlers.gati.dev")
    assert "rbac.yaml" in remedy
    assert not findings["rights on Leases in gati-system"][0]


@pytest.mark.parametrize(("version", "fits"), [("v1.30.9", False), ("v1.31.0", True), ("", False)])
async def test_check_refuses_an_old_server(server, version, fits):
    findings = await found(cluster_of(server, version=version))
    assert findings["Kubernetes"][0] is fits

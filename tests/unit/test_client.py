"""The verbs: their requests, their answers, their errors, and the guard before a write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from contract.model import Kind
from reconciler.client.api import JSON_PATCH, ApiError, NotLeader, Unreachable
from reconciler.client.client import Client
from reconciler.client.kubeconfig import Cluster
from unit.loopback import DEPLOYMENT, POD, status, watched

BODY = {"metadata": {"namespace": "n", "name": "a"}}


def refuse() -> float | None:
    raise NotLeader("not us")


# Errors


async def test_status_becomes_an_api_error_with_its_causes(server, connect):
    causes = [{"reason": "FieldManagerConflict", "field": ".spec"}]
    body = status(409, "Conflict", "no", causes=causes, retryAfterSeconds=3)
    server.responds(json.dumps(body), status=409, content_type="application/json")
    with pytest.raises(ApiError) as caught:
        await connect().create(POD, BODY)
    error = caught.value
    assert (error.code, error.reason, error.message) == (409, "Conflict", "no")
    assert (error.retry_after, error.causes) == (3, tuple(causes))


async def test_a_429_is_text_with_its_wait_in_a_header(server, connect):
    server.responds("Too many requests\n", status=429, headers={"Retry-After": "7"})
    with pytest.raises(ApiError) as caught:
        await connect().list(POD)
    assert (caught.value.code, caught.value.retry_after) == (429, 7)
    assert caught.value.message == "Too many requests"


@pytest.mark.parametrize("header", ["²", "soon", "-7", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_retry_after_without_seconds_is_none(server, connect, header):
    server.responds("busy\n", status=503, headers={"Retry-After": header})
    with pytest.raises(ApiError) as caught:
        await connect().list(POD)
    assert (caught.value.code, caught.value.retry_after) == (503, None)


async def test_a_proxys_page_is_cut_to_its_text(server, connect):
    page = "<html><body><h1>502 Bad\nGateway</h1>" + "x" * 9999
    server.responds(page, status=502, content_type="text/html")
    with pytest.raises(ApiError) as caught:
        await connect().get(POD, "n", "a")
    assert caught.value.message.startswith("502 Bad Gateway")
    assert len(caught.value.message) == 1024


async def test_a_page_with_status_200_is_not_an_answer(server, connect):
    server.responds("<html>sign in</html>", content_type="text/html")
    with pytest.raises(Unreachable, match="not JSON"):
        await connect().get(POD, "n", "a")


async def test_a_list_without_metadata_is_not_an_answer(server, connect):
    """Taken for a list of nothing it would let everything seem to be gone."""
    server.responds("{}", content_type="application/json")
    with pytest.raises(Unreachable, match="no list"):
        await connect().list(POD)


async def test_a_redirect_is_an_error_and_not_followed(server, connect):
    server.responds(status=302, headers={"Location": server.url + "/elsewhere"})
    with pytest.raises(ApiError) as caught:
        await connect().get(POD, "n", "a")
    assert caught.value.code == 302
    assert len(server.requests) == 1


async def test_refused_connection_is_unreachable(connect):
    with pytest.raises(Unreachable, match="GET /api/v1/pods"):
        await connect(Cluster("http://127.0.0.1:1")).list(POD)


async def test_a_cut_body_is_unreachable(server, connect):
    server.streams(b'{"metadata":', then="reset")
    with pytest.raises(Unreachable):
        await connect().list(POD)


async def test_a_request_that_hangs_ends_at_its_deadline(server, connect):
    server.streams(b"{", then="silence")
    with pytest.raises(Unreachable, match="in time"):
        await connect(deadline=0.1).get(POD, "n", "a")


async def test_all_pages_of_a_list_share_one_deadline(server, connect):
    async def answer(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return web.json_response({"metadata": {"continue": "more"}, "items": []})

    server.answer = answer
    with pytest.raises(Unreachable, match="not done in time"):
        await connect(list_deadline=0.3).list(POD)
    assert len(server.requests) > 1


# Reads


async def test_get_distinguishes_a_missing_object_and_a_missing_type(server, connect):
    body = status(404, "NotFound", 'pods "a" not found', name="a", kind="pods")
    server.responds(json.dumps(body), status=404, content_type="application/json")
    assert await connect().get(POD, "n", "a") is None
    body = status(404, "NotFound", "the server could not find the requested resource")
    server.responds(json.dumps(body), status=404, content_type="application/json")
    with pytest.raises(ApiError) as caught:
        await connect().get(POD, "n", "a")
    assert caught.value.code == 404
    server.responds("404 page not found", status=404)
    with pytest.raises(ApiError):
        await connect().get(POD, "n", "a")


def paged(*pages: tuple[Any, str] | int) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    left = list(pages)

    async def answer(_request: web.Request) -> web.StreamResponse:
        page = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(page, int):
            return web.json_response(status(page, "Expired"), status=page)
        names, more = page
        items = [{"metadata": {"name": name}} for name in names]
        return web.json_response(
            {"metadata": {"resourceVersion": "9", "continue": more}, "items": items}
        )

    return answer


async def test_list_reads_all_pages_and_completes_the_items(server, connect):
    server.answer = paged(("ab", "t"), ("c", ""))
    found = await connect().list(DEPLOYMENT, "n", labels="a=b", fields="metadata.name=x")
    assert [item["metadata"]["name"] for item in found.items] == ["a", "b", "c"]
    assert found.resource_version == "9"
    assert found.items[0]["apiVersion"] == "apps/v1"
    assert found.items[0]["kind"] == "Deployment"
    queries = [dict(request.query) for request in server.requests]
    first = {"limit": "500", "labelSelector": "a=b", "fieldSelector": "metadata.name=x"}
    assert queries == [first, {**first, "continue": "t"}]
    assert server.requests[0].path == "/apis/apps/v1/namespaces/n/deployments"


async def test_an_expired_page_starts_the_list_again(server, connect):
    server.answer = paged(("ab", "t"), 410, ("c", ""))
    found = await connect().list(POD)
    assert [item["metadata"]["name"] for item in found.items] == ["c"]
    assert "continue" not in server.requests[2].query


async def test_pages_are_handed_out_one_by_one(server, connect):
    server.answer = paged(("ab", "t"), ("c", ""))
    pages = connect().pages(POD)
    found = [(len(server.requests), len(page.items), page.resource_version) async for page in pages]
    assert found == [(1, 2, "9"), (2, 1, "9")]


async def test_pages_that_always_expire_are_given_up(server, connect):
    server.answer = paged(410)
    with pytest.raises(ApiError) as caught:
        await connect().list(POD)
    assert (caught.value.code, len(server.requests)) == (410, 3)


async def test_can_sends_a_review_without_the_lease(server, connect):
    server.responds('{"status": {"allowed": true}}', content_type="application/json")
    assert await connect(guard=refuse).can("patch", DEPLOYMENT, "n", subresource="scale")
    attributes = json.loads(server.bodies[-1])["spec"]["resourceAttributes"]
    assert attributes["resource"] == "deployments"
    assert attributes["subresource"] == "scale"


# Names only


NAMES = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
WHOLE = {"kind": "Pod", "apiVersion": "v1", "spec": {"big": "x"}}


@pytest.mark.parametrize("sent", [NAMES, WHOLE], ids=["names", "whole-objects"])
async def test_names_only_leaves_nothing_but_metadata(server, connect, sent):
    metadata = {"name": "a", "resourceVersion": "1"}
    item = {**sent, "metadata": metadata}
    server.responds(
        json.dumps({"metadata": {"resourceVersion": "9"}, "items": [item]}),
        content_type="application/json",
    )
    expected = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    found = await connect().list(POD, names_only=True)
    assert found.items == [expected]

    server.streams(json.dumps({"type": "BOOKMARK", "object": item}).encode() + b"\n")
    assert [event.object for event in await watched(connect(), names_only=True)] == [expected]


async def test_names_are_asked_for_in_the_form_of_each_verb(server, connect):
    client = connect()
    await client.list(POD, names_only=True)
    await watched(client, names_only=True)
    await client.list(POD)
    forms = [each.headers["Accept"].split(";")[1:2] for each in server.requests]
    assert forms == [["as=PartialObjectMetadataList"], ["as=PartialObjectMetadata"], []]


# Discovery


def aggregated(group: str, *versions: tuple[str, str, list[Any]]) -> dict[str, Any]:
    return {
        "metadata": {"name": group} if group else {},
        "versions": [
            {"version": version, "freshness": freshness, "resources": resources}
            for version, freshness, resources in versions
        ],
    }


def resource(plural: str, kind: str, scope: str = "Namespaced") -> dict[str, Any]:
    return {"resource": plural, "responseKind": {"kind": kind}, "scope": scope}


def documents(found: dict[str, Any]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A server that has these documents by their path."""

    async def answer(request: web.Request) -> web.StreamResponse:
        document = found.get(request.path)
        if document is None:
            return web.json_response(status(503, "ServiceUnavailable"), status=503)
        return web.json_response(document)

    return answer


NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
METRICS = Kind("metrics.k8s.io", "v1", "PodMetrics", "pods")


async def test_aggregated_discovery_takes_two_requests(server, connect):
    core = aggregated("", ("v1", "Current", [resource("pods", "Pod")]))
    core["versions"][0]["resources"].append(resource("namespaces", "Namespace", "Cluster"))
    apps = aggregated("apps", ("v1", "Current", [resource("deployments", "Deployment")]))
    apps["versions"][0]["resources"].append({"resource": "others", "scope": "Cluster"})
    stale = aggregated("metrics.k8s.io", ("v1", "Stale", []))
    kind = "APIGroupDiscoveryList"
    server.answer = documents(
        {"/api": {"kind": kind, "items": [core]}, "/apis": {"kind": kind, "items": [apps, stale]}}
    )
    found = await connect().discover()
    assert len(server.requests) == 2
    assert found.kinds == {POD, NAMESPACE, DEPLOYMENT}
    assert found.serves(POD) is True
    assert found.serves(Kind("apps", "v2", "Deployment", "deployments")) is False
    assert found.serves(METRICS) is None
    assert found.find("apps/v1", "Deployment") == DEPLOYMENT
    assert found.find("v1", "Namespace") == NAMESPACE
    assert found.find("v1", "Deployment") is None


async def test_discovery_of_an_older_server_reads_each_version(server, connect):
    pods = [{"name": "pods", "kind": "Pod", "namespaced": True}]
    pods.append({"name": "pods/status", "kind": "Pod", "namespaced": True})
    pods.append({"name": "namespaces", "kind": "Namespace", "namespaced": False})
    groups = [
        {"versions": [{"groupVersion": "apps/v1"}]},
        {"versions": [{"groupVersion": "metrics.k8s.io/v1"}]},
    ]
    deployments = [{"name": "deployments", "kind": "Deployment", "namespaced": True}]
    server.answer = documents(
        {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "groups": groups},
            "/api/v1": {"kind": "APIResourceList", "resources": pods},
            "/apis/apps/v1": {"kind": "APIResourceList", "resources": deployments},
        }
    )
    found = await connect().discover()
    assert found.kinds == {POD, NAMESPACE, DEPLOYMENT}
    assert found.unknown == {"metrics.k8s.io/v1"}
    assert found.serves(METRICS) is None


async def test_discovery_that_fails_as_a_whole_is_an_error(server, connect):
    server.answer = documents({"/api": {"kind": "APIVersions", "versions": []}})
    with pytest.raises(ApiError) as caught:
        await connect().discover()
    assert caught.value.code == 503


# Impersonation


async def test_every_request_of_a_view_names_its_user(server, connect):
    client = connect()
    view = client.acting_as("system:serviceaccount:deployers:shop")
    await view.get(POD, "n", "a")
    await view.list(POD)
    await view.discover()
    await watched(view)
    for write in WRITES:
        await write(view)
    users = [each.headers.getall("Impersonate-User", []) for each in server.requests]
    assert users == [["system:serviceaccount:deployers:shop"]] * len(server.requests)
    await client.get(POD, "n", "a")
    assert "Impersonate-User" not in server.requests[-1].headers


@pytest.mark.parametrize("user", ["", "a\nb"])
async def test_an_invalid_user_is_refused(connect, user):
    with pytest.raises(ValueError, match="not a user"):
        connect().acting_as(user)


async def test_a_client_impersonates_one_user_only(server, connect):
    cluster = Cluster(server.url, impersonation=(("Impersonate-User", "jane"),))
    with pytest.raises(ValueError, match="already"):
        connect(cluster).acting_as("joe")
    with pytest.raises(ValueError, match="already"):
        connect().acting_as("jane").acting_as("joe")


async def test_a_view_shares_the_lease_guard(server, connect):
    with pytest.raises(NotLeader):
        await connect(guard=refuse).acting_as("jane").create(POD, BODY)
    assert server.requests == []


# Writes


WRITES: list[Callable[[Client], Awaitable[Any]]] = [
    lambda client: client.apply(POD, BODY, manager="m"),
    lambda client: client.create(POD, BODY),
    lambda client: client.replace(POD, BODY, subresource="status"),
    lambda client: client.patch(POD, "n", "a", [], content_type=JSON_PATCH),
    lambda client: client.delete(POD, "n", "a", uid="u"),
]


async def test_requests_have_the_paths_and_bodies_of_the_api(server, connect):
    client = connect()
    for write in WRITES:
        await write(client)
    asked = [(each.method, each.path_qs, each.content_type) for each in server.requests]
    path = "/api/v1/namespaces/n/pods"
    assert asked == [
        ("PATCH", f"{path}/a?fieldManager=m&force=true", "application/apply-patch+yaml"),
        ("POST", path, "application/json"),
        ("PUT", f"{path}/a/status", "application/json"),
        ("PATCH", f"{path}/a", "application/json-patch+json"),
        ("DELETE", f"{path}/a", "application/json"),
    ]
    assert [json.loads(body) for body in server.bodies[:4]] == [BODY, BODY, BODY, []]
    options = json.loads(server.bodies[4])
    assert options["preconditions"] == {"uid": "u"}
    assert options["propagationPolicy"] == "Background"


GONE = [
    status(200, details={"uid": "u"}),
    {"kind": "Service", "metadata": {"name": "a", "uid": "u"}},
    {"metadata": {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 0}, "spec": {}},
    {"metadata": {"finalizers": ["a/b"]}},
    {"metadata": {"deletionTimestamp": "t"}, "spec": ["odd"]},
]
LEFT = [
    {"metadata": {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 30}},
    {"metadata": {"deletionTimestamp": "t", "finalizers": ["a/b"]}},
    {"metadata": {"deletionTimestamp": "t"}, "spec": {"finalizers": ["kubernetes"]}},
]


@pytest.mark.parametrize("answer", GONE)
async def test_a_deleted_object_that_is_gone_is_none(server, connect, answer):
    server.responds(json.dumps(answer), content_type="application/json")
    assert await connect().delete(POD, "n", "a", uid="u") is None


@pytest.mark.parametrize("answer", LEFT)
async def test_a_deleted_object_that_stays_is_returned(server, connect, answer):
    server.responds(json.dumps(answer), content_type="application/json")
    assert await connect().delete(POD, "n", "a", uid="u") == answer


async def test_names_are_quoted(server, connect):
    await connect().get(POD, "n", "a/../b?c")
    assert server.requests[0].raw_path == "/api/v1/namespaces/n/pods/a%2F..%2Fb%3Fc"


@pytest.mark.parametrize("write", WRITES)
async def test_without_the_lease_nothing_is_written(server, connect, write):
    with pytest.raises(NotLeader):
        await write(connect(guard=refuse))
    with pytest.raises(NotLeader):
        await write(connect(guard=lambda: 0.0))
    assert server.requests == []


async def test_reads_and_dry_runs_need_no_lease(server, connect):
    client = connect(guard=refuse)
    await client.list(POD)
    await client.apply(POD, BODY, manager="m", dry_run=True)
    assert server.requests[1].query["dryRun"] == "All"


async def test_a_write_is_given_no_more_time_than_the_lease_has(server, connect):
    server.streams(b"{", then="silence")
    with pytest.raises(Unreachable, match="in time"):
        await connect(guard=lambda: 0.1).create(POD, BODY)


async def test_the_guard_is_asked_after_the_wait_for_a_place(server, connect):
    entered, leave = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        entered.set()
        await leave.wait()
        return await server.empty(request)

    lost = False

    def guard() -> None:
        if lost:
            raise NotLeader("lost meanwhile")

    server.answer = answer
    client = connect(in_flight=1, guard=guard)
    first = asyncio.create_task(client.create(POD, BODY))
    await entered.wait()
    second = asyncio.create_task(client.create(POD, BODY))
    await asyncio.sleep(0.05)
    assert len(server.requests) == 1
    lost = True
    leave.set()
    await first
    with pytest.raises(NotLeader):
        await second


async def test_telemetry_counts_requests_without_an_answer(connect):
    calls: list[tuple[str, str, int, float]] = []
    client = connect(Cluster("http://127.0.0.1:1"), telemetry=lambda *call: calls.append(call))
    with pytest.raises(Unreachable):
        await client.get(DEPLOYMENT, "n", "a")
    assert calls[0][:3] == ("get", "deployments.apps", 0)

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
from unit.loopback import DEPLOYMENT, POD, status

BODY = {"metadata": {"namespace": "n", "name": "a"}}


def refuse() -> float | None:
    raise NotLeader("not us")


# Errors


async def test_status_becomes_an_api_error_with_its_causes(server, connect):
    causes = [{"reason": "FieldManagerConflict", "field": ".spec"}]
    body = status(409, "Conflict", "no", causes=causes, retryAfterSeconds=3)
    server.says(json.dumps(body), status=409, content_type="application/json")
    with pytest.raises(ApiError) as caught:
        await connect().create(POD, BODY)
    error = caught.value
    assert (error.code, error.reason, error.message) == (409, "Conflict", "no")
    assert (error.retry_after, error.causes) == (3, tuple(causes))


async def test_429_is_text_and_names_its_wait_in_a_header(server, connect):
    server.says("Too many requests\n", status=429, headers={"Retry-After": "7"})
    with pytest.raises(ApiError) as caught:
        await connect().list(POD)
    assert (caught.value.code, caught.value.retry_after) == (429, 7)
    assert caught.value.message == "Too many requests"


@pytest.mark.parametrize("header", ["²", "soon", "-7", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_wait_that_is_no_number_of_seconds_is_none(server, connect, header):
    server.says("busy\n", status=503, headers={"Retry-After": header})
    with pytest.raises(ApiError) as caught:
        await connect().list(POD)
    assert (caught.value.code, caught.value.retry_after) == (503, None)


async def test_a_proxys_page_is_cut_to_its_words(server, connect):
    page = "<html><body><h1>502 Bad\nGateway</h1>" + "x" * 9999
    server.says(page, status=502, content_type="text/html")
    with pytest.raises(ApiError) as caught:
        await connect().get(POD, "n", "a")
    assert caught.value.message.startswith("502 Bad Gateway")
    assert len(caught.value.message) == 1024


async def test_a_page_with_a_good_status_is_no_answer(server, connect):
    server.says("<html>sign in</html>", content_type="text/html")
    with pytest.raises(Unreachable, match="no JSON"):
        await connect().get(POD, "n", "a")


async def test_a_redirect_is_an_error_and_not_followed(server, connect):
    server.says(status=302, headers={"Location": server.url + "/elsewhere"})
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


async def test_get_tells_a_missing_object_from_a_missing_type(server, connect):
    body = status(404, "NotFound", 'pods "a" not found', name="a", kind="pods")
    server.says(json.dumps(body), status=404, content_type="application/json")
    assert await connect().get(POD, "n", "a") is None
    body = status(404, "NotFound", "the server could not find the requested resource")
    server.says(json.dumps(body), status=404, content_type="application/json")
    with pytest.raises(ApiError) as caught:
        await connect().get(POD, "n", "a")
    assert caught.value.code == 404
    server.says("404 page not found", status=404)
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


async def test_served_and_can(server, connect):
    server.says(json.dumps({"resources": [{"name": "pods"}]}), content_type="application/json")
    assert await connect().served(POD)
    assert not await connect().served(Kind("", "v1", "Node", "nodes"))
    server.says("404 page not found", status=404)
    assert not await connect().served(DEPLOYMENT)
    server.says('{"status": {"allowed": true}}', content_type="application/json")
    assert await connect(guard=refuse).can("patch", DEPLOYMENT, "n", subresource="scale")
    attributes = json.loads(server.bodies[-1])["spec"]["resourceAttributes"]
    assert attributes["resource"] == "deployments"
    assert attributes["subresource"] == "scale"


# Writes


WRITES: list[Callable[[Client], Awaitable[Any]]] = [
    lambda client: client.apply(POD, BODY, manager="m"),
    lambda client: client.create(POD, BODY),
    lambda client: client.replace(POD, BODY, subresource="status"),
    lambda client: client.patch(POD, "n", "a", [], content_type=JSON_PATCH),
    lambda client: client.delete(POD, "n", "a", uid="u"),
]


async def test_requests_are_what_the_api_expects(server, connect):
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


async def test_telemetry_counts_also_what_was_not_answered(connect):
    told: list[tuple[str, str, int, float]] = []
    client = connect(Cluster("http://127.0.0.1:1"), telemetry=lambda *call: told.append(call))
    with pytest.raises(Unreachable):
        await client.get(DEPLOYMENT, "n", "a")
    assert told[0][:3] == ("get", "deployments.apps", 0)

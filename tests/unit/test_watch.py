"""Streams of frames: cut anywhere, garbled, silent, refused."""

from __future__ import annotations

import asyncio
import json

import pytest

from reconciler.client.api import ApiError, Unreachable
from reconciler.client.kubeconfig import Cluster
from reconciler.client.wire import frames
from unit.loopback import POD, frame, status, watched


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_frames_may_be_cut_anywhere(server, connect, size):
    text = frame("ADDED", "ä€😀") + b"\r\n\n" + frame("DELETED").replace(b"\n", b"\r\n")
    text += b'{"type":"ADDED","obj'  # cut off: dropped, and seen again when the watch resumes
    server.streams(*(text[at : at + size] for at in range(0, len(text), size)))
    events = await watched(connect())
    assert [event.type for event in events] == ["ADDED", "DELETED"]
    assert events[0].object["metadata"]["name"] == "ä€😀"


async def test_a_frame_may_be_huge_but_not_without_a_limit(server, connect):
    server.streams(frame("ADDED", "x" * 5_000_000))
    assert len((await watched(connect()))[0].object["metadata"]["name"]) == 5_000_000

    async def endless():
        while True:
            yield b"x" * 100

    with pytest.raises(Unreachable, match="above 1000"):
        _ = [line async for line in frames(endless(), limit=1000)]


async def test_an_error_frame_is_raised_after_the_events_before_it(server, connect):
    expired = status(410, "Expired", "too old resource version", retryAfterSeconds=2)
    error = json.dumps({"type": "ERROR", "object": expired}).encode() + b"\n"
    server.streams(frame("ADDED"), error)
    seen = []

    async def follow() -> None:
        async for event in connect().watch(POD):
            seen.append(event.type)  # noqa: PERF401 - what came before the raise counts too

    with pytest.raises(ApiError) as caught:
        await follow()
    assert (seen, caught.value.code, caught.value.reason) == (["ADDED"], 410, "Expired")
    assert caught.value.retry_after == 2


async def test_a_status_instead_of_a_watch_is_raised(server, connect):
    server.responds(json.dumps(status(410, "Gone")), content_type="application/json")
    with pytest.raises(ApiError) as caught:
        await watched(connect())
    assert caught.value.code == 410


async def test_refused_watch_is_an_api_error(server, connect):
    server.responds("Too many requests", status=429, headers={"Retry-After": "1"})
    with pytest.raises(ApiError) as caught:
        await watched(connect())
    assert (caught.value.code, caught.value.retry_after) == (429, 1)


@pytest.mark.parametrize("before", [(), (frame("ADDED"),)])
async def test_a_silent_watch_ends(server, connect, before):
    server.streams(*before, then="silence")
    with pytest.raises(Unreachable, match="in time"):
        await watched(connect(quiet=0.2))


async def test_a_watch_whose_server_never_answers_ends(connect):
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = connect(Cluster(f"http://127.0.0.1:{port}"), quiet=0.2)
        with pytest.raises(Unreachable, match="in time"):
            await watched(client)
        await client.close()


async def test_a_watch_that_is_reset_is_unreachable(server, connect):
    server.streams(frame("ADDED"), then="reset")
    with pytest.raises(Unreachable):
        await watched(connect())


async def test_unknown_frames_are_skipped_and_garbled_ones_raised(server, connect):
    server.streams(b'{"type":"LATER","object":{}}\n', frame("BOOKMARK"))
    assert [event.type for event in await watched(connect())] == ["BOOKMARK"]
    server.streams(b"{garbled\n")
    with pytest.raises(Unreachable):
        await watched(connect())


async def test_watch_asks_for_bookmarks_and_an_end(server, connect):
    server.streams()
    await watched(connect(), resource_version="7", labels="a=b")
    query = dict(server.requests[0].query)
    assert 300 <= int(query.pop("timeoutSeconds")) <= 600
    assert query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "labelSelector": "a=b",
    }
    await watched(connect(), initial_events=True)
    query = dict(server.requests[1].query)
    assert query["sendInitialEvents"] == "true"
    assert query["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in query

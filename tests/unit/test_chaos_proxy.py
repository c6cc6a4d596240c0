"""The fault proxy before a stub API server: what the client sees, and what the server got."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import socket
import ssl
import time
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from chaos.proxy import wire
from chaos.proxy.rules import Rule
from chaos.proxy.server import FaultProxy
from unit.loopback import Server, frame

PODS = "/api/v1/namespaces/n/pods"
WATCH = f"{PODS}?watch=true"
FRAMES = [frame("ADDED", "a"), frame("ADDED", "b"), frame("MODIFIED", "a"), frame("DELETED", "b")]


class Stub(Server):
    """Writes get 201 and are kept by name; a watch gets FRAMES."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        super().__init__()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(self.context)
        self.answer = self.behave
        self.frames = FRAMES
        self.open = False
        self.connections: set[Any] = set()

    async def behave(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(request.transport)
        if "watch" in request.query:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            response.enable_chunked_encoding()
            await response.prepare(request)
            for line in self.frames:
                await response.write(line)
            while self.open:
                await asyncio.sleep(0.01)
            return response
        body = {"metadata": {"name": "a", "resourceVersion": str(len(self.requests))}}
        return web.json_response(body, status=201 if request.method == "POST" else 200)

    @property
    def writes(self) -> list[str]:
        return [request.method for request in self.requests if request.method != "GET"]


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
async def stub(authority):
    found = Stub(authority.issue_cert("127.0.0.1"))
    runner = await found.start(found.context)
    yield found
    found.open = False
    await runner.cleanup()


@pytest.fixture
def kills():
    return []


@pytest.fixture
async def proxy(stub, authority, kills, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "upstream.pem")
    found = FaultProxy(
        stub.url,
        tmp_path / "upstream.pem",
        tmp_path / "proxy",
        replica="r",
        on_kill=lambda: kills.append(time.monotonic()),
    )
    with found:
        yield found


@contextlib.asynccontextmanager
async def session(proxy, **options):
    trust = ssl.create_default_context(cafile=str(proxy.authority))
    async with aiohttp.ClientSession(
        proxy.url, connector=aiohttp.TCPConnector(ssl=trust), auto_decompress=False, **options
    ) as found:
        yield found


@pytest.fixture
async def client(proxy):
    async with session(proxy) as found:
        yield found


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def silent(work):
    """Whether nothing comes for a while; what waits is given up."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await work


async def create(client, name="a", **options):
    body = {"metadata": {"name": name}, "spec": {"holderIdentity": "me"}}
    async with client.post(PODS, json=body, **options) as response:
        return response.status, await response.json()


async def get(client, path=f"{PODS}/a"):
    async with client.get(path) as response:
        return response.status, await response.read()


async def lines(client, path=WATCH):
    """The lines of a watch to its good end."""
    async with client.get(path) as response:
        return [line async for line in response.content]


async def lines_until_broken(client, kind):
    found = bytearray()
    with pytest.raises(kind) as caught:
        async with client.get(WATCH) as response:
            async for chunk in response.content.iter_any():
                found += chunk
    return bytes(found), caught.value


class Raw:
    """A client that sees bytes, and the way in which a connection ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def rest(self) -> tuple[bytes, str]:
        """What comes, and whether the connection was then closed or reset."""
        found = bytearray()
        try:
            async with asyncio.timeout(20):
                while chunk := await self.reader.read(65536):
                    found += chunk
        except ConnectionResetError:
            return bytes(found), "reset"
        return bytes(found), "closed"

    def send(self, method="GET", target=f"{PODS}/a"):
        self.writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


@contextlib.asynccontextmanager
async def raw(proxy):
    trust = ssl.create_default_context(cafile=str(proxy.authority))
    port = int(proxy.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def before(fault, **fields):
    return Rule(phase="before", fault=fault, **fields)


def committed(fault, **fields):
    return Rule(phase="committed", fault=fault, **fields)


def stream(fault, **fields):
    return Rule(phase="stream", fault=fault, **fields)


# Without rules


async def test_requests_and_answers_pass_unchanged(proxy, stub, client):
    async def echo(request: web.Request) -> web.StreamResponse:
        headers = {"X-Case-Kept": "1", "Content-Type": "application/x"}
        return web.Response(status=418, reason="Teapot", headers=headers, body=stub.bodies[-1])

    stub.answer = echo
    for body in (b"", b"\x00\r\n\xff", bytes(range(256)) * 4096 * 8):
        sent = {"Authorization": "Bearer t", "X-Some": "Thing"}
        async with client.put(
            f"{PODS}/a?x=%26%20y", data=io.BytesIO(body), headers=sent
        ) as response:
            assert await response.read() == body
            assert (response.status, response.reason) == (418, "Teapot")
            assert (b"X-Case-Kept", b"1") in response.raw_headers
        request = stub.requests[-1]
        assert request.raw_path == f"{PODS}/a?x=%26%20y"
        assert (request.headers["Authorization"], request.headers["X-Some"]) == (
            "Bearer t",
            "Thing",
        )


async def test_bodies_in_chunks_pass_unchanged(proxy, stub, client):
    async def chunks():
        for _ in range(3):
            yield b"x" * 70_000

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"y" * 70_000)
        return response

    stub.answer = answer
    async with client.put(f"{PODS}/a", data=chunks()) as response:
        assert await response.read() == b"y" * 210_000
    assert stub.bodies == [b"x" * 210_000]


async def test_one_connection_of_the_client_is_one_to_the_server(proxy, stub, client):
    for _ in range(5):
        await create(client)
    assert len(stub.connections) == 1
    await asyncio.gather(*(get(client) for _ in range(4)))
    assert len(stub.connections) <= 4


async def test_a_long_watch_passes_unchanged(proxy, stub, client):
    big = frame("ADDED", "x" * 1_500_000)
    odd = [b"\r\n", b'{"type":"ADDED"}\r\n', '{"é":1}\n'.encode(), b"not json\n", b"tail"]
    stub.frames = [frame("ADDED", f"a{number}") for number in range(3000)] + [big, *odd]
    async with client.get(WATCH) as response:
        assert await response.read() == b"".join(stub.frames)
    assert await get(client)  # and the connection lives on
    await until(lambda: proxy.trace.entries()[0].ended)
    assert proxy.trace.entries()[0].frames == 3005


async def test_a_frame_and_the_end_of_its_watch_pass_at_once(proxy, stub, client):
    stub.open = True
    async with client.get(WATCH) as response:
        assert [await response.content.readline() for _ in FRAMES] == FRAMES
        assert proxy.trace.entries()[0].ended == 0
        response.close()
    await until(lambda: all(each.is_closing() for each in stub.connections))
    await until(lambda: proxy.trace.entries()[0].ended)


async def test_a_watch_that_breaks_at_the_server_breaks_at_the_client(proxy, stub, client):
    stub.streams(*FRAMES, b'{"half', then="reset")
    found, _ = await lines_until_broken(client, aiohttp.ClientPayloadError)
    assert found.startswith(FRAMES[0])


async def test_a_server_that_closes_closes_the_clients_connection(proxy, stub):
    async with raw(proxy) as peer:
        peer.send()
        await peer.reader.readuntil(b"}}")
        for connection in stub.connections:
            connection.abort()
        assert await peer.rest() == (b"", "closed")


async def test_an_answer_with_an_error_to_a_watch_passes(proxy, stub, client):
    stub.responds("too many", status=429, headers={"Retry-After": "1"})
    assert await get(client, WATCH) == (429, b"too many")
    entry = proxy.trace.entries()[0]
    assert (entry.code, entry.server_code, entry.frames) == (429, 429, 0)


async def test_a_connection_without_http_is_closed(proxy):
    async with raw(proxy) as peer:
        peer.writer.write(b"\x00\x01 nonsense\r\n\r\n")
        assert (await peer.rest())[1] in {"closed", "reset"}


# The trace


async def test_a_trace_holds_user_request_and_answer(proxy, client):
    await create(client, "a", params={"dryRun": "All"}, headers={"Authorization": "Bearer s3cr3t"})
    leases = "/apis/coordination.k8s.io/v1/namespaces/n/leases"
    async with client.put(f"{leases}/l", json={"spec": {"holderIdentity": "me"}}) as response:
        await response.read()
    await get(client, "/version")
    await until(lambda: all(entry.ended for entry in proxy.trace.entries()))
    first, lease, version = proxy.trace.entries()
    assert (first.verb, first.dry_run, first.created, first.code) == ("create", True, True, 201)
    assert (first.resource_version, first.holder, first.replica) == ("", "", "r")
    assert (lease.group, lease.name, lease.holder) == ("coordination.k8s.io", "l", "me")
    assert (lease.server_code, lease.resource_version, lease.rule) == (200, "2", -1)
    assert version.verb == "other"
    assert first.at <= first.ended
    assert "s3cr3t" not in repr(proxy.trace.entries())
    assert proxy.forwarded_writes() == 1


# Before a request is forwarded


async def test_a_request_is_dropped_before_it_is_forwarded(proxy, stub):
    index = proxy.add(before("drop"))
    async with raw(proxy) as peer:
        peer.send("POST", PODS)
        assert await peer.rest() == (b"", "reset")
    assert (proxy.hits(index), stub.requests) == (1, [])
    await until(lambda: proxy.trace.entries()[0].ended)
    entry = proxy.trace.entries()[0]
    assert (entry.code, entry.server_code, entry.fault, entry.rule) == (0, 0, "before/drop", 0)


async def test_a_request_is_delayed_before_it_is_forwarded(proxy, stub, client):
    proxy.add(before("delay", seconds=0.3, verb="create"))
    work = asyncio.create_task(create(client))
    await until(lambda: proxy.hits(0))
    assert await get(client) == (200, b'{"metadata": {"name": "a", "resourceVersion": "1"}}')
    assert stub.writes == []
    assert (await work)[0] == 201


async def test_a_request_hangs_until_the_rule_is_removed(proxy, stub):
    index = proxy.add(before("hang", count=0))
    async with raw(proxy) as peer:
        peer.send()
        await silent(peer.reader.read(1))
        proxy.remove(index)
        assert await peer.rest() == (b"", "reset")
    assert stub.requests == []


async def test_a_request_hangs_for_the_seconds_of_its_rule(proxy):
    proxy.add(before("hang", seconds=0.05))
    async with raw(proxy) as peer:
        peer.send()
        assert await peer.rest() == (b"", "reset")


async def test_a_client_that_gives_up_on_a_hang_is_forgotten(proxy, stub):
    proxy.add(before("hang"))
    async with raw(proxy) as peer:
        peer.send()
        await until(lambda: proxy.hits(0))
    await until(lambda: proxy.trace.entries()[0].ended)
    assert stub.requests == []


@pytest.mark.parametrize(
    ("fields", "kind", "part"),
    [
        ({"code": 409}, "application/json", b'"AlreadyExists"'),
        ({"code": 429, "retry_after": 2}, "application/json", b'"retryAfterSeconds":2'),
        ({"code": 429, "text": "slow down"}, "text/plain", b"slow down"),
        ({"code": 502, "text": "<html>"}, "text/html", b"<html>"),
        ({"code": 200, "text": '{"kind":"Status"}'}, "application/json", b'{"kind":"Status"}'),
    ],
)
async def test_a_request_gets_the_rules_answer_unforwarded(proxy, stub, client, fields, kind, part):
    proxy.add(before("respond", **fields))
    async with client.post(PODS, json={}) as response:
        assert part in await response.read()
        assert (response.status, response.content_type) == (fields["code"], kind)
        assert response.headers.get("Retry-After") == ("2" if "retry_after" in fields else None)
    assert stub.requests == []
    assert (await create(client))[0] == 201


@pytest.mark.parametrize("code", [410, 500])
async def test_a_watch_gets_another_answer(proxy, stub, client, code):
    proxy.add(before("respond", code=code, verb="watch"))
    status, body = await get(client, WATCH)
    assert (status, json.loads(body)["code"]) == (code, code)
    assert stub.requests == []


async def test_a_write_is_committed_after_the_clients_timeout(proxy, stub, client):
    proxy.add(before("late", seconds=0.1, verb="write"))
    code, body = await create(client)
    assert (code, body["reason"], stub.writes) == (504, "Timeout", [])
    await until(lambda: stub.writes == ["POST"])
    await until(lambda: proxy.trace.entries()[0].server_code == 201)
    assert (proxy.trace.entries()[0].code, proxy.forwarded_writes()) == (504, 1)


async def test_a_stale_answer_is_the_oldest_to_the_same_request(proxy, stub, client):
    proxy.add(before("stale", first=3, count=0))
    first = await get(client)
    second = await get(client)
    assert first != second
    assert await get(client) == first
    assert (await get(client, PODS))[1] not in {first[1], second[1]}  # never asked before: passes
    assert await get(client) == first
    assert proxy.hits(0) == 2
    assert len(stub.requests) == 3


async def test_a_kill_strikes_before_a_write(proxy, stub, kills):
    proxy.add(before("kill", verb="write"))
    async with raw(proxy) as peer, raw(proxy) as other:
        peer.send("DELETE")
        assert await peer.rest() == (b"", "reset")
        assert (len(kills), stub.writes) == (1, [])
        # The process is gone, and all that it had open: this one perhaps in its handshake.
        assert (await other.rest())[1] in {"reset", "closed"}
    async with session(proxy) as restarted:
        assert (await create(restarted))[0] == 201


# After the server's answer


async def test_a_committed_write_is_dropped(proxy, stub):
    proxy.add(committed("drop"))
    async with raw(proxy) as peer:
        peer.send("POST", PODS)
        assert await peer.rest() == (b"", "reset")
    assert stub.writes == ["POST"]
    await until(lambda: proxy.trace.entries()[0].ended)
    entry = proxy.trace.entries()[0]
    assert (entry.code, entry.server_code, entry.created) == (0, 201, True)
    assert (entry.fault, entry.name, entry.resource_version) == ("committed/drop", "a", "1")


async def test_a_kill_strikes_after_a_committed_write(proxy, stub, kills):
    proxy.add(committed("kill", verb="write"))
    async with raw(proxy) as peer:
        peer.send("DELETE")
        assert await peer.rest() == (b"", "reset")
    assert (len(kills), stub.writes) == (1, ["DELETE"])


async def test_a_committed_write_is_delayed_or_hangs(proxy, stub, client):
    proxy.add(committed("delay", seconds=0.2))
    work = asyncio.create_task(create(client))
    await until(lambda: stub.writes and proxy.hits(0))
    assert not work.done()
    assert (await work)[0] == 201
    proxy.add(committed("hang"))
    await silent(create(client))
    assert stub.writes == ["POST", "POST"]


async def test_an_answer_is_cut_in_half(proxy, client):
    whole = await get(client)
    proxy.add(committed("truncate"))
    async with raw(proxy) as peer:
        peer.send()
        found, end = await peer.rest()
    head, _, body = found.partition(b"\r\n\r\n")
    assert b"200 OK" in head
    assert f"Content-Length: {len(whole[1])}".encode() in head
    assert (len(body), whole[1][:9], end) == (len(whole[1]) // 2, body[:9], "closed")


async def test_a_servers_answer_is_replaced(proxy, stub, client):
    proxy.add(committed("respond", code=504))
    assert (await create(client))[0] == 504
    assert stub.writes == ["POST"]
    entry = proxy.trace.entries()[0]
    assert (entry.code, entry.server_code, entry.created) == (504, 201, True)


async def test_a_write_is_duplicated_and_its_first_answer_given(proxy, stub, client):
    proxy.add(committed("duplicate"))
    code, body = await create(client)
    assert (code, body["metadata"]["resourceVersion"]) == (201, "1")
    assert stub.writes == ["POST", "POST"]
    assert stub.bodies[0] == stub.bodies[1]
    assert (proxy.forwarded_writes(), len(proxy.trace.entries())) == (2, 1)


async def test_a_write_is_replayed_after_its_answer(proxy, stub, client):
    proxy.add(committed("replay", seconds=0.1))
    assert (await create(client))[0] == 201
    assert stub.writes == ["POST"]
    await until(lambda: stub.writes == ["POST", "POST"])
    assert stub.bodies[0] == stub.bodies[1]


# After the client's answer


async def test_a_kill_after_an_answer_precedes_the_next_write(proxy, stub, kills):
    proxy.add(Rule(phase="answered", fault="kill", verb="create"))
    async with raw(proxy) as peer, raw(proxy) as other:
        peer.send("POST", PODS)
        await peer.reader.readuntil(b"}}")
        assert kills == []
        other.send("DELETE")
        peer.send("PUT")
        assert await other.rest() == (b"", "reset")
        assert await peer.rest() == (b"", "reset")
    assert (len(kills), stub.writes) == (1, ["POST"])
    async with session(proxy) as restarted:
        assert (await create(restarted))[0] == 201
    held = [entry.fault for entry in proxy.trace.entries() if entry.verb in {"delete", "update"}]
    assert set(held) == {"answered/kill"}


async def test_reads_pass_between_the_answer_and_the_kill(proxy, stub, kills):
    proxy.add(Rule(phase="answered", fault="kill", verb="create"))
    async with raw(proxy) as peer:
        peer.send("POST", PODS)
        await peer.reader.readuntil(b"}}")
        peer.send()
        assert b"200 OK" in await peer.reader.readuntil(b"}}")
        await peer.rest()
    assert len(kills) == 1


# In a watch


async def test_a_cut_ends_the_watch_without_a_reset(proxy, client):
    proxy.add(stream("cut", frame="MODIFIED"))
    assert await lines(client) == FRAMES[:3]
    assert await lines(client) == FRAMES
    entry = proxy.trace.entries()[0]
    assert (entry.fault, entry.frames) == ("stream/cut", 3)


@pytest.mark.parametrize(
    ("fault", "frames", "end"),
    [
        ("reset", None, "reset"),
        ("truncate", FRAMES[0] + FRAMES[1][: len(FRAMES[1]) // 2], "closed"),
    ],
)
async def test_a_watch_breaks(proxy, fault, frames, end):
    proxy.add(stream(fault, name="b"))
    async with raw(proxy) as peer:
        peer.send(target=WATCH)
        found, how = await peer.rest()
    assert how == end
    if frames is not None:  # what a reset overtakes is lost
        assert frames == b"".join(found.split(b"\r\n\r\n", 1)[1].split(b"\r\n")[1::2])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (stream("duplicate", name="b", frame="ADDED"), [*FRAMES[:2], *FRAMES[1:]]),
        (stream("replay", frame="DELETED"), [*FRAMES[:3], *FRAMES]),
        (stream("swallow", name="a"), FRAMES[1:]),
        (stream("swallow", name="a", count=0), [FRAMES[1], FRAMES[3]]),
        (stream("swallow", first=2, count=2), [FRAMES[0], FRAMES[3]]),
    ],
)
async def test_frames_are_changed_by_their_fault(proxy, client, rule, expected):
    proxy.add(rule)
    assert await lines(client) == expected


@pytest.mark.parametrize(
    ("rule", "code", "reason"),
    [
        (stream("gone", first=2), 410, "Expired"),
        (stream("error", first=2, code=500), 500, "InternalError"),
    ],
)
async def test_an_error_event_ends_the_watch(proxy, client, rule, code, reason):
    proxy.add(rule)
    first, last = await lines(client)
    event = json.loads(last)
    assert (first, event["type"]) == (FRAMES[0], "ERROR")
    assert (event["object"]["code"], event["object"]["reason"]) == (code, reason)


async def test_delayed_frames_keep_their_order(proxy, stub, client):
    stub.frames = [frame("ADDED", f"a{number}") for number in range(200)]
    stub.open = True
    proxy.add(stream("delay", seconds=0.5, first=2))
    async with client.get(WATCH) as response:
        assert await response.content.readline() == stub.frames[0]
        await until(lambda: proxy.hits(0))
        assert proxy.trace.entries()[0].frames == 1
        # 199 times half a second would outlast this, by far
        async with asyncio.timeout(50):
            assert [await response.content.readline() for _ in range(199)] == stub.frames[1:]


async def test_silence_leaves_the_watch_open_and_others_run(proxy, client):
    index = proxy.add(stream("silence", first=2))
    async with client.get(WATCH) as response:
        assert await response.content.readline() == FRAMES[0]
        await silent(response.content.readline())
        assert await lines(client) == FRAMES
        proxy.remove(index)
        with pytest.raises(aiohttp.ClientError):
            await response.content.readline()


async def test_a_kill_strikes_at_a_frame(proxy, kills):
    proxy.add(stream("kill", frame="MODIFIED"))
    async with raw(proxy) as peer:
        peer.send(target=WATCH)
        found, end = await peer.rest()
    assert (end, len(kills), FRAMES[2] in found) == ("reset", 1, False)


async def test_the_end_of_the_initial_events_can_be_withheld(proxy, stub, client):
    end = {"metadata": {"annotations": {"k8s.io/initial-events-end": "true"}}}
    bookmark = json.dumps({"type": "BOOKMARK", "object": end}).encode() + b"\n"
    stub.frames = [FRAMES[0], frame("BOOKMARK"), bookmark]
    proxy.add(stream("swallow", frame="INITIAL-END"))
    assert await lines(client, f"{WATCH}&sendInitialEvents=true") == stub.frames[:2]
    assert proxy.trace.entries()[0].initial


# Switches


async def test_a_cut_resets_open_connections_and_accepts_new_ones(proxy, stub):
    stub.open = True
    async with raw(proxy) as idle, raw(proxy) as watching:
        watching.send(target=WATCH)
        await watching.reader.readuntil(FRAMES[3].strip())
        idle.send()
        await idle.reader.readuntil(b"}}")
        proxy.cut()
        assert (await idle.rest())[1] == "reset"
        assert (await watching.rest())[1] == "reset"
    async with session(proxy) as again:
        assert (await create(again))[0] == 201


async def test_connections_are_refused_until_accepted(proxy, client):
    await create(client)
    proxy.refuse()
    with pytest.raises(OSError):
        async with raw(proxy):
            pass
    assert (await create(client))[0] == 201  # this connection is open
    proxy.accept()
    async with raw(proxy) as peer:
        peer.send()
        assert await peer.reader.readuntil(b"200 OK")


async def test_connections_are_swallowed_until_released(proxy, stub, client):
    stub.open = True
    async with client.get(WATCH) as response:
        for _ in FRAMES:
            await response.content.readline()
        proxy.swallow()
        stub.open = False
        await silent(response.content.read())
    work = asyncio.create_task(create(client))
    await silent(get(client))
    assert not work.done()
    assert len(stub.requests) == 1
    proxy.release()
    assert (await work)[0] == 201
    assert stub.writes == ["POST"]


async def test_an_answer_that_comes_while_nothing_passes_waits(proxy, stub, client):
    proxy.add(committed("delay", seconds=0.1))
    work = asyncio.create_task(create(client))
    await until(lambda: proxy.hits(0))
    proxy.swallow()
    await silent(asyncio.shield(work))
    assert stub.writes == ["POST"]
    proxy.release()
    assert (await work)[0] == 201


async def test_a_new_certificate_needs_the_new_authority(proxy):
    async with session(proxy) as unused, raw(proxy) as peer:
        old = proxy.authority.read_bytes()
        peer.send()
        await peer.reader.readuntil(b"}}")
        proxy.rotate_certificate(new_authority=False)
        assert (await peer.rest())[1] == "reset"
        assert proxy.authority.read_bytes() == old
        async with session(proxy) as client:
            assert (await create(client))[0] == 201
        proxy.rotate_certificate()
        assert proxy.authority.read_bytes() != old
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await create(unused)
    async with session(proxy) as trusting:
        assert (await create(trusting))[0] == 201


async def test_a_rejected_token_gets_401(proxy, stub, client):
    proxy.reject_token("old")
    assert (await create(client, headers={"Authorization": "Bearer old"}))[0] == 401
    assert (await create(client, headers={"Authorization": "Bearer new"}))[0] == 201
    assert (len(stub.requests), proxy.trace.entries()[0].fault) == (1, "before/respond")


async def test_connections_are_redirected_to_another_server(
    proxy, stub, authority, client, tmp_path
):
    other = Stub(authority.issue_cert("127.0.0.1"))
    runner = await other.start(other.context)
    try:
        async with raw(proxy) as peer:
            peer.send()
            await peer.reader.readuntil(b"}}")
            proxy.redirect(other.url, tmp_path / "upstream.pem")
            assert (await peer.rest())[1] == "reset"
        assert (await create(client))[0] == 201
        assert (stub.writes, other.writes) == ([], ["POST"])
    finally:
        proxy.cut()
        await runner.cleanup()


async def test_only_reads_are_redirected(proxy, stub, authority, client, tmp_path):
    other = Stub(authority.issue_cert("127.0.0.1"))
    runner = await other.start(other.context)
    try:
        proxy.redirect(other.url, tmp_path / "upstream.pem", reads_only=True)
        async with raw(proxy) as peer:  # one connection of the client, to one server and the other
            for method, path in (("POST", PODS), ("GET", PODS), ("PUT", f"{PODS}/a")):
                peer.send(method, path)
                await peer.reader.readuntil(b"}}")
        assert await lines(client) == FRAMES
        assert (stub.writes, len(stub.requests)) == (["POST", "PUT"], 2)
        assert [request.path for request in other.requests] == [PODS, PODS]
        proxy.redirect(stub.url, tmp_path / "upstream.pem")
        await get(client)
        assert (len(stub.requests), len(other.requests)) == (3, 2)
    finally:
        proxy.cut()
        await runner.cleanup()


async def test_a_forwarded_write_is_traced_though_the_client_left(proxy, stub):
    async def never(request):
        await asyncio.Event().wait()

    stub.answer = never
    proxy.add(Rule(phase="before", fault="drop"))
    async with raw(proxy) as dropped:
        dropped.send("POST", PODS)
        await dropped.rest()
    async with raw(proxy) as peer:
        peer.send("POST", PODS)
        await until(lambda: stub.requests)
    await until(lambda: proxy.trace.entries()[1].ended)
    first, second = proxy.trace.entries()
    assert (first.forwarded, second.server_code) == (0, 0)
    assert second.at <= second.forwarded <= second.ended


async def test_a_server_that_is_away_resets_the_client(proxy, stub, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    proxy.redirect(f"https://127.0.0.1:{port}", tmp_path / "upstream.pem")
    async with raw(proxy) as peer:
        peer.send()
        assert await peer.rest() == (b"", "reset")


async def test_an_untrusted_server_gets_nothing(proxy, stub, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    proxy.redirect(stub.url, tmp_path / "other.pem")
    async with raw(proxy) as peer:
        peer.send()
        assert await peer.rest() == (b"", "reset")
    assert stub.requests == []


# The proxy itself


async def test_close_ends_what_is_open_and_keeps_what_was_counted(proxy, stub):
    stub.open = True
    proxy.add(before("hang", verb="create"))
    async with raw(proxy) as watching, raw(proxy) as hanging, raw(proxy) as idle:
        watching.send(target=WATCH)
        await watching.reader.readuntil(FRAMES[3].strip())
        hanging.send("POST", PODS)
        await until(lambda: proxy.hits(0))
        proxy.close()
        for peer in (watching, hanging, idle):
            await peer.rest()
        with pytest.raises(OSError):
            async with raw(proxy):
                pass
    assert proxy.hits(0) == 1
    assert all(entry.ended for entry in proxy.trace.entries())
    proxy.close()


async def test_a_failed_handshake_leaves_nothing_open(proxy, stub):
    port = int(proxy.url.rpartition(":")[2])
    for rounds in range(30):
        with socket.create_connection(("127.0.0.1", port)):
            for _ in range(rounds % 5):
                await asyncio.sleep(0)
            proxy.cut()
    async with session(proxy) as client:
        assert (await create(client))[0] == 201
    last = socket.create_connection(("127.0.0.1", port))
    proxy.close()
    last.close()
    gc.collect()  # what was left open would warn


@pytest.mark.parametrize("turns", range(1, 8))
async def test_a_handshake_that_is_given_up_closes_its_connection(stub, turns):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        work = asyncio.create_task(wire.accept(ours, stub.context, lambda: None))
        for _ in range(turns):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait({work})
        await until(lambda: ours.fileno() == -1)


async def test_a_client_gone_during_the_connect_leaves_nothing_open(proxy, stub):
    for rounds in range(20):
        async with raw(proxy) as peer:
            peer.send()
            await asyncio.sleep(rounds / 5000)
    await until(lambda: all(entry.ended for entry in proxy.trace.entries()))
    proxy.close()
    gc.collect()  # what was left open would warn


async def test_errors_of_the_callback_are_raised_at_the_end(stub, authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "upstream.pem")

    def fail() -> None:
        made.remove(0)
        made.add(before("respond", code=403))
        raise LookupError("no such process")

    kill = before("kill", count=0)
    made = FaultProxy(stub.url, tmp_path / "upstream.pem", tmp_path, rules=[kill], on_kill=fail)
    with pytest.raises(RuntimeError, match="not started"):
        _ = made.url
    made.start()
    async with raw(made) as peer:
        peer.send()
        assert await peer.rest() == (b"", "reset")
    async with session(made) as client:
        assert (await create(client))[0] == 403
    with pytest.raises(ExceptionGroup) as caught:
        made.close()
    assert caught.group_contains(LookupError)


def test_a_proxy_wants_an_https_server(tmp_path):
    with pytest.raises(ValueError, match="no https URL"):
        FaultProxy("http://127.0.0.1:1", tmp_path / "ca.pem", tmp_path)

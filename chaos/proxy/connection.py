"""One connection of the client: serves its requests one after another, with the faults of rules.

The rule kept here: a client connection has at most one server connection. The first forwarded
request opens it, and the loss of one connection ends the other. A request to another API server
than the last one closes the old server connection.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from typing import NamedTuple

import h11

from chaos.proxy import frames, wire
from chaos.proxy.core import Core
from chaos.proxy.frames import Step, Then
from chaos.proxy.requests import Request, holder_of, named, request_of
from chaos.proxy.rules import Rule
from chaos.proxy.trace import Entry

_QUEUED = 1000  # frames of a watch that are read ahead of the client


class _Exchange(NamedTuple):
    """A request in progress."""

    call: wire.Call
    request: Request
    entry: Entry


class _Item(NamedTuple):
    """A line of a watch and its time of arrival; or the rest after the last line, and the end."""

    at: float
    line: bytes
    then: Then = "go on"


class ClientConnection:
    """Serves one accepted connection from the handshake to the end."""

    def __init__(self, core: Core, accepted: socket.socket) -> None:
        self.hanging: int | None = None
        self._core = core
        self._accepted: socket.socket | None = accepted  # until the handshake
        self._client: wire.Peer | None = None
        self._server: wire.Peer | None = None
        self._target: wire.Target | None = None  # the target of _server
        self._busy = False
        core.connections.add(self)
        self._task = core.spawn(self._run())
        self._task.add_done_callback(self._ended)  # also where cancelled before its start

    def reset(self) -> None:
        """End the connection at once, with a TCP reset."""
        if self._client:
            self._client.reset()
        if self._task is not asyncio.current_task():
            self._task.cancel()

    async def _run(self) -> None:
        await self._core.passing.wait()
        accepted, self._accepted = self._accepted, None
        if accepted is None:
            return
        try:
            client = await wire.accept(accepted, self._core.context, self._client_lost)
            self._client = client
            try:
                while await self._serve(client):
                    pass
            except wire.ServerRefused:
                client.reset()
            except wire.ServerGone:
                pass
            await client.close()
        except wire.ClientGone:
            pass

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._core.connections.discard(self)
        self._leave_server()
        if self._client:
            self._client.abort()
        if self._accepted:
            self._accepted.close()

    def _client_lost(self) -> None:
        self._task.cancel()

    # The API server's side

    def _server_lost(self) -> None:
        server, self._server = self._server, None
        if server and not self._busy:
            self._task.cancel()

    def _leave_server(self) -> None:
        server, self._server = self._server, None
        if server:
            server.abort()

    async def _ask(self, exchange: _Exchange) -> tuple[wire.Peer, h11.Response]:
        target = self._core.target_of(exchange.request)
        if self._target != target:
            self._leave_server()
        server = self._server
        if server is None:
            server = await wire.connect(target, self._server_lost)
            self._server, self._target = server, target
        self._core.count(exchange.request)
        exchange.entry.forwarded = time.monotonic()
        return server, await server.ask(exchange.call)

    async def _forward(self, exchange: _Exchange) -> wire.Answer:
        server, head = await self._ask(exchange)
        return await self._whole(server, head)

    async def _whole(self, server: wire.Peer, head: h11.Response) -> wire.Answer:
        answer = await server.answer(head)
        if not server.next_cycle():
            self._leave_server()
        return answer

    # Requests

    async def _serve(self, client: wire.Peer) -> bool:
        """Serve one request; False where the connection must be closed."""
        call = await client.call()
        if call is None:
            return False
        self._busy = True
        content_type = call.header(b"content-type")
        request = request_of(call.method.decode(), call.target.decode(), content_type, call.body)
        lease = request.is_write and request.resource == "leases"
        entry = self._core.trace.begin(request, call.at, holder_of(call.body) if lease else "")
        try:
            alive = await self._handle(client, _Exchange(call, request, entry))
        finally:
            self._core.trace.end(entry)
            self._busy = False
        return alive and client.next_cycle()

    async def _handle(self, client: wire.Peer, exchange: _Exchange) -> bool:
        call, request, entry = exchange
        await self._core.passing.wait()
        if call.header(b"authorization").removeprefix("Bearer ") in self._core.rejected:
            entry.fault = "before/respond"
            return await self._answer(client, wire.fake_answer(401, request.verb), entry)
        await self._hold(client, exchange)
        index = self._core.rules.due("before", request)
        if index is not None:
            alive = await self._before(client, exchange, index)
            if alive is not None:
                return alive
            await self._core.passing.wait()
            await self._hold(client, exchange)
        if request.verb == "watch":
            return await self._watch(client, exchange)
        answer = await self._forward(exchange)
        self._note(exchange, answer)
        return await self._after(client, exchange, answer)

    async def _hold(self, client: wire.Peer, exchange: _Exchange) -> None:
        """Let a write hang while the client is about to be killed."""
        index = self._core.held_by
        if index is None or not exchange.request.is_write:
            return
        exchange.entry.fault, exchange.entry.rule = "answered/kill", index
        await self._hang(client, index, 0.0)

    def _note(self, exchange: _Exchange, answer: wire.Answer) -> None:
        entry = exchange.entry
        entry.server_code = answer.code
        entry.created = answer.code == 201
        if exchange.request.is_write and answer.code < 300:
            found = named(answer.body)
            entry.resource_version = found.resource_version
            entry.name = entry.name or found.name
        self._core.record(exchange.call, exchange.request, answer)

    async def _answer(self, client: wire.Peer, answer: wire.Answer, entry: Entry) -> bool:
        await self._core.passing.wait()
        entry.code = answer.code
        body = [h11.Data(data=answer.body)] if answer.body else []
        await client.send(answer.head(), *body, h11.EndOfMessage())
        return True

    # Faults

    def _act(self, entry: Entry, index: int) -> Rule:
        """Count and record that a rule acts; the rule."""
        rule = self._core.rules[index]
        self._core.rules.hit(index)
        entry.fault, entry.rule = f"{rule.phase}/{rule.fault}", index
        return rule

    async def _hang(self, client: wire.Peer, index: int, seconds: float) -> bool:
        """Keep the connection open without traffic, for ``seconds`` or (0) until a reset."""
        self.hanging = index
        if seconds:
            await asyncio.sleep(seconds)
        else:
            await asyncio.Event().wait()
        client.reset()
        return False

    async def _common(
        self, client: wire.Peer, exchange: _Exchange, index: int, rule: Rule
    ) -> bool | None:
        """Inject a fault that several phases have; None: the request continues."""
        match rule.fault:
            case "kill":
                self._core.kill()
                return False
            case "drop":
                client.reset()
                return False
            case "delay":
                await asyncio.sleep(rule.seconds)
            case "hang":
                return await self._hang(client, index, rule.seconds)
            case "respond":
                verb = exchange.request.verb
                answer = wire.fake_answer(rule.code, verb, rule.text, rule.retry_after)
                return await self._answer(client, answer, exchange.entry)
        return None

    async def _before(self, client: wire.Peer, exchange: _Exchange, index: int) -> bool | None:
        """Inject the fault of a rule before forwarding; None: the request must be forwarded."""
        fault = self._core.rules[index].fault
        stale = self._core.recorded(exchange.call) if fault == "stale" else None
        if fault == "stale" and stale is None:
            return None
        rule = self._act(exchange.entry, index)
        if stale:
            return await self._answer(client, stale, exchange.entry)
        if fault == "late":
            self._core.spawn(self._commit_late(exchange, rule.seconds))
            answer = wire.fake_answer(504, exchange.request.verb)
            return await self._answer(client, answer, exchange.entry)
        return await self._common(client, exchange, index, rule)

    async def _commit_late(self, exchange: _Exchange, seconds: float) -> None:
        answer = await self._core.forward_later(exchange.call, exchange.request, seconds)
        if answer:
            self._note(exchange, answer)

    async def _repeat(self, exchange: _Exchange, seconds: float) -> None:
        await self._core.forward_later(exchange.call, exchange.request, seconds)

    async def _after(self, client: wire.Peer, exchange: _Exchange, answer: wire.Answer) -> bool:
        """Inject the faults of rules between the server's answer and the client."""
        index = self._core.rules.due("committed", exchange.request)
        if index is not None:
            rule = self._act(exchange.entry, index)
            match rule.fault:
                case "truncate":
                    exchange.entry.code = answer.code
                    half = h11.Data(data=answer.body[: len(answer.body) // 2])
                    await client.send(answer.head(), half)
                    return False
                case "duplicate":
                    await self._forward(exchange)
                case "replay":
                    self._core.spawn(self._repeat(exchange, rule.seconds))
                case _:
                    alive = await self._common(client, exchange, index, rule)
                    if alive is not None:
                        return alive
        index = self._core.rules.due("answered", exchange.request)
        if index is None:
            return await self._answer(client, answer, exchange.entry)
        self._act(exchange.entry, index)
        self._core.held_by = index  # before the client can react to the answer
        try:
            return await self._answer(client, answer, exchange.entry)
        finally:
            self._core.spawn(self._core.kill_after_reading())

    # Watches

    async def _watch(self, client: wire.Peer, exchange: _Exchange) -> bool:
        server, head = await self._ask(exchange)
        exchange.entry.server_code = head.status_code
        chunked = not any(name == b"content-length" for name, _ in head.headers)
        if head.status_code != 200 or not chunked:
            return await self._answer(client, await self._whole(server, head), exchange.entry)
        await self._core.passing.wait()
        exchange.entry.code = 200
        answer = wire.Answer(200, head.reason, head.headers.raw_items(), b"")
        await client.send(answer.head())
        queue: asyncio.Queue[_Item] = asyncio.Queue(_QUEUED)
        pump = self._core.spawn(_pump(server, queue))
        try:
            return await self._pass_on(client, exchange, queue)
        finally:
            pump.cancel()
            await asyncio.wait({pump})
            if not server.next_cycle():
                self._leave_server()

    async def _pass_on(
        self, client: wire.Peer, exchange: _Exchange, queue: asyncio.Queue[_Item]
    ) -> bool:
        """Send frames from the queue to the client, until client, server or a fault ends it."""
        entry = exchange.entry
        earlier: deque[bytes] = deque(maxlen=frames.KEPT)
        delay = 0.0
        while True:
            item = await queue.get()
            step, index = self._step(exchange, item, earlier)
            delay = step.seconds or delay
            if delay:
                await asyncio.sleep(item.at + delay - time.monotonic())
            await self._core.passing.wait()
            if item.then == "go on" and step.then != "close":
                entry.frames += len(step.written)
            for data in step.written:
                await client.send(h11.Data(data=data))
            earlier.append(item.line)
            match step.then:
                case "end":
                    await client.send(h11.EndOfMessage())
                    return True
                case "close":
                    return False
                case "reset":
                    client.reset()
                    return False
                case "kill":
                    self._core.kill()
                    return False
                case "silence" if index is not None:
                    return await self._hang(client, index, self._core.rules[index].seconds)

    def _step(
        self, exchange: _Exchange, item: _Item, earlier: deque[bytes]
    ) -> tuple[Step, int | None]:
        """The step of an item, and the index of the rule that acts on it."""
        if item.then != "go on":
            return Step([item.line] if item.line else [], item.then), None
        rules = self._core.rules
        index = None
        if rules.streams(exchange.request) and item.line.strip():
            index = rules.due_frame(exchange.request, frames.frame_of(item.line))
        if index is None:
            return frames.step("", item.line, (), 0.0, 0), None
        rule = self._act(exchange.entry, index)
        return frames.step(rule.fault, item.line, tuple(earlier), rule.seconds, rule.code), index


async def _pump(server: wire.Peer, queue: asyncio.Queue[_Item]) -> None:
    """Read a watch into ``queue``, so that delays of its frames do not add up."""
    splitter = frames.Splitter()
    then: Then = "end"
    try:
        async for chunk in server.chunks():
            now = time.monotonic()
            for line in splitter.feed(chunk):
                await queue.put(_Item(now, line))
            if splitter.size > wire.ANSWER_LIMIT:
                raise wire.ServerGone
    except wire.ServerGone:
        then = "close"
    await queue.put(_Item(time.monotonic(), splitter.rest(), then))

"""HTTP/1.1 over one TLS connection, in either role, on h11.

The rule kept here: heads and bodies pass unchanged, with the case of header names; the loss of a
connection ends every wait for it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, cast

import h11
import msgspec

from chaos.proxy.statuses import status

REQUEST_LIMIT = 16 * 1024 * 1024
ANSWER_LIMIT = 64 * 1024 * 1024
"""Largest body that is held in memory, and largest frame of a watch, in bytes."""

_HEAD_LIMIT = 64 * 1024
_READ = 256 * 1024
_CLOSE_SECONDS = 1.0
_CONNECT_SECONDS = 10.0

Headers = list[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client closed its connection, or sent invalid HTTP/1.1 or too large a body."""


class ServerGone(Exception):
    """The API server closed the connection, or sent too large an answer."""


class ServerRefused(ServerGone):
    """The connection to the API server failed."""


class Call(NamedTuple):
    """A whole request. ``at``: arrival of the head, by ``time.monotonic()``."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    at: float

    def header(self, name: bytes) -> str:
        """The value of a header by its lower-case name; "" where it is missing."""
        for key, value in self.headers:
            if key.lower() == name:
                return value.decode("latin-1")
        return ""


class Answer(NamedTuple):
    """A whole answer."""

    code: int
    reason: bytes
    headers: Headers
    body: bytes

    def head(self) -> h11.Response:
        """The status line and the headers."""
        return h11.Response(status_code=self.code, headers=self.headers, reason=self.reason)


def fake_answer(code: int, verb: str, text: str = "", retry_after: float | None = None) -> Answer:
    """An answer with a Status, or with ``text``: JSON, HTML or plain, by its first character."""
    kinds = {"{": b"application/json", "<": b"text/html"}
    kind = kinds.get(text[:1] or "{", b"text/plain; charset=utf-8")
    body = text.encode() or msgspec.json.encode(status(code, verb, retry_after))
    headers = [(b"Content-Type", kind), (b"Content-Length", b"%d" % len(body))]
    if retry_after is not None:
        headers.append((b"Retry-After", f"{retry_after:g}".encode()))
    return Answer(code, b"", headers, body)


class Target(NamedTuple):
    """The address of an API server, and the TLS context that verifies it."""

    host: str
    port: int
    trust: ssl.SSLContext


def _ignore() -> None:
    """The ``on_lost`` of a connection that the proxy itself closes."""


class _Protocol(asyncio.StreamReaderProtocol):
    """A stream that calls ``on_lost`` at once when its connection is lost."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self.stream = asyncio.StreamReader()
        self.gone = asyncio.Event()
        self.on_lost = lost
        super().__init__(self.stream)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set()
        self.on_lost()


class Peer:
    """One side of a proxied connection; its loss raises ``gone``."""

    def __init__(
        self,
        role: type[h11.CLIENT | h11.SERVER],
        gone: type[Exception],
        transport: asyncio.Transport,
        protocol: _Protocol,
    ) -> None:
        self._http = h11.Connection(role, max_incomplete_event_size=_HEAD_LIMIT)
        self._gone = gone
        self._transport = transport
        self._protocol = protocol
        loop = asyncio.get_running_loop()
        self._writer = asyncio.StreamWriter(transport, protocol, protocol.stream, loop)

    async def call(self) -> Call | None:
        """The client's next request, or None where the client closed the connection cleanly."""
        event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        at = time.monotonic()
        body = await self._body(REQUEST_LIMIT)
        return Call(event.method, event.target, event.headers.raw_items(), body, at)

    async def ask(self, call: Call) -> h11.Response:
        """Send a request; the head of the answer."""
        events: list[h11.Event] = [
            h11.Request(method=call.method, target=call.target, headers=call.headers)
        ]
        if call.body:
            events.append(h11.Data(data=call.body))
        await self.send(*events, h11.EndOfMessage())
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise self._gone

    async def answer(self, head: h11.Response) -> Answer:
        """The whole answer that begins with ``head``."""
        body = await self._body(ANSWER_LIMIT)
        return Answer(head.status_code, head.reason, head.headers.raw_items(), body)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body of a message, in chunks as they arrive."""
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise self._gone

    async def send(self, *events: h11.Event) -> None:
        """Write events in one call."""
        self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
        try:
            await self._writer.drain()
        except OSError as error:
            raise self._gone from error

    def next_cycle(self) -> bool:
        """Prepare for another exchange; False where the connection must end."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        return False

    async def close(self) -> None:
        """Close cleanly: written data is still sent."""
        self._writer.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._protocol.gone.wait(), _CLOSE_SECONDS)

    def abort(self) -> None:
        """Close at once, without a call of ``on_lost``."""
        self._protocol.on_lost = _ignore
        self._transport.abort()

    def reset(self) -> None:
        """Close at once, with a TCP reset; unsent data is lost."""
        if not self._protocol.gone.is_set():
            reset_on_close(self._transport.get_extra_info("socket"))
        self._transport.abort()

    async def _body(self, limit: int) -> bytes:
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise self._gone
        return bytes(body)

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._protocol.stream.read(_READ))
        except (h11.RemoteProtocolError, OSError) as error:
            raise self._gone from error
        return cast("h11.Event", event)


def reset_on_close(connection: socket.socket) -> None:
    """Let closing the connection send a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def accept(
    connection: socket.socket, context: ssl.SSLContext, lost: Callable[[], None]
) -> Peer:
    """Do the TLS handshake with a client; raises ClientGone.

    This function owns ``connection`` from now on, and closes it.
    """
    handshake = asyncio.get_running_loop().connect_accepted_socket(
        lambda: _Protocol(lost),
        connection,
        ssl=context,
        ssl_handshake_timeout=_CONNECT_SECONDS,
        ssl_shutdown_timeout=_CLOSE_SECONDS,
    )
    try:
        transport, protocol = await handshake
    except OSError as error:
        raise ClientGone from error
    return Peer(h11.SERVER, ClientGone, transport, protocol)


async def connect(target: Target, lost: Callable[[], None]) -> Peer:
    """Connect to an API server; raises ServerRefused."""
    loop = asyncio.get_running_loop()
    try:
        family, kind, _, _, address = (
            await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        )[0]
        connection = socket.socket(family, kind)
        try:
            connection.setblocking(False)
            async with asyncio.timeout(_CONNECT_SECONDS):
                await loop.sock_connect(connection, address)
        except BaseException:
            connection.close()
            raise
        handshake = loop.create_connection(
            lambda: _Protocol(lost),
            sock=connection,
            server_hostname=target.host,
            ssl=target.trust,
            ssl_handshake_timeout=_CONNECT_SECONDS,
            ssl_shutdown_timeout=_CLOSE_SECONDS,
        )
        transport, protocol = await handshake
    except OSError as error:  # or a TimeoutError, its subclass
        raise ServerRefused from error
    return Peer(h11.CLIENT, ServerGone, transport, protocol)

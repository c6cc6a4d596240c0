"""The proxy: it runs in a thread of its own, and any thread may call its methods.

The rule kept here: each operator process has its own proxy, and the effect of a call is complete
when the call returns.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import trustme

from chaos.proxy import wire
from chaos.proxy.connection import ClientConnection
from chaos.proxy.core import Core
from chaos.proxy.rules import Rule, Rules
from chaos.proxy.trace import Trace

_CALL_SECONDS = 30.0

_Result = TypeVar("_Result")


def _nothing() -> None:
    """The ``on_kill`` of a proxy without rules that kill."""


class FaultProxy:
    """Serves ``url`` with certificates of the CA ``authority`` and forwards to ``upstream``.

    ``upstream`` is an https URL, and the PEM file ``upstream_ca`` its CA. ``folder`` gets the file
    of ``authority``. ``replica`` names the operator process in the trace. ``on_kill`` kills the
    operator process; the proxy calls it in its own thread, so that nothing passes meanwhile, and
    it may call the methods of the proxy. Credentials must be headers; client certificates do not
    pass.
    """

    def __init__(
        self,
        upstream: str,
        upstream_ca: Path,
        folder: Path,
        *,
        rules: Sequence[Rule] = (),
        replica: str = "",
        on_kill: Callable[[], None] = _nothing,
    ) -> None:
        self.trace = Trace(replica)
        self.authority = folder / f"authority{replica and '-'}{replica}.pem"
        self._core = Core(Rules(rules), self.trace, on_kill)
        self._core.target = _target(upstream, upstream_ca)
        self._issuer = trustme.CA()
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._url = ""

    def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        if self._loop:
            raise RuntimeError("the proxy was started already")
        self._issue()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self._url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fault-proxy", daemon=True
        )
        self._thread.start()
        loop, listener = self._loop, self._listener
        self._in_loop(lambda: loop.add_reader(listener, self._accept, listener))

    def close(self) -> None:
        """Close every connection and end the thread; may be repeated.

        Raises an ExceptionGroup of the proxy's own errors.
        """
        if self._thread is None or self._loop is None or self._listener is None:
            return
        if threading.get_ident() == self._thread.ident:
            raise RuntimeError("the proxy cannot be closed by its own callback")
        loop, listener = self._loop, self._listener
        self._in_loop(lambda: loop.remove_reader(listener))
        asyncio.run_coroutine_threadsafe(self._core.end(), self._loop).result(_CALL_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._thread = None
        self._loop.close()
        self._listener.close()
        errors = [error for error in self._core.errors if isinstance(error, Exception)]
        if errors:
            raise ExceptionGroup("the fault proxy failed", errors)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """https://127.0.0.1:port. Raises RuntimeError before start()."""
        if not self._url:
            raise RuntimeError("the proxy was not started")
        return self._url

    def add(self, rule: Rule) -> int:
        """Add a rule, which counts from now on; its index."""
        return self._in_loop(lambda: self._core.rules.add(rule))

    def remove(self, index: int) -> None:
        """Disable a rule; connections that hang because of the rule are reset."""
        self._in_loop(lambda: self._remove(index))

    def hits(self, index: int) -> int:
        """How often the rule acted."""
        return self._in_loop(lambda: self._core.rules.hits(index))

    def cut(self) -> None:
        """Reset every open connection."""
        self._in_loop(self._core.cut)

    def refuse(self) -> None:
        """Reset each new connection at once, until accept(); open ones stay."""
        self._in_loop(lambda: setattr(self._core, "refusing", True))

    def accept(self) -> None:
        """Take new connections again."""
        self._in_loop(lambda: setattr(self._core, "refusing", False))

    def swallow(self) -> None:
        """Pass nothing in either direction, with connections left open, until release()."""
        self._in_loop(self._core.passing.clear)

    def release(self) -> None:
        """Pass on again, beginning with the held requests of clients that are still connected."""
        self._in_loop(self._core.passing.set)

    def rotate_certificate(self, new_authority: bool = True) -> None:
        """Serve another certificate, by default of a new CA; open connections are cut.

        The CA file is replaced before the new certificate is served.
        """
        self._in_loop(lambda: self._rotate(new_authority))

    def reject_token(self, token: str) -> None:
        """Answer 401 from now on to requests with this bearer token."""
        self._in_loop(lambda: self._core.rejected.add(token))

    def redirect(self, upstream: str, upstream_ca: Path, *, reads_only: bool = False) -> None:
        """Forward to another API server; open connections are cut.

        With ``reads_only`` only get, list and watch are redirected, until the next call without
        ``reads_only``.
        """
        target = _target(upstream, upstream_ca)
        self._in_loop(lambda: self._redirect(target, reads_only))

    def forwarded_writes(self) -> int:
        """The number of forwarded writes, with those that rules repeated, without dry runs."""
        return self._in_loop(lambda: self._core.writes)

    def _remove(self, index: int) -> None:
        self._core.rules.remove(index)
        for connection in tuple(self._core.connections):
            if connection.hanging == index:
                connection.reset()

    def _rotate(self, new_authority: bool) -> None:
        if new_authority:
            self._issuer = trustme.CA()
        self._issue()
        self._core.cut()

    def _redirect(self, target: wire.Target, reads_only: bool) -> None:
        if reads_only:
            self._core.reads_target = target
        else:
            self._core.target, self._core.reads_target = target, None
        self._core.cut()

    def _issue(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._issuer.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self.authority.parent.mkdir(parents=True, exist_ok=True)
        beside = self.authority.with_suffix(".new")
        beside.write_bytes(self._issuer.cert_pem.bytes())
        beside.replace(self.authority)  # in one step: a reader finds the old or the new
        self._core.context = context

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):  # closed by the client
            accepted, _ = listener.accept()
            if self._core.refusing:
                wire.reset_on_close(accepted)
                accepted.close()
            else:
                accepted.setblocking(False)
                ClientConnection(self._core, accepted)

    def _in_loop(self, function: Callable[[], _Result]) -> _Result:
        """Call ``function`` in the loop's thread; its result or exception."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None or threading.get_ident() == thread.ident:
            return function()
        future: concurrent.futures.Future[_Result] = concurrent.futures.Future()

        def call() -> None:
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                future.set_exception(error)

        loop.call_soon_threadsafe(call)
        return future.result(_CALL_SECONDS)


def _target(upstream: str, upstream_ca: Path) -> wire.Target:
    """Raises ValueError where the URL is not https, OSError or SSLError for the file."""
    url = urlsplit(upstream)
    if url.scheme != "https" or not url.hostname:
        raise ValueError(f"not an https URL: {upstream}")
    trust = ssl.create_default_context(cafile=str(upstream_ca))
    return wire.Target(url.hostname, url.port or 443, trust)

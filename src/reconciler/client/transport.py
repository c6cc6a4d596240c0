"""Requests to one API server: deadlines, and TLS that follows its files.

The rule: each request ends with an Answer or with Unreachable. Nothing here waits without a limit,
follows a redirect, reads proxy settings of the environment, or shows a header or a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import structlog
import yarl
from multidict import CIMultiDict

from reconciler.client.api import JSON, Unreachable
from reconciler.client.credentials import ConfigurationError, Proof
from reconciler.client.kubeconfig import Cluster, Pem
from reconciler.client.wire import Answer

OnRequest = Callable[[str, str, int, float], None]
"""Called after each request: verb, resource, HTTP status (0: no answer), seconds to the answer."""

_CONNECT_SECONDS = 10.0

log = structlog.stdlib.get_logger(__name__)


class Call(NamedTuple):
    """One request. ``verb`` and ``resource`` are for telemetry; ``path`` is quoted already.

    ``user`` is the user that the request impersonates; empty for none.
    """

    verb: str
    resource: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = JSON
    accept: str = JSON
    user: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Transport:
    """Connections to one cluster; requests and watches have pools of their own."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        user_agent: str,
        telemetry: OnRequest | None = None,
        connections: int = 64,
    ) -> None:
        self._cluster = cluster
        self._telemetry = telemetry or (lambda *_: None)
        self._headers = [("User-Agent", user_agent), *cluster.impersonation]
        self._credentials = cluster.credentials()
        self._tls = Tls(cluster)
        self._connections = {"request": connections, "watch": 0}
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Close all connections; requests and streams must have ended."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def send(self, call: Call, seconds: float) -> Answer:
        """The answer, whatever its code, within ``seconds`` in all; raises Unreachable."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        with _unreachable(call):
            async with (
                asyncio.timeout(seconds),
                self._open("request", call, limits) as (response, proof),
            ):
                body = await response.read()
                for warning in response.headers.getall("Warning", ()):
                    log.debug("warning", call=str(call), text=_shown(warning, proof))
                if response.status >= 300:
                    body = _redacted(body, proof)
                return Answer(response.status, response.headers, body)

    @contextlib.asynccontextmanager
    async def stream(
        self, call: Call, *, seconds: float, quiet: float
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        """An answer in chunks, for at most ``seconds`` in all and ``quiet`` seconds without a byte.

        The Answer's body is empty where the code is below 300; its bytes come in the chunks.
        Raises Unreachable, also while the chunks are read.
        """
        limits = aiohttp.ClientTimeout(
            total=seconds, sock_connect=_CONNECT_SECONDS, sock_read=quiet
        )
        with _unreachable(call):
            async with self._open("watch", call, limits) as (response, proof):
                good = response.status < 300
                body = b"" if good else _redacted(await response.read(), proof)
                yield Answer(response.status, response.headers, body), response.content.iter_any()

    @contextlib.asynccontextmanager
    async def _open(
        self, purpose: str, call: Call, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, Proof]]:
        """Send, and after a 401 once more where there is another proof."""
        proof = await self._credentials.proof()
        response = await self._request(purpose, call, limits, proof)
        try:
            if response.status == 401:
                self._credentials.reject(proof)
                fresh = await self._credentials.proof()
                if fresh != proof:
                    response.close()
                    proof = fresh
                    response = await self._request(purpose, call, limits, proof)
            yield response, proof
        finally:
            # No effect on a body that was read to its end: its connection is back in the pool.
            response.close()

    async def _request(
        self, purpose: str, call: Call, limits: aiohttp.ClientTimeout, proof: Proof
    ) -> aiohttp.ClientResponse:
        started, code = time.monotonic(), 0
        try:
            response = await self._send(purpose, call, limits, proof)
            code = response.status
            return response
        finally:
            self._telemetry(call.verb, call.resource, code, time.monotonic() - started)

    async def _send(
        self, purpose: str, call: Call, limits: aiohttp.ClientTimeout, proof: Proof
    ) -> aiohttp.ClientResponse:
        headers = CIMultiDict([("Accept", call.accept), *self._headers])
        if proof.authorization:
            headers["Authorization"] = proof.authorization
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        if call.user:
            headers["Impersonate-User"] = call.user
        return await self._session(purpose).request(
            call.method,
            yarl.URL(self._cluster.server + call.path + _query(call.query), encoded=True),
            data=call.body,
            headers=headers,
            timeout=limits,
            allow_redirects=False,
            ssl=self._tls.context(proof),
            server_hostname=self._cluster.tls_server_name or None,
            proxy=self._cluster.proxy_url or None,
        )

    def _session(self, purpose: str) -> aiohttp.ClientSession:
        if purpose not in self._sessions:
            self._sessions[purpose] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections[purpose], keepalive_timeout=30.0
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._sessions[purpose]


class Tls:
    """The SSL context, created again when one of its files or the client certificate changes."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._made_from: object = None
        self._context: ssl.SSLContext | None = None

    def context(self, proof: Proof) -> ssl.SSLContext | bool:
        """For the next request. While a changed file is empty or broken, the last context stays."""
        cluster = self._cluster
        if not cluster.server.startswith("https:"):
            return True
        files = tuple(map(_identity, (cluster.ca, cluster.certificate, cluster.key)))
        if (made_from := (files, proof.certificate, proof.key)) != self._made_from:
            try:
                self._context = self._make(proof)
            except (OSError, ValueError) as error:
                if self._context is None:
                    text = getattr(error, "strerror", None) or str(error)
                    raise ConfigurationError(f"TLS to {cluster.server}: {text}") from None
                log.warning("certificate files are broken, the old ones stay in use")
            self._made_from = made_from
        return self._context or True

    def _make(self, proof: Proof) -> ssl.SSLContext:
        authority = _content(self._cluster.ca)
        if self._cluster.ca is not None and b"BEGIN CERTIFICATE" not in authority:
            # With an empty text the ssl module would trust the system's authorities instead.
            raise ValueError("the certificate authority holds no certificate")
        context = ssl.create_default_context(cadata=authority.decode("ascii", "ignore") or None)
        # Python 3.13 asks for extensions that many clusters' own authorities do not have.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self._cluster.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate = proof.certificate or _content(self._cluster.certificate)
        if certificate:
            # The ssl module takes only files: this one is private and deleted at once.
            with tempfile.NamedTemporaryFile() as file:
                file.write(certificate + b"\n" + (proof.key or _content(self._cluster.key)))
                file.flush()
                context.load_cert_chain(file.name)
        return context


@lru_cache(64)
def _query(query: tuple[tuple[str, str], ...]) -> str:
    """The query as it follows a path; cached, because writes repeat the same few queries."""
    return f"?{urlencode(query, quote_via=quote)}" if query else ""


def _identity(pem: Pem) -> object:
    """A value that changes when the file is written or, as in a mounted volume, replaced."""
    if not isinstance(pem, Path):
        return None
    try:
        status = pem.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _content(pem: Pem) -> bytes:
    return pem.read_bytes() if isinstance(pem, Path) else pem or b""


@contextlib.contextmanager
def _unreachable(call: Call) -> Iterator[None]:
    """Raise each failure without an answer as Unreachable, with a text that holds no secret."""
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise Unreachable(f"{call}: {error.os_error or type(error).__name__}") from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise Unreachable(f"{call}: {error.certificate_error}") from None
    except TimeoutError:
        raise Unreachable(f"{call}: no answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # Its text is not shown: it may hold a proxy's address with its password, or a header.
        raise Unreachable(f"{call}: {type(error).__name__}") from None
    except ConfigurationError as error:
        raise Unreachable(f"{call}: {error}") from None


def _redacted(body: bytes, proof: Proof) -> bytes:
    """The body without the credentials of the request, which a server or a proxy may echo."""
    secret = proof.authorization.rpartition(" ")[2].encode()
    return body.replace(secret, b"[redacted]") if secret else body


def _shown(text: str, proof: Proof) -> str:
    return _redacted(text.encode(), proof).decode()

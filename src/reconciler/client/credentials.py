"""Credentials of requests, renewed before they expire: tokens, token files, exec plugins.

The rule: a proof is read right before a request, and no message, repr or log shows one. After a
401 the caller rejects the proof that it sent; the next ``proof()`` is read again, and may be equal
where there is no newer one.
https://github.com/kubernetes/enhancements/tree/master/keps/sig-auth/541-external-credential-providers
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

TOKEN_MAX_AGE = 60.0
"""Seconds after which a token file is read again, as client-go does; kubelets rotate tokens."""

_EXPIRY_MARGIN = 10.0


class ConfigurationError(Exception):
    """The configured access cannot be used. The text is one line with a remedy and no secret."""


@dataclass(frozen=True, slots=True)
class Proof:
    """An Authorization header, a client certificate with its key (PEM), or nothing."""

    authorization: str = field(default="", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)


class Credentials(Protocol):
    """A source of proofs."""

    async def proof(self) -> Proof:
        """The proof for the next request; raises ConfigurationError."""

    def reject(self, proof: Proof) -> None:
        """The server answered 401 to this proof: the next ``proof()`` must not be a cached one."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """One proof that never changes."""

    fixed: Proof = field(repr=False)

    @classmethod
    def bearer(cls, token: str) -> Fixed:
        """A bearer token."""
        return cls(Proof(_bearer(token, "the token")))

    @classmethod
    def basic(cls, name: str, password: str) -> Fixed:
        """Name and password, which a proxy before an API server may ask for.

        API servers themselves do not accept them since 1.19.
        """
        return cls(Proof("Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()))

    async def proof(self) -> Proof:
        return self.fixed

    def reject(self, proof: Proof) -> None:
        """There is no other proof."""


class Anonymous(Fixed):
    """No proof beside, possibly, a client certificate of the kubeconfig."""

    def __init__(self) -> None:
        super().__init__(Proof())


class TokenFile:
    """A token that a kubelet or another program renews in a file; surrounding space is dropped."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._proof: Proof | None = None
        self._read_at = 0.0

    async def proof(self) -> Proof:
        if self._proof is None or self._clock() - self._read_at >= TOKEN_MAX_AGE:
            self._read()
        return self._proof or Proof()

    def reject(self, proof: Proof) -> None:
        if proof == self._proof:
            self._read_at = self._clock() - TOKEN_MAX_AGE

    def _read(self) -> None:
        """Read the file; while it is empty or missing, the last token stays in use."""
        try:
            token = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if token:
            self._proof = Proof(_bearer(token, str(self._path)))
            self._read_at = self._clock()
        elif self._proof is None:
            raise ConfigurationError(f"no token in {self._path}")


class ExecPlugin:
    """A program that prints an ExecCredential; run without a shell, a terminal or a stdin.

    The printed credential is kept until it expires or is rejected. ``cluster`` is the cluster info
    that the program gets where the kubeconfig sets provideClusterInfo.
    """

    VERSIONS: ClassVar = (
        "client.authentication.k8s.io/v1",
        "client.authentication.k8s.io/v1beta1",
    )

    def __init__(
        self,
        version: str,
        command: str,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        hint: str = "",
        cluster: dict[str, Any] | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._version = version
        self._command = command
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._hint = hint
        self._cluster = cluster
        self._timeout = timeout
        self._proof: Proof | None = None
        self._expires: float | None = None
        self._running = asyncio.Lock()

    async def proof(self) -> Proof:
        async with self._running:
            expired = self._expires is not None and time.time() > self._expires - _EXPIRY_MARGIN
            if self._proof is None or expired:
                self._proof, self._expires = self._parse(await self._run())
            return self._proof

    def reject(self, proof: Proof) -> None:
        if proof == self._proof:
            self._proof = None

    def _error(self, text: str) -> ConfigurationError:
        hint = f"; {self._hint.strip()}" if self._hint else ""
        return ConfigurationError(f"exec plugin {self._command} {text}{hint}")

    async def _run(self) -> bytes:
        spec: dict[str, Any] = {"interactive": False}
        if self._cluster:
            spec["cluster"] = self._cluster
        info = {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}
        request = {"KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}
        try:
            process = await asyncio.create_subprocess_exec(
                self._command,
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**os.environ, **self._environment, **request},
                start_new_session=True,
            )
        except OSError as error:
            raise self._error(f"cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(self._timeout):
                output, _ = await process.communicate()
        except TimeoutError:
            raise self._error(f"took longer than {self._timeout:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise self._error(f"exited with {process.returncode}: run it by hand to see why")
        return output

    def _parse(self, output: bytes) -> tuple[Proof, float | None]:
        try:
            answer = msgspec.json.decode(output, type=_ExecCredential)
        except msgspec.DecodeError:
            # Without the decoder's message and cause: both quote the output, which is a secret.
            raise self._error("did not print an ExecCredential") from None
        if answer.apiVersion != self._version:
            raise self._error(f"answered {answer.apiVersion} to a request of {self._version}")
        status = answer.status
        if not status.token and not (status.clientCertificateData and status.clientKeyData):
            raise self._error("gave neither a token nor a certificate with its key")
        proof = Proof(
            authorization=_bearer(status.token, self._command) if status.token else "",
            certificate=status.clientCertificateData.encode(),
            key=status.clientKeyData.encode(),
        )
        expires = status.expirationTimestamp
        if expires and expires.tzinfo is None:
            expires = expires.replace(tzinfo=UTC)
        return proof, expires.timestamp() if expires else None


class _ExecStatus(msgspec.Struct):
    token: str = ""
    clientCertificateData: str = ""  # noqa: N815 - the field's name
    clientKeyData: str = ""  # noqa: N815
    expirationTimestamp: datetime | None = None  # noqa: N815


class _ExecCredential(msgspec.Struct):
    apiVersion: str  # noqa: N815
    status: _ExecStatus


def _bearer(token: str, source: str) -> str:
    """The header. An error about a token names its source, never its text."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigurationError(f"{source} holds something that cannot be a bearer token")
    return f"Bearer {token}"

"""Credentials are renewed and never shown; a connection trusts only its authority file."""

from __future__ import annotations

import ssl
import traceback
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from reconciler.client.api import ApiError, Unreachable
from reconciler.client.credentials import Fixed, Proof
from reconciler.client.kubeconfig import Cluster
from unit.loopback import POD, SECRET, status, watched

# Credentials


class Rotating:
    """Credentials that have one more proof up their sleeve."""

    def __init__(self) -> None:
        self.proofs = [Proof("Bearer old"), Proof("Bearer new")]

    async def proof(self) -> Proof:
        return self.proofs[0]

    def reject(self, proof: Proof) -> None:
        if proof == self.proofs[0] and len(self.proofs) > 1:
            del self.proofs[0]


async def unless_new(request: web.Request) -> web.StreamResponse:
    if request.headers["Authorization"] == "Bearer new":
        return web.json_response({"metadata": {"name": "a"}, "items": []})
    return web.json_response(status(401, "Unauthorized", "not authenticated"), status=401)


async def test_a_401_is_retried_once_with_fresh_credentials(server, connect):
    server.answer = unless_new
    calls: list[Any] = []
    client = connect(
        Cluster(server.url, credentials=Rotating), telemetry=lambda *call: calls.append(call)
    )
    assert await client.get(POD, "n", "a") == {"metadata": {"name": "a"}, "items": []}
    assert [call[:3] for call in calls] == [("get", "pods", 401), ("get", "pods", 200)]
    assert await watched(connect(Cluster(server.url, credentials=Rotating))) == []


async def test_a_401_without_fresher_credentials_is_an_error(server, connect):
    server.answer = unless_new
    with pytest.raises(ApiError) as caught:
        await connect().get(POD, "n", "a")
    assert (caught.value.code, len(server.requests)) == (401, 1)


async def test_no_error_shows_the_token_even_if_the_server_echoes_it(server, connect):
    async def echo(request: web.Request) -> web.StreamResponse:
        return web.Response(text=f"bad header {request.headers['Authorization']}", status=400)

    server.answer = echo
    client = connect()
    with pytest.raises(ApiError) as caught:
        await client.get(POD, "n", "a")
    assert caught.value.message == "bad header Bearer [redacted]"
    with pytest.raises(ApiError) as watch_caught:
        await watched(client)
    server.streams(b"{", then="reset")
    with pytest.raises(Unreachable) as reset:
        await client.get(POD, "n", "a")
    for error in (caught.value, watch_caught.value, reset.value):
        assert SECRET not in "".join(traceback.format_exception(error))
    assert SECRET not in f"{client!r} {vars(client)!r}"


async def test_headers_name_the_client_and_the_impersonated_user(server, connect):
    user = (("Impersonate-User", "jane"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"))
    await connect(Cluster(server.url, impersonation=user)).list(POD)
    headers = server.requests[0].headers
    assert headers["User-Agent"] == "test/1"
    assert headers["Impersonate-User"] == "jane"
    assert headers.getall("Impersonate-Group") == ["a", "b"]


async def test_a_proxy_is_used_only_when_configured(server, connect, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    await connect().list(POD)
    await connect(Cluster("http://api.test", proxy_url=server.url)).list(POD)
    assert [str(request.url.host) for request in server.requests] == ["127.0.0.1", "api.test"]


# TLS


def rewrite(path: Path, content: bytes) -> None:
    """As kubelets do: another file takes the name."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)


@pytest.fixture
async def authority(server):
    """A TLS server at ``server.url``; asks for client certificates of the same authority."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("inner.test", "127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    runner = await server.start(context)
    yield authority
    await runner.cleanup()


async def test_the_authority_file_is_followed_and_a_broken_one_ignored(
    server, connect, authority, tmp_path
):
    file = tmp_path / "ca.crt"
    good = authority.cert_pem.bytes()
    file.write_bytes(trustme.CA().cert_pem.bytes())
    client = connect(Cluster(server.url, ca=file))
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        await client.list(POD)
    rewrite(file, good)
    await client.list(POD)
    for broken in (b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"):
        rewrite(file, broken)
        await client.list(POD)
    file.unlink()
    await client.list(POD)


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize("content", [b"", b"nothing"])
async def test_an_empty_authority_file_trusts_no_server(server, connect, content, tmp_path):
    (tmp_path / "ca.crt").write_bytes(content)
    with pytest.raises(Unreachable, match="holds no certificate"):
        await connect(Cluster(server.url, ca=tmp_path / "ca.crt")).list(POD)


async def test_the_server_name_and_client_certificate_are_used(server, connect, authority):
    pem = authority.cert_pem.bytes()
    await connect(Cluster(server.url, ca=pem, tls_server_name="inner.test")).list(POD)
    with pytest.raises(Unreachable, match="other"):
        await connect(Cluster(server.url, ca=pem, tls_server_name="other.test")).list(POD)
    await connect(Cluster(server.url, verify=False)).list(POD)

    mine = authority.issue_cert("me.test", common_name="me")
    key = mine.private_key_pem.bytes()
    certificate = b"".join(blob.bytes() for blob in mine.cert_chain_pems)
    peers = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peercert"))
        return await server.empty(request)

    server.answer = answer
    await connect(Cluster(server.url, ca=pem, certificate=certificate, key=key)).list(POD)
    proof = Fixed(Proof(certificate=certificate, key=key))
    await connect(Cluster(server.url, ca=pem, credentials=lambda: proof)).list(POD)
    await connect(Cluster(server.url, ca=pem)).list(POD)
    assert [bool(peer) for peer in peers] == [True, True, False]

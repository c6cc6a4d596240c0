"""A server on the loopback that answers as badly as a test wants, and clients of it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from contract.model import Kind
from reconciler.client.api import WatchEvent
from reconciler.client.client import Client

SECRET = "s3cr3t-t0k3n"
POD = Kind("", "v1", "Pod", "pods")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")


class Server:
    """Answers with ``self.answer``, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.empty
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.requests.append(request)
        return await self.answer(request)

    async def empty(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {}, "items": []})

    def responds(self, text: str = "", **options: Any) -> None:
        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.Response(text=text, **options)

        self.answer = answer

    def streams(self, *chunks: bytes, then: str = "end") -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            for chunk in chunks:
                await response.write(chunk)
                await asyncio.sleep(0)
            if then == "silence":
                await asyncio.sleep(60)
            if then == "reset" and request.transport:
                request.transport.abort()
            return response

        self.answer = answer

    async def start(self, context: ssl.SSLContext | None = None) -> web.AppRunner:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
        return runner


def status(code: int, reason: str = "", message: str = "", **details: Any) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


def frame(type_: str, name: str = "a", version: str = "1") -> bytes:
    body = {"metadata": {"name": name, "resourceVersion": version}}
    return json.dumps({"type": type_, "object": body}, ensure_ascii=False).encode() + b"\n"


async def watched(client: Client, **options: Any) -> list[WatchEvent]:
    return [event async for event in client.watch(POD, **options)]

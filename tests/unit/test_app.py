"""One whole process beside a scripted API server: what it serves while it runs, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp import web
from structlog.testing import capture_logs

from contract.demands import Watch
from contract.facts import Ask
from contract.model import Kind
from reconciler.client.kubeconfig import Cluster
from reconciler.process import app
from reconciler.reflector import INITIAL_EVENTS_END
from unit.controllers import Idle
from unit.loopback import status

WIDGET = Kind("example.org", "v1", "Widget", "widgets")
GADGET = Kind("example.org", "v1", "Gadget", "gadgets")
"""What a widget's plan can go on without."""

OBJECT = {
    "apiVersion": "example.org/v1",
    "kind": "Widget",
    "metadata": {"namespace": "n", "name": "w", "uid": "u", "resourceVersion": "1"},
}


def widgets(*demands: Ask, optional: bool = True) -> Idle:
    return Idle(WIDGET, Watch(GADGET, optional=optional), demands=demands)


class Hanging:
    """A source that never answers."""

    name, at_once, seconds = "hanging", 1, 60.0

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.cancelled = False

    async def answer(self, about: Any) -> Any:
        self.asked.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.cancelled = True


def bookmark(**annotations: str) -> bytes:
    metadata = {"resourceVersion": "5", "annotations": annotations}
    event = {"type": "BOOKMARK", "object": {"kind": "Any", "metadata": metadata}}
    return json.dumps(event).encode() + b"\n"


def script(server: Any, *, absent: tuple[str, ...] = (), lively: tuple[str, ...] = ()) -> None:
    """Serve one widget; ``absent`` plurals are not served, ``lively`` ones get many bookmarks."""

    async def answer(request: web.Request) -> web.StreamResponse:
        plural = request.path.rpartition("/")[2]
        if plural in {"api", "apis"}:
            return web.json_response({"kind": "APIGroupDiscoveryList", "items": []})
        if plural in absent:
            return web.json_response(status(404, "NotFound"), status=404)
        response = web.StreamResponse()
        await response.prepare(request)
        if plural == "widgets":
            await response.write(json.dumps({"type": "ADDED", "object": OBJECT}).encode() + b"\n")
        await response.write(bookmark(**{INITIAL_EVENTS_END: "true"}))
        while plural in lively:
            await asyncio.sleep(0.02)
            await response.write(bookmark())
        await asyncio.sleep(60)
        return response

    server.answer = answer


class Running:
    """A process that has started, by what it logs and serves."""

    def __init__(self, lines: list[Any]) -> None:
        self.lines = lines

    def logged(self, event: str, **fields: Any) -> bool:
        return any({"event": event, **fields}.items() <= line.items() for line in self.lines)

    async def get(self, path: str) -> tuple[int, str]:
        (port,) = (line["health_port"] for line in self.lines if line["event"] == "started")
        url = f"http://127.0.0.1:{port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def sample(self, metric: str) -> float | None:
        _, text = await self.get("/metrics")
        found = re.search(rf"^reconciler_{re.escape(metric)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(server: Any, controller: Idle, *sources: Any):
    """A process that is ended by SIGTERM, and then has to have exited with 0."""
    settings = app.Settings(name="test", version="1")
    with capture_logs() as lines:
        process = Running(lines)
        task = asyncio.create_task(app.run(Cluster(server.url), (controller,), settings, sources))
        await until(lambda: process.logged("started") or task.done())
        try:
            yield process
        finally:
            if not task.done():  # without its handler, the signal would end the tests
                os.kill(os.getpid(), signal.SIGTERM)
            assert await task == 0
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(number)


async def test_metrics_hold_the_age_of_the_last_frame(server):
    script(server)
    async with running(server, widgets()) as process:
        await until(lambda: process.logged("caches are filled"))
        ages = []
        for _ in range(2):
            ages.append(await process.sample('watch_last_frame_age_seconds{kind="Widget"}'))
            await asyncio.sleep(0.05)
        assert 0 < ages[0] < ages[1]
        assert await process.sample('watch_synced{kind="Widget"}') == 1


async def test_an_absent_optional_kind_leaves_the_process_ready(server):
    script(server, absent=("gadgets",))
    async with running(server, widgets()) as process:
        await until(lambda: process.logged("waiting", kind="gadgets.example.org"))
        await until(lambda: process.logged("caches are filled"))
        assert process.logged("waiting", log_level="info")
        assert not process.logged("waiting", log_level="warning")
        assert await process.get("/readyz") == (200, "ok\n")
        assert await process.get("/healthz") == (200, "ok\n")
        assert await process.sample('watch_synced{kind="Gadget"}') == 0
        assert await process.sample('watch_last_frame_age_seconds{kind="Gadget"}') is None


async def test_an_absent_required_kind_keeps_the_process_unready(server):
    script(server, absent=("gadgets",))
    async with running(server, widgets(optional=False)) as process:
        await until(lambda: process.logged("waiting", log_level="warning"))
        code, text = await process.get("/readyz")
        assert (code, text) == (503, "gadgets.example.org: not served: gadgets.example.org v1\n")
        assert "[+]widgets.example.org ok" in (await process.get("/readyz?verbose"))[1]
        assert not process.logged("caches are filled")
        assert (await process.get("/healthz"))[0] == 200


async def test_a_silent_required_watch_makes_the_process_unhealthy(server, monkeypatch):
    monkeypatch.setattr(app, "STALE_SECONDS", 0.3)
    script(server, lively=("gadgets",))
    async with running(server, widgets()) as process:
        await until(lambda: process.logged("caches are filled"))
        async with asyncio.timeout(30):
            while (await process.get("/healthz"))[0] == 200:
                await asyncio.sleep(0.05)
        assert "silent" in (await process.get("/healthz"))[1]


async def test_a_stop_cancels_the_questions_to_sources(server):
    script(server)
    source = Hanging()
    async with running(server, widgets(Ask.of("hanging", "?")), source):
        await asyncio.wait_for(source.asked.wait(), 30)
    assert source.cancelled

"""/healthz, /readyz and /metrics over HTTP.

The rule: a failing check names its reason in the answer. Unhealthy means that only a restart
helps; not ready means that a required cache is not filled. The functions given to HealthServer
decide both, and this module only serves their results.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

Checks = Callable[[], Mapping[str, str]]
"""What is checked, each with the reason why it fails; an empty reason means that it does not."""


class HealthAddressError(Exception):
    """The health address cannot be listened on; the text names the remedy."""


class HealthServer:
    """Serves /healthz, /readyz and /metrics on ``host:port``; port 0 takes a free one.

    ``alive`` and ``ready`` are called at each request and must not block; a failing check gives
    503 and one line for each reason. ``?verbose`` lists all checks. ``metrics`` returns the body
    and its content type (``Telemetry.render``).
    """

    def __init__(
        self,
        address: str,
        *,
        alive: Checks,
        ready: Checks,
        metrics: Callable[[], tuple[bytes, str]],
    ) -> None:
        host, _, port = address.rpartition(":")
        if not port.isdigit() or int(port) > 65535:
            raise HealthAddressError(f"health address {address!r} is not host:port")
        self._address = address
        self._host, self._port = host.strip("[]") or None, int(port)
        self._metrics = metrics
        application = web.Application()
        application.router.add_get("/healthz", _serve(alive))
        application.router.add_get("/readyz", _serve(ready))
        application.router.add_get("/metrics", self._serve_metrics)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)

    @property
    def port(self) -> int:
        """The port listened on, once started."""
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen; HealthAddressError where the address is in use or not of this host."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise HealthAddressError(
                f"cannot serve health on {self._address} ({error.strerror or error}): "
                "choose another with --health-address, or port 0 for a free one"
            ) from error

    async def stop(self) -> None:
        """Stop listening; requests under way get a second."""
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _serve_metrics(self, _request: web.Request) -> web.Response:
        body, content_type = self._metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})


def _serve(checks: Checks) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        results = checks()
        failing = {name: reason for name, reason in results.items() if reason}
        if "verbose" in request.query:
            lines = [f"[-]{n}: {why}" if why else f"[+]{n} ok" for n, why in results.items()]
        else:
            lines = [f"{name}: {reason}" for name, reason in failing.items()] or ["ok"]
        return web.Response(status=503 if failing else 200, text="\n".join(lines) + "\n")

    return answer

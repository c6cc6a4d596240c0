"""The election in a thread of its own, beside the loop that reconciles.

The rule: a main loop that is blocked for some seconds keeps its lease, and a main loop that does
not run at all loses it. So a long render does not end the term, and a dead leader does not lead
for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import structlog

from reconciler.client.api import Api
from reconciler.process.lease import Elector, Timing, boot_clock

_log = structlog.stdlib.get_logger(__name__)


class LeaderThread:
    """An Elector in a thread, with a loop and an Api of its own.

    The main loop beats; while its heartbeat is stale, the thread does not renew. ``api`` makes the
    (unguarded) Api, which is entered and left in the thread. ``on_started`` and ``on_lost`` are
    called in the loop that called ``start``. A thread that fails calls ``on_lost``, whether it led
    or not.
    """

    def __init__(
        self,
        namespace: str,
        name: str,
        api: Callable[[], AbstractAsyncContextManager[Api]],
        *,
        identity: str | None = None,
        timing: Timing | None = None,
        on_started: Callable[[], None] = lambda: None,
        on_lost: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self.elector = Elector(
            namespace,
            name,
            identity=identity,
            timing=timing,
            on_started=lambda: self._call_in_main(on_started),
            on_lost=lambda reason: self._call_in_main(on_lost, reason),
            alive=lambda: boot_clock() - self._beat < self.elector.timing.heartbeat,
        )
        self.guard = self.elector.guard
        self._api = api
        self._failed = on_lost
        self._beat = -math.inf

    def start(self) -> None:
        """Begin to campaign. Returns at once; call it in the main loop."""
        self._main = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._beat = boot_clock()
        self._heart = asyncio.create_task(self._keep_beating(), name="lease-heartbeat")
        threading.Thread(target=self._thread, name="lease", daemon=True).start()

    async def stop(self) -> None:
        """Release the lease, if this process holds it, and end the thread within ``renew`` seconds.

        Call it when all guarded work has ended: from then on the guard raises NotLeader.
        """
        with contextlib.suppress(RuntimeError):  # the thread has ended and closed its loop
            self._loop.call_soon_threadsafe(self.elector.stop)
        try:
            async with asyncio.timeout(self.elector.timing.renew):
                await self._ended.wait()
        except TimeoutError:
            _log.warning("lease not released in time", lease=self.elector.name)
        self._heart.cancel()

    def _thread(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._lead())
        except Exception as error:  # noqa: BLE001  any failure of the thread loses the lease
            _log.exception("lease thread failed", lease=self.elector.name)
            self._call_in_main(self._failed, f"lease thread failed: {error!r}")
        finally:
            self._call_in_main(self._ended.set)

    async def _lead(self) -> None:
        async with self._api() as api:
            await self.elector.run(api)

    async def _keep_beating(self) -> None:
        while True:
            self._beat = boot_clock()
            await asyncio.sleep(self.elector.timing.heartbeat / 10)

    def _call_in_main(self, callback: Callable[..., None], *args: str) -> None:
        with contextlib.suppress(RuntimeError):  # the main loop is closed: nothing is left to call
            self._main.call_soon_threadsafe(callback, *args)

"""The shared state of the connections of one proxy.

The rule kept here: the state is used in the proxy's loop only, and changed without an await, so
that a kill or a cut never finds an inconsistent connection.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Protocol

from chaos.proxy import wire
from chaos.proxy.requests import Request
from chaos.proxy.rules import Rules
from chaos.proxy.trace import Trace

RECORD_LIMIT = 64 * 1024 * 1024
"""Total bytes of answers that are recorded for the fault ``stale``."""

READ_SECONDS = 0.05
"""How long a client may read an answer before it is killed."""

_READS = frozenset({"get", "list", "watch"})


class Connection(Protocol):
    """A client's connection, as a kill and a cut use it."""

    hanging: int | None
    """The index of the rule that lets the connection hang."""

    def reset(self) -> None:
        """End the connection at once, with a TCP reset."""


class Core:
    """The state of a proxy: rules, switches and connections."""

    def __init__(self, rules: Rules, trace: Trace, on_kill: Callable[[], None]) -> None:
        self.rules = rules
        self.trace = trace
        self.on_kill = on_kill
        self.target: wire.Target
        self.reads_target: wire.Target | None = None  # the target of reads, if not ``target``
        self.context: ssl.SSLContext
        self.connections: set[Connection] = set()
        self.errors: list[BaseException] = []
        self.passing = asyncio.Event()
        self.passing.set()
        self.refusing = False
        self.held_by: int | None = None  # the rule that holds writes until the kill
        self.rejected: set[str] = set()
        self.writes = 0
        self._recorded: dict[bytes, wire.Answer] = {}
        self._recorded_size = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run ``work`` until it or the proxy ends; exceptions go to ``errors``."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def end(self) -> None:
        """Cancel all tasks, and wait for them."""
        while others := self._tasks - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)
        for _ in range(3):  # transports close their sockets one loop iteration after abort()
            await asyncio.sleep(0)

    def cut(self) -> None:
        """Reset every open connection."""
        for connection in tuple(self.connections):
            connection.reset()

    def kill(self) -> None:
        """Kill the client; its requests are not forwarded any more."""
        try:
            self.on_kill()
        finally:
            self.held_by = None
            self.cut()

    async def kill_after_reading(self) -> None:
        """Kill the client after it has read the last answer."""
        await asyncio.sleep(READ_SECONDS)
        self.kill()

    def target_of(self, request: Request) -> wire.Target:
        """The API server that gets ``request``."""
        if self.reads_target and request.verb in _READS:
            return self.reads_target
        return self.target

    def count(self, request: Request) -> None:
        """Count a request that is about to be forwarded."""
        self.writes += request.is_write

    async def forward_later(
        self, call: wire.Call, request: Request, seconds: float
    ) -> wire.Answer | None:
        """Forward a request after ``seconds`` on a connection of its own; None where that fails."""
        await asyncio.sleep(seconds)
        await self.passing.wait()
        try:
            server = await wire.connect(self.target_of(request), lambda: None)
        except wire.ServerGone:
            return None
        try:
            self.count(request)
            return await server.answer(await server.ask(call))
        except wire.ServerGone:
            return None
        finally:
            server.abort()

    def record(self, call: wire.Call, request: Request, answer: wire.Answer) -> None:
        """Record the first successful answer of each path and query."""
        if request.verb not in {"get", "list"} or answer.code != 200:
            return
        if call.target in self._recorded or self._recorded_size + len(answer.body) > RECORD_LIMIT:
            return
        self._recorded[call.target] = answer
        self._recorded_size += len(answer.body)

    def recorded(self, call: wire.Call) -> wire.Answer | None:
        """The first answer to this path and query, or None."""
        return self._recorded.get(call.target)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.errors.append(error)

"""``MemoryApi``: one client of an in-memory API server, with faults between the two.

What ``client.Client`` is to an API server. Several clients can share one server: each has its
own field manager, its own faults and its own log of writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeVar

from contract.model import Kind, Object
from memoryserver.faults import Call, CrashPoint, DropEvent, Faults, Partition, When, Write
from memoryserver.server import Server
from memoryserver.storage import Webhook
from memoryserver.watch import bookmark, follow
from reconciler.client.api import Api, Listing, Unreachable, WatchEvent

T = TypeVar("T")

_MUTATING = frozenset({"apply", "create", "replace", "patch", "delete"})


class MemoryApi(Api):
    """The eight verbs of ``Api`` on a server in this process.

    ``now`` is the clock (of a new server; not used where ``server`` is given). ``manager`` is
    the field manager of POST, PUT and patches, as a real client's user agent would be.
    ``deadline`` and ``watch_seconds`` end calls and watches, ``quiet`` a watch that hears nothing
    at all, by loop time. ``guard`` is asked before every write that is no dry run, and raises
    NotLeader. Other arguments are the server's.
    """

    def __init__(
        self,
        now: Callable[[], datetime] | None = None,
        *,
        server: Server | None = None,
        manager: str = "operator",
        crds: Iterable[Object] = (),
        strict_namespaces: bool = False,
        deadline: float = 30.0,
        watch_seconds: float = 300.0,
        quiet: float = 90.0,
        guard: Callable[[], float | None] | None = None,
    ) -> None:
        if server is None:
            if now is None:
                raise TypeError("MemoryApi needs a clock or a server")
            server = Server(now, crds=crds, strict_namespaces=strict_namespaces)
        self.server = server
        self.manager = manager
        self.deadline = deadline
        self.watch_seconds = watch_seconds
        self.quiet = quiet
        self.guard = guard
        self.faults = Faults()
        self.writes: list[Write] = []
        self.reads: list[Call] = []

    def another(
        self, manager: str, *, guard: Callable[[], float | None] | None = None
    ) -> MemoryApi:
        """A second client of the same server, without this one's faults."""
        return MemoryApi(
            server=self.server,
            manager=manager,
            deadline=self.deadline,
            watch_seconds=self.watch_seconds,
            quiet=self.quiet,
            guard=guard,
        )

    async def close(self) -> None:
        """Nothing to close; here so that it can stand where a client stands."""

    # ---- the verbs -----------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        call = Call("get", kind.kind, namespace, name)
        return await self._read(call, lambda: self.server.get(kind, namespace, name))

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Listing:
        call = Call("list", kind.kind, namespace or "", "")

        def answer() -> Listing:
            at = self.faults.stale.get(kind.resource)
            return self.server.list(kind, namespace, labels, fields, at=at)

        return await self._read(call, answer)

    async def apply(
        self,
        kind: Kind,
        body: Object,
        *,
        manager: str,
        force: bool = True,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        call = _call("apply", kind, body, subresource, dry_run)
        return await self._write(
            call,
            manager,
            lambda: self.server.apply(
                kind, body, manager, force=force, dry_run=dry_run, subresource=subresource
            ),
        )

    async def create(self, kind: Kind, body: Object) -> Object:
        call = _call("create", kind, body)
        return await self._write(
            call, self.manager, lambda: self.server.create(kind, body, self.manager)
        )

    async def replace(self, kind: Kind, body: Object, *, subresource: str = "") -> Object:
        call = _call("replace", kind, body, subresource)
        return await self._write(
            call,
            self.manager,
            lambda: self.server.replace(kind, body, self.manager, subresource=subresource),
        )

    async def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Any,
        *,
        content_type: str,
        subresource: str = "",
    ) -> Object:
        call = Call("patch", kind.kind, namespace, name, subresource)
        return await self._write(
            call,
            self.manager,
            lambda: self.server.patch(
                kind,
                namespace,
                name,
                patch,
                self.manager,
                content_type=content_type,
                subresource=subresource,
            ),
        )

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = ""
    ) -> None:
        call = Call("delete", kind.kind, namespace, name)

        def answer() -> None:
            self.server.delete(kind, namespace, name, uid=uid, resource_version=resource_version)

        await self._write(call, self.manager, answer)

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        initial_events: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        call = Call("watch", kind.kind, namespace or "", "")
        selects = self.server.matcher(kind, namespace, labels, fields)

        def start() -> Listing | None:
            if initial_events or resource_version in {"", "0"}:
                return self.server.list(kind, namespace, labels, fields)
            self.server.snapshot(kind)  # 404 where the kind is not served
            self.server.journal.check(int(resource_version))
            return None

        present = await self._read(call, start)
        position = int(present.resource_version if present else resource_version)
        for obj in present.items if present else ():
            yield WatchEvent("ADDED", obj)
        if initial_events:
            yield bookmark(kind, position, initial_events_end=True)
        patience = (self.watch_seconds, self.quiet)
        stream = follow(self.server, self.faults, kind, position, selects, *patience)
        async with aclosing(stream) as events:
            async for event in events:
                yield event

    # ---- faults --------------------------------------------------------------------------------

    def fail_next(
        self,
        verb: str,
        kind: Kind | None,
        error: Exception,
        times: int = 1,
        when: When = "before",
    ) -> None:
        """Let the next calls of a verb (``*``: any; kind None: any) raise ``error``.

        ``when="after"`` is the ambiguous write: it is committed and its answer is lost.
        """
        self.faults.fail(verb, kind, error, times, when)

    def crash_after(
        self, writes: int, *, when: When = "after", on: Callable[[Call], bool] | None = None
    ) -> None:
        """Raise CrashPoint at that write, counted from now; from then on every call raises it.

        ``when="after"``: it is committed and the process dies before it hears so. ``"before"``:
        it is never sent. ``on`` narrows which writes count. Dry runs never do.
        """
        self.faults.crash_after(writes, when, on)

    def drop_events(self, predicate: DropEvent | None) -> None:
        """Lose the watch events the predicate is true of; None: lose no more."""
        self.faults.drop = predicate

    def hold_events(self, kind: Kind) -> None:
        """Let a kind's watches hear nothing, while calls pass: a cache that falls behind.

        Longer than ``quiet``, and the client gives the watch up.
        """
        self.faults.held.add(kind.resource)

    def release_events(self, kind: Kind) -> None:
        """Deliver what was held."""
        self.faults.held.discard(kind.resource)
        self.server.journal.wake()

    def end_watches(self, error: Exception | None = None) -> None:
        """End every open watch of this client: quietly, or by an error in the stream."""
        self.faults.watch_epoch += 1
        self.faults.watch_error = error
        self.server.journal.wake()

    def delay(self, seconds: float, *, verb: str = "*", kind: Kind | None = None) -> None:
        """Let calls take that long by loop time (0: none); beyond the deadline they fail."""
        self.faults.delay(seconds, verb, kind)

    def delay_answers(self, seconds: float) -> None:
        """Let answers to writes come that long after the watch told of them (0: at once)."""
        self.faults.answers_after = seconds

    def partition(self, how: Partition = "refused") -> None:
        """Cut this client off. ``silent``: calls hang to their deadline, watches stay open."""
        self.faults.partition = how
        self.server.journal.wake()

    def heal(self) -> None:
        """End the partition."""
        self.partition("none")

    def stale_list(self, kind: Kind) -> None:
        """Answer lists of a kind with what is there now, until ``fresh_list``."""
        self.faults.stale[kind.resource] = self.server.snapshot(kind)

    def fresh_list(self, kind: Kind) -> None:
        """Answer lists of a kind with what is there."""
        self.faults.stale.pop(kind.resource, None)

    def refuse(self, kind: Kind, verb: str = "*") -> None:
        """Answer 403 to a verb on a kind."""
        self.faults.refuse(kind, verb, refused=True)

    def allow(self, kind: Kind, verb: str = "*") -> None:
        """Take ``refuse`` back."""
        self.faults.refuse(kind, verb, refused=False)

    def unserve(self, kind: Kind) -> None:
        """Answer 404 to everything about a kind, for all clients: its CRD is gone."""
        self.server.unserve(kind)

    def serve(self, kind: Kind) -> None:
        """Take ``unserve`` back."""
        self.server.serve(kind)

    def compact(self) -> None:
        """Forget the server's history: a watch from an older resource version answers 410."""
        self.server.compact()

    def restart_server(self) -> None:
        """An API server's restart: this client's watches end, and all of them must relist."""
        self.server.restart()
        self.end_watches()

    @property
    def mutating_webhook(self) -> Webhook | None:
        """The server's mutating admission webhook."""
        return self.server.webhook

    @mutating_webhook.setter
    def mutating_webhook(self, webhook: Webhook | None) -> None:
        self.server.webhook = webhook

    # ---- the way to the server -----------------------------------------------------------------

    async def _read(self, call: Call, answer: Callable[[], T]) -> T:
        await self._reach(call, self.deadline)
        self.reads.append(call)
        return answer()

    async def _write(self, call: Call, manager: str, answer: Callable[[], T]) -> T:
        left = None if self.guard is None or call.dry_run else self.guard()
        await self._reach(call, self.deadline if left is None else min(left, self.deadline))
        self.faults.count_write(call, "before")
        before, committed = self.server.revision, False
        try:
            result = answer()
            committed = True
        finally:
            changed = self.server.revision != before
            self.writes.append(
                Write(*call[:4], manager, call.subresource, call.dry_run, committed, changed)
            )
        self.faults.count_write(call, "after")
        if self.faults.answers_after:
            await asyncio.sleep(self.faults.answers_after)
        if lost := self.faults.failure(call, "after"):
            raise lost
        return result

    async def _reach(self, call: Call, seconds: float) -> None:
        """The way there, which may take so long. Raises whatever keeps a call from its answer."""
        self._check_alive()
        # Every call yields at least once, as one over a network does.
        delay = self.faults.delay_of(call)
        await asyncio.sleep(min(delay, seconds))
        self._check_alive()
        if self.faults.partition == "silent" and delay < seconds:
            await asyncio.sleep(seconds - delay)
        if delay > seconds or self.faults.partition == "silent":
            raise Unreachable(f"no answer within {seconds:g} s")
        if self.faults.partition == "refused":
            raise Unreachable("connection refused")
        if failed := self.faults.failure(call, "before"):
            raise failed
        if refused := self.faults.refusal(call):
            raise refused

    def _check_alive(self) -> None:
        if self.faults.crashed:
            raise CrashPoint


def _call(
    verb: str, kind: Kind, body: Object, subresource: str = "", dry_run: bool = False
) -> Call:
    metadata = body.get("metadata") or {}
    namespace = metadata.get("namespace", "")
    return Call(verb, kind.kind, namespace, metadata.get("name", ""), subresource, dry_run)

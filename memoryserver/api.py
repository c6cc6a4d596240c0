"""``MemoryApi``: one client of an in-memory API server, with faults between the two.

It stands for ``client.Client``. Several clients can share one server: each has its own field
manager, faults and log of writes.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any, TypeVar

from contract.model import Kind, Object
from memoryserver import rules
from memoryserver.faults import Call, CrashPoint, Faults, Write
from memoryserver.server import Server
from memoryserver.switches import Switches
from memoryserver.watch import bookmark, follow
from reconciler.client import wire
from reconciler.client.api import Api, Discovery, Listing, Unreachable, WatchEvent

T = TypeVar("T")

_RIGHTS = {"apply": "patch", "replace": "update"}
"""The RBAC verb of a call, where it has another name."""


class MemoryApi(Switches, Api):
    """The verbs of ``Api`` on a server in this process.

    ``now`` is the clock of a new server, unused where ``server`` is given. ``manager`` is the
    field manager of POST, PUT and patches, as a real client's user agent is. ``deadline`` and
    ``watch_seconds`` end calls and watches, ``quiet`` a watch without a frame, by loop time.
    ``guard`` is called before every write but a dry run, and raises NotLeader. ``user`` is the
    impersonated user, or empty. Other arguments are those of ``Server``.
    """

    user = ""

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
        """A second client of the same server, with faults of its own."""
        return MemoryApi(
            server=self.server,
            manager=manager,
            deadline=self.deadline,
            watch_seconds=self.watch_seconds,
            quiet=self.quiet,
            guard=guard,
        )

    async def close(self) -> None:
        """Do nothing; a real client closes its connections."""

    def acting_as(self, user: str) -> MemoryApi:
        """As Api.acting_as; faults and logs are shared with this client."""
        if not user:
            raise ValueError("not a user to impersonate: ''")
        if self.user:
            raise ValueError(f"cannot act as {user}: this client impersonates a user already")
        view = copy.copy(self)
        view.user = user
        return view

    # ---- the verbs -----------------------------------------------------------------------------

    async def discover(self) -> Discovery:
        return await self._read(None, Call("get", "", "", ""), self.server.discovery)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        call = Call("get", kind.kind, namespace, name)
        return await self._read(kind, call, lambda: self.server.get(kind, namespace, name))

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        names_only: bool = False,
    ) -> Listing:
        call = Call("list", kind.kind, namespace or "", "")

        def answer() -> Listing:
            at = self.faults.stale.get(kind.resource)
            return self.server.list(kind, namespace, labels, fields, at=at)

        found = await self._read(kind, call, answer)
        if names_only:
            found = found._replace(items=[wire.names_only(kind, item) for item in found.items])
        return found

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
            kind,
            call,
            manager,
            lambda: self.server.apply(
                kind, body, manager, force=force, dry_run=dry_run, subresource=subresource
            ),
        )

    async def create(self, kind: Kind, body: Object) -> Object:
        call = _call("create", kind, body)
        return await self._write(
            kind, call, self.manager, lambda: self.server.create(kind, body, self.manager)
        )

    async def replace(self, kind: Kind, body: Object, *, subresource: str = "") -> Object:
        call = _call("replace", kind, body, subresource)
        return await self._write(
            kind,
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
            kind,
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
    ) -> Object | None:
        return await self._write(
            kind,
            Call("delete", kind.kind, namespace, name),
            self.manager,
            lambda: self.server.delete(
                kind, namespace, name, uid=uid, resource_version=resource_version
            ),
        )

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        initial_events: bool = False,
        names_only: bool = False,
    ) -> AsyncGenerator[WatchEvent, None]:
        frames = self._frames(kind, namespace, labels, fields, resource_version, initial_events)
        async with aclosing(frames) as events:
            async for event in events:
                obj = wire.names_only(kind, event.object) if names_only else event.object
                yield event._replace(object=obj)

    async def _frames(
        self,
        kind: Kind,
        namespace: str | None,
        labels: str,
        fields: str,
        resource_version: str,
        initial_events: bool,
    ) -> AsyncGenerator[WatchEvent, None]:
        call = Call("watch", kind.kind, namespace or "", "")
        selects = self.server.matcher(kind, namespace, labels, fields)

        def start() -> Listing | None:
            if initial_events or resource_version in {"", "0"}:
                return self.server.list(kind, namespace, labels, fields)
            self.server.snapshot(kind)  # 404 where the kind is not served
            self.server.journal.check(int(resource_version))
            return None

        present = await self._read(kind, call, start)
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

    # ---- the way to the server -----------------------------------------------------------------

    async def _read(self, kind: Kind | None, call: Call, answer: Callable[[], T]) -> T:
        call = call._replace(user=self.user)
        await self._reach(call, self.deadline)
        self._authorize(kind, call.verb, call)
        self.reads.append(call)
        return answer()

    async def _write(self, kind: Kind, call: Call, manager: str, answer: Callable[[], T]) -> T:
        call = call._replace(user=self.user)
        left = None if self.guard is None or call.dry_run else self.guard()
        await self._reach(call, self.deadline if left is None else min(left, self.deadline))
        self.faults.count_write(call, "before")
        before, committed = self.server.revision, False
        try:
            self._authorize(kind, _RIGHTS.get(call.verb, call.verb), call)
            result = answer()
            committed = True
        finally:
            changed = self.server.revision != before
            self.writes.append(
                Write(
                    *call[:4],
                    manager,
                    call.subresource,
                    call.dry_run,
                    committed,
                    changed,
                    call.user,
                )
            )
        self.faults.count_write(call, "after")
        if self.faults.answers_after:
            await asyncio.sleep(self.faults.answers_after)
        if lost := self.faults.failure(call, "after"):
            raise lost
        return result

    def _authorize(self, kind: Kind | None, verb: str, call: Call) -> None:
        """Raise 403 where a right is missing; an apply that creates also needs ``create``."""
        allows = self.server.authorizer
        if allows is None or kind is None:
            return
        user, place = call.user or self.manager, (call.namespace, call.name)
        if not allows(user, verb, kind, *place):
            raise rules.forbidden(user, verb, kind, *place)
        if call.verb == "apply" and verb == "patch" and self.server.get(kind, *place) is None:
            self._authorize(kind, "create", call)

    async def _reach(self, call: Call, seconds: float) -> None:
        """Reach the server within ``seconds``; raises the fault that prevents an answer."""
        self._check_alive()
        # Every call yields at least once, as a call over a network does.
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

"""How a script of the conformance table calls an API server, and what is kept of the answers.

The rule: each call states at its own line what it leaves. A request is sent by ``leaves``, so a
call without an expectation is an error (it cannot be awaited). Every object that a call wrote is kept as well, field ownership
included, and compared with ``transcripts/``: the objects as a real server answered them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.model import Kind, Object
from memoryserver.patches import clone
from reconciler.client.api import JSON_PATCH, MERGE_PATCH, Api, ApiError, WatchEvent
from world.kinds import CONFIG_MAP, body

MANAGER = "tester"
"""The field manager of POST, PUT and patches in every script."""

# Controllers of a real cluster write the status of these while a script runs.
_CONTROLLED = frozenset(
    {
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job",
        "PodDisruptionBudget",
        "ResourceQuota",
        "StatefulSet",
    }
)


# ---- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """A script; its name is that of its function and of its file of recorded objects."""

    name: str
    script: Callable[[Transcript], Awaitable[None]]

    @property
    def recorded(self) -> list[Object]:
        """The objects that a real server answered."""
        return list(json.loads(self._record.read_text("utf-8")))

    def record(self, objects: list[Object]) -> None:
        """Keep what a real server answered."""
        text = json.dumps(objects, indent=1, sort_keys=True, ensure_ascii=False)
        self._record.write_text(f"{text}\n", "utf-8")

    @property
    def _record(self) -> Path:
        return TRANSCRIPTS / f"{self.name}.json"


SCENARIOS: list[Scenario] = []
TRANSCRIPTS = Path(__file__).with_name("transcripts")


def scenario(script: Callable[[Transcript], Awaitable[None]]) -> None:
    """Take a script into the table."""
    SCENARIOS.append(Scenario(script.__name__, script))


# ---- one call and its expectation ---------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A request that ``leaves`` sends; what became of it, and the answered object."""

    outcome: Coroutine[Any, Any, tuple[Any, Object]]

    async def leaves(self, expected: Any) -> Object:
        """Send the request, compare what became of it, and return the answered object.

        A write leaves ``created``, ``changed`` or ``unchanged``; a DELETE ``deleted`` or
        ``deleting``; a list the names that it has; a refusal its ``line``, and no object.
        """
        found, answer = await self.outcome
        assert found == expected
        return answer


@dataclass(frozen=True)
class Watch:
    """A watch that ``leaves`` opens."""

    opened: Coroutine[Any, Any, AsyncIterator[WatchEvent]]

    async def leaves(self, *expected: str) -> None:
        """Read as many events as are expected, and compare them: type, name, labels.

        A BOOKMARK counts where it ends the initial events. A refusal is its ``line``.
        """
        found: list[str] = []
        try:
            async with aclosing(await self.opened) as frames, asyncio.timeout(10):  # type: ignore[type-var]
                async for frame in frames:
                    found += event_line(frame)
                    if len(found) == len(expected):
                        break
        except ApiError as error:
            found.append(line(error))
        except TimeoutError:
            found.append("no event in 10 s")
        assert found == list(expected)


@dataclass
class Transcript:
    """One server, as one script calls it, and the objects that the calls wrote."""

    api: Api
    namespace: str
    objects: list[Object] = field(default_factory=list)

    # ---- writes ---------------------------------------------------------------------------------

    def apply(self, kind: Kind, obj: Object, manager: str = "one", **options: Any) -> Call:
        obj = self.placed(kind, obj)
        return self._write(
            kind,
            obj["metadata"]["name"],
            lambda: self.api.apply(kind, obj, manager=manager, **options),
        )

    def create(self, kind: Kind, obj: Object) -> Call:
        obj = self.placed(kind, obj)
        name = obj["metadata"].get("name", "")
        return self._write(kind, name, lambda: self.api.create(kind, obj))

    def replace(self, kind: Kind, obj: Object, subresource: str = "") -> Call:
        obj = self.placed(kind, obj)
        return self._write(
            kind,
            obj["metadata"]["name"],
            lambda: self.api.replace(kind, obj, subresource=subresource),
        )

    def patch(self, kind: Kind, name: str, patch: Any, subresource: str = "") -> Call:
        content_type = JSON_PATCH if isinstance(patch, list) else MERGE_PATCH

        async def send() -> Object:
            answer = await self.api.patch(
                kind,
                self.namespace,
                name,
                patch,
                content_type=content_type,
                subresource=subresource,
            )
            # The answer to a patch of the scale is a Scale.
            return await self.live(kind, name) if subresource == "scale" else answer

        return self._write(kind, name, send)

    def delete(self, kind: Kind, name: str, *, uid: str = "", version: str = "") -> Call:
        """DELETE of the live object, or of the one with this uid and resource version."""

        async def outcome() -> tuple[Any, Object]:
            live = uid or (await self.live(kind, name))["metadata"]["uid"]
            try:
                await self.api.delete(
                    kind, self.namespace, name, uid=live, resource_version=version
                )
            except ApiError as error:
                return line(error), {}
            left = await self.api.get(kind, self.namespace, name)
            return "deleted" if left is None else "deleting", left or {}

        return Call(outcome())

    # ---- reading --------------------------------------------------------------------------------

    async def live(self, kind: Kind, name: str) -> Object:
        """The live object, which must be there."""
        obj = await self.api.get(kind, self.namespace, name)
        assert obj is not None, f"{kind} {name} is missing"
        return obj

    async def value(self, kind: Kind, name: str, *path: str) -> Any:
        """A value of the live object; None where the path ends early."""
        value: Any = await self.live(kind, name)
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def select(self, kind: Kind, *, labels: str = "", fields: str = "") -> Call:
        """A list by selectors; without what a real cluster puts into each namespace."""

        async def outcome() -> tuple[Any, Object]:
            try:
                found = await self.api.list(kind, self.namespace, labels=labels, fields=fields)
            except ApiError as error:
                return line(error), {}
            names = [item["metadata"]["name"] for item in found.items]
            return [name for name in names if not name.startswith("kube-")], {}

        return Call(outcome())

    def request(self, request: Coroutine[Any, Any, object]) -> Call:
        """Any other request; it leaves ``answered`` where it is not refused."""

        async def outcome() -> tuple[Any, Object]:
            try:
                await request
            except ApiError as error:
                return line(error), {}
            return "answered", {}

        return Call(outcome())

    def watch(self, kind: Kind, **options: Any) -> Watch:
        async def opened() -> AsyncIterator[WatchEvent]:
            return self.api.watch(kind, self.namespace, **options)

        return Watch(opened())

    def placed(self, kind: Kind, obj: Object) -> Object:
        """A copy in this script's namespace."""
        obj = clone(obj)
        if kind.namespaced:
            obj["metadata"].setdefault("namespace", self.namespace)
        return obj

    def _write(self, kind: Kind, name: str, send: Callable[[], Awaitable[Object]]) -> Call:
        async def outcome() -> tuple[Any, Object]:
            before = await self.api.get(kind, self.namespace, name) if name else None
            try:
                answer = await send()
            except ApiError as error:
                return line(error), {}
            self.objects.append(cleaned(answer))
            return _became(before, answer), answer

        return Call(outcome())


def _became(before: Object | None, answer: Object) -> str:
    """What a write did to an object."""
    if before is None:
        return "created"
    if answer["kind"] in _CONTROLLED:
        return "changed" if cleaned(before) != cleaned(answer) else "unchanged"
    versions = {obj["metadata"]["resourceVersion"] for obj in (before, answer)}
    return "changed" if len(versions) > 1 else "unchanged"


# ---- what a transcript shows --------------------------------------------------------------------


def line(error: ApiError) -> str:
    """An error as one line: its code, reason, and the reasons and fields of its causes."""
    causes = {f"{c.get('reason', '')} {c.get('field', '')}".strip() for c in error.causes}
    return " ".join([str(error.code), error.reason, *sorted(causes)]).strip()


def event_line(event: WatchEvent) -> list[str]:
    """A frame of a watch as one line; of a bookmark, only where it ends the initial events."""
    metadata = event.object["metadata"]
    if event.type == "BOOKMARK":
        end = (metadata.get("annotations") or {}).get("k8s.io/initial-events-end")
        return [f"BOOKMARK {end}"] if end else []
    return [f"{event.type} {metadata['name']} {metadata.get('labels', {})}"]


def cleaned(obj: Object) -> Object:
    """An object without what differs from server to server and from run to run."""
    obj = clone(obj)
    metadata = obj["metadata"]
    own_uid = metadata.get("uid", "")
    owners = {
        f"{e['manager']} {e['operation']} {e.get('subresource', '')}".strip(): e["fieldsV1"]
        for e in metadata.pop("managedFields", None) or ()
        if e["manager"] != "kube-controller-manager"
    }
    given = {"uid", "creationTimestamp", "deletionTimestamp"} & metadata.keys()
    metadata |= dict.fromkeys(given, "<set>")
    for name in ("namespace", "resourceVersion"):
        metadata.pop(name, None)
    (metadata.get("annotations") or {}).pop("deployment.kubernetes.io/revision", None)
    if not metadata.get("annotations"):
        metadata.pop("annotations", None)
    if obj["kind"] in _CONTROLLED:
        obj.pop("status", None)
    if obj["kind"] == "Service":
        spec = obj["spec"]
        if spec.get("clusterIP", "None") != "None":
            spec["clusterIP"], spec["clusterIPs"] = "<ip>", ["<ip>"]
        for port in spec.get("ports", ()):
            if "nodePort" in port:
                port["nodePort"] = "<port>"
    shown: Object = _without(obj, own_uid)
    return {**shown, "owners": _without(owners, own_uid)}


def _without(value: Any, uid: str) -> Any:
    if isinstance(value, dict):
        # The server writes nulls where its types have no omitempty.
        return {n: _without(child, uid) for n, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_without(child, uid) for child in value]
    return "<uid>" if uid and value == uid else value


# ---- objects that many scripts write ------------------------------------------------------------


def config_map(name: str = "x", /, **data: str) -> Object:
    return body(CONFIG_MAP, name, data=data) if data else body(CONFIG_MAP, name)


def with_metadata(obj: Object, **metadata: Any) -> Object:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}

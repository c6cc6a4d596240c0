"""Carries out what ``converge.decide`` decides for one child.

Nothing that is not the parent's own is ever written: a missing child is made by an apply that can
only create, every other write carries the uid of the object that was decided on, and a shared
object is written with its resourceVersion too.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from contract.metadata import controller_of, key_parts
from contract.model import Kind, Object
from contract.ownership import (
    Owner,
    annotations_of,
    describe_owner,
    is_own,
    may_refer,
    yields_annotation,
)
from contract.plan import Child
from objects.matching import content_digest
from reconciler.client.api import JSON_PATCH, Api, ApiError
from reconciler.contention import Repairs
from reconciler.converge import Decision, Memory, Step, after_create, after_write, decide
from reconciler.target import Action, Change

CREATE_ONLY = "1"
"""As ``metadata.resourceVersion`` of an apply: creates, or answers 409 whoever has the name."""

_UNKNOWN = "an unknown field manager"


class ChildWrite:
    """One child of one change set on its way to what is wanted.

    ``body`` is the stamped child. ``memory`` is what is remembered of the child; it is newer
    after ``settle``. ``answer`` is the object as the API server answered the last write of it;
    ``removed`` is the object that a replacement deleted at once.
    """

    def __init__(
        self, api: Api, child: Child, body: Object, owner: Owner, manager: str, memory: Memory
    ) -> None:
        self._api = api
        self._child = child
        self._body = body
        self._owner = owner
        self._manager = manager
        self.memory = memory
        self.answer: Object | None = None
        self.removed: Object | None = None

    async def settle(self, live: Object | None) -> Change:
        """Decide and carry out. Raises ApiError, Unreachable, NotLeader."""
        decision = self._decide(live)
        if decision.step is Step.DRY_RUN and live is not None:
            decision = self._decide(live, server_agrees=await self._server_agrees(live))
        self.memory = decision.memory
        if live is None:
            return await (self._create() if decision.step is Step.CREATE else self._wait(decision))
        return await self._carry_out(decision, live)

    def _decide(self, live: Object | None, *, server_agrees: bool | None = None) -> Decision:
        return decide(
            self._child,
            self._body,
            live,
            self._owner,
            self.memory,
            _now(),
            server_agrees=server_agrees,
        )

    async def _carry_out(self, decision: Decision, live: Object) -> Change:
        match decision.step:
            case Step.WAIT:
                return await self._wait(decision, live)
            case Step.FOREIGN:
                return self._change(Action.FOREIGN, detail=describe_owner(live))
            case Step.REPLACE:
                return await self._replace(live)
            case Step.CONFIGURE:
                change = await self._write(Action.CONFIGURED, live, decision.paths)
                # Whoever reverted the earlier intent may agree with this one.
                self.memory = replace(self.memory, repairs=Repairs(), rival="")
                return change
            case Step.REPAIR:
                return await self._repair(decision, live)
            case Step.CONTESTED:
                rival = await self._last_writer(live)
                self.memory = replace(self.memory, rival=rival)
                return self._change(
                    Action.CONTESTED, live, decision.paths, detail=rival, wait=decision.wait
                )
            case _:
                rival = self.memory.rival if decision.wait else ""
                return self._change(Action.UNCHANGED, live, detail=rival, wait=decision.wait)

    def _change(
        self,
        action: Action,
        obj: Object | None = None,
        paths: tuple[str, ...] = (),
        *,
        detail: str = "",
        wait: float | None = None,
    ) -> Change:
        child = self._child
        return Change(child.kind, child.key, action, obj, paths, detail=detail, wait=wait)

    async def _wait(self, decision: Decision, live: Object | None = None) -> Change:
        own = live is not None and is_own(live, self._owner)
        return self._change(Action.WAITING, live if own else None, wait=decision.wait)

    async def _create(self) -> Change:
        body = self._body
        only = {**body, "metadata": {**body["metadata"], "resourceVersion": CREATE_ONLY}}
        try:
            created = await self._api.apply(self._child.kind, only, manager=self._manager)
        except ApiError as error:
            if error.code != 409:
                raise
        else:
            self.memory = after_create(body, created)
            self.answer = created
            return self._change(Action.CREATED, created)
        # Something has the name that the plan did not see. What is ours must be planned with first.
        live = await self._api.get(self._child.kind, *key_parts(self._child.body))
        if live is None or is_own(live, self._owner):
            return self._change(Action.WAITING, wait=1.0)
        decision = self._decide(live)
        self.memory = decision.memory
        return await self._carry_out(decision, live)

    async def _replace(self, live: Object) -> Change:
        """Delete the child of an earlier intent; the pass after its end creates the new one."""
        left = await delete(self._api, self._child.kind, live)
        self.answer, self.removed = left, None if left else live
        return self._change(Action.WAITING, left, wait=0.0 if left is None else 5.0)

    async def _server_agrees(self, live: Object) -> bool:
        """Does a dry run of the intent leave the object as it is?"""
        answer = await self._api.apply(
            self._child.kind, self._guarded(live), manager=self._manager, dry_run=True
        )
        return content_digest(answer) == content_digest(live)

    async def _repair(self, decision: Decision, live: Object) -> Change:
        now = _now()
        contested = self.memory.repairs.contested(now)
        rival = await self._last_writer(live) if contested else ""
        change = await self._write(Action.REPAIRED, live, decision.paths)
        repairs = self.memory.repairs.repaired(now)
        self.memory = replace(self.memory, repairs=repairs, rival=rival)
        if not rival:
            return change
        return replace(change, paths=decision.paths, detail=rival, wait=repairs.wait(now))

    async def _write(self, action: Action, live: Object, paths: tuple[str, ...]) -> Change:
        await self._drop_former_owner(live)
        if await self._hand_over(live):
            paths += tuple(f"{'.'.join(path)} left to others" for path in self._child.yields)
        answer = await self._api.apply(self._child.kind, self._guarded(live), manager=self._manager)
        self.memory = after_write(self.memory, self._child, self._body, answer, self._owner)
        self.answer = answer
        return self._change(action, answer, paths)

    def _guarded(self, live: Object) -> Object:
        """The body for exactly this object: if it is gone, the apply must not bring it back."""
        guards = {"uid": live["metadata"]["uid"]}
        if self._child.hold == "shared":
            # Another's object: what changed since it was seen is not overwritten (409).
            guards["resourceVersion"] = live["metadata"]["resourceVersion"]
        return {**self._body, "metadata": {**self._body["metadata"], **guards}}

    async def _hand_over(self, live: Object) -> bool:
        """Let go of the yielded fields without losing their values; False if that was done before.

        A field that its only owner leaves out of an apply goes back to its default, so a second
        field manager takes it over first. That apply does not force: where another manager changed
        the field meanwhile, the field has an owner already (409) and there is nothing to hand over.
        """
        child = self._child
        mark = yields_annotation(self._owner.group)
        if not child.yields or mark in annotations_of(live):
            return False
        partial: Object = {
            "apiVersion": child.body["apiVersion"],
            "kind": child.body["kind"],
            "metadata": {
                key: live["metadata"][key]
                for key in ("name", "namespace", "uid")
                if key in live["metadata"]
            },
        }
        for path in child.yields:
            copy_value(live, partial, path)
        try:
            await self._api.apply(
                child.kind, partial, manager=f"{self._manager}-yields", force=False
            )
        except ApiError as error:
            if error.code != 409 or not error.causes:
                raise
        return True

    async def _drop_former_owner(self, live: Object) -> None:
        """Remove the controller reference to a parent that is gone (adopted objects only)."""
        former = controller_of(live)
        if former is None or former.get("uid") == self._owner.uid:
            return
        if self._child.hold != "owned" or not may_refer(self._child.key, self._owner):
            return
        metadata = live["metadata"]
        kept = [ref for ref in metadata["ownerReferences"] if ref is not former]
        patch = [
            *unchanged(live),
            {"op": "replace", "path": "/metadata/ownerReferences", "value": kept},
        ]
        await self._api.patch(self._child.kind, *key_parts(live), patch, content_type=JSON_PATCH)

    async def _last_writer(self, live: Object) -> str:
        """The field manager, other than ours, that wrote the object last."""
        fresh = await self._api.get(self._child.kind, *key_parts(live))
        entries: list[dict[str, Any]] = (fresh or live)["metadata"].get("managedFields") or []
        others = [
            entry
            for entry in entries
            if not str(entry.get("manager", "")).startswith(self._manager)
            and not entry.get("subresource")
        ]
        # Times are RFC 3339 in UTC, which sort as text.
        latest = max(others, key=lambda entry: str(entry.get("time", "")), default=None)
        return str(latest.get("manager") or _UNKNOWN) if latest else _UNKNOWN


async def delete(api: Api, kind: Kind, obj: Object) -> Object | None:
    """Delete exactly this state of an object; answers what is left of it, None when it is gone.

    Raises ApiError (409 where the object changed meanwhile) and Unreachable.
    """
    metadata = obj["metadata"]
    try:
        return await api.delete(
            kind,
            *key_parts(obj),
            uid=metadata["uid"],
            resource_version=metadata.get("resourceVersion", ""),
        )
    except ApiError as error:
        if error.code != 404:
            raise
        return None


def unchanged(obj: Object) -> list[dict[str, Any]]:
    """The tests of a JSON patch that hold only for exactly this state of the object."""
    return [
        {"op": "test", "path": f"/metadata/{name}", "value": obj["metadata"][name]}
        for name in ("uid", "resourceVersion")
    ]


def copy_value(source: Object, destination: Object, path: tuple[str, ...]) -> None:
    """Copy the value at a path, where the source has one."""
    found: Any = source
    for step in path:
        if not isinstance(found, dict) or step not in found:
            return
        found = found[step]
    for step in path[:-1]:
        destination = destination.setdefault(step, {})
    destination[path[-1]] = found


def _now() -> float:
    return asyncio.get_running_loop().time()

"""Carries out change sets on a Kubernetes API, writing only what differs.

Whether anything differs is decided from the cache, because an apply that changes nothing
costs the server as much as one that does. What is live agrees with an intent when it carries
the intent's digest (so fields that we stopped wanting are gone) and holds every field of it
(so nobody changed one). Where the server itself rewrites what we send (an admission webhook),
a dry run tells "this is what you get" from "somebody changed it", once for each state.

Nothing that is not the parent's own is ever written: a missing child is made by an apply that
can only create, and every other write carries the uid of the object it was decided on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from contract import ownership
from contract.metadata import controller_of, digest, key_parts
from contract.model import Child, Kind, Object, Refusal
from objects.matching import content_digest, differences
from reconciler.client.api import JSON_PATCH, Api, ApiError, Unreachable, WatchEvent
from reconciler.contention import Repairs
from reconciler.target import BLOCKING, Action, Change, ChangeSet

CREATE_ONLY = "1"
"""As ``metadata.resourceVersion`` of an apply: creates, or answers 409 whoever has the name."""

COLLECTED_SECONDS = 60.0
"""What an earlier parent left is given so long to be collected; then it is in the way."""

TRANSIENT = frozenset({408, 409, 429, 502, 503, 504})
"""Answers that a later try may change by itself."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered of one child between passes; all of it can be lost without harm."""

    agreed: str = ""
    """Digest of (intent, content) that the server answered although they differ."""
    repairs: Repairs = field(default_factory=Repairs)
    blocked_since: float | None = None
    """When something that an earlier parent left was first met under its name (loop time)."""
    rival: str = ""
    """The field manager that makes them necessary, once they are too many."""
    intent: str = ""
    """The mark of the intent that an object was changed to last: another one is somebody's doing."""


_NOTHING = _Memory()
_UNKNOWN = "an unknown field manager"


class KubernetesTarget:
    """A DeploymentTarget on an Api.

    ``written`` and ``removed`` are told of each of our own writes, so that the cache is never
    older than what we did. ``group`` prefixes our annotations, ``manager`` is the field manager.
    """

    def __init__(
        self,
        api: Api,
        *,
        group: str,
        manager: str,
        written: Callable[[Kind, Object], None] = lambda _kind, _obj: None,
        removed: Callable[[Kind, Object], None] = lambda _kind, _obj: None,
    ) -> None:
        self._api = api
        self._group = group
        self._manager = manager
        self._written = written
        self._removed = removed
        self._memory: dict[str, dict[tuple[str, str], _Memory]] = {}

    async def apply(self, change_set: ChangeSet) -> tuple[Change, ...]:
        """See ``DeploymentTarget.apply``."""
        changes: list[Change] = []
        for _, wave in groupby(sorted(change_set.wanted, key=_wave), key=_wave):
            children = list(wave)
            if any(change.action in BLOCKING for change in changes):
                changes += [Change(child.kind, child.id[1], Action.HELD) for child in children]
                continue
            changes += await _all(self._settle(child, change_set) for child in children)
        if not any(change.action in BLOCKING for change in changes):
            changes += await _all(self._remove(kind, obj) for kind, obj in change_set.surplus)
        return tuple(changes)

    async def delete(self, kind: Kind, namespace: str, name: str) -> bool:
        """See ``DeploymentTarget.delete``."""
        live = await self._api.get(kind, namespace, name)
        if live is None:
            return False
        change = await self._remove(kind, live)
        if change.error is not None:
            raise change.error
        return change.action is Action.DELETED

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """See ``DeploymentTarget.get``."""
        return await self._api.get(kind, namespace, name)

    async def list(self, kind: Kind, namespace: str, labels: str = "") -> list[Object]:
        """See ``DeploymentTarget.list``."""
        return (await self._api.list(kind, namespace, labels=labels)).items

    def watch(self, kind: Kind, namespace: str) -> AsyncIterator[WatchEvent]:
        """See ``DeploymentTarget.watch``."""
        return self._api.watch(kind, namespace)

    def forget(self, parent_uid: str) -> None:
        """See ``DeploymentTarget.forget``."""
        self._memory.pop(parent_uid, None)

    async def _settle(self, child: Child, change_set: ChangeSet) -> Change:
        """Bring one child to what is wanted; every trouble becomes a Change."""
        try:
            return await self._decide(child, change_set)
        except (ApiError, Unreachable) as error:
            return _trouble(child.kind, child.id[1], error)

    async def _decide(self, child: Child, change_set: ChangeSet) -> Change:
        body = ownership.stamp(child, change_set.parent, self._group)
        live = change_set.live.get(child.id)
        if live is None:
            return await self._create(child, body, change_set.parent)
        return await self._reconcile(child, body, live, change_set.parent)

    def _may_go(self, parent: Object, child: Child) -> bool:
        """Is it not yet time to tell of what an earlier parent left, and nobody has collected?"""
        since = self._remembered(parent, child).blocked_since
        if since is None:
            self._remember(parent, child, blocked_since=_now())
        return since is None or _now() - since < COLLECTED_SECONDS

    async def _create(self, child: Child, body: Object, parent: Object) -> Change:
        only = {**body, "metadata": {**body["metadata"], "resourceVersion": CREATE_ONLY}}
        try:
            created = await self._api.apply(child.kind, only, manager=self._manager)
        except ApiError as error:
            if error.code != 409:
                raise
        else:
            self._agree(child, parent, body, created)
            self._remember(
                parent, child, intent="", repairs=Repairs(), rival="", blocked_since=None
            )
            self._written(child.kind, created)
            return Change(child.kind, child.id[1], Action.CREATED, created)
        # Something has the name that the plan did not see. What is ours must be planned with first.
        live = await self._api.get(child.kind, *key_parts(child.body))
        if live is None or ownership.is_own(live, parent, self._group):
            return Change(child.kind, child.id[1], Action.WAITING, wait=1.0)
        return await self._reconcile(child, body, live, parent)

    async def _reconcile(self, child: Child, body: Object, live: Object, parent: Object) -> Change:
        name = child.id[1]
        if not ownership.is_own(live, parent, self._group):
            if ownership.is_left_behind(live, body) and self._may_go(parent, child):
                return Change(child.kind, name, Action.WAITING, wait=5.0)
            return Change(child.kind, name, Action.FOREIGN, detail=ownership.describe_owner(live))
        if "deletionTimestamp" in live["metadata"]:
            return Change(child.kind, name, Action.WAITING, live, wait=5.0)
        paths = tuple(differences(body, live))
        remembered = self._remembered(parent, child)
        if not paths or remembered.agreed == _agreement(body, live):
            return self._unchanged(child, live, remembered)
        intent = self._intent(body)
        if intent not in (self._intent(live), remembered.intent):
            return await self._write(child, body, live, parent, Action.CONFIGURED, paths)
        if await self._server_agrees(child, body, live):
            self._remember(parent, child, agreed=_agreement(body, live))
            return Change(child.kind, name, Action.UNCHANGED, live)
        return await self._repair(child, body, live, parent, paths)

    def _intent(self, obj: Object) -> str:
        return ownership.annotations_of(obj).get(ownership.intent_annotation(self._group), "")

    def _unchanged(self, child: Child, live: Object, remembered: _Memory) -> Change:
        """A contest goes on for as long as the next repair would have to wait."""
        wait = remembered.repairs.wait(_now())
        if wait > 0:
            return Change(
                child.kind, child.id[1], Action.UNCHANGED, live, (), remembered.rival, wait=wait
            )
        return Change(child.kind, child.id[1], Action.UNCHANGED, live)

    async def _server_agrees(self, child: Child, body: Object, live: Object) -> bool:
        """Would applying the intent leave the object as it is? Asked by a dry run."""
        answer = await self._api.apply(
            child.kind, _with_uid(body, live), manager=self._manager, dry_run=True
        )
        return content_digest(answer) == content_digest(live)

    async def _repair(
        self, child: Child, body: Object, live: Object, parent: Object, paths: tuple[str, ...]
    ) -> Change:
        repairs = self._remembered(parent, child).repairs
        now = _now()
        who = await self._last_writer(child, live) if repairs.contested(now) else ""
        wait = repairs.wait(now)
        if wait > 0:
            self._remember(parent, child, rival=who)
            return Change(child.kind, child.id[1], Action.CONTESTED, live, paths, who, wait=wait)
        change = await self._write(child, body, live, parent, Action.REPAIRED, paths)
        repairs = repairs.repaired(now)
        self._remember(parent, child, repairs=repairs, rival=who)
        if not who:
            return change
        return replace(change, paths=paths, detail=who, wait=repairs.wait(now))

    async def _write(
        self,
        child: Child,
        body: Object,
        live: Object,
        parent: Object,
        action: Action,
        paths: tuple[str, ...],
    ) -> Change:
        await self._drop_former_owner(child, live)
        if await self._hand_over(child, live):
            paths += tuple(f"{'.'.join(path)} left to others" for path in child.yields)
        answer = await self._api.apply(child.kind, _with_uid(body, live), manager=self._manager)
        self._agree(child, parent, body, answer)
        self._remember(parent, child, intent=self._intent(body))
        if (
            action is Action.CONFIGURED
        ):  # who wanted the intent before to be otherwise may like this
            self._remember(parent, child, repairs=Repairs(), rival="")
        self._written(child.kind, answer)
        return Change(child.kind, child.id[1], action, answer, paths)

    async def _hand_over(self, child: Child, live: Object) -> bool:
        """Let go of the yielded fields without losing their values; False if that was done before.

        A field that its only owner leaves out of an apply goes back to its default, so a second
        field manager takes it over first. It does not force: where somebody else has changed
        the field meanwhile, it is theirs already (409) and there is nothing to hand over.
        """
        mark = ownership.yields_annotation(self._group)
        if not child.yields or mark in ownership.annotations_of(live):
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
            _copy_value(live, partial, path)
        try:
            await self._api.apply(
                child.kind, partial, manager=f"{self._manager}-yields", force=False
            )
        except ApiError as error:
            if error.code != 409 or not error.causes:
                raise
        return True

    async def _drop_former_owner(self, child: Child, live: Object) -> None:
        """Take off the controller reference of a parent that is gone (adopted objects only)."""
        former = controller_of(live)
        wanted = controller_of(child.body)
        if former is None or wanted is None or former.get("uid") == wanted["uid"]:
            return
        metadata = live["metadata"]
        kept = [ref for ref in metadata["ownerReferences"] if ref is not former]
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
            {
                "op": "test",
                "path": "/metadata/resourceVersion",
                "value": metadata["resourceVersion"],
            },
            {"op": "replace", "path": "/metadata/ownerReferences", "value": kept},
        ]
        await self._api.patch(child.kind, *key_parts(live), patch, content_type=JSON_PATCH)

    async def _remove(self, kind: Kind, obj: Object) -> Change:
        """Delete an object of ours exactly as the cache knows it, or not at all."""
        metadata = obj["metadata"]
        name = metadata["name"]
        if "deletionTimestamp" in metadata:
            return Change(kind, name, Action.UNCHANGED, obj)
        try:
            await self._api.delete(
                kind,
                *key_parts(obj),
                uid=metadata["uid"],
                resource_version=metadata.get("resourceVersion", ""),
            )
        except ApiError as error:
            if error.code != 404:
                return _trouble(kind, name, error)
        except Unreachable as error:
            return _trouble(kind, name, error)
        self._removed(kind, obj)
        return Change(kind, name, Action.DELETED)

    async def _last_writer(self, child: Child, live: Object) -> str:
        """The field manager, other than ours, that wrote the object last."""
        fresh = await self._api.get(child.kind, *key_parts(live))
        entries: list[dict[str, Any]] = (fresh or live)["metadata"].get("managedFields") or []
        others = [
            entry
            for entry in entries
            if not str(entry.get("manager", "")).startswith(self._manager)
            and not entry.get("subresource")
        ]
        latest = max(others, key=lambda entry: str(entry.get("time", "")), default=None)
        return str(latest.get("manager") or _UNKNOWN) if latest else _UNKNOWN

    def _agree(self, child: Child, parent: Object, body: Object, answer: Object) -> None:
        """Remember an answer that differs from what was sent: it is what the server makes of it."""
        agreed = _agreement(body, answer) if differences(body, answer) else ""
        self._remember(parent, child, agreed=agreed)

    def _remembered(self, parent: Object, child: Child) -> _Memory:
        return self._memory.get(parent["metadata"]["uid"], {}).get(child.id, _NOTHING)

    def _remember(self, parent: Object, child: Child, **what: Any) -> None:
        before = self._remembered(parent, child)
        now = replace(before, **what)
        if now != before:  # of most children there is nothing to remember
            self._memory.setdefault(parent["metadata"]["uid"], {})[child.id] = now


def _now() -> float:
    return asyncio.get_running_loop().time()


def _wave(child: Child) -> int:
    return child.wave


async def _all(tasks: Any) -> list[Change]:
    return list(await asyncio.gather(*tasks))


def _agreement(body: Object, live: Object) -> str:
    return digest([body["metadata"]["annotations"], content_digest(live)])


def _with_uid(body: Object, live: Object) -> Object:
    """The body for exactly this object: should it be gone, the apply must not bring it back."""
    return {**body, "metadata": {**body["metadata"], "uid": live["metadata"]["uid"]}}


def _copy_value(source: Object, destination: Object, path: tuple[str, ...]) -> None:
    for step in path[:-1]:
        source = source.get(step) or {}
        destination = destination.setdefault(step, {})
    if path[-1] in source:
        destination[path[-1]] = source[path[-1]]


def _trouble(kind: Kind, name: str, error: ApiError | Unreachable) -> Change:
    if isinstance(error, Unreachable) or error.code in TRANSIENT:
        return Change(kind, name, Action.FAILED, error=error)
    refusal = Refusal(error.code, error.reason, _words(error))
    return Change(kind, name, Action.REFUSED, refusal=refusal, error=error)


def _words(error: ApiError) -> str:
    """The server's words in an order that does not change: it lists its causes at random."""
    causes = sorted(
        f"{cause['field']}: {cause.get('message', '')}"
        if cause.get("field")
        else str(cause.get("message", ""))
        for cause in error.causes
    )
    return "; ".join(causes) if len(causes) > 1 else error.message

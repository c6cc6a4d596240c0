"""Carries out change sets on a Kubernetes API: waves of children, then the surplus.

A wave is written only when everything in the waves before it is there. Nothing is deleted while
a wanted child is missing. What becomes of one child is decided by ``converge`` and carried out by
``child_write``; this module remembers what both need between passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from itertools import groupby
from typing import Any

from contract import ownership
from contract.demands import Refusal
from contract.model import Key, Kind, Object
from contract.ownership import Owner
from contract.plan import Child
from reconciler.child_write import ChildWrite, delete
from reconciler.client.api import Api, ApiError, Unreachable, WatchEvent
from reconciler.converge import NOTHING, Memory
from reconciler.target import BLOCKING, Action, Change, ChangeSet

TRANSIENT = frozenset({408, 409, 429, 502, 503, 504})
"""Answers that a later try may change by itself."""

OnWrite = Callable[[Owner, Kind, Object], None]
"""Called with the parent's owner value, the kind and the object as the API server answered."""


class KubernetesTarget:
    """A DeploymentTarget on an Api.

    ``written`` and ``removed`` are called after each of our own writes, so that the cache is
    never older than what this process did. ``manager`` is the field manager.
    """

    def __init__(
        self,
        api: Api,
        *,
        manager: str,
        written: OnWrite = lambda _owner, _kind, _obj: None,
        removed: OnWrite = lambda _owner, _kind, _obj: None,
    ) -> None:
        self._api = api
        self._manager = manager
        self._written = written
        self._removed = removed
        self._memory: dict[str, dict[Key, Memory]] = {}

    async def apply(self, change_set: ChangeSet) -> tuple[Change, ...]:
        """See ``DeploymentTarget.apply``."""
        changes: list[Change] = []
        for _, wave in groupby(sorted(change_set.wanted, key=_wave), key=_wave):
            children = list(wave)
            if any(change.action in BLOCKING for change in changes):
                changes += [Change(each.kind, each.key, Action.HELD) for each in children]
                continue
            changes += await _all(self._settle(child, change_set) for child in children)
        if not any(change.action in BLOCKING for change in changes):
            changes += await _all(
                self._remove(kind, obj, change_set) for kind, obj in change_set.surplus
            )
        return tuple(changes)

    async def delete(self, kind: Kind, namespace: str, name: str) -> bool:
        """See ``DeploymentTarget.delete``."""
        live = await self._api.get(kind, namespace, name)
        if live is None or "deletionTimestamp" in live["metadata"]:
            return False
        await delete(self._api, kind, live)
        return True

    async def get(
        self, kind: Kind, namespace: str, name: str, *, acting_as: str = ""
    ) -> Object | None:
        """See ``DeploymentTarget.get``."""
        return await self._as(acting_as).get(kind, namespace, name)

    async def list(self, kind: Kind, namespace: str, labels: str = "") -> list[Object]:
        """See ``DeploymentTarget.list``."""
        return (await self._api.list(kind, namespace, labels=labels)).items

    def watch(self, kind: Kind, namespace: str) -> AsyncIterator[WatchEvent]:
        """See ``DeploymentTarget.watch``."""
        return self._api.watch(kind, namespace)

    def forget(self, parent_uid: str) -> None:
        """See ``DeploymentTarget.forget``."""
        self._memory.pop(parent_uid, None)

    def remembered(self) -> int:
        """Of how many parents anything is remembered."""
        return len(self._memory)

    def _as(self, user: str) -> Api:
        return self._api.acting_as(user) if user else self._api

    async def _settle(self, child: Child, change_set: ChangeSet) -> Change:
        """Bring one child to what is wanted; every trouble becomes a Change."""
        if child.delegated and not change_set.acting_as:
            raise ValueError(f"{child.key}: a delegated child needs Plan.acting_as")
        owner = change_set.owner
        write = ChildWrite(
            self._as(change_set.acting_as if child.delegated else ""),
            child,
            ownership.stamp(child, owner, change_set.parent),
            owner,
            self._manager,
            self._memory.get(owner.uid, {}).get(child.key, NOTHING),
        )
        try:
            change = await write.settle(change_set.live.get(child.key))
        except (ApiError, Unreachable) as error:
            change = _trouble(child.kind, child.key, error)
        finally:
            self._remember(owner.uid, child.key, write.memory)
        if write.answer is not None:
            self._written(owner, child.kind, write.answer)
        elif write.removed is not None:
            self._removed(owner, child.kind, write.removed)
        return change

    async def _remove(self, kind: Kind, obj: Object, change_set: ChangeSet) -> Change:
        """Delete an object of ours exactly as the cache knows it, or not at all.

        What was written as another user is deleted as that user. The user is this plan's, never
        one that the object names: tenants may edit the object's annotations.
        """
        key = Key.of(kind, obj)
        if "deletionTimestamp" in obj["metadata"]:
            return Change(kind, key, Action.UNCHANGED, obj)
        mark = ownership.delegated_annotation(change_set.owner.group)
        delegated = mark in ownership.annotations_of(obj)
        if delegated and not change_set.acting_as:
            raise ValueError(f"{key}: a delegated object needs Plan.acting_as to be deleted")
        try:
            left = await delete(self._as(change_set.acting_as if delegated else ""), kind, obj)
        except (ApiError, Unreachable) as error:
            return _trouble(kind, key, error)
        if left is not None:
            self._written(change_set.owner, kind, left)
            return Change(kind, key, Action.DELETING, left)
        self._removed(change_set.owner, kind, obj)
        return Change(kind, key, Action.DELETED)

    def _remember(self, uid: str, key: Key, memory: Memory) -> None:
        known = self._memory.get(uid, {})
        if memory == known.get(key, NOTHING):
            return  # of most children there is nothing to remember
        self._memory.setdefault(uid, {})[key] = memory


def _wave(child: Child) -> int:
    return child.wave


async def _all(tasks: Iterable[Coroutine[Any, Any, Change]]) -> list[Change]:
    """All of them, also where one raises: no write may be under way when the pass has ended."""
    results = await asyncio.gather(*tasks, return_exceptions=True)
    changes: list[Change] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        changes.append(result)
    return changes


def _trouble(kind: Kind, key: Key, error: ApiError | Unreachable) -> Change:
    if isinstance(error, Unreachable) or error.code in TRANSIENT:
        return Change(kind, key, Action.FAILED, error=error)
    refusal = Refusal(error.code, error.reason, _stable_message(error))
    return Change(kind, key, Action.REFUSED, refusal=refusal, error=error)


def _stable_message(error: ApiError) -> str:
    """The API server's message in an order that does not change: it lists causes at random."""
    causes = sorted(
        f"{cause['field']}: {cause.get('message', '')}"
        if cause.get("field")
        else str(cause.get("message", ""))
        for cause in error.causes
    )
    return "; ".join(causes) if len(causes) > 1 else error.message

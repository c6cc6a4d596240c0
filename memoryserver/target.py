"""A DeploymentTarget that only stores objects: the smallest implementation.

It has no server, field managers or admission, so that a test of the loop on it tests the loop and
not ``KubernetesTarget``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

from contract.model import Key, Kind, Object
from contract.plan import Child
from memoryserver.selectors import label_matcher
from reconciler.client.api import WatchEvent
from reconciler.target import Action, Change, ChangeSet


class MemoryTarget:
    """Keeps the objects of all change sets, by kind, namespace and name."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self._owners: dict[Key, str] = {}
        self._watches: dict[tuple[str, str], list[asyncio.Queue[WatchEvent]]] = {}

    async def apply(self, change_set: ChangeSet) -> tuple[Change, ...]:
        """See ``DeploymentTarget.apply``; an object of another parent is foreign."""
        owner = change_set.parent["metadata"]["uid"]
        changes = [self._apply(child, owner) for child in change_set.wanted]
        wanted = {child.key for child in change_set.wanted}
        kinds = {child.kind for child in change_set.wanted}
        for key in [key for key, uid in self._owners.items() if uid == owner]:
            if key not in wanted and key.kind in kinds:
                self._drop(key.kind, key)
                changes.append(Change(key.kind, key, Action.DELETED))
        return tuple(changes)

    async def delete(self, kind: Kind, namespace: str, name: str) -> bool:
        """See ``DeploymentTarget.delete``."""
        key = Key(kind, namespace, name)
        if key not in self.objects:
            return False
        self._drop(kind, key)
        return True

    async def get(
        self, kind: Kind, namespace: str, name: str, *, acting_as: str = ""
    ) -> Object | None:
        """See ``DeploymentTarget.get``."""
        return self.objects.get(Key(kind, namespace, name))

    async def list(self, kind: Kind, namespace: str, labels: str = "") -> list[Object]:
        """See ``DeploymentTarget.list``."""
        selects = label_matcher(labels)
        return [
            obj
            for key, obj in sorted(self.objects.items(), key=lambda item: item[0][1:])
            if key[:2] == (kind, namespace) and selects(obj)
        ]

    async def watch(self, kind: Kind, namespace: str) -> AsyncIterator[WatchEvent]:
        """See ``DeploymentTarget.watch``; the watch never ends by itself."""
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        watches = self._watches.setdefault((kind.kind, namespace), [])
        watches.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            watches.remove(queue)

    def forget(self, parent_uid: str) -> None:
        """Drop the objects of a deleted parent."""
        for key in [key for key, owner in self._owners.items() if owner == parent_uid]:
            self.objects.pop(key, None)
            del self._owners[key]

    def remembered(self) -> int:
        """See ``DeploymentTarget.remembered``."""
        return len({*self._owners.values()})

    def _apply(self, child: Child, owner: str) -> Change:
        key = child.key
        if self._owners.get(key, owner) != owner:
            return Change(child.kind, key, Action.FOREIGN, detail="it belongs to another parent")
        before = self.objects.get(key)
        self.objects[key] = child.body
        self._owners[key] = owner
        if before == child.body:
            return Change(child.kind, key, Action.UNCHANGED, child.body)
        action = Action.CREATED if before is None else Action.CONFIGURED
        self._notify(child.kind, key, "ADDED" if before is None else "MODIFIED", child.body)
        return Change(child.kind, key, action, child.body)

    def _drop(self, kind: Kind, key: Key) -> None:
        self._owners.pop(key, None)
        self._notify(kind, key, "DELETED", self.objects.pop(key))

    def _notify(
        self, kind: Kind, key: Key, type_: Literal["ADDED", "MODIFIED", "DELETED"], obj: Object
    ) -> None:
        for queue in self._watches.get((kind.kind, key[1]), ()):
            queue.put_nowait(WatchEvent(type_, obj))

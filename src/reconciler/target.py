"""Where children go: the contract between the loop and what carries out its change sets.

The loop hands over a ``ChangeSet`` and gets one ``Change`` for each object in it; it never
writes a child itself. ``apply.KubernetesTarget`` is the real one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from contract.model import Child, Kind, Object, Refusal
from reconciler.client.api import ApiError, Unreachable, WatchEvent


class Action(StrEnum):
    """What became of one object of a change set. ``UNCHANGED`` cost no write."""

    CREATED = "Created"
    CONFIGURED = "Updated"
    REPAIRED = "Repaired"
    UNCHANGED = "Unchanged"
    DELETED = "Deleted"
    FOREIGN = "Foreign"
    """Something of that name is not ours: nothing was written."""
    REFUSED = "Refused"
    """The server will not have it; trying again soon will not help."""
    FAILED = "Failed"
    """No answer, or one that a later try may change."""
    WAITING = "Waiting"
    """The old object of that name is still going away."""
    CONTESTED = "Contested"
    """Somebody keeps changing it back; the next repair has to wait."""
    HELD = "Held"
    """Not tried, because something of an earlier wave is missing."""


WRITTEN = frozenset({Action.CREATED, Action.CONFIGURED, Action.REPAIRED, Action.DELETED})
BLOCKING = frozenset({Action.FOREIGN, Action.REFUSED, Action.FAILED, Action.WAITING})


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """One parent's children as they are wanted and as they are.

    ``live`` holds what the cache knows under the name of each wanted child, whosever it is;
    ``surplus`` are the parent's own objects that are wanted no more.
    """

    parent: Object
    parent_kind: Kind
    wanted: tuple[Child, ...]
    live: Mapping[tuple[str, str], Object]
    surplus: tuple[tuple[Kind, Object], ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one object; ``object`` is how it is now, where that is known.

    ``paths`` are the fields that differed, ``detail`` says whose a foreign object is or who
    contests, ``wait`` is in how many seconds to look again.
    """

    kind: Kind
    name: str
    action: Action
    object: Object | None = None
    paths: tuple[str, ...] = ()
    detail: str = ""
    refusal: Refusal | None = None
    error: ApiError | Unreachable | None = None
    wait: float | None = None

    @property
    def id(self) -> tuple[str, str]:
        """(kind, name), as ``Child.id``."""
        return self.kind.kind, self.name


class DeploymentTarget(Protocol):
    """Carries out change sets, and shows what is there."""

    async def apply(self, change_set: ChangeSet) -> tuple[Change, ...]:
        """Write what differs, in waves, then remove the surplus; one Change for each object.

        Raises NotLeader; every other trouble is a Change.
        """

    async def delete(self, kind: Kind, namespace: str, name: str) -> bool:
        """Delete what is there now under that name; False where there is nothing."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The live object, or None."""

    async def list(self, kind: Kind, namespace: str, labels: str = "") -> list[Object]:
        """The live objects of a namespace, by label selector."""

    def watch(self, kind: Kind, namespace: str) -> AsyncIterator[WatchEvent]:
        """Changes from now on, until the server ends the stream."""

    def forget(self, parent_uid: str) -> None:
        """Drop what is remembered of a parent that is gone."""

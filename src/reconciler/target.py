"""Where children go: the contract between the loop and what carries out its change sets.

The loop hands over a ``ChangeSet`` and gets one ``Change`` for each object in it; it never
writes a child itself. ``apply.KubernetesTarget`` is the real one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from contract.demands import Refusal
from contract.model import Key, Kind, Object
from contract.ownership import Owner
from contract.plan import Child
from reconciler.client.api import ApiError, Unreachable, WatchEvent


class Action(StrEnum):
    """What became of one object of a change set. ``UNCHANGED`` cost no write."""

    CREATED = "Created"
    CONFIGURED = "Updated"
    REPAIRED = "Repaired"
    UNCHANGED = "Unchanged"
    DELETED = "Deleted"
    DELETING = "Deleting"
    """The delete was accepted, and the object stays until its finalizers or grace period end."""
    FOREIGN = "Foreign"
    """Something of that name is not the parent's own: nothing was written."""
    REFUSED = "Refused"
    """The API server refused the write for good; trying again soon does not help."""
    FAILED = "Failed"
    """No answer, or one that a later try may change."""
    WAITING = "Waiting"
    """An earlier object of that name is being deleted, or a shared one is not there yet."""
    CONTESTED = "Contested"
    """Another field manager keeps reverting it; the next repair has to wait."""
    HELD = "Held"
    """Not tried, because something of an earlier wave is missing."""


WRITTEN = frozenset(
    {Action.CREATED, Action.CONFIGURED, Action.REPAIRED, Action.DELETED, Action.DELETING}
)
BLOCKING = frozenset({Action.FOREIGN, Action.REFUSED, Action.FAILED, Action.WAITING})


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """One parent's children as they are wanted and as they are.

    ``live`` holds what is there under the name of each wanted child, whoever owns it;
    ``surplus`` are the parent's own objects that are no longer wanted. ``acting_as`` is the
    user of delegated children.
    """

    parent: Object
    owner: Owner
    wanted: tuple[Child, ...]
    live: Mapping[Key, Object]
    surplus: tuple[tuple[Kind, Object], ...] = ()
    acting_as: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one object; ``object`` is how it is now, where that is known.

    ``paths`` are the fields that differed; ``detail`` names the owner of a foreign object, or
    the field manager that contests; ``wait`` is in how many seconds to reconcile again.
    """

    kind: Kind
    key: Key
    action: Action
    object: Object | None = None
    paths: tuple[str, ...] = ()
    detail: str = ""
    refusal: Refusal | None = None
    error: ApiError | Unreachable | None = None
    wait: float | None = None


class DeploymentTarget(Protocol):
    """Carries out change sets, and shows what is there."""

    async def apply(self, change_set: ChangeSet) -> tuple[Change, ...]:
        """Write what differs, in waves, then delete the surplus; one Change for each object.

        Raises NotLeader; every other trouble is a Change.
        """

    async def delete(self, kind: Kind, namespace: str, name: str) -> bool:
        """Delete what is there now under that name; False where there is nothing."""

    async def get(
        self, kind: Kind, namespace: str, name: str, *, acting_as: str = ""
    ) -> Object | None:
        """The live object, or None."""

    async def list(self, kind: Kind, namespace: str, labels: str = "") -> list[Object]:
        """The live objects of a namespace, by label selector."""

    def watch(self, kind: Kind, namespace: str) -> AsyncIterator[WatchEvent]:
        """Changes from now on, until the API server ends the stream."""

    def forget(self, parent_uid: str) -> None:
        """Drop what is remembered of a parent that is gone."""

    def remembered(self) -> int:
        """Of how many parents anything is remembered."""

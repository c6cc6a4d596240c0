"""What happened, in order, so that a watch can go on where it left off, until it is compacted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from contract.model import Object
from reconciler.client.api import ApiError

Change = Literal["ADDED", "MODIFIED", "DELETED"]


class Entry(NamedTuple):
    """One committed write: what there was before it and what there is after it (None: nothing)."""

    revision: int
    resource: str
    before: Object | None
    after: Object | None

    def seen_by(self, selects: Callable[[Object], bool]) -> tuple[Change, Object] | None:
        """The event a selector's watch gets of it: leaving the selection is a deletion."""
        was = self.before is not None and selects(self.before)
        if self.after is not None and selects(self.after):
            return ("MODIFIED" if was else "ADDED"), self.after
        if was and self.before is not None:
            metadata = {**self.before["metadata"], "resourceVersion": str(self.revision)}
            return "DELETED", {**self.before, "metadata": metadata}
        return None


class Journal:
    """The entries of one server, and who waits for the next one."""

    def __init__(self, revision: int) -> None:
        self._entries: list[Entry] = []
        self._compacted = revision
        self.listeners: set[Callable[[], None]] = set()

    def append(self, entry: Entry) -> None:
        """Take an entry in and wake every listener."""
        self._entries.append(entry)
        self.wake()

    def wake(self) -> None:
        """Let every watch look again, also at what switched faults ask of it."""
        for listener in tuple(self.listeners):
            listener()

    def compact(self, revision: int) -> None:
        """Let nobody resume from before ``revision``; open watches are not concerned."""
        self._compacted = max(self._compacted, revision)

    def check(self, revision: int) -> None:
        """Raises ApiError 410 (``Expired``) where a watch cannot begin after ``revision``."""
        if revision < self._compacted:
            message = f"too old resource version: {revision} ({self._compacted})"
            raise ApiError(410, "Expired", message)

    def since(self, revision: int, resource: str) -> Iterator[Entry]:
        """The entries of one resource after ``revision``."""
        # From the end: a watch is nearly always a few entries behind and no more.
        start = len(self._entries)
        while start and self._entries[start - 1].revision > revision:
            start -= 1
        return (entry for entry in self._entries[start:] if entry.resource == resource)

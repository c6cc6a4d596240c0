"""The history of all writes, from which a watch resumes, until the history is compacted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from contract.model import Object
from reconciler.client.api import ApiError

Change = Literal["ADDED", "MODIFIED", "DELETED"]


class Entry(NamedTuple):
    """One committed write: the object before and after it, None for no object."""

    revision: int
    resource: str
    before: Object | None
    after: Object | None

    def seen_by(self, selects: Callable[[Object], bool]) -> tuple[Change, Object] | None:
        """The event of a watch with a selector; an object that leaves the selection is DELETED."""
        was = self.before is not None and selects(self.before)
        if self.after is not None and selects(self.after):
            return ("MODIFIED" if was else "ADDED"), self.after
        if was and self.before is not None:
            metadata = {**self.before["metadata"], "resourceVersion": str(self.revision)}
            return "DELETED", {**self.before, "metadata": metadata}
        return None


class Journal:
    """The entries of one server, and the listeners that wait for the next one."""

    def __init__(self, revision: int) -> None:
        self._entries: list[Entry] = []
        self._compacted = revision
        self.listeners: set[Callable[[], None]] = set()

    def append(self, entry: Entry) -> None:
        """Add an entry and wake every listener."""
        self._entries.append(entry)
        self.wake()

    def wake(self) -> None:
        """Let every watch check for new entries and for faults."""
        for listener in tuple(self.listeners):
            listener()

    def compact(self, revision: int) -> None:
        """Refuse to resume from before ``revision``; open watches continue."""
        self._compacted = max(self._compacted, revision)

    def check(self, revision: int) -> None:
        """Raises ApiError 410 (``Expired``) where a watch cannot begin after ``revision``."""
        if revision < self._compacted:
            message = f"too old resource version: {revision} ({self._compacted})"
            raise ApiError(410, "Expired", message)

    def since(self, revision: int, resource: str) -> Iterator[Entry]:
        """The entries of one resource after ``revision``."""
        # From the end: a watch is mostly only a few entries behind.
        start = len(self._entries)
        while start and self._entries[start - 1].revision > revision:
            start -= 1
        return (entry for entry in self._entries[start:] if entry.resource == resource)

"""The trace of a proxy: every request of an operator, as evidence and for crash points.

The rule kept here: a trace never contains a header or a body, as both may hold secrets.
"""

from __future__ import annotations

import copy
import threading
import time
from pathlib import Path

import msgspec

from chaos.proxy.requests import Request


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request of the client. Times are those of ``time.monotonic()``.

    ``ended`` 0: still in progress. ``forwarded``: the last time of forwarding, 0 for never; the
    server may execute a forwarded request also where the client does not wait for the answer.
    ``code`` is the status that the client got, 0 for none; ``server_code`` the status of the
    server, 0 without an answer. A late request sets ``server_code`` after ``ended``. ``fault`` is
    "phase/fault" of the last rule that acted, ``rule`` the index of that rule, -1 for none.
    ``frames``: the number of watch frames that the client got. ``holder``: the holder in a write
    of a Lease. ``resource_version``: of the object in the answer to a write.
    """

    seq: int
    at: float
    ended: float = 0.0
    forwarded: float = 0.0
    replica: str = ""
    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    dry_run: bool = False
    initial: bool = False
    code: int = 0
    server_code: int = 0
    created: bool = False
    fault: str = ""
    rule: int = -1
    frames: int = 0
    holder: str = ""
    resource_version: str = ""

    @property
    def is_write(self) -> bool:
        """Whether the request changes an object; false for a dry run."""
        return Request(self.verb, dry_run=self.dry_run).is_write


class Trace:
    """The entries of one proxy in order of arrival; any thread may read and add."""

    def __init__(self, replica: str = "") -> None:
        self._replica = replica
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def begin(self, request: Request, at: float, holder: str = "") -> Entry:
        """Add a request that arrived at ``at``; the connection completes the entry."""
        with self._lock:
            entry = Entry(
                seq=len(self._entries),
                at=at,
                replica=self._replica,
                holder=holder,
                **request._asdict(),
            )
            self._entries.append(entry)
        return entry

    def end(self, entry: Entry) -> None:
        """Record that the request of ``entry`` has ended."""
        entry.ended = time.monotonic()

    def entries(self) -> list[Entry]:
        """Copies of all entries, in order of arrival."""
        with self._lock:
            return [copy.copy(entry) for entry in self._entries]

    def write(self, path: Path) -> None:
        """Write all entries as lines of JSON; fields with default values are left out."""
        path.write_bytes(msgspec.json.Encoder().encode_lines(self.entries()))

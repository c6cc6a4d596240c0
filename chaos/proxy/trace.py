"""What passed through a proxy: the input of plans, and a witness of what an operator did.

The rule kept here: neither a header nor a body is ever in a trace, for both may hold secrets.
"""

from __future__ import annotations

import copy
import threading
import time
from pathlib import Path

import msgspec

from chaos.proxy.requests import Request


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request of the client. Times are ``time.monotonic()``'s.

    ``ended`` 0: it has not. ``forwarded``: when it was last sent on to the server, 0 for never; it
    may be carried out though nobody waited for the answer. ``code`` is what the client got, 0 for
    nothing; ``server_code`` what the server said, 0 where it was not asked or did not answer; both
    may come after the end of a request that was answered early and forwarded late. ``fault`` is
    "phase/fault" of the last that acted, and ``rule`` its index, -1 for none. ``frames``: those of
    a watch that were written to the client. ``holder``: whom a write of a Lease names.
    ``resource_version``: of the object that answers a write.
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
        """Whether it was to change something on the server."""
        return Request(self.verb, dry_run=self.dry_run).is_write


class Trace:
    """The entries of one proxy in order of arrival; any thread may read and add."""

    def __init__(self, replica: str = "") -> None:
        self._replica = replica
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def begin(self, request: Request, at: float, holder: str = "") -> Entry:
        """Add a request that arrived at ``at``; whoever serves it completes the entry."""
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
        """The request of ``entry`` is over."""
        entry.ended = time.monotonic()

    def entries(self) -> list[Entry]:
        """Copies of all entries as they are now, in order of arrival."""
        with self._lock:
            return [copy.copy(entry) for entry in self._entries]

    def write(self, path: Path) -> None:
        """All entries as lines of JSON; a field that has its default is left out."""
        path.write_bytes(msgspec.json.Encoder().encode_lines(self.entries()))

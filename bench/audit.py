"""Requests as the API server recorded them, read from its audit log.

The rule kept here: only the server's audit log states what a contestant did and when. Both
contestants are timed by the same clock, and no observer uses their two cores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.operator_process import MUTATING, USER


class Request(NamedTuple):
    """One finished request; times are seconds since the epoch, to the microsecond."""

    verb: str
    resource: str
    subresource: str
    name: str
    code: int
    received: float
    answered: float
    dry_run: bool = False

    @property
    def is_write(self) -> bool:
        """Is this a mutating request? Dry runs and writes of the Lease do not count."""
        return self.verb in MUTATING and not self.dry_run and self.resource != "leases"

    @property
    def is_status(self) -> bool:
        """Is this a successful write of a handler's status?"""
        of_status = (self.resource, self.subresource) == ("gatihandlers", "status")
        return of_status and self.is_write and self.code < 300


class _Reference(msgspec.Struct):
    resource: str = ""
    subresource: str = ""
    name: str = ""


class _User(msgspec.Struct):
    username: str = ""


class _Status(msgspec.Struct):
    code: int = 0


class _Event(msgspec.Struct, rename="camel"):
    verb: str
    user: _User
    request_received_timestamp: datetime
    stage_timestamp: datetime
    object_ref: _Reference | None = None
    response_status: _Status | None = None
    request_uri: str = msgspec.field(default="", name="requestURI")


_DECODER = msgspec.json.Decoder(_Event)


def parse(lines: Iterable[bytes], user: str = USER) -> Iterator[Request]:
    """The requests of one user, without an incomplete last line."""
    for line in lines:
        if user.encode() not in line or not line.endswith(b"\n"):
            continue
        event = _DECODER.decode(line)
        if event.user.username != user:
            continue
        reference = event.object_ref or _Reference()
        yield Request(
            event.verb,
            reference.resource,
            reference.subresource,
            reference.name,
            event.response_status.code if event.response_status else 0,
            event.request_received_timestamp.timestamp(),
            event.stage_timestamp.timestamp(),
            "dryRun=All" in event.request_uri,
        )


def read(log: Path, since: int = 0, user: str = USER) -> list[Request]:
    """The requests of one user after a file position; a watch appears once it has ended."""
    with log.open("rb") as file:
        file.seek(since)
        return list(parse(file, user))


def by_verb(requests: Iterable[Request]) -> dict[str, int]:
    """The number of requests by verb, with ``lease`` and ``dry run`` counted apart."""
    counted: Counter[str] = Counter()
    for request in requests:
        if request.resource == "leases":
            counted["lease"] += 1
        elif request.dry_run:
            counted["dry run"] += 1
        else:
            counted[request.verb] += 1
    return dict(sorted(counted.items()))


class Follower:
    """Follows the status writes of one user in the audit log, reading each line once."""

    def __init__(self, log: Path, since: int, user: str = USER) -> None:
        self._log = log
        self._position = since
        self._user = user
        self._names: set[str] = set()

    def handlers(self) -> int:
        """The number of handlers with a status so far."""
        with self._log.open("rb") as file:
            file.seek(self._position)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._position += len(whole)
        requests = parse(whole.splitlines(keepends=True), self._user)
        self._names |= {request.name for request in requests if request.is_status}
        return len(self._names)

"""The next phase of a reflector, decided from how its last attempt ended. Pure.

Each attempt is one phase: LIST_BY_WATCH (a WatchList, KEP-3157), LIST_IN_PAGES or WATCH.
`list` in the table is the phase in which this reflector lists: LIST_BY_WATCH, until the server has
shown that it has no WatchList. The first row that matches counts.

    phase           event                                            next phase     wait
    --------------  -----------------------------------------------  -------------  ---------
    LIST_*          Listed                                           WATCH          NONE
    LIST_BY_WATCH   EndMarkMissing                                   LIST_IN_PAGES  NONE
    WATCH           Ended without a frame after SILENT_WINDOW        list           NONE
    WATCH           Ended after a frame, its list, or 1 s            WATCH          NONE
    WATCH           Ended at once                                    WATCH          BACKOFF
    any             401, 403 of a listed scope, for the first times  list           BACKOFF
    any             404                                              list           FOR_KIND
    any             401, 403                                         list           FOR_RIGHT
    WATCH           410, the first since a watch worked              list           SOON
    LIST_BY_WATCH   400, 405, 406, 415, 422, 501; 5xx too often      LIST_IN_PAGES  BACKOFF
    any             another 4xx but 429; 5xx too often               list           BACKOFF
    any             429, 5xx, no answer                              same           BACKOFF

The rule: a resource version that was answered 410 is never asked for again, because a 410 leads
back to WATCH only through a list. An error after a silent window counts as an error of a list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from reconciler.client.api import ApiError, Unreachable

SILENT_WINDOW = 60.0
"""Seconds. After a watch that lasted longer without any frame, not even a bookmark, follows a list:
a server that was restored from a backup waits for a version that lies in its future."""

FAILURES_IN_DOUBT = 5
"""Failures in a row before a 5xx counts as a fault of this request and not of the server."""

REFUSALS_IN_DOUBT = 2
"""Refusals of a scope that was listed before, that count as temporary: an API server that starts
answers 403 until it has read its roles."""

_WATCH_LIST_REFUSED = frozenset({400, 405, 406, 415, 422, 501})


class Phase(Enum):
    """What one attempt does."""

    LIST_BY_WATCH = auto()
    LIST_IN_PAGES = auto()
    WATCH = auto()


class Wait(Enum):
    """How long to wait before the next attempt."""

    NONE = auto()
    SOON = auto()
    """Up to a second, so that not all reflectors list at the same moment; nothing has failed."""
    BACKOFF = auto()
    """Longer with each failure in a row."""
    FOR_KIND = auto()
    """Until the kind is served."""
    FOR_RIGHT = auto()
    """Until the account may read the kind."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reflector has come.

    ``listing`` is the phase in which it lists. ``expired``: a 410 came, and no watch has worked
    since. ``refusals`` counts the 401 and 403 since a watch worked that counted as temporary.
    """

    phase: Phase = Phase.LIST_BY_WATCH
    listing: Phase = Phase.LIST_BY_WATCH
    expired: bool = False
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """The list is complete, and the store has taken it over."""


@dataclass(frozen=True, slots=True)
class EndMarkMissing:
    """A WatchList was silent for too long before the bookmark that ends its list."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A request or its stream is over.

    ``frames`` came on a watch within ``lasted`` seconds; both are 0 for a list. ``after_list``:
    the stream of the watch had begun with the list. ``failures`` is the number of failures in a
    row before this one. ``synced``: the scope was listed before, with nothing missing since.
    """

    error: ApiError | Unreachable | None = None
    frames: int = 0
    lasted: float = 0.0
    after_list: bool = False
    failures: int = 0
    synced: bool = False

    @property
    def worked(self) -> bool:
        """Did the server serve this watch for a while?"""
        return self.frames > 0 or self.lasted >= 1

    @property
    def silent(self) -> bool:
        """Did a whole window pass without a frame?"""
        return self.frames == 0 and self.lasted >= SILENT_WINDOW

    @property
    def code(self) -> int:
        """The HTTP status of the refusal; 0 where there was none, or no answer."""
        return self.error.code if isinstance(self.error, ApiError) else 0


Event = Listed | EndMarkMissing | Ended


def next_phase(progress: Progress, event: Event) -> tuple[Progress, Wait]:
    """The next attempt and the wait before it; see the table above."""
    match event:
        case Listed():
            return replace(progress, phase=Phase.WATCH), Wait.NONE
        case EndMarkMissing():
            return _list_in_pages(progress), Wait.NONE
        case Ended():
            if event.worked:
                progress = replace(progress, expired=False, refusals=0)
            if event.silent:
                progress = _list_again(progress)
            if event.error is None:
                at_once = not (event.worked or event.after_list)
                return progress, Wait.BACKOFF if at_once else Wait.NONE
            return _after_error(progress, event)


def _after_error(progress: Progress, ended: Ended) -> tuple[Progress, Wait]:
    code = ended.code
    if code in (401, 403) and ended.synced and progress.refusals < REFUSALS_IN_DOUBT:
        again = replace(_list_again(progress), refusals=progress.refusals + 1)
        return again, Wait.BACKOFF
    if code == 404:
        return _list_again(progress), Wait.FOR_KIND
    if code in (401, 403):
        return _list_again(progress), Wait.FOR_RIGHT
    if code == 410 and progress.phase is Phase.WATCH and not progress.expired:
        # The history is compacted, and the server is well. A second 410 in a row is a failure:
        # lists that the server then serves no watch from would otherwise follow each other at once.
        return replace(_list_again(progress), expired=True), Wait.SOON
    too_often = code >= 500 and ended.failures >= FAILURES_IN_DOUBT
    if progress.phase is Phase.LIST_BY_WATCH and (code in _WATCH_LIST_REFUSED or too_often):
        return _list_in_pages(progress), Wait.BACKOFF
    if too_often or (0 < code < 500 and code != 429):
        return _list_again(progress), Wait.BACKOFF
    return progress, Wait.BACKOFF


def _list_again(progress: Progress) -> Progress:
    return replace(progress, phase=progress.listing)


def _list_in_pages(progress: Progress) -> Progress:
    """List in pages, now and whenever this reflector lists again."""
    return replace(progress, phase=Phase.LIST_IN_PAGES, listing=Phase.LIST_IN_PAGES)

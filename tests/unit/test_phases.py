"""The table of ``reconciler.phases``: one row here for each row there, and what is counted."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

import pytest

from reconciler import phases
from reconciler.client.api import ApiError, Unreachable
from reconciler.phases import (
    FAILURES_IN_DOUBT,
    REFUSALS_IN_DOUBT,
    SILENT_WINDOW,
    Ended,
    EndMarkMissing,
    Event,
    Listed,
    Phase,
    Progress,
    Wait,
    next_phase,
)

BY_WATCH = Progress(Phase.LIST_BY_WATCH, Phase.LIST_BY_WATCH)
IN_PAGES = Progress(Phase.LIST_IN_PAGES, Phase.LIST_IN_PAGES)
WATCHES = [replace(BY_WATCH, phase=Phase.WATCH), replace(IN_PAGES, phase=Phase.WATCH)]
PHASES = {
    "LIST_BY_WATCH": [BY_WATCH],
    "LIST_*": [BY_WATCH, IN_PAGES],
    "WATCH": WATCHES,
    "any": [BY_WATCH, IN_PAGES, *WATCHES],
}


def refused(*codes: int, synced: bool = False, failures: int = 0) -> list[Event]:
    return [Ended(ApiError(code), synced=synced, failures=failures) for code in codes]


class Row(NamedTuple):
    """A row of the table, and events of its kind."""

    phase: str
    event: str
    next_phase: str
    wait: str
    events: list[Event]


ROWS = [
    Row("LIST_*", "Listed", "WATCH", "NONE", [Listed()]),
    Row("LIST_BY_WATCH", "EndMarkMissing", "LIST_IN_PAGES", "NONE", [EndMarkMissing()]),
    Row(
        "WATCH",
        "Ended without a frame after SILENT_WINDOW",
        "list",
        "NONE",
        [Ended(lasted=SILENT_WINDOW), Ended(lasted=SILENT_WINDOW, after_list=True)],
    ),
    Row(
        "WATCH",
        "Ended after a frame, its list, or 1 s",
        "WATCH",
        "NONE",
        [
            Ended(frames=1),
            Ended(after_list=True),
            Ended(lasted=1),
            Ended(lasted=SILENT_WINDOW - 1),
            Ended(frames=1, lasted=SILENT_WINDOW),
        ],
    ),
    Row("WATCH", "Ended at once", "WATCH", "BACKOFF", [Ended(), Ended(lasted=0.9)]),
    Row(
        "any",
        "401, 403 of a listed scope, for the first times",
        "list",
        "BACKOFF",
        refused(401, 403, synced=True),
    ),
    Row("any", "404", "list", "FOR_KIND", refused(404) + refused(404, synced=True)),
    Row("any", "401, 403", "list", "FOR_RIGHT", refused(401, 403)),
    Row("WATCH", "410, the first since a watch worked", "list", "SOON", refused(410)),
    Row(
        "LIST_BY_WATCH",
        "400, 405, 406, 415, 422, 501; 5xx too often",
        "LIST_IN_PAGES",
        "BACKOFF",
        refused(400, 405, 406, 415, 422, 501) + refused(500, 503, failures=FAILURES_IN_DOUBT),
    ),
    Row(
        "any",
        "another 4xx but 429; 5xx too often",
        "list",
        "BACKOFF",
        refused(402, 409, 418),
    ),
    Row(
        "any",
        "429, 5xx, no answer",
        "same",
        "BACKOFF",
        [
            *refused(429, 500, 503),
            *refused(429, failures=FAILURES_IN_DOUBT),
            *refused(500, failures=FAILURES_IN_DOUBT - 1),
            Ended(Unreachable("reset")),
            Ended(Unreachable("reset"), frames=1, lasted=1, failures=FAILURES_IN_DOUBT),
        ],
    ),
]


def documented() -> list[tuple[str, ...]]:
    """The rows of the docstring's table, column by column."""
    lines = (phases.__doc__ or "").splitlines()
    rules = next(line for line in lines if set(line) == {" ", "-"})
    columns = [found.span() for found in re.finditer("-+", rules)]
    below = lines[lines.index(rules) + 1 :]
    table = below[: below.index("")]
    return [tuple(line[start:end].strip() for start, end in columns) for line in table]


def test_each_row_of_the_documented_table_has_a_row_here():
    assert [row[:4] for row in ROWS] == documented()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.phase}: {row.event}")
def test_the_event_leads_to_the_documented_phase_and_wait(row):
    for before in PHASES[row.phase]:
        for event in row.events:
            after, wait = next_phase(before, event)
            named = {"list": after.listing, "same": before.phase}
            expected = named.get(row.next_phase) or Phase[row.next_phase]
            assert (after.phase, wait) == (expected, Wait[row.wait]), (before, event)
            falls_back = row.next_phase == "LIST_IN_PAGES"
            assert after.listing is (Phase.LIST_IN_PAGES if falls_back else before.listing)


@pytest.mark.parametrize("before", [IN_PAGES, *WATCHES])
@pytest.mark.parametrize("code", [500, 503])
def test_a_repeated_5xx_lists_again(before, code):
    (event,) = refused(code, failures=FAILURES_IN_DOUBT)
    after, wait = next_phase(before, event)
    assert (after, wait) == (replace(before, phase=before.listing), Wait.BACKOFF)


@pytest.mark.parametrize("before", WATCHES)
def test_an_error_after_a_silent_window_lists_again(before):
    event = Ended(Unreachable("no byte in time"), lasted=SILENT_WINDOW)
    after, wait = next_phase(before, event)
    assert (after.phase, wait) == (before.listing, Wait.BACKOFF)


def test_a_second_410_before_a_watch_works_backs_off():
    (event,) = refused(410)
    after, first = next_phase(WATCHES[0], event)
    after, _ = next_phase(after, Listed())
    after, second = next_phase(after, event)
    assert (first, second, after.phase) == (Wait.SOON, Wait.BACKOFF, Phase.LIST_BY_WATCH)


@pytest.mark.parametrize("worked", [Ended(frames=1), Ended(lasted=1), Ended(Unreachable(""), 1)])
def test_a_410_after_a_watch_that_worked_is_a_first_one(worked):
    expired = replace(WATCHES[0], expired=True)
    after, _ = next_phase(expired, worked)
    _, wait = next_phase(after, Ended(ApiError(410)))
    assert wait is Wait.SOON


@pytest.mark.parametrize("before", [BY_WATCH, IN_PAGES])
def test_a_410_of_a_list_backs_off(before):
    assert next_phase(before, Ended(ApiError(410))) == (before, Wait.BACKOFF)


@pytest.mark.parametrize("code", [401, 403])
def test_a_repeated_refusal_waits_for_the_right(code):
    progress, waits = WATCHES[0], []
    for _ in range(REFUSALS_IN_DOUBT + 1):
        progress, wait = next_phase(progress, Ended(ApiError(code), synced=True))
        waits.append(wait)
    assert waits == [Wait.BACKOFF] * REFUSALS_IN_DOUBT + [Wait.FOR_RIGHT]


def test_a_watch_that_worked_resets_the_refusals():
    doubted = replace(WATCHES[0], refusals=REFUSALS_IN_DOUBT)
    after, _ = next_phase(doubted, Ended(frames=1))
    assert after.refusals == 0

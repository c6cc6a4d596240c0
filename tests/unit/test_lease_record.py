"""The record of a Lease as read, and the next one to write; no clock and no server."""

from datetime import UTC, datetime

import pytest

from reconciler.process.lease_record import Record

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIME = "2026-01-01T12:00:00.000000Z"


@pytest.mark.parametrize("lease", [None, {"metadata": {}}, {"spec": None}, {"spec": {}}])
def test_a_lease_without_a_spec_has_an_empty_record(lease):
    record = Record.of(lease)
    assert (record, record.holder, record.transitions, record.seconds) == (Record(), "", 0, None)


@pytest.mark.parametrize(
    ("before", "holder", "acquired", "transitions"),
    [
        ({}, "a", TIME, 0),
        ({"holderIdentity": "b", "leaseTransitions": 4}, "a", TIME, 5),
        ({"holderIdentity": "", "leaseTransitions": 4}, "a", TIME, 5),
        ({"holderIdentity": "a", "leaseTransitions": 4, "acquireTime": "then"}, "a", "then", 4),
        ({"holderIdentity": "a", "leaseTransitions": 4, "acquireTime": "then"}, "", "then", 4),
    ],
    ids=["first", "taken over", "released", "renewed", "emptied"],
)
def test_a_new_holder_begins_a_term(before, holder, acquired, transitions):
    after = Record(before).next(holder, 15, NOW).spec
    assert after["holderIdentity"] == holder
    assert (after["acquireTime"], after["leaseTransitions"]) == (acquired, transitions)
    assert (after["renewTime"], after["leaseDurationSeconds"]) == (TIME, 15)


def test_fields_of_others_are_kept():
    assert Record({"preferredHolder": "z"}).next("a", 15, NOW).spec["preferredHolder"] == "z"


@pytest.mark.parametrize(
    ("spec", "is_term"),
    [
        ({"holderIdentity": "a", "leaseTransitions": 2}, True),
        ({"holderIdentity": "a", "leaseTransitions": 3}, False),
        ({"holderIdentity": "a"}, False),
        ({"holderIdentity": "b", "leaseTransitions": 2}, False),
        ({}, False),
    ],
)
def test_a_term_is_a_holder_and_a_number(spec, is_term):
    assert Record(spec).is_term("a", 2) is is_term


def test_a_record_keeps_the_metadata_of_the_lease_that_was_read():
    read = {"metadata": {"name": "lease", "namespace": "ns", "resourceVersion": "7"}}
    assert Record({"x": 1}).written_to(read, "", "")["metadata"] == read["metadata"]
    first = Record().written_to(None, "ns", "lease")
    assert (first["kind"], first["metadata"]) == ("Lease", {"namespace": "ns", "name": "lease"})

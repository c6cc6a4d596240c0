"""Names that fit, labels that are legal, and conditions that keep their times."""

import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.metadata import dns_name, known_newer, label_value, newer
from contract.status import Condition, conditions
from reconciler.contention import FREE_REPAIRS, QUIET, Repairs

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
PARTS = st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=3)


@given(PARTS, st.booleans())
def test_every_name_is_a_dns_label(parts, always_hash):
    assert DNS_LABEL.fullmatch(dns_name("handler", *parts, always_hash=always_hash))


@given(PARTS, PARTS)
def test_different_parts_give_different_hashed_names(one, other):
    if one != other:
        assert dns_name(*one, always_hash=True) != dns_name(*other, always_hash=True)


def test_a_name_that_fits_is_unchanged():
    assert dns_name("handler", "users-api") == "handler-users-api"


def test_a_long_name_is_cut_and_hashed():
    name = dns_name("handler", "a" * 100)
    assert len(name) == 63
    assert name != dns_name("handler", "a" * 101)


@given(st.text(max_size=200))
def test_every_label_value_is_legal(text):
    assert LABEL_VALUE.fullmatch(label_value(text))


@pytest.mark.parametrize("text", ["1.0.0+build.5", "tsv:1732186200-users-042"])
def test_an_illegal_label_value_gets_a_hash(text):
    assert label_value(text) != text
    assert label_value(text) != label_value(text + "x")


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("a", "b", True), ("a", "a", False)],
)
def test_resource_versions_are_compared_as_numbers(left, right, expected):
    assert newer(left, right) is expected
    assert known_newer(left, right) is (expected and left.isdigit())


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_transition_time_moves_only_with_the_status():
    first = conditions([Condition("Ready", "False", "A")], [], 1, NOW)
    later = NOW + timedelta(hours=1)
    same = conditions([Condition("Ready", "False", "B", "other")], first, 2, later)
    changed = conditions([Condition("Ready", "True", "C")], same, 2, later)
    assert same[0]["lastTransitionTime"] == first[0]["lastTransitionTime"]
    assert same[0]["reason"] == "B"
    assert changed[0]["lastTransitionTime"] == "2026-01-01T01:00:00Z"


def test_repairs_of_a_contested_object_slow_down():
    repairs, now, times = Repairs(), 0.0, []
    for _ in range(200_0):
        if repairs.wait(now) == 0:
            repairs = repairs.repaired(now)
            times.append(now)
        now += 1
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[: FREE_REPAIRS - 1] == [1] * (FREE_REPAIRS - 1)
    assert gaps[FREE_REPAIRS - 1 :] == sorted(gaps[FREE_REPAIRS - 1 :])
    assert gaps[-1] == 300
    assert Repairs(9, 0).repaired(QUIET + 1).count == 1

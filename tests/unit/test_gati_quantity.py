"""Quantities: one spelling for each amount, and it is the one that the API server stores."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objects.quantity import LARGEST, amount, canonical

SUFFIXES = ["", *"numkMGTPE", *(f"{letter}i" for letter in "KMGTPE"), "e3", "E-3", "e0", "e2"]


def fits(text: str) -> bool:
    """Is the amount within what the API can hold?"""
    try:
        return amount(text) <= LARGEST
    except ValueError:
        return False


QUANTITIES = st.builds(
    lambda number, suffix: f"{number}{suffix}",
    st.one_of(
        st.integers(0, 10**6).map(str),
        st.decimals(0, 10**4, places=4).map(lambda number: format(number, "f")),
    ),
    st.sampled_from(SUFFIXES),
).filter(fits)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (0.5, "500m"),
        (1, "1"),
        (1.0, "1"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("0.5Ki", "512"),
        ("1023Ki", "1023Ki"),
        ("1000Ki", "1000Ki"),
        ("134217728", "134217728"),
        ("1000", "1k"),
        ("1000M", "1G"),
        ("1e3", "1e3"),
        ("1e4", "10e3"),
        ("12e0", "12"),
        (".5", "500m"),
        ("5.", "5"),
        ("0Mi", "0"),
        ("0.0000000001", "1n"),
        ("1000n", "1u"),
    ],
)
def test_a_quantity_is_written_as_the_api_server_stores_it(written, stored):
    """The right column was read from k8s.io/apimachinery 0.36."""
    assert canonical(written) == stored


@pytest.mark.parametrize(
    "text", ["", "Mi", "1mi", "1 Gi", "-1", "+1", "1e", "1.2.3", "1e999", "9" * 60, "10E", "NaN"]
)
def test_an_invalid_or_too_large_quantity_is_refused(text):
    with pytest.raises(ValueError, match=r"quantity|more than"):
        canonical(text)


@given(QUANTITIES)
def test_a_canonical_quantity_is_its_own_canonical_form(text):
    assert canonical(canonical(text)) == canonical(text)


@given(QUANTITIES)
def test_a_canonical_quantity_has_the_same_amount(text):
    assert amount(canonical(text)) == amount(text)


@given(st.integers(0, 10**6), st.sampled_from(["", "m", "k", "M", "G"]))
def test_two_spellings_of_a_decimal_amount_become_one(number, suffix):
    scaled = {"": "m", "k": "", "M": "k", "G": "M", "m": "u"}[suffix]
    assert canonical(f"{number}{suffix}") == canonical(f"{number * 1000}{scaled}")


@given(st.integers(1, 10**6), st.sampled_from(["Mi", "Gi", "Ti"]))
def test_two_spellings_of_a_binary_amount_become_one(number, suffix):
    smaller = {"Mi": "Ki", "Gi": "Mi", "Ti": "Gi"}[suffix]
    assert canonical(f"{number}{suffix}") == canonical(f"{number * 1024}{smaller}")


@given(QUANTITIES)
def test_no_amount_is_finer_than_a_billionth(text):
    assert (amount(text) * Fraction(10**9)).denominator == 1

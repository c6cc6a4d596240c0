"""Quantities as the API server stores them: one spelling for each amount.

The server rewrites ``1000m`` to ``1`` and ``1024Mi`` to ``1Gi`` when it stores an object. An
intent that spells the same amount otherwise would differ from what is live for ever.
https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource#Quantity
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

LARGEST = 2**63 - 1
"""The API holds no larger amount."""

_QUANTITY = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:(?P<exponent>[eE][-+]?[0-9]{1,2})|(?P<binary>[KMGTPE]i)|(?P<decimal>[numkMGTPE]))?"
)
_DECIMAL = {
    suffix: 3 * step
    for step, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)
}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_NANO = 10**9
_LENGTH_LIMIT = 64


class Quantity(str):
    """A quantity in the spelling that the API server stores."""

    __slots__ = ()


def amount(text: str) -> Fraction:
    """The value of a quantity, exact. Raises ValueError where it is not one, or negative."""
    return _read(text)[0]


def canonical(value: str | float) -> str:
    """The spelling that the API server stores. A number means itself.

    Amounts below one billionth are rounded up to it, as the server does. Raises ValueError for
    what is not a quantity, is negative, or is larger than the API can hold.
    """
    value_text = value if isinstance(value, str) else format(Decimal(repr(value)), "f")
    number, style = _read(value_text)
    if number == 0:
        return "0"
    if style == "binary" and number >= 1024 and number.denominator == 1:
        return _binary(number.numerator)
    return _decimal(number, exponent_style=style == "exponent")


@lru_cache(1024)
def _read(text: str) -> tuple[Fraction, str]:
    match = _QUANTITY.fullmatch(text) if len(text) <= _LENGTH_LIMIT else None
    if match is None:
        raise ValueError(f"{text!r} is not a quantity: write for example 500m, 2, 128Mi or 1.5Gi")
    number = Fraction(match["number"].rstrip(".") if match["number"] != "." else "0")
    style = "decimal"
    if match["exponent"]:
        style, number = "exponent", number * Fraction(10) ** int(match["exponent"][1:])
    elif match["binary"]:
        style, number = "binary", number * 1024 ** _BINARY.index(match["binary"])
    elif match["decimal"]:
        number *= Fraction(10) ** _DECIMAL[match["decimal"]]
    number = Fraction(-(-number * _NANO // 1), _NANO)
    if number > LARGEST:
        raise ValueError(f"{text!r} is more than the API can hold")
    return number, style


def _binary(number: int) -> str:
    step = 0
    while number % 1024 == 0 and step < len(_BINARY) - 1:
        number, step = number // 1024, step + 1
    return f"{number}{_BINARY[step]}"


def _decimal(number: Fraction, *, exponent_style: bool) -> str:
    mantissa, exponent = int(number * _NANO), -9
    while mantissa % 1000 == 0:
        mantissa, exponent = mantissa // 1000, exponent + 3
    if exponent_style:
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL_SUFFIX[exponent]}"

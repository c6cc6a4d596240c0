"""Quantities as the rules of a CRD compare them: signed, of any size, as ``ParseQuantity`` reads.

The amounts that the operator writes itself are ``objects.quantity``: those have one spelling and a
largest value. https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource#ParseQuantity
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal

_READ = re.compile(
    r"(?P<sign>[-+]?)(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?:(?P<binary>[KMGTPE]i)|(?P<decimal>[numkMGTPE])|[eE](?P<exponent>[-+]?[0-9]+))?",
    re.ASCII,
)
_STEPS = {suffix: 3 * step for step, suffix in enumerate(("n", "u", "m", "", *"kMGTPE"), -3)}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_EXACT = Context(prec=400, Emax=10**15, Emin=-(10**15))
_NANO, _NANO_EXPONENT = Decimal("1e-9"), -9
_LARGEST_BINARY = Decimal(2**63 - 1)


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """One amount."""

    amount: Decimal

    @classmethod
    def read(cls, text: str) -> Quantity:
        """The amount that a text means. Raises ValueError where it is not a quantity."""
        match = _READ.fullmatch(text)
        if not text or match is None:
            raise ValueError(f"{text!r} is not a quantity")
        digits = f"{match['sign']}{match['whole'] or '0'}.{match['part'] or '0'}"
        number = _EXACT.create_decimal(digits)
        if match["binary"]:
            number = _EXACT.multiply(number, Decimal(1024 ** _BINARY.index(match["binary"])))
        else:
            exponent = int(match["exponent"] or _STEPS[match["decimal"] or ""])
            number = _EXACT.scaleb(number, exponent)
        if int(number.as_tuple().exponent) < _NANO_EXPONENT:
            number = number.quantize(_NANO, rounding=ROUND_UP, context=_EXACT)
        if match["binary"] and abs(number) > _LARGEST_BINARY:
            number = _LARGEST_BINARY.copy_sign(number)
        return cls(number)


def is_quantity(text: str) -> bool:
    """Can the API server read this text as a quantity?"""
    try:
        Quantity.read(text)
    except (ValueError, ArithmeticError):
        return False
    return True

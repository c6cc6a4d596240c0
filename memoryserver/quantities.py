"""Quantities in the canonical form of the API server. Pure.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{
        suffix: Fraction(1000 ** (i + 1)) for i, suffix in enumerate(("k", "M", "G", "T", "P", "E"))
    },
}
_BINARY = {s: Fraction(1024 ** (i + 1)) for i, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))}


def quantity(value: Any) -> Any:
    """A quantity in canonical form: ``1000m`` is ``1``, ``1024Mi`` is ``1Gi``.

    Exponents (``1e3``) and values that are not quantities are returned unchanged.
    """
    text = str(value)
    number = text.rstrip("numkKMGTPEi")
    suffix = text[len(number) :]
    scale = _SUFFIXES.get(suffix) or _BINARY.get(suffix)
    try:
        amount = Fraction(number) * scale if scale else None
    except ValueError:
        amount = None
    if amount is None or "e" in number.lower():
        return value
    units = dict(
        reversed((({"": Fraction(1)} | _BINARY) if suffix in _BINARY else _SUFFIXES).items())
    )
    for unit, size in units.items():
        if amount and (amount / size).denominator == 1:
            return f"{amount / size}{unit}"
    return "0" if not amount else text

"""Numbers as Kubernetes keeps them: integers of 64 bits, anything else in floating point.

What travels is JSON text that Go writes and reads: a whole number is written without a fraction,
and read as an integer where 64 bits hold it.
"""

from __future__ import annotations

from decimal import Decimal

INT64 = range(-(2**63), 2**63)


def carried(number: float) -> int | float:
    """A number after it went over the wire: 5.0 and 5e0 arrive as 5, 2**63 arrives as a float.

    The number must be finite; JSON has no other.
    """
    if isinstance(number, int):
        return number if number in INT64 else float(number)
    if not number.is_integer():
        return number
    whole = int(Decimal(repr(number)))
    return whole if whole in INT64 else number


def shortest(number: float) -> str:
    """A float as Go's ``%g`` and ``%v`` write it: the shortest digits that read back the same.

    There is an exponent from 1e+06 on and below 1e-04.
    """
    _, digits, scale = Decimal(repr(number)).normalize().as_tuple()
    exponent = len(digits) - 1 + int(scale)
    if not number or exponent in _WITHOUT_EXPONENT:
        return format(Decimal(repr(number)).normalize(), "f")
    first, rest = str(digits[0]), "".join(map(str, digits[1:]))
    sign = "-" if number < 0 else ""
    return f"{sign}{first}{'.' if rest else ''}{rest}e{exponent:+03d}"


_WITHOUT_EXPONENT = range(-4, 6)

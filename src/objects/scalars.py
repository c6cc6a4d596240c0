"""What an unquoted YAML scalar means to kubectl: text, a number, a boolean, or nothing.

kubectl reads YAML 1.1 with a few rules of 1.2: ``y`` and ``off`` are booleans, ``0o17`` and ``017``
are 15, ``1_000`` is 1000, ``12:30:45`` and a date are text. ``tests/unit/test_documents.py`` asks
kubectl about each line of a table. https://pkg.go.dev/sigs.k8s.io/yaml
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from objects.numbers import INT64

Scalar = str | int | float | bool | None

_WORDS: Mapping[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<binary>[01]+)|0[oO]?(?P<octal>[0-7]+)"
    r"|(?P<decimal>0|[1-9][0-9]*))",
    re.ASCII,
)
_BASES = {"hex": 16, "binary": 2, "octal": 8, "decimal": 10}
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_LARGEST_UNSIGNED = 2**64 - 1
_MOST_DIGITS = 70
"""Those of 64 bits in binary, and a few: Python refuses to read thousands."""


def plain_scalar(text: str) -> Scalar:
    """The value of a scalar without quotes and without a tag."""
    if text in _WORDS:
        return _WORDS[text]
    if not text.startswith(tuple("0123456789+-.")):
        return text
    # An underscore may stand anywhere but at the start, and nowhere in what starts with a point.
    digits = text if text.startswith(".") else text.replace("_", "")
    for read in (_integer, _float):
        if (number := read(digits)) is not None:
            return number
    return text


def _integer(text: str) -> int | None:
    match = _INTEGER.fullmatch(text)
    if match is None or len(text) > _MOST_DIGITS or match.lastgroup is None:
        return None
    value = int(match[match.lastgroup], _BASES[match.lastgroup])
    value = -value if match["sign"] == "-" else value
    unsigned = not match["sign"] and value <= _LARGEST_UNSIGNED
    return value if value in INT64 or unsigned else None


def _float(text: str) -> float | None:
    """A float; one that is too large for 64 bits is text."""
    if _FLOAT.fullmatch(text) is None:
        return None
    value = float(text)
    return None if value in (float("inf"), float("-inf")) else value


def tagged_scalar(text: str, tag: str) -> Scalar:
    """The value of a scalar with one of YAML's own tags. Raises ValueError where it has none.

    A custom tag has no effect: the scalar is text.
    """
    if tag not in _TAGS:
        return text
    value = plain_scalar(text)
    if not _TAGS[tag](value):
        raise ValueError(f"cannot decode `{text}` as a !!{tag}")
    return float(value) if tag == "float" and isinstance(value, int) else value


_TAGS: Mapping[str, Callable[[Scalar], bool]] = {
    "null": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}

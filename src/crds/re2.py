r"""Regular expressions as the API server reads them: Go's RE2, where Python's differs.

In RE2 ``$`` is the end of the text and not also the place before a last newline; ``\s``, ``\d``
and ``\w`` are ASCII, and ``\s`` has no vertical tab. Possessive or looking-around patterns the
server refuses in a CRD already.
https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re
from functools import lru_cache

_SPACE = r"\t\n\f\r "


class Unsupported(ValueError):
    """The pattern has a construct that this translation does not know."""


@lru_cache(256)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern for ``search``. Raises Unsupported, and re.error for what is not a pattern."""
    return re.compile("".join(_translated(pattern)), re.ASCII)


def _translated(pattern: str) -> list[str]:
    parts: list[str] = []
    in_class = False
    rest = iter(pattern)
    for char in rest:
        if char == "\\":
            parts.append(_escape(next(rest, ""), in_class=in_class))
            continue
        if in_class:
            if char == "[":
                raise Unsupported(f"{pattern!r}: a class within a class")
            in_class = char != "]"
        elif char == "[":
            in_class = True
        parts.append(r"\Z" if char == "$" and not in_class else char)
    return parts


def _escape(char: str, *, in_class: bool) -> str:
    if char == "s":
        return _SPACE if in_class else f"[{_SPACE}]"
    if char == "S" and not in_class:
        return f"[^{_SPACE}]"
    if char == "z":
        return r"\Z"
    if char.isalnum() and char not in "AbBdDwWntrfva":
        raise Unsupported(f"\\{char} is not translated")
    return f"\\{char}"

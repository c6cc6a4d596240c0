"""What the API server writes about a value that it refuses, letter for letter.

The texts are those of Kubernetes' field errors, with values written as Go writes them.
https://pkg.go.dev/k8s.io/apimachinery/pkg/util/validation/field
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from objects.numbers import shortest


class Refusal(NamedTuple):
    """One reason why the API server refuses an object.

    ``path`` is the field, for example ``spec.env[0].name``; it is empty where the server names
    none, or names the whole object.
    """

    path: str
    message: str
    blocking: bool = False
    """True: the server leaves the CEL rules of this object unread."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


RULES_NOT_READ = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
"""What the server adds, without a field, where a blocking refusal is among the others."""


def invalid(path: str, value: Any, detail: str) -> Refusal:
    """A value that breaks a bound, a pattern or a rule."""
    return Refusal(path, f"Invalid value: {shown(value)}: {detail}")


def invalid_without_value(path: str, detail: str) -> Refusal:
    """An object or a list that breaks a rule; the server does not repeat these."""
    return Refusal(path, f"Invalid value: {detail}")


def wrong_type(path: str, wanted: str, got: str) -> Refusal:
    """A value of another type than the schema's; both are names of JSON types."""
    detail = f"{path} in body must be of type {wanted}: {quoted(got)}"
    return Refusal(path, f"Invalid value: {quoted(got)}: {detail}", blocking=True)


def required(path: str, detail: str = "") -> Refusal:
    """A field that must be there."""
    return Refusal(path, "Required value" + (f": {detail}" if detail else ""), blocking=True)


def too_long(path: str, limit: int) -> Refusal:
    """A string of too many characters, which the server counts; its message names bytes."""
    unit = "byte" if limit == 1 else "bytes"
    return Refusal(path, f"Too long: may not be more than {limit} {unit}", blocking=True)


def too_many(path: str, count: int, limit: int) -> Refusal:
    """A list or a map of too many entries."""
    unit = "item" if limit == 1 else "items"
    return Refusal(path, f"Too many: {count}: must have at most {limit} {unit}", blocking=True)


def unsupported(path: str, value: Any, supported: Sequence[Any]) -> Refusal:
    """A value that is not in the enumeration."""
    words = [each if isinstance(each, str) else json_text(each) for each in supported]
    listed = ", ".join(quoted(word) for word in words)
    message = f"Unsupported value: {shown(value)}: supported values: {listed}"
    return Refusal(path, message, blocking=True)


def duplicate(path: str, value: Any) -> Refusal:
    """An item that a list of unique items holds already."""
    return Refusal(path, f"Duplicate value: {shown(value)}")


def shown(value: Any) -> str:
    """A value in a field error: a string in quotes, a number plain, the rest as JSON."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool | int | float):
        return plain(value)
    return json_text(value)


def plain(value: Any) -> str:
    """A JSON value as Go's ``%v`` prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return shortest(value)
    if isinstance(value, list):
        return f"[{' '.join(plain(item) for item in value)}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{plain(value[key])}' for key in sorted(value))}]"
    return str(value)


def quoted(text: str) -> str:
    """A string as Go's ``%q`` prints it."""
    return '"' + "".join(_ESCAPES.get(char) or _printable(char) for char in text) + '"'


def json_text(value: Any) -> str:
    """A value as Go's ``encoding/json`` writes it: keys sorted, fit to stand in HTML."""
    text = json.dumps(_as_json(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _as_json(value: Any) -> Any:
    """With whole numbers written as such: Go writes 1.0 as 1."""
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_json(inner) for key, inner in value.items()}
    whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXPONENT_FROM
    return int(Decimal(repr(value))) if whole else value


_EXPONENT_FROM = 1e21


_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def _printable(char: str) -> str:
    code = ord(char)
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

"""Reading a custom resource by its type, with an answer that helps where it does not fit.

The type that makes the schema is the type that is decoded, so a value is held to the same bounds
and rules here and by the API server. An object may be older than its schema, and ``plan`` reads
files that no server has seen. Null means absent, as for the API server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from crds.part import (
    DNS_LABEL,
    DNS_NAME,
    FOLDER,
    LABEL_VALUE,
    ONE_WORD,
    QUALIFIED_NAME,
    URL_PATH,
    VARIABLE,
    Part,
    RuleBroken,
    matches,
)
from crds.schema import Schema, part_schema
from objects.quantity import Quantity, canonical

PartT = TypeVar("PartT", bound=Part)


class Invalid(Exception):
    """A field that cannot be honoured: where it is and what to write instead."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


def decode(value: Any, part: type[PartT], path: str) -> PartT:
    """The value at that path as a ``part``; unknown fields are left out. Raises Invalid."""
    if value is None:
        raise Invalid(path, "is missing")
    try:
        return msgspec.convert(without_nulls(value), part, dec_hook=_custom)
    except msgspec.ValidationError as error:
        raise _explained(error, without_nulls(value), part, path) from None


def plain(part: Part) -> dict[str, Any]:
    """The part as JSON holds it: what is absent is left out, what has a default is not."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(part, enc_hook=str))
    return values


def without_nulls(value: Any) -> Any:
    """The value as the API server stores it: a field that is null is not there."""
    if isinstance(value, Mapping):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(inner) for inner in value]
    return value


def _custom(kind: type, value: Any) -> Any:
    if kind is not Quantity:
        raise NotImplementedError(kind)
    if isinstance(value, bool) or not isinstance(value, str | int):
        why = f"must be a quantity, not {_named(value)}: write for example 500m or 128Mi"
        raise ValueError(why)  # noqa: TRY004 - msgspec adds the path to this one
    return Quantity(canonical(value))


# --- the message about a value that does not fit ---

_ERROR = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>[0-9]+)\]|\[\.\.\.\]")

_WORDS: Mapping[str, str] = {
    DNS_LABEL: "is not a valid name: write lower case letters, digits and '-', a letter or digit "
    "first and last",
    DNS_NAME: "is not a valid name: write lower case letters, digits, '-' and '.', a letter or "
    "digit first and last",
    QUALIFIED_NAME: "is not a valid key: write a name, or a DNS prefix, a slash and a name",
    LABEL_VALUE: "is not a valid label value: write letters, digits, '-', '_' and '.', the first "
    "and the last a letter or digit",
    VARIABLE: "is not a valid name of an environment variable: write letters, digits and _ only, "
    "and no digit first, for example LOG_LEVEL",
    ONE_WORD: "must not be empty and hold no white space",
    URL_PATH: "must begin with a slash and hold no white space",
    FOLDER: "must be an absolute path without a colon",
}
_TYPES = {
    "int": "a whole number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


def _explained(error: msgspec.ValidationError, root: Any, part: type[Part], path: str) -> Invalid:
    match = _ERROR.fullmatch(str(error))
    what, below = (match["what"], match["path"] or "") if match else (str(error), "")
    if isinstance(error.__cause__, RuleBroken):
        return Invalid(f"{path}{below}{error.__cause__.place}", what)
    value, schema = root, part_schema(part)
    for step in _STEP.finditer(below):
        if step["name"]:
            value, schema = value[step["name"]], schema["properties"][step["name"]]
            path += f".{step['name']}"
        elif step["index"]:
            value, schema = value[int(step["index"])], schema["items"]
            path += f"[{step['index']}]"
        else:
            schema = schema["additionalProperties"]
            key, value = next(_unfit(value, schema))
            path += f"[{key}]"
    if match and match["key"]:
        key = next(key for key in value if not isinstance(key, str))
        return Invalid(path, f"has the key {key}: write it in quotes")
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        name = missing[1]
        return Invalid(f"{path}.{name}", f"is missing: {schema['properties'][name]['description']}")
    return Invalid(path, _why(what, value, schema))


def _unfit(values: Mapping[str, Any], schema: Schema) -> Iterator[tuple[str, Any]]:
    """The entries of a map of strings that do not fit."""
    for key, value in values.items():
        if (
            not isinstance(value, str)
            or len(value) > schema["maxLength"]
            or not matches(schema.get("pattern", ""))(value)
        ):
            yield key, value


def _why(what: str, value: Any, schema: Schema) -> str:
    """Msgspec's message about a value that does not fit its type, as ours."""
    if mistyped := re.fullmatch(r"Expected `(\w+)`, got `.*`", what):
        quotes = mistyped[1] == "str" and isinstance(value, int | float)
        hint = ": write it in quotes" if quotes else ""
        return f"must be {_TYPES.get(mistyped[1], mistyped[1])}, not {_named(value)}{hint}"
    if re.match(r"Expected `int` [<>]=", what):
        return f"is {value}: write a number from {schema['minimum']} to {schema['maximum']}"
    if what.startswith("Invalid enum value"):
        return f"is {value}: write one of {', '.join(filter(None, schema['enum']))}"
    if isinstance(value, str) and not value.strip():
        return "must not be empty: write a value or leave the field out"
    if limited := re.fullmatch(r"Expected `(\w+)` of length <= (\d+)", what):
        things = {"str": "characters", "array": "items"}.get(limited[1], "entries")
        return f"has {len(value)} {things}: at most {limited[2]} are allowed"
    if what.startswith("Expected `str` matching regex"):
        return _WORDS.get(schema["pattern"], f"does not match {schema['pattern']}")
    if "datetime" in what:
        return f"is {value}: write a time like 2025-11-22T10:00:00Z"
    return what


def _named(value: Any) -> str:
    """A value's JSON type, as text; the value itself may be anything, also a secret."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    if value is None:
        return "null"
    return names.get(type(value)) or ("a list" if isinstance(value, list) else "an object")

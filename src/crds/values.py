"""The part of a structural schema that speaks of one value: types, bounds, patterns, unique items.

The keywords are read in the API server's order and as it reads them, also where that surprises: a
string that is too long is not compared with its pattern, a type that does not fit ends nothing.
https://pkg.go.dev/k8s.io/kube-openapi/pkg/validation/validate
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from crds import re2
from crds.refusal import (
    Refusal,
    duplicate,
    invalid,
    json_text,
    plain,
    required,
    too_long,
    too_many,
    unsupported,
    wrong_type,
)

Schema = Mapping[str, Any]

_JSON_TYPE = {bool: "boolean", int: "integer", float: "number", str: "string"}
_INT64, _INT32 = 2**63, 2**31
_LARGEST_EXACT = 2**53 - 1
_CLOSE = 1e-9
"""A number this near to a whole one, in relation to its size, passes for an integer."""


def value_refusals(value: Any, schema: Schema, path: str = "") -> Iterator[Refusal]:
    """Why the API server refuses a value under a schema; nothing where it takes it.

    Unknown fields and nulls that the server drops must be gone already.
    """
    yield from _type_refusals(value, schema, path)
    if value is not None and "anyOf" in schema:
        yield from _any_of_refusals(value, schema["anyOf"], path)
    if isinstance(value, str):
        yield from _text_refusals(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_refusals(value, schema, path)
    elif isinstance(value, list):
        yield from _list_refusals(value, schema, path)
    if schema.get("enum") and not any(_same(value, each) for each in schema["enum"]):
        yield unsupported(path, value, schema["enum"])
    if isinstance(value, dict):
        yield from _object_refusals(value, schema, path)


def json_type(value: Any) -> str:
    """The name of a value's JSON type; whole numbers count as integers."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return "array"
    return _JSON_TYPE.get(type(value), "object")


def _types(schema: Schema) -> tuple[str, ...]:
    if schema.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    return (schema["type"],) if "type" in schema else ()


def _type_refusals(value: Any, schema: Schema, path: str) -> Iterator[Refusal]:
    wanted = _types(schema)
    if not wanted or (value is None and schema.get("nullable")):
        return
    got = json_type(value)
    numeric = "number" in wanted or "integer" in wanted
    if got == "number" and "integer" in wanted and _is_whole(value):
        return
    if got in wanted or (got == "integer" and "number" in wanted):
        return
    form = schema.get("format")
    if form and got in ("boolean", "integer", "number", "object"):
        own_format = {"integer": "int64", "number": "float64"}.get(got, "")
        if own_format != form:
            yield wrong_type(path, form, own_format)
            return
    if form and not numeric and got == "array":
        return
    yield wrong_type(path, ",".join(wanted), got)


def _is_whole(value: float) -> bool:
    if abs(value) > _LARGEST_EXACT:
        return False
    if value == int(value):
        return True
    return value > 0 and (value - int(value)) / (value + int(value)) < _CLOSE


def _any_of_refusals(value: Any, schemas: list[Schema], path: str) -> Iterator[Refusal]:
    tried = [list(value_refusals(value, schema, path)) for schema in schemas]
    if all(tried):
        yield Refusal("", f'Invalid value: "": "{path}" must validate at least one schema (anyOf)')
        yield from tried[0]


def _text_refusals(value: str, schema: Schema, path: str) -> Iterator[Refusal]:
    """The first of length and pattern that fails; the server does not go on to the next."""
    least, most, pattern = (schema.get(key) for key in ("minLength", "maxLength", "pattern"))
    if most is not None and len(value) > most:
        yield too_long(path, most)
    elif least is not None and len(value) < least:
        yield invalid(path, value, f"{path} in body should be at least {least} chars long")
    elif pattern and not re2.compiled(pattern).search(value):
        yield invalid(path, value, f"{path} in body should match '{pattern}'")
    if schema.get("format") == "date-time" and not _is_date_time(value):
        yield wrong_type(path, "date-time", value)


def _is_date_time(value: str) -> bool:
    date, separator, time = value.lower().partition("t")
    matched = re2.compiled(_TIME).search(time)
    if not separator or matched is None or not re2.compiled(_DATE).search(date):
        return False
    try:
        dt.date.fromisoformat(date)
    except ValueError:
        return False
    return matched[1] <= "23" and matched[2] <= "59" and matched[3] <= "59"


_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME = r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$"


def _number_refusals(value: float, schema: Schema, path: str) -> Iterator[Refusal]:
    yield from _range_refusals(value, schema, path, "Checked")
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None:
        yield from _range_refusals(float(least), schema, path, "Minimum boundary")
        if value < least:
            yield invalid(path, value, _beyond(path, "greater", value, least))
    if most is not None:
        yield from _range_refusals(float(most), schema, path, "Maximum boundary")
        if value > most:
            yield invalid(path, value, _beyond(path, "less", value, most))


def _beyond(path: str, direction: str, value: float, bound: float) -> str:
    written = plain(float(bound)) if isinstance(value, float) else str(int(bound))
    return f"{path} in body should be {direction} than or equal to {written}"


def _range_refusals(value: float, schema: Schema, path: str, what: str) -> Iterator[Refusal]:
    """Numbers that the schema's integer type cannot hold; the server names no field for these."""
    if _types(schema) != ("integer",):
        return
    form = schema.get("format")
    bound = _INT32 if form == "int32" else _INT64
    whole = Decimal(repr(value))
    if whole == whole.to_integral_value() and -bound <= whole < bound:
        return
    kind = f"with format {form}" if form in ("int32", "int64") else "(default format)"
    yield Refusal("", f'Invalid value: "": {what} value must be of type integer {kind} in {path}')


def _list_refusals(value: list[Any], schema: Schema, path: str) -> Iterator[Refusal]:
    if "items" in schema:
        for index, item in enumerate(value):
            yield from value_refusals(item, schema["items"], f"{path}[{index}]")
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        yield invalid(path, len(value), f"{path} in body should have at least {least} items")
    if most is not None and len(value) > most:
        yield too_many(path, len(value), most)


def _object_refusals(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Refusal]:
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if least is not None and len(value) < least:
        yield invalid(path, len(value), f"{path} in body should have at least {least} properties")
    if most is not None and len(value) > most:
        yield too_many(path, len(value), most)
    properties, more = schema.get("properties", {}), schema.get("additionalProperties")
    for key, inner in value.items():
        below = properties.get(key, more if isinstance(more, Mapping) else None)
        if below is not None:
            yield from value_refusals(inner, below, f"{path}.{key}" if path else key)
    for key in schema.get("required", ()):
        if key not in value:
            yield required(f"{path}.{key}" if path else key)


def _same(value: Any, word: Any) -> bool:
    return type(value) is type(word) and value == word


def duplicate_refusals(value: Any, schema: Schema, path: str = "") -> Iterator[Refusal]:
    """Items that a list of the type ``set`` or ``map`` holds twice; each is named once."""
    if isinstance(value, list):
        kind = schema.get("x-kubernetes-list-type")
        if kind == "set":
            yield from _repeated(value, path)
        elif kind == "map":
            yield from _repeated_keys(value, schema["x-kubernetes-list-map-keys"], path)
        for index, item in enumerate(value):
            yield from duplicate_refusals(item, schema.get("items", {}), f"{path}[{index}]")
    elif isinstance(value, dict):
        properties, more = schema.get("properties", {}), schema.get("additionalProperties")
        for key, inner in value.items():
            if isinstance(more, Mapping):
                yield from duplicate_refusals(inner, more, f"{path}[{key}]")
            if key in properties:
                at = f"{path}.{key}" if path else key
                yield from duplicate_refusals(inner, properties[key], at)


def _repeated_keys(items: list[Any], keys: list[str], path: str) -> Iterator[Refusal]:
    for index, item in enumerate(items):
        if item is not None and not isinstance(item, dict):
            detail = "must be an object for an array of list-type map"
            yield invalid(f"{path}[{index}]", item, detail)
            return
    yield from _repeated([{key: i[key] for key in keys if key in (i or {})} for i in items], path)


def _repeated(items: list[Any], path: str) -> Iterator[Refusal]:
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        # JSON text differs for 1, true and "1"; Python holds 1 and true for equal.
        text = json_text(item)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:
            yield duplicate(f"{path}[{index}]", item)

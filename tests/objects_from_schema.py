"""Objects of a CustomResourceDefinition, made from its own schema: right, nearly right, and wrong.

``whole`` fills a schema; a rule over several fields may refuse the outcome. ``edited``
changes a few places of an object: whatever a user, a template or another tool may get wrong there.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

Object = dict[str, Any]
Schema = Mapping[str, Any]
Draw = Any

QUANTITIES = [
    "100m", "1", "1.5", "128Mi", "1Gi", ".5", "5.", "1e3", "1E3", "1E", "2k", "0", "-1", "-1Mi",
    "+1", "1e-10", "k", "-", ".", "", "1 Gi", "1gi", "1e", "1e99", "\uff11", "1Mi ", "0.5", "lots",
]  # fmt: skip
TEXTS = [
    "", "a", "A", "/a", "/a b", "a b", "a\n", "\na", "a\vb", "a\u00a0b", "\u2028", "é", "😀", "1",
    "\u0661", "true", "-a", "a-", "a.b", "a..b", "a/b", "a_b", "gati.dev/x", "app.kubernetes.io/name",
    "gati-tmp", "Equal", "Exists", "NoExecute", "Baseline", "\x7f", 'a"b', "a\\b", "<&>", "\0",
]  # fmt: skip
NUMBERS = [0, 1, -1, 5, 65535, 65536, 1000, 1001, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)]
FRACTIONS = [0.5, 5.0, 1.0, -0.5, 1e30, 5.000000000001, 0.1, 1e12, 123456.75]
OTHER_TYPES = [None, True, False, [], {}, [None], {"a": 1}, ["a"]]
PATTERN_OF_RULE = re.compile(r"self\.matches\('(.*)'\)")


def whole(draw: Draw, schema: Schema) -> Any:
    """A value of a schema; every bound, enumeration and pattern is kept to."""
    return _value(draw, schema)


def edited(draw: Draw, obj: Object, schema: Schema, edits: int) -> Object:
    """The object with so many places changed below ``spec``."""
    result = copy.deepcopy(obj)
    for _ in range(edits):
        result["spec"] = _edit(draw, result.get("spec"), schema["properties"]["spec"])
    return result


def _value(draw: Draw, schema: Schema) -> Any:
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    if schema.get("x-kubernetes-int-or-string"):
        return draw(st.sampled_from([*QUANTITIES[:13], 1, 2]))
    kind = schema.get("type")
    if kind == "boolean":
        return draw(st.booleans())
    if kind == "integer":
        return draw(st.integers(schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)))
    if kind == "string":
        return _text(draw, schema)
    if kind == "array":
        most = min(3, schema.get("maxItems", 3))
        items = [_value(draw, schema["items"]) for _ in range(draw(st.integers(0, most)))]
        return _with_names_of_their_own(items, schema)
    if "additionalProperties" in schema:
        keys = draw(
            st.lists(st.sampled_from(["a", "B_1", "x.y/z", "LOG"]), max_size=3, unique=True)
        )
        return {key: _value(draw, schema["additionalProperties"]) for key in keys}
    return _fields(draw, schema)


def _fields(draw: Draw, schema: Schema) -> Object:
    properties = schema.get("properties", {})
    optional = [key for key in properties if key not in schema.get("required", ())]
    count = draw(st.integers(0, min(4, len(optional))))
    chosen = draw(st.lists(st.sampled_from(optional), max_size=count, unique=True)) if count else []
    keys = [*schema.get("required", ()), *chosen]
    return {key: _value(draw, properties[key]) for key in keys}


def _text(draw: Draw, schema: Schema) -> Any:
    patterns = [schema["pattern"]] if "pattern" in schema else []
    for rule in schema.get("x-kubernetes-validations", ()):
        patterns += PATTERN_OF_RULE.findall(rule["rule"].replace("\\\\", "\\"))
    least, most = schema.get("minLength", 0), schema.get("maxLength", 40)
    if not patterns:
        return draw(st.text(st.sampled_from("ab1/é😀-. "), min_size=least, max_size=min(most, 12)))
    made = st.from_regex(re.compile(patterns[0].replace("$", r"\Z"), re.ASCII))
    return draw(made.filter(lambda text: least <= len(text) <= most))


def _with_names_of_their_own(items: list[Any], schema: Schema) -> list[Any]:
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys and schema.get("x-kubernetes-list-type") != "set":
        return items
    known: dict[str, Any] = {}
    for item in items:
        known.setdefault(str([item.get(key) for key in keys] if keys else item), item)
    return list(known.values())


def _edit(draw: Draw, value: Any, schema: Schema) -> Any:
    """The value with one place changed: itself, or something that it holds."""
    places = list(_inner_places(value, schema))
    if places and draw(st.integers(0, 3)):
        key, below = draw(st.sampled_from(places))
        result = value.copy()
        result[key] = _edit(draw, value[key], below)
        return result
    return _changed(draw, value, schema)


def _inner_places(value: Any, schema: Schema) -> Iterator[tuple[Any, Schema]]:
    if isinstance(value, list) and "items" in schema:
        yield from ((index, schema["items"]) for index in range(len(value)))
    elif isinstance(value, dict):
        for key in value:
            below = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if below:
                yield key, below


def _changed(draw: Draw, value: Any, schema: Schema) -> Any:
    changes = [_another_value, _another_type]
    if isinstance(value, dict) and schema.get("type") == "object":
        changes += [_field_gone, _field_more, _field_unknown, _field_null, _too_many_entries]
    if isinstance(value, list) and schema.get("type") == "array":
        changes += [_item_twice, _item_more, _item_null, _too_many_items]
    if isinstance(value, str):
        changes += [_text_at_a_limit]
    if isinstance(value, int) and not isinstance(value, bool):
        changes += [_number_at_a_limit]
    return draw(st.sampled_from(changes))(draw, value, schema)


def _another_value(draw: Draw, value: Any, schema: Schema) -> Any:
    if schema.get("x-kubernetes-int-or-string"):
        return draw(st.sampled_from(QUANTITIES))
    if schema.get("type") == "string":
        return draw(st.sampled_from(TEXTS))
    if schema.get("type") == "integer":
        return draw(st.sampled_from(NUMBERS))
    return _value(draw, schema)


def _another_type(draw: Draw, value: Any, schema: Schema) -> Any:
    return draw(st.sampled_from([*OTHER_TYPES, *FRACTIONS, *NUMBERS, *TEXTS[:5]]))


def _field_gone(draw: Draw, value: Object, schema: Schema) -> Object:
    if not value:
        return value
    gone = draw(st.sampled_from(sorted(value)))
    return {key: inner for key, inner in value.items() if key != gone}


def _field_more(draw: Draw, value: Object, schema: Schema) -> Object:
    properties = schema.get("properties")
    if not properties:
        return {**value, draw(st.sampled_from(TEXTS)): _value(draw, {"type": "string"})}
    key = draw(st.sampled_from(sorted(properties)))
    return {**value, key: _value(draw, properties[key])}


def _field_unknown(draw: Draw, value: Object, schema: Schema) -> Object:
    key = draw(st.sampled_from(["unknown", "Path", "x-y", "a.b", "metadata", "kind"]))
    return {**value, key: draw(st.sampled_from([1, "a", {"a": [{"b": None}]}, None]))}


def _field_null(draw: Draw, value: Object, schema: Schema) -> Object:
    keys = sorted({*value, *schema.get("properties", ())})
    return {**value, draw(st.sampled_from(keys)): None} if keys else value


def _too_many_entries(draw: Draw, value: Object, schema: Schema) -> Object:
    if "additionalProperties" not in schema:
        return value
    more = schema["maxProperties"] + draw(st.integers(0, 1))
    return {f"k{index}": "v" for index in range(more)}


def _item_twice(draw: Draw, value: list[Any], schema: Schema) -> list[Any]:
    return [*value, *value[:1], *value[:1]]


def _item_more(draw: Draw, value: list[Any], schema: Schema) -> list[Any]:
    return [*value, _value(draw, schema["items"])]


def _item_null(draw: Draw, value: list[Any], schema: Schema) -> list[Any]:
    return [*value, None]


def _too_many_items(draw: Draw, value: list[Any], schema: Schema) -> list[Any]:
    more = schema["maxItems"] + draw(st.integers(0, 1))
    item = value[0] if value else _value(draw, schema["items"])
    return [item] * more


def _text_at_a_limit(draw: Draw, value: str, schema: Schema) -> Any:
    length = schema.get("maxLength", 10) + draw(st.integers(-1, 1))
    return (value or "a")[:1] + draw(st.sampled_from("aé😀")) * (length - 1)


def _number_at_a_limit(draw: Draw, value: int, schema: Schema) -> Any:
    bound = draw(st.sampled_from([schema.get("minimum", 0), schema.get("maximum", 0)]))
    return bound + draw(st.integers(-1, 1))

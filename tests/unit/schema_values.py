"""Values that a structural schema allows, drawn by Hypothesis; its CEL rules are left aside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from hypothesis import strategies as st

from contract.model import Object

NAMES = ("a", "LOG_LEVEL")
WORDS = (
    *NAMES,
    "users-1",
    "users.shop",
    "example.com/zone",
    "v1.0.0+b5",
    "/etc/app",
    "2026-01-01T00:00:00Z",
)
"""Strings of which most patterns allow some; the others are drawn by the pattern."""


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a structural schema allows, its CEL rules left aside."""
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(0, 2**40) | st.sampled_from(["500m", "1Gi", "1.5", "2e3"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            least, most = schema["minimum"], schema["maximum"]
            return st.integers(least, min(most, least + 5)) | st.integers(least, most)
        case "array":
            return _lists(schema)
        case "object" if "properties" in schema:
            return _objects(schema)
        case "object":
            each = values(schema["additionalProperties"])
            likely = st.dictionaries(st.sampled_from(NAMES), each, min_size=1, max_size=2)
            return mostly(likely, st.dictionaries(st.text(max_size=8), each, max_size=3))
    return _texts(schema)


def mostly(likely: st.SearchStrategy[Any], *rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One of several, the first one in four of five cases."""
    return st.integers(0, 4).flatmap(lambda turn: likely if turn else st.one_of(rare))


def _lists(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    keys = schema.get("x-kubernetes-list-map-keys", ())
    unique = schema.get("x-kubernetes-list-type") in ("map", "set")
    return st.lists(
        values(schema["items"]),
        max_size=min(3, schema["maxItems"]),
        unique_by=(lambda item: repr([item.get(key) for key in keys] if keys else item))
        if unique
        else None,
    )


def _objects(schema: Mapping[str, Any]) -> st.SearchStrategy[Object]:
    """Few optional fields at a time: rules that span fields are broken less often so."""
    required = {name: values(schema["properties"][name]) for name in schema.get("required", ())}
    return st.builds(overlaid, st.fixed_dictionaries(required), st.just(set()), few(schema))


def _pair(name: str, value: Any) -> tuple[str, Any]:
    return name, value


def few(schema: Mapping[str, Any], most: int = 4) -> st.SearchStrategy[Object]:
    """Some of the optional fields of an object."""
    required = schema.get("required", ())
    optional = [
        values(each).map(partial(_pair, name))
        for name, each in sorted(schema["properties"].items())
        if name not in required
    ]
    return st.lists(st.one_of(optional), max_size=most).map(dict) if optional else st.just({})


def overlaid(example: Object, dropped: set[str], drawn: Object) -> Object:
    """An example without some fields and with others."""
    return {**{name: each for name, each in example.items() if name not in dropped}, **drawn}


def _texts(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    least, most = schema.get("minLength", 0), schema["maxLength"]
    if schema.get("format") == "date-time":
        return st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
    if "pattern" in schema:
        allowed = [word for word in WORDS if re.search(schema["pattern"], word)]
        drawn = st.from_regex(schema["pattern"]).filter(lambda text: least <= len(text) <= most)
        return st.sampled_from(allowed) | drawn if allowed else drawn
    longest = st.just("x" * most)
    return st.sampled_from(WORDS) | st.text(min_size=least, max_size=min(20, most)) | longest

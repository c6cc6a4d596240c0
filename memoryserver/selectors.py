"""Label and field selectors, read as the API server reads them. Pure.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

import re
from collections.abc import Callable

from contract.model import Object
from reconciler.client.api import ApiError

Matcher = Callable[[Object], bool]

_REQUIREMENTS = re.compile(r",(?![^()]*\))")
_SET = re.compile(r"^(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALITY = re.compile(r"^(?P<key>[^\s=!]+)\s*(?P<operator>==|=|!=)\s*(?P<value>\S*)$")
_EXISTS = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s=!()]+)$")


def label_matcher(selector: str) -> Matcher:
    """A test of an object's labels; the empty selector matches everything.

    Raises ApiError 400 for a selector that the API server would not parse.
    """
    tests = [_label_test(text.strip()) for text in _REQUIREMENTS.split(selector) if text.strip()]

    def matches(obj: Object) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(test(labels) for test in tests)

    return matches


def _label_test(text: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.match(text):
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["operator"] == "in":
            return lambda labels: key in labels and labels[key] in values
        return lambda labels: key not in labels or labels[key] not in values
    if found := _EQUALITY.match(text):
        key, value = found["key"], found["value"]
        if found["operator"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(text):
        key, absent = found["key"], bool(found["not"])
        return lambda labels: (key in labels) is not absent
    raise ApiError(400, "BadRequest", f"unable to parse requirement: {text!r}")


def field_matcher(selector: str, extra: frozenset[str] = frozenset()) -> Matcher:
    """A test of an object's fields: ``metadata.name``, ``metadata.namespace`` and ``extra`` paths.

    Raises ApiError 400 for any other field, as the API server does.
    """
    wanted: list[tuple[tuple[str, ...], str, bool]] = []
    for text in filter(None, (part.strip() for part in selector.split(","))):
        found = _EQUALITY.match(text)
        if found is None:
            raise ApiError(400, "BadRequest", f"invalid field selector: {text!r}")
        field = found["key"]
        if field not in {"metadata.name", "metadata.namespace"} and field not in extra:
            raise ApiError(400, "BadRequest", f'"{field}" is not a known field selector')
        wanted.append((tuple(field.split(".")), found["value"], found["operator"] != "!="))

    def matches(obj: Object) -> bool:
        return all((_value_at(obj, path) == value) is equal for path, value, equal in wanted)

    return matches


def _value_at(obj: Object, path: tuple[str, ...]) -> str:
    value: object = obj
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return "" if value is None else str(value)

"""For each field of a handler's schema two specs that differ in it and in nothing else."""

from __future__ import annotations

import re
from typing import Any

import jsonschema

from contract.model import Object
from crds.schema import Schema, fields, structural_schema
from gati.types import GatiHandler

SCHEMA = structural_schema(GatiHandler)["properties"]["spec"]

PATHS = tuple(
    path
    for path, schema, _ in fields(SCHEMA)
    if not {"properties", "items", "additionalProperties"} & schema.keys()
)
"""Every field that holds a plain value: items of a list as ``[]``, values of a map as ``{}``."""

WORDS = ("/a", "/b", "a", "b", "A", "B")

BESIDE: dict[str, Object] = {
    "": {"path": "/a"},
    "autoscaling": {"enabled": True, "maxReplicas": 5},
    "envFrom[]": {"secretRef": {"name": "a"}},
    "tolerations[]": {"key": "a", "effect": "NoExecute"},
    "volumes[]": {"emptyDir": {}},
    "volumes[].projected.sources[].downwardAPI.items[]": {"fieldRef": {"fieldPath": "a"}},
}
"""What must stand beside the fields of an object for the rules that span them."""

EXCLUSIVE = (
    {"path", "handlerPath"},
    {"secretRef", "configMapRef"},
    {"fieldRef", "resourceFieldRef"},
    {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"},
)
"""Of these no object holds two."""


def pair(path: str) -> tuple[Object, Object]:
    """Two valid specs that differ in the field at that path; one where it has one valid value."""
    first, second = (_holding(SCHEMA, "", path, value) for value in _values(_schema_at(path)))
    for spec in (first, second):
        if "volumeMounts" in spec:
            spec["volumes"] = [{"name": name, "emptyDir": {}} for name in ("a", "b")]
    return first, second


def _steps(path: str) -> list[str]:
    return re.findall(r"[^.\[{]+|\[\]|\{\}", path)


def _schema_at(path: str) -> Schema:
    return next(schema for each, schema, _ in fields(SCHEMA) if each == path)


def _holding(schema: Schema, at: str, path: str, value: Any) -> Any:
    """A value of the schema at ``at`` that holds ``value`` at ``path``, and little else."""
    steps = _steps(path[len(at) :])
    if not steps:
        return value
    step = steps[0]
    if step == "[]":
        return [_holding(schema["items"], f"{at}[]", path, value)]
    if step == "{}":
        return {"A": _holding(schema["additionalProperties"], f"{at}{{}}", path, value)}
    inner = _holding(schema["properties"][step], f"{at}.{step}".lstrip("."), path, value)
    beside = {
        name: given
        for name, given in BESIDE.get(at, {}).items()
        if not any({name, step} <= group for group in EXCLUSIVE)
    }
    return {**_least(schema), **beside, step: inner}


def _least(schema: Schema) -> Any:
    """The smallest value of a schema."""
    if "properties" in schema:
        needed = schema.get("required", ())
        return {name: _least(schema["properties"][name]) for name in needed}
    if schema.get("type") == "array":
        return []
    return _values(schema)[0]


def _values(schema: Schema) -> tuple[Any, Any]:
    """Two plain values."""
    if schema.get("x-kubernetes-int-or-string"):
        return "1", "2"
    if "enum" in schema:
        found = [value for value in schema["enum"] if value]
        return found[0], found[1] if len(found) > 1 else ""
    match schema["type"]:
        case "boolean":
            return False, True
        case "integer":
            return schema["minimum"] + 1, schema["minimum"] + 2
    valid = jsonschema.Draft7Validator(schema)
    first, second, *_ = (word for word in WORDS if valid.is_valid(word))
    return first, second

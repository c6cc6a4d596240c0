"""What the API server does with a new object of a CustomResourceDefinition, without an API server.

The rule kept here: verdict and messages are the server's. Each step is one of the server's, in its
order; ``tests/cluster/test_plan_agrees.py`` asks a real one about generated objects. Admission
(webhooks, quota, policies) is not part of it, nor is what depends on other objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crds import cel
from crds.object_meta import (
    known_metadata,
    metadata_refusals,
    undecodable,
    unknown_metadata_fields,
)
from crds.pruning import Schema, child_schema, stored, unknown_fields
from crds.refusal import RULES_NOT_READ, Refusal, invalid, invalid_without_value, plain
from crds.values import duplicate_refusals, json_type, value_refusals

Object = dict[str, Any]

REQUEST_LIMIT = 3 * 1024 * 1024
"""Bytes of one object that the API server reads."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The API server's answer: what it stores, or why it does not.

    ``object`` is what would be stored: unknown fields and nulls gone, defaults filled in.
    ``unknown`` are the paths of the fields that are not stored; kubectl refuses these by default.
    """

    object: Object
    refusals: tuple[Refusal, ...] = ()
    unknown: tuple[str, ...] = ()


def created(obj: Object, definition: Mapping[str, Any]) -> Judgement:
    """The answer to the creation of an object, by its CustomResourceDefinition.

    ``obj`` is JSON: its integers are those that 64 bits hold, a float stands for any other number.
    """
    if len(compact_json(obj)) > REQUEST_LIMIT:
        too_large = f"Request entity too large: limit is {REQUEST_LIMIT}"
        return Judgement(obj, (Refusal("", too_large),))
    spec = definition["spec"]
    kind = spec["names"]["kind"]
    version = _served(obj, spec)
    if version is None:
        return Judgement(obj, (_not_served(obj, spec),))
    if why := undecodable(obj.get("metadata")):
        problem = f'{kind} in version "{version["name"]}" cannot be handled as a {kind}: {why}'
        return Judgement(obj, (Refusal("", problem),))
    schema = version["schema"]["openAPIV3Schema"]
    unknown = unknown_metadata_fields(obj.get("metadata")) + unknown_fields(obj, schema, root=True)
    result = stored(obj, schema, root=True)
    result["metadata"] = known_metadata(obj.get("metadata"))
    subresources = version.get("subresources", {})
    if "status" in subresources:
        result.pop("status", None)
    found = [*metadata_refusals(result["metadata"])]
    found += fit_refusals(result, schema, subresources.get("scale"))
    return Judgement(result, with_rules(found, result, schema), tuple(unknown))


def compact_json(obj: Object) -> bytes:
    """An object as it is sent, in UTF-8 and without spaces."""
    text = json.dumps(obj, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def fit_refusals(
    obj: Object, schema: Schema, scale: Mapping[str, str] | None = None
) -> list[Refusal]:
    """All that a schema has against a whole object, but for its rules.

    ``scale`` is the subresource of that name in the CustomResourceDefinition.
    """
    found = [*value_refusals(obj, schema), *_scale_refusals(obj, scale)]
    return [*found, *duplicate_refusals(obj, schema)]


def with_rules(found: Iterable[Refusal], obj: Object, schema: Schema) -> tuple[Refusal, ...]:
    """What was found, and the rules that the object breaks; each refusal once.

    The rules are read only where nothing that was found is blocking.
    """
    found = list(found)
    if any(refusal.blocking for refusal in found):
        found.append(Refusal("", RULES_NOT_READ))
    else:
        found += rule_refusals(obj, schema)
    return tuple(dict.fromkeys(found))


def _served(obj: Object, spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for version in spec["versions"]:
        if obj.get("apiVersion") == f"{spec['group']}/{version['name']}" and version["served"]:
            found: Mapping[str, Any] = version
            return found if obj.get("kind") == spec["names"]["kind"] else None
    return None


def _not_served(obj: Object, spec: Mapping[str, Any]) -> Refusal:
    """As kubectl reports it, which asks the API server what it serves before it sends anything."""
    versions = [f"{spec['group']}/{each['name']}" for each in spec["versions"] if each["served"]]
    return Refusal(
        "",
        f'no matches for kind "{obj.get("kind")}" in version "{obj.get("apiVersion")}": write '
        f"kind: {spec['names']['kind']} and apiVersion: {' or '.join(versions)}",
    )


def _scale_refusals(obj: Object, scale: Mapping[str, str] | None) -> Iterator[Refusal]:
    """The replicas that the scale subresource reads must be an integer of 32 bits."""
    if scale is None:
        return
    path = scale["specReplicasPath"]
    value: Any = obj
    for name in path.strip(".").split("."):
        if not isinstance(value, dict):
            yield invalid(path, 0, _accessor_error(path, value, "map[string]interface{}"))
            return
        if name not in value:
            return
        value = value[name]
    if isinstance(value, bool) or not isinstance(value, int):
        yield invalid(path, 0, _accessor_error(path, value, "int64"))
    elif value < 0:
        yield invalid(path, value, "should be a non-negative integer")
    elif value >= 2**31:
        yield invalid(path, value, f"should be less than or equal to {2**31 - 1}")


def _accessor_error(path: str, value: Any, wanted: str) -> str:
    got = _GO_TYPES[json_type(value)]
    return f"{path} accessor error: {plain(value)} is of the type {got}, expected {wanted}"


_GO_TYPES = {
    "null": "<nil>",
    "boolean": "bool",
    "integer": "int64",
    "number": "float64",
    "string": "string",
    "array": "[]interface {}",
    "object": "map[string]interface {}",
}


def rule_refusals(value: Any, schema: Schema, path: str = "") -> Iterator[Refusal]:
    """The CEL rules that a value breaks, its own and those of all that it holds.

    The value must fit the schema's types: the server reads no rule where it does not.
    """
    if value is None:
        return
    for rule in schema.get("x-kubernetes-validations", ()):
        yield from _rule_refusal(rule, value, schema, path)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from rule_refusals(item, schema.get("items", {}), f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, inner in value.items():
            below = child_schema(schema, key)
            if below is not None:
                yield from rule_refusals(inner, below, _below(path, key, schema))


def _below(path: str, key: str, schema: Schema) -> str:
    if key not in schema.get("properties", {}):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _rule_refusal(
    rule: Mapping[str, str], value: Any, schema: Schema, path: str
) -> Iterator[Refusal]:
    try:
        holds = cel.compiled(rule["rule"])({"self": _readable(value, schema)})
    except cel.EvaluationError as error:
        message = f"{error} evaluating rule: {rule['message']}"
        yield invalid(path, schema.get("type", ""), message)
        return
    if holds:
        return
    if schema.get("type") in ("object", "array"):
        yield invalid_without_value(path, rule["message"])
    else:
        yield invalid(path, value, rule["message"])


def _readable(value: Any, schema: Schema) -> Any:
    """The value as a rule sees it: a whole number written as a fraction has no type to be read by.

    Null fields are as good as absent ones.
    """
    if isinstance(value, float):
        if schema.get("x-kubernetes-int-or-string"):
            wanted = "XIntOrString value to be either a string or integer"
            return cel.Unreadable(f"invalid data, expected {wanted}")
        if schema.get("type") == "integer":
            return cel.Unreadable("invalid data, expected int, got float64")
    if isinstance(value, list):
        return [_readable(item, schema.get("items", {})) for item in value]
    if isinstance(value, dict):
        return {
            key: _readable(inner, child_schema(schema, key) or {})
            for key, inner in value.items()
            if inner is not None
        }
    return value

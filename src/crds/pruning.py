"""What the API server makes of an object before it judges it: unknown fields, nulls, defaults.

Pure: the object that goes in stays as it is.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

TYPE_AND_NAME = frozenset({"apiVersion", "kind", "metadata"})
"""The fields of a root object that its own schema does not declare."""


def stored(value: Any, schema: Schema, *, root: bool = False) -> Any:
    """The value as the API server stores it.

    A field that the schema does not know is gone, a null that the schema does not allow is as
    good as an absent field, and a field with a default is there.
    """
    return _defaulted(_without_nulls(_pruned(value, schema, root=root), schema), schema)


def unknown_fields(value: Any, schema: Schema, *, root: bool = False) -> list[str]:
    """The paths of the fields that the API server drops, sorted."""
    return sorted(_unknown(value, schema, "", root=root))


def child_schema(schema: Schema, key: str) -> Schema | None:
    """The schema of a field of an object, or None where the schema does not know the field."""
    properties: Schema = schema.get("properties", {})
    more = schema.get("additionalProperties")
    found: Schema | None = properties.get(key, more if isinstance(more, Mapping) else None)
    return found


def _keeps_unknown(schema: Schema) -> bool:
    preserves = schema.get("x-kubernetes-preserve-unknown-fields")
    return bool(preserves) or schema.get("additionalProperties") is True


def _pruned(value: Any, schema: Schema, *, root: bool) -> Any:
    if isinstance(value, list):
        return [_pruned(item, schema.get("items", {}), root=False) for item in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, inner in value.items():
        below = child_schema(schema, key)
        if root and key in TYPE_AND_NAME:
            result[key] = inner
        elif below is not None:
            result[key] = _pruned(inner, below, root=False)
        elif _keeps_unknown(schema):
            result[key] = inner
    return result


def _unknown(value: Any, schema: Schema, path: str, *, root: bool) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, schema.get("items", {}), f"{path}[{index}]", root=False)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        below = child_schema(schema, key)
        at = f"{path}.{key}" if path else key
        if root and key in TYPE_AND_NAME:
            continue
        if below is not None:
            yield from _unknown(inner, below, at, root=False)
        elif not _keeps_unknown(schema):
            yield at


def _without_nulls(value: Any, schema: Schema) -> Any:
    """Without the fields that are null; a null item of a list stays, for the schema to refuse."""
    if isinstance(value, list):
        return [_without_nulls(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, inner in value.items():
        below = child_schema(schema, key)
        if inner is None and below is not None and not below.get("nullable"):
            continue
        result[key] = _without_nulls(inner, below or {})
    return result


def _defaulted(value: Any, schema: Schema) -> Any:
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_defaulted(items.get("default") if i is None else i, items) for i in value]
    if not isinstance(value, dict):
        return value
    result = dict(value)
    for key, below in schema.get("properties", {}).items():
        if "default" in below and key not in result:
            result[key] = below["default"]
    return {
        key: _defaulted(inner, child_schema(schema, key) or {}) for key, inner in result.items()
    }

"""What a CustomResourceDefinition's structural schema does to an object. Pure.

Pruning and defaults on every write; a server-side apply is stricter, and refuses what the schema
does not declare. Validation beyond types is left to real API servers.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def stored(value: Any, schema: dict[str, Any], *, root: bool = False) -> Any:
    """A custom resource with its schema's defaults, without the fields the schema does not know."""
    if isinstance(value, list):
        return [stored(child, schema.get("items", {})) for child in value]
    if not isinstance(value, dict):
        return value
    properties: dict[str, Any] = schema.get("properties", {})
    more = schema.get("additionalProperties")
    keep = root or schema.get("x-kubernetes-preserve-unknown-fields") or more is True
    result = {}
    for name, child in value.items():
        if root and name in {"apiVersion", "kind", "metadata"}:
            result[name] = child
        elif name in properties:
            inner = properties[name]
            if child is not None or inner.get("nullable"):
                result[name] = stored(child, inner)
        elif isinstance(more, dict):
            result[name] = stored(child, more)
        elif keep or not properties:
            result[name] = child
    for name, inner in properties.items():
        if name not in result and "default" in inner:
            result[name] = stored(inner["default"], inner)
    return result


def undeclared(value: Any, schema: dict[str, Any], path: str = "") -> str:
    """What of an applied object the schema does not declare, or declares otherwise; or nothing."""
    if value is None or schema.get("x-kubernetes-int-or-string"):
        return ""
    declared = schema.get("type", "")
    if declared in _TYPES and (
        not isinstance(value, _TYPES[declared])
        or (isinstance(value, bool) and declared != "boolean")
    ):
        return f"{path}: expected {declared}, got {value!r}"
    if isinstance(value, list):
        found = (undeclared(child, schema.get("items", {}), f"{path}[]") for child in value)
        return next(filter(None, found), "")
    if not isinstance(value, dict):
        return ""
    properties: dict[str, Any] = schema.get("properties", {})
    more = schema.get("additionalProperties")
    free = schema.get("x-kubernetes-preserve-unknown-fields") or more is True or not properties
    for name, child in value.items():
        if not path and name in {"apiVersion", "kind", "metadata"}:
            continue
        inner = properties.get(name, more)
        if isinstance(inner, dict):
            if told := undeclared(child, inner, f"{path}.{name}"):
                return told
        elif not free:
            return f"{path}.{name}: field not declared in schema"
    return ""

"""Validation by the structural schema of a CustomResourceDefinition. Pure.

``crds.validation`` returns the refusals with the API server's messages. A server-side apply also
refuses undeclared fields.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from contract.model import Kind, Object
from crds.refusal import Refusal
from crds.validation import fit_refusals, rule_refusals, with_rules
from reconciler.client.api import ApiError

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}

_WRONG_TYPE = "in body must be of type"

_REASONS = {
    "Required value": "FieldValueRequired",
    "Unsupported value": "FieldValueNotSupported",
    "Too long": "FieldValueTooLong",
    "Too many": "FieldValueTooMany",
    "Duplicate value": "FieldValueDuplicate",
}
"""The reason of a cause by the head of its message; else FieldValueTypeInvalid for a wrong type, or
FieldValueInvalid."""


def check_schema(
    kind: Kind,
    old: Object | None,
    new: Object,
    schema: dict[str, Any],
    scale: dict[str, str] | None = None,
) -> None:
    """Raise 422 where the schema refuses a custom resource.

    ``scale`` is the subresource of that name in the CustomResourceDefinition. An update is not
    refused for an unchanged value; items of a list are compared by index. Where an unchanged value
    has a wrong type, rules are not evaluated.
    """
    misfits = fit_refusals(new, schema, scale)
    if not misfits and not with_rules((), new, schema):
        return
    old_misfits = fit_refusals(old, schema, scale) if old else []
    found = _changed(misfits, old_misfits, old, new)
    if any(each.blocking for each in found) or not _is_mistyped(misfits):
        found = list(with_rules(found, new, schema))
    if old and found and not _is_mistyped(old_misfits):
        found = _changed(found, rule_refusals(old, schema), old, new)
    if not found:
        return
    causes = [
        {"reason": _reason(each), "message": each.message, "field": each.path or "<nil>"}
        for each in found
    ]
    listed = ", ".join(f"{cause['field']}: {cause['message']}" for cause in causes)
    what = f"[{listed}]" if len(found) > 1 else listed
    group, name = kind.resource.partition(".")[2], new["metadata"]["name"]
    message = f'{kind.kind}.{group} "{name}" is invalid: {what}'
    raise ApiError(422, "Invalid", message, causes=causes)


def _reason(refusal: Refusal) -> str:
    head = refusal.message.partition(":")[0]
    if refusal.path and _WRONG_TYPE in refusal.message:
        return "FieldValueTypeInvalid"
    return _REASONS.get(head, "FieldValueInvalid")


def _is_mistyped(misfits: Iterable[Refusal]) -> bool:
    return any(_WRONG_TYPE in each.message for each in misfits)


def _changed(
    found: list[Refusal], known: Iterable[Refusal], old: Object | None, new: Object
) -> list[Refusal]:
    """The refusals of an update, without the known ones of unchanged values."""
    if not found or old is None:
        return found
    known, before, after = set(known), _values(old), _values(new)
    return [each for each in found if each not in known or not _is_unchanged(each, before, after)]


def _is_unchanged(refusal: Refusal, before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Is the refused value the same before and after?

    A refusal without a path has the path in its message. For a missing field the object around it
    must be the same.
    """
    path = refusal.path.replace("[", ".").replace("]", "")
    if refusal.message.startswith("Required value"):
        path = path.rpartition(".")[0]
    return not path or (path in before and path in after and before[path] == after[path])


def _values(value: Any, path: str = "") -> dict[str, Any]:
    """A value and every value inside it, by path: ``spec.env.0.name``."""
    found = {path: value}
    items = dict(enumerate(value)) if isinstance(value, list) else value
    for key, inner in items.items() if isinstance(items, dict) else ():
        found |= _values(inner, f"{path}.{key}" if path else str(key))
    return found


def undeclared(value: Any, schema: dict[str, Any], path: str = "") -> str:
    """An error for the first undeclared or mistyped field of an applied object; else empty."""
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
            if reason := undeclared(child, inner, f"{path}.{name}"):
                return reason
        elif not free:
            return f"{path}.{name}: field not declared in schema"
    return ""

"""From Structs to a structural schema: what the API server accepts in a CRD, and no more.

msgspec writes JSON Schema with references and titles; a structural schema has neither, names
one type for every value, and holds the CEL rules beside the fields they speak of. Pure: the
same types give the same schema. A field's default is shown in its description and is not in the
schema, but where the API server itself is to fill it in: a default on one of two spellings would
make every object with the other one invalid.
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from crds.part import SERVER_DEFAULT, SHOWN_PATTERN, Part
from objects.quantity import Quantity

Schema = dict[str, Any]

_ROOT: Mapping[str, Schema] = {
    "apiVersion": {
        "type": "string",
        "description": "The group and version of this representation, for example gati.dev/v1.",
    },
    "kind": {"type": "string", "description": "The kind of the object."},
    # The API server knows the schema of metadata itself and forbids any other here.
    "metadata": {"type": "object"},
}

_JSON_TYPES = {str: "string", int: "integer", bool: "boolean"}


def structural_schema(kind: type[Part]) -> Schema:
    """The schema of a whole object of this kind."""
    schema = part_schema(kind)
    _let_null_be_absent(schema["properties"]["spec"])
    schema["properties"] = {**_ROOT, **schema["properties"]}
    return schema


def _let_null_be_absent(schema: Schema) -> None:
    """An optional field below may be null: in an object of Kubernetes' own that says nothing.

    Without this a server-side apply with an empty field (``env:``) is refused, while a create is
    taken. A field with a default needs no leave: its null becomes the default. An enumeration
    cannot have it: the API server takes a null for a word that is not in it.
    """
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        if name not in required and "default" not in value and "enum" not in value:
            value["nullable"] = True
        _let_null_be_absent(value)
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            _let_null_be_absent(schema[inner])


def part_schema(part: type[Part]) -> Schema:
    """The schema of one part of an object, with nothing shared and nothing referred to."""
    (root,), components = msgspec.json.schema_components(
        [part],
        ref_template="#/components/{name}",
        schema_hook=_custom,
    )
    types = {each.__name__: each for each in _all_parts(Part)}
    return _Inliner(components, types).inline(root)


def _custom(kind: type) -> Schema:
    """The schema of a type that is not JSON's own; the field's Meta has the rest."""
    if kind is not Quantity:
        raise NotImplementedError(kind)
    return {}


class _Inliner:
    def __init__(self, components: Mapping[str, Any], types: Mapping[str, type[Part]]) -> None:
        self._components = components
        self._types = types

    def inline(self, node: Mapping[str, Any]) -> Schema:
        """The node with every reference replaced by what it refers to."""
        schema = dict(node)
        if reference := schema.pop("$ref", None):
            name = reference.rpartition("/")[2]
            schema = _merged(self._component(name), schema)
        schema.pop("title", None)
        if pattern := schema.pop(SHOWN_PATTERN, None):
            schema["pattern"] = pattern
        _show_default(schema)
        if "enum" in schema:
            schema.setdefault("type", _JSON_TYPES[type(schema["enum"][0])])
        if schema.get("x-kubernetes-int-or-string"):
            # The one place where a structural schema may leave the type open.
            schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
        if "items" in schema:
            schema["items"] = self.inline(schema["items"])
        if "properties" in schema:
            schema["properties"] = {
                name: self.inline(value) for name, value in schema["properties"].items()
            }
        if isinstance(schema.get("additionalProperties"), Mapping):
            schema["additionalProperties"] = self.inline(schema["additionalProperties"])
        if schema.get("required") == []:
            del schema["required"]
        return schema

    def _component(self, name: str) -> Schema:
        component = dict(self._components[name])
        component["description"] = " ".join(component.get("description", "").split())
        if rules := self._types[name].rules:
            component["x-kubernetes-validations"] = [rule.document() for rule in rules]
        return component


def _show_default(schema: Schema) -> None:
    """A default goes into the description; into the schema only where it is the API server's."""
    by_server = schema.pop(SERVER_DEFAULT, False)
    default = schema.get("default")
    if not by_server:
        schema.pop("default", None)
        if isinstance(default, bool | int) or (isinstance(default, str) and default):
            shown = default if isinstance(default, str) else json.dumps(default)
            schema["description"] += f" Default {shown}."


def _merged(referred: Schema, here: Schema) -> Schema:
    """What stands beside a reference goes before what it refers to; rules of both hold."""
    merged = {**referred, **here}
    rules = [
        *referred.get("x-kubernetes-validations", ()),
        *here.get("x-kubernetes-validations", ()),
    ]
    if rules:
        merged["x-kubernetes-validations"] = rules
    return merged


def _all_parts(part: type[Part]) -> Iterator[type[Part]]:
    for below in part.__subclasses__():
        yield below
        yield from _all_parts(below)


def fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """Every field below a schema, depth first: its path, its schema, whether it is required.

    The items of a list are ``path[]``, the values of a map ``path{}``; both count as required.
    """
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        at = f"{path}.{name}" if path else name
        yield at, value, name in required
        yield from fields(value, at)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield f"{path}{mark}", schema[key], True
            yield from fields(schema[key], f"{path}{mark}")

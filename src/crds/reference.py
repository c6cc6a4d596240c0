"""The reference page of the CRDs: every field with type, bounds and description. Pure."""

from __future__ import annotations

from crds.documents import Group, Resource
from crds.schema import Schema, fields, structural_schema


def _head(group: Group, types: str) -> str:
    served = " and ".join(f"`{group.name}/{version}`" for version in group.versions)
    return f"""\
# The API of {group.name}

<!-- Written by `make generate` from {types}; change the types, not this page. -->

Served as {served}; stored as
`{group.name}/{group.storage_version}`. \
Both versions have one schema with both spellings of a field, so an
object can be written and read in either. Fields in bold are required. `[]` are the items of a
list, `{{}}` the values of a map. The same words, in a terminal: `kubectl explain gatihandler.spec`.
"""


def reference_page(group: Group, types: str) -> str:
    """The page, as Markdown; ``types`` is the folder that the schema is declared in."""
    return "\n".join([_head(group, types), *(_section(resource) for resource in group.resources)])


def _section(resource: Resource) -> str:
    schema = structural_schema(resource.type)
    lines = [
        f"## {resource.kind.kind}",
        "",
        f"`{resource.kind.plural}`, short `{resource.short}`. {schema['description']}",
        "",
        "| field | type | bounds | |",
        "|---|---|---|---|",
    ]
    rules = [("", rule) for rule in schema.get("x-kubernetes-validations", ())]
    for path, field, required in fields(schema):
        if path in {"apiVersion", "kind", "metadata"}:
            continue
        rules += [(path, rule) for rule in field.get("x-kubernetes-validations", ())]
        if path.endswith(("[]", "{}")) and "properties" in field:
            continue  # the item's own fields follow, and the list has its description already
        shown = f"**{path}**" if required and not path.endswith(("[]", "{}")) else path
        lines.append(
            f"| {shown} | {_type(field)} | {_bounds(field)} | {_cell(field['description'])} |"
        )
    if rules:
        lines += ["", "What spans several fields, and what the API server answers otherwise:", ""]
        lines += [f"- `{path}`: {rule['message']}" for path, rule in rules]
    return "\n".join([*lines, ""])


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "quantity"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" if value else '`""`' for value in field["enum"])
    kind = str(field["type"])
    if kind == "array":
        keys = field.get("x-kubernetes-list-map-keys")
        return f"list by {', '.join(keys)}" if keys else "list"
    if "additionalProperties" in field:
        return "map"
    return str(field.get("format", kind))


def _bounds(field: Schema) -> str:
    bounds = []
    if field.get("type") == "integer":
        most = field["maximum"]
        bounds.append(f"{field['minimum']} to {most if most < 2**31 - 1 else '…'}")
    for key, text in (
        ("maxItems", "at most {} items"),
        ("maxProperties", "at most {} entries"),
        ("maxLength", "at most {} characters"),
    ):
        if key in field and not field.get("x-kubernetes-int-or-string"):
            bounds.append(text.format(field[key]))
    if "default" in field:
        bounds.append(f"default {field['default']}")
    return ", ".join(bounds)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")

"""YAML documents in and out, as Kubernetes means them.

Times stay text (the API has no YAML timestamps), the last of two equal keys does not silently
win, and a small file cannot grow into a large object: size and aliases are capped.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import yaml

from contract.model import Object

SIZE_LIMIT = 10 * 1024 * 1024
"""Characters of YAML that are read."""
ALIAS_LIMIT = 100
"""Uses of YAML anchors in one text; an exponential expansion needs few and a real file fewer."""


class Malformed(Exception):
    """The text is not YAML, or not Kubernetes objects; the message names the place."""


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """The safe loader without timestamps and with unique keys."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.tag != "tag:yaml.org,2002:merge" and str(key.value) in seen:
            raise Malformed(f"line {key.start_mark.line + 1}: the key {key.value} is there twice")
        seen.add(str(key.value))
    loader.flatten_mapping(node)
    return {
        loader.construct_object(k, True): loader.construct_object(v, True) for k, v in node.value
    }


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


class _Dumper(yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper):  # type: ignore[misc]
    """Block style, long texts as literal blocks, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Every value is written where it stands."""
        return True


def _text(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def load(text: str, source: str = "input") -> list[Object]:
    """The Kubernetes objects of a text; Lists are taken apart, empty documents left out.

    Raises Malformed with the source's name and the line.
    """
    if len(text) > SIZE_LIMIT:
        raise Malformed(f"{source}: larger than {SIZE_LIMIT // 1024 // 1024} MiB")
    try:
        aliases = sum(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _Loader))
        if aliases > ALIAS_LIMIT:
            raise Malformed(f"{source}: more than {ALIAS_LIMIT} YAML aliases")
        documents = list(yaml.load_all(text, _Loader))
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Malformed(f"{source}{line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise Malformed(f"{source}: {error}") from None
    except (Malformed, RecursionError) as error:
        raise Malformed(f"{source}: {error}") from None
    return [obj for document in documents for obj in _objects(document, source)]


def dump(documents: Iterable[Any]) -> str:
    """The documents as YAML, separated by ``---``; key order is kept."""
    stream = io.StringIO()
    yaml.dump_all(documents, stream, Dumper=_Dumper, sort_keys=False, width=100)
    return stream.getvalue()


def _objects(document: Any, source: str) -> list[Object]:
    if document is None:
        return []
    if not isinstance(document, dict):
        raise Malformed(f"{source}: a document is a {type(document).__name__}, not an object")
    if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        return [obj for item in document["items"] for obj in _objects(item, source)]
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str):
            raise Malformed(f"{source}: an object has no {field}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise Malformed(f"{source}: a {document['kind']} has no metadata.name")
    return [document]

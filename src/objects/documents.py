"""YAML and JSON documents in and out, as kubectl reads them.

Two things that kubectl does are refused here: the last of two equal keys does not silently win,
and a small file cannot grow into a large object: size, depth and aliases are capped.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from contract.model import Object
from objects.numbers import carried, shortest
from objects.scalars import Scalar, plain_scalar, tagged_scalar

SIZE_LIMIT = 10 * 1024 * 1024
"""Characters of a text that are read."""
REPEATED_LIMIT = 10_000
"""Values that stand in the text once and, by aliases of aliases, many times in the outcome."""
DEPTH_LIMIT = 200
"""Lists and maps within one another."""


class Malformed(Exception):
    """The text is not YAML, or not Kubernetes objects; the message names the place."""


_PLAIN = "plain"
_YAML_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """Composes nodes in which a scalar without quotes and tag has the tag ``plain``."""


_Loader.yaml_implicit_resolvers = {None: [(_PLAIN, re.compile(""))]}


class _Dumper(yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper):  # type: ignore[misc]
    """Block style, long texts as literal blocks, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Every value is written where it stands."""
        return True


def _text(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def load(text: str | bytes, source: str = "input") -> list[Object]:
    """The Kubernetes objects of a text; Lists are taken apart, empty documents left out.

    Numbers are those that an API server would read: integers of 64 bits, any other a float.
    Raises Malformed with the source's name and the line.
    """
    try:
        return [obj for document in _documents(_decoded(text)) for obj in _objects(document)]
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Malformed(f"{source}{line}: {error.problem}") from None
    except (Malformed, yaml.YAMLError) as error:
        raise Malformed(f"{source}: {' '.join(str(error).split())}") from None


def dump(documents: Iterable[Any]) -> str:
    """The documents as YAML, separated by ``---``; key order is kept."""
    stream = io.StringIO()
    yaml.dump_all(documents, stream, Dumper=_Dumper, sort_keys=False, width=100)
    return stream.getvalue()


def _decoded(text: str | bytes) -> str:
    if isinstance(text, bytes):
        wide = text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        try:
            text = text.decode("utf-16" if wide else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise Malformed(f"is not text in UTF-8: {error.reason} at byte {error.start}") from None
    if len(text) > SIZE_LIMIT:
        raise Malformed(f"larger than {SIZE_LIMIT // 1024 // 1024} MiB")
    return text


def _documents(text: str) -> Iterator[Any]:
    """JSON where the text begins like JSON and is JSON, YAML else: ``{a: 1}`` is YAML."""
    if text.lstrip().startswith("{"):
        try:
            return iter(_json_documents(text))
        except (ValueError, RecursionError):
            pass
    return _yaml_documents(text)


def _json_documents(text: str) -> list[Any]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_unique, parse_int=_json_int, parse_float=_finite, parse_constant=_finite
    )
    found, at = [], 0
    while rest := text[at:].lstrip():
        document, length = decoder.raw_decode(rest)
        at = len(text) - len(rest) + length
        found.append(_well_formed(document))
    return found


def _unique(pairs: list[tuple[str, Any]]) -> Object:
    result = {}
    for key, value in pairs:
        if key in result:
            raise Malformed(f"the key {key} is there twice")
        result[key] = value
    return result


def _json_int(digits: str) -> int | float:
    return carried(int(digits)) if len(digits) < _INT64_DIGITS else _finite(digits)


_INT64_DIGITS = 20


def _finite(text: str) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise Malformed(f"JSON has no number {text}: quote it, if it is meant as text")
    return carried(number)


def _well_formed(value: Any) -> Any:
    """JSON can write half of a surrogate pair; it is read as the character for an unknown one."""
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_well_formed(item) for item in value]
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _yaml_documents(text: str) -> Iterator[Any]:
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_LIMIT:
            raise Malformed(f"more than {DEPTH_LIMIT} lists and maps within one another")
    for node in yaml.compose_all(text, _Loader):
        yield _Reading().value(node)


class _Reading:
    """The JSON value of one document's nodes, each of which an alias may repeat."""

    def __init__(self) -> None:
        self._inside: list[yaml.Node] = []
        self._read: set[int] = set()
        self._repeated = 0

    def value(self, node: yaml.Node) -> Any:
        """The value of a node and all below it."""
        self._repeated += id(node) in self._read
        self._read.add(id(node))
        if self._repeated > REPEATED_LIMIT:
            raise Malformed("document contains excessive aliasing")
        if isinstance(node, yaml.ScalarNode):
            return _json_scalar(node)
        if node in self._inside:
            raise Malformed(f"{_line(node)}: an anchor's value contains itself")
        self._inside.append(node)
        whole = self._list(node) if isinstance(node, yaml.SequenceNode) else self._map(node)
        self._inside.pop()
        return whole

    def _list(self, node: yaml.Node) -> list[Any]:
        return [self.value(item) for item in node.value]

    def _map(self, node: yaml.Node) -> Object:
        """The merge key ``<<`` wins over what stands before it, and loses to what comes after."""
        result: Object = {}
        written: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                result.update(self._merged(value_node))
                continue
            key = _key(key_node)
            if key in written:
                raise Malformed(f"{_line(key_node)}: the key {key} is there twice")
            written.add(key)
            result[key] = self.value(value_node)
        return result

    def _merged(self, node: yaml.Node) -> Object:
        """What ``<<`` takes over: a map, or of several the first that has the key."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: Object = {}
        for each in reversed(nodes):
            if not isinstance(each, yaml.MappingNode):
                raise Malformed(f"{_line(node)}: map merge requires map or sequence of maps")
            result.update(self.value(each))
        return result


def _key(node: yaml.Node) -> str:
    """JSON's keys are text: kubectl makes ``true`` of the key ``y`` and ``16`` of ``0x10``."""
    value = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return shortest(value) if math.isfinite(value) else _NOT_FINITE[str(value)]
    if isinstance(value, int) and carried(value) == value and isinstance(carried(value), int):
        return str(value)
    if not isinstance(value, str):
        raise Malformed(f"{_line(node)}: a key is text, a number or a boolean")
    return value


_NOT_FINITE = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}


def _json_scalar(node: yaml.Node) -> Scalar:
    value = _scalar(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise Malformed(
            f"{_line(node)}: JSON has no number {node.value}: quote it, if it is meant as text"
        )
    return carried(value)


def _scalar(node: yaml.Node) -> Scalar:
    text: str = node.value
    if node.tag == _PLAIN:
        return plain_scalar(text)
    tag = str(node.tag).removeprefix(_YAML_TAG)
    try:
        if tag == "binary":
            return base64.b64decode(text).decode("utf-8", "replace")
        return tagged_scalar(text, tag)
    except (ValueError, binascii.Error) as error:
        raise Malformed(f"{_line(node)}: {error}") from None


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _objects(document: Any) -> list[Object]:
    if document is None:
        return []
    if not isinstance(document, dict):
        raise Malformed(f"a document is a {type(document).__name__}, not an object")
    kind, items = document.get("kind"), document.get("items")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        # Items of a typed list need not repeat what they are.
        of = {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")}
        typed = [
            {**of, **item} if isinstance(item, dict) and of["kind"] else item for item in items
        ]
        return [obj for item in typed for obj in _objects(item)]
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str):
            raise Malformed(f"an object has no {field}")
    return [document]

"""YAML texts as the JSON values that kubectl makes of them.

libyaml reads the text; what its events mean is decided here, since PyYAML means other things: an
anchor may be given again, a merge key counts where it stands, a date is text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from objects.numbers import INT64, carried, shortest
from objects.scalars import Scalar, plain_scalar, tagged_scalar

REPEATED_LIMIT = 10_000
"""Values that stand in the text once and, by aliases of aliases, many times in the outcome."""
DEPTH_LIMIT = 100
"""Lists and maps within one another."""

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_YAML_TAG = "tag:yaml.org,2002:"
_TEXT_TAG = "str"


class Unreadable(Exception):
    """The text is not YAML, or not such as JSON can hold; the message names the line."""


@dataclass(slots=True, eq=False)
class _Node:
    """A scalar (``text``), a list, or a map whose keys and values take turns in ``inner``.

    ``tag`` is None for a scalar without quotes and without a tag.
    """

    line: int
    tag: str | None = _TEXT_TAG
    text: str | None = None
    is_map: bool = False
    inner: list[_Node] = field(default_factory=list)


def yaml_values(text: str) -> Iterator[Any]:
    """The JSON value of each document; None for an empty one. Raises Unreadable."""
    try:
        for root in _composed(text):
            yield _Reading().value(root)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Unreadable(f"{line}{error.problem}") from None
    except yaml.YAMLError as error:
        raise Unreadable(" ".join(str(error).split())) from None


def _composed(text: str) -> Iterator[_Node]:
    anchors: dict[str, _Node] = {}
    holders: list[_Node] = []
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.CollectionEndEvent):
            if len(holders) == 1:
                yield holders[0]
            holders.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            anchors = {} if isinstance(event, yaml.DocumentStartEvent) else anchors
            continue
        node = _node(event, anchors)
        if node in holders:
            raise Unreadable(f"line {node.line}: anchor {event.anchor!r} value contains itself")
        if holders:
            holders[-1].inner.append(node)
        if isinstance(event, yaml.CollectionStartEvent):
            holders.append(node)
        elif not holders:
            yield node
        if len(holders) > DEPTH_LIMIT:
            raise Unreadable(f"line {node.line}: exceeded max depth of {DEPTH_LIMIT}")


def _node(event: yaml.NodeEvent, anchors: dict[str, _Node]) -> _Node:
    line = event.start_mark.line + 1 if event.start_mark else 0
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            raise Unreadable(f"line {line}: unknown anchor {event.anchor!r} referenced")
        return anchors[event.anchor]
    if isinstance(event, yaml.ScalarEvent):
        own = None if event.implicit[0] else _TEXT_TAG
        tag = own if event.tag is None else event.tag.removeprefix(_YAML_TAG)
        node = _Node(line, tag, event.value)
    else:
        node = _Node(line, is_map=isinstance(event, yaml.MappingStartEvent))
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


class _Reading:
    """The value of one document's nodes, each of which an alias may repeat."""

    def __init__(self) -> None:
        self._read: set[int] = set()
        self._repeated = 0

    def value(self, node: _Node) -> Any:
        """The value of a node and all below it."""
        self._repeated += id(node) in self._read
        self._read.add(id(node))
        if self._repeated > REPEATED_LIMIT:
            raise Unreadable("document contains excessive aliasing")
        if node.text is not None:
            return _json_scalar(node)
        return self._map(node) if node.is_map else [self.value(item) for item in node.inner]

    def _map(self, node: _Node) -> dict[str, Any]:
        """The merge key ``<<`` wins over what stands before it, and loses to what comes after."""
        result: dict[str, Any] = {}
        written: set[str] = set()
        for key_node, value_node in zip(node.inner[::2], node.inner[1::2], strict=True):
            if key_node.tag is None and key_node.text == "<<":
                result.update(self._merged(value_node))
                continue
            key = _key(key_node)
            if key in written:
                raise Unreadable(f"line {key_node.line}: the key {key} is there twice")
            written.add(key)
            result[key] = self.value(value_node)
        return result

    def _merged(self, node: _Node) -> dict[str, Any]:
        """What ``<<`` takes over: a map, or of several the first that has the key."""
        sources = [node] if node.is_map or node.text is not None else node.inner
        result: dict[str, Any] = {}
        for source in reversed(sources):
            if not source.is_map:
                raise Unreadable(f"line {node.line}: map merge requires map or sequence of maps")
            result.update(self.value(source))
        return result


def _key(node: _Node) -> str:
    """JSON's keys are text: kubectl makes ``true`` of the key ``y`` and ``16`` of ``0x10``."""
    value = _scalar(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return shortest(value) if math.isfinite(value) else _NOT_FINITE[str(value)]
    if isinstance(value, int) and value in INT64:
        return str(value)
    if not isinstance(value, str):
        raise Unreadable(f"line {node.line}: a key is text, a number or a boolean")
    return value


_NOT_FINITE = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}


def _json_scalar(node: _Node) -> Scalar:
    value = _scalar(node)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not math.isfinite(value):
        why = f"JSON has no number {node.text}: quote it, if it is meant as text"
        raise Unreadable(f"line {node.line}: {why}")
    return carried(value)


def _scalar(node: _Node) -> Scalar:
    if node.text is None:
        return None
    if node.tag is None:
        return plain_scalar(node.text)
    try:
        if node.tag == "binary":
            return base64.b64decode(node.text).decode("utf-8", "replace")
        return tagged_scalar(node.text, node.tag)
    except ValueError as error:
        raise Unreadable(f"line {node.line}: {error}") from None

"""YAML and JSON documents in and out, as kubectl reads them.

Two things that kubectl does are refused here: the last of two equal keys does not silently win,
and bytes that are not text are not replaced. A small file cannot grow into a large object: size,
depth and the use of aliases are capped.
"""

from __future__ import annotations

import codecs
import io
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from contract.model import Object
from objects.numbers import carried
from objects.scalars import plain_scalar
from objects.yaml_values import Unreadable, yaml_values

SIZE_LIMIT = 10 * 1024 * 1024
"""Characters of a text that are read."""


class Malformed(Exception):
    """The text is not YAML, or not Kubernetes objects; the message names the place."""


class _Dumper(yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper):  # type: ignore[misc]
    """Block style, long texts as literal blocks, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Every value is written where it stands."""
        return True


def _text(dumper: Any, value: str) -> Any:
    """In quotes also where only kubectl takes it for something else: ``y``, ``1e3``, ``0o17``."""
    style = "|" if "\n" in value else None
    if not isinstance(plain_scalar(value), str):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def load(text: str | bytes, source: str = "input") -> list[Object]:
    """The Kubernetes objects of a text; Lists are taken apart, empty documents left out.

    Numbers are those that an API server would read: integers of 64 bits, any other a float.
    Raises Malformed with the source's name and the line.
    """
    try:
        return [obj for document in _documents(_decoded(text)) for obj in _objects(document)]
    except Unreadable as error:
        raise Malformed(f"{source}: {error}") from None


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
            why = f"is not text in UTF-8: {error.reason} at byte {error.start}"
            raise Unreadable(why) from None
    if len(text) > SIZE_LIMIT:
        raise Unreadable(f"larger than {SIZE_LIMIT // 1024 // 1024} MiB")
    return text


def _documents(text: str) -> Iterator[Any]:
    """JSON where the text begins like JSON and is JSON, YAML else: ``{a: 1}`` is YAML."""
    if text.lstrip().startswith("{"):
        try:
            return iter(_json_documents(text))
        except (ValueError, RecursionError):
            pass
    return yaml_values(text)


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
            raise Unreadable(f"the key {key} is there twice")
        result[key] = value
    return result


def _json_int(digits: str) -> int | float:
    return carried(int(digits)) if len(digits) <= _INT64_DIGITS else _finite(digits)


_INT64_DIGITS = len(str(-(2**63)))


def _finite(text: str) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise Unreadable(f"JSON has no number {text}: quote it, if it is meant as text")
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


def _objects(document: Any) -> list[Object]:
    if document is None:
        return []
    if not isinstance(document, dict):
        raise Unreadable(f"a document is a {type(document).__name__}, not an object")
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
            raise Unreadable(f"an object has no {field}")
    return [document]

"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902). Pure: the input is never changed."""

from __future__ import annotations

from typing import Any

from reconciler.client.api import ApiError


def clone(value: Any) -> Any:
    """A deep copy of a JSON value; several times faster than ``copy.deepcopy``."""
    if isinstance(value, dict):
        return {name: clone(child) for name, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [clone(child) for child in value]
    return value


def merge_patch(value: Any, patch: Any) -> Any:
    """``value`` with a merge patch applied: null removes, objects merge, the rest replaces."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), change)
    return result


def json_patch(value: Any, operations: Any) -> Any:
    """``value`` with a JSON patch applied.

    Raises ApiError: 400 where it is not a list of operations, 422 where a ``test`` fails or a
    path does not exist (the API server gives both the same answer, and not 409).
    """
    if not isinstance(operations, list):
        raise ApiError(400, "BadRequest", "error decoding patch: not a list of operations")
    document = {"": clone(value)}
    for operation in operations:
        try:
            _operate(document, operation)
        except (LookupError, ValueError, TypeError):
            message = "the server rejected our request due to an error in our request"
            raise ApiError(422, "Invalid", message) from None
    return document[""]


def _operate(document: dict[str, Any], operation: dict[str, Any]) -> None:
    kind, path = operation["op"], _pointer(operation["path"])
    if kind == "add":
        _insert(document, path, clone(operation["value"]))
    elif kind == "replace":
        # Of a map, the server's library replaces what is not there too.
        if isinstance(_look(document, path[:-1]), list):
            _take(document, path)
        _insert(document, path, clone(operation["value"]))
    elif kind == "remove":
        _take(document, path)
    elif kind == "move":
        _insert(document, path, _take(document, _pointer(operation["from"])))
    elif kind == "copy":
        _insert(document, path, clone(_look(document, _pointer(operation["from"]))))
    elif kind == "test":
        if _look(document, path) != operation["value"]:
            raise ValueError("test failed")
    else:
        raise ValueError(f"unknown operation {kind}")


def _pointer(text: str) -> list[str]:
    # The document hangs under the empty name, so that the empty pointer has a parent too.
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")]


def _look(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _insert(document: Any, path: list[str], value: Any) -> None:
    parent, last = _look(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if not 0 <= index <= len(parent):
            raise IndexError(last)
        parent.insert(index, value)
    else:
        parent[last] = value


def _take(document: Any, path: list[str]) -> Any:
    parent, last = _look(document, path[:-1]), path[-1]
    return parent.pop(int(last)) if isinstance(parent, list) else parent.pop(last)

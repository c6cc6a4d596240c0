"""Server-side apply: who owns which field, and what an apply or an update makes of it. Pure.

A field is a path: names for the fields of maps, ``Item`` for the item of a keyed list. A
manager's set holds the leaves (scalars, atomic values, empty containers) and the items of its
last apply; of an update, whatever it changed. Four rules make the result:

1. An apply is merged into the live object: maps by name, keyed lists by key, the rest replaced.
2. What the manager applied before, does not apply now, and nobody else owns, is removed; with it
   every named field above it that nobody owns anything in (defaults in it go too).
3. A value that the apply changes and that another manager owns is a conflict: 409, or with force
   the other loses it. An equal value is owned together.
4. An update takes what it changes away from everybody, and what it removes, too.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from contract.model import Object
from memoryserver.patches import clone
from memoryserver.shapes import KEY_DEFAULTS, SET, BuiltIn, Shape
from reconciler.client.api import ApiError


class Item(NamedTuple):
    """The item of a keyed list, by its key's names and values; a set's item by its value."""

    key: tuple[tuple[str, Any], ...]


Path = tuple[str | Item, ...]
Fields = frozenset[Path]

_PRESENT = object()
"""The value of an item itself: it is there, whatever it holds."""

_NOT_OWNED = frozenset(
    {("apiVersion",), ("kind",)}
    | {
        ("metadata", name)
        for name in """name namespace creationTimestamp selfLink uid generation managedFields
        resourceVersion deletionTimestamp deletionGracePeriodSeconds""".split()  # noqa: SIM905 a word list
    }
)


_ALWAYS_THERE = frozenset(
    "metadata spec status template strategy updateStrategy jobTemplate containers".split()  # noqa: SIM905
)


class Manager(NamedTuple):
    """Who wrote: one entry of ``metadata.managedFields``."""

    name: str
    operation: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """What one manager owns, and since when."""

    fields: Fields
    time: str
    api_version: str


Owners = Mapping[Manager, Owned]


def leaves(value: Any, shape: Shape, path: Path = ()) -> dict[Path, Any]:
    """The ownable fields of a value, each with what it holds."""
    return {p: v for p, v in _walk(value, shape, path, containers=False) if p not in _NOT_OWNED}


def _walk(value: Any, shape: Shape, path: Path, *, containers: bool) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value and not shape.atomic:
        if containers and path:
            yield path, _PRESENT
        for name, child in value.items():
            yield from _walk(child, shape.field(name), (*path, name), containers=containers)
    elif isinstance(value, list) and value and shape.keys:
        if containers:
            yield path, _PRESENT
        for child in value:
            item = (*path, key_of(child, shape))
            yield item, _PRESENT
            if isinstance(child, dict):
                yield from _walk(child, shape.item(), item, containers=containers)
    else:
        yield path, value


def key_of(item: Any, shape: Shape) -> Item:
    """The name of an item in its list. Raises ApiError 422 where a key is missing."""
    if shape.keys == SET:
        return Item((("", item),))
    names = []
    for name in shape.keys:
        value = item.get(name, KEY_DEFAULTS.get(name)) if isinstance(item, dict) else None
        if value is None:
            raise ApiError(422, "Invalid", f"associative list with keys has an item without {name}")
        names.append((name, value))
    return Item(tuple(names))


def apply(
    live: Object, body: Object, owners: Owners, manager: Manager, shape: Shape, *, force: bool
) -> tuple[Object, dict[Manager, Fields]]:
    """``live`` after an apply of ``body``, and what everybody owns then.

    Raises ApiError 409 with one cause for each conflict, unless forced.
    """
    wanted = leaves(body, shape)
    before = {who: owned.fields for who, owned in owners.items()}
    last = before.pop(manager, frozenset())
    merged = _merge(live, body, shape)
    kept = _with_parents(frozenset(wanted).union(*before.values()))
    gone = _with_parents(last) - kept
    result = _remove(merged, shape, gone, ())
    was, now = _everything(live, shape), _everything(result, shape)
    changed = _changed(was, now)
    conflicts = {who: fields & changed for who, fields in before.items() if fields & changed}
    if conflicts and not force:
        raise _conflict(conflicts, owners)
    vanished = was.keys() - now.keys()  # what does not exist any more is nobody's
    after = {who: fields - changed - vanished for who, fields in before.items()}
    after[manager] = frozenset(wanted)
    return result, {who: fields for who, fields in after.items() if fields}


def update(
    live: Object, new: Object, owners: Owners, manager: Manager, shape: Shape
) -> dict[Manager, Fields]:
    """What everybody owns after ``live`` was replaced by ``new``."""
    was, now = _everything(live, shape), _everything(new, shape)
    changed = {
        path
        for path in _changed(was, now)
        if path not in _NOT_OWNED and not (now[path] is _PRESENT and _always_there(path, shape))
    }
    vanished = was.keys() - now.keys()
    after = {
        who: owned.fields - vanished - (frozenset() if who == manager else changed)
        for who, owned in owners.items()
    }
    after[manager] = after.get(manager, frozenset()) | changed
    return {who: fields for who, fields in after.items() if fields}


def _everything(value: Any, shape: Shape) -> dict[Path, Any]:
    """All paths of a value, those of its containers too."""
    return dict(_walk(value, shape, (), containers=True))


def _changed(was: Mapping[Path, Any], now: Mapping[Path, Any]) -> set[Path]:
    """What is new or has another value; a container that was emptied or filled is the same one."""
    empty: tuple[Any, ...] = (_PRESENT, {}, [])
    return {
        path
        for path, value in now.items()
        if path not in was or (was[path] != value and not (was[path] in empty and value in empty))
    }


def _always_there(path: Path, shape: Shape) -> bool:
    """Is this a struct that the server's own types always hold, so that nobody brings it?"""
    return path == ("metadata",) or (isinstance(shape, BuiltIn) and path[-1] in _ALWAYS_THERE)


def _with_parents(fields: Iterable[Path]) -> set[Path]:
    """The fields and the named fields above them; an item is owned by whoever put it there."""
    result = set(fields)
    for path in fields:
        for length in range(len(path) - 1, 0, -1):
            parent = path[:length]
            if not isinstance(parent[-1], Item):
                if parent in result:
                    break
                result.add(parent)
    return result


def _merge(live: Any, body: Any, shape: Shape) -> Any:
    if isinstance(live, dict) and isinstance(body, dict) and not shape.atomic:
        merged = dict(live)
        for name, value in body.items():
            merged[name] = _merge(live.get(name), value, shape.field(name))
        return merged
    if isinstance(live, list) and isinstance(body, list) and shape.keys:
        return _merge_lists(live, body, shape)
    if isinstance(body, list) and shape.keys:
        return _merge_lists([], body, shape)
    return clone(body)


def _merge_lists(live: list[Any], body: list[Any], shape: Shape) -> list[Any]:
    """Items of both, each once: those of ``body`` in its order, the others where they stood."""
    theirs = {key_of(item, shape): item for item in live}
    ours = {key_of(item, shape): item for item in body}
    if len(ours) != len(body):
        raise ApiError(500, "", "failed to create typed patch object: duplicate entries for key")
    both = [key for key in ours if key in theirs]
    result: list[Any] = []
    left, right = list(theirs), list(ours)
    while left or right:
        if left and left[0] not in ours:
            result.append(theirs[left.pop(0)])
        elif left and (not both or left[0] != both[0]):
            left.pop(0)  # written elsewhere, in the order of ``body``
        elif right:
            key = right.pop(0)
            result.append(_merge(theirs.get(key), ours[key], shape.item()))
            if both and key == both[0]:
                both.pop(0)
                left.remove(key) if key in left else None
    return result


def _remove(value: Any, shape: Shape, gone: set[Path], path: Path) -> Any:
    if isinstance(value, dict) and not shape.atomic:
        return {
            name: _remove(child, shape.field(name), gone, (*path, name))
            for name, child in value.items()
            if (*path, name) not in gone
        }
    if isinstance(value, list) and shape.keys:
        pairs = [((*path, key_of(child, shape)), child) for child in value]
        return [_remove(c, shape.item(), gone, item) for item, c in pairs if item not in gone]
    return value


def _conflict(conflicts: Mapping[Manager, Iterable[Path]], owners: Owners) -> ApiError:
    causes = []
    for who, fields in sorted(conflicts.items()):
        what = f' with subresource "{who.subresource}"' if who.subresource else ""
        using = f" using {owners[who].api_version}" if who.operation == "Update" else ""
        causes += [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{who.name}"{what}{using}',
                "field": dotted(path),
            }
            for path in sorted(fields, key=str)
        ]
    plural = "" if len(causes) == 1 else "s"
    listed = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    message = f"Apply failed with {len(causes)} conflict{plural}: {listed}"
    return ApiError(409, "Conflict", message, causes=causes)


def dotted(path: Path) -> str:
    """A path as conflicts show it: ``.spec.containers[name="web"].image``."""
    text = ""
    for step in path:
        if isinstance(step, str):
            text += f".{step}"
        elif step.key[0][0]:
            text += "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in step.key) + "]"
        else:
            text += f"[={json.dumps(step.key[0][1])}]"
    return text


def managed_fields(owners: Owners) -> list[Object]:
    """The ``metadata.managedFields`` of an object."""
    entries = []
    for who, owned in sorted(owners.items(), key=lambda pair: (pair[0].operation, pair[1].time)):
        entry = {
            "manager": who.name,
            "operation": who.operation,
            "apiVersion": owned.api_version,
            "time": owned.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields_v1(owned.fields),
        }
        if who.subresource:
            entry["subresource"] = who.subresource
        entries.append(entry)
    return entries


def fields_v1(fields: Fields) -> Object:
    """A set of fields in the form ``f:spec``, ``k:{"name":"web"}``, ``v:"x"``; ``.`` is itself."""
    root: Object = {}
    parents = {path[:length] for path in fields for length in range(1, len(path))}
    for path in sorted(fields, key=str):
        node = root
        for step in path:
            if isinstance(step, str):
                name = f"f:{step}"
            elif step.key[0][0]:
                name = "k:" + json.dumps(dict(step.key), separators=(",", ":"), sort_keys=True)
            else:
                name = "v:" + json.dumps(step.key[0][1])
            node = node.setdefault(name, {})
        if path in parents:
            node["."] = {}
    return root


def owners_of(entries: Iterable[Object], shape: Shape) -> dict[Manager, Owned]:
    """Who owns what by the ``metadata.managedFields`` of an object: undoes ``managed_fields``."""
    return {
        Manager(entry["manager"], entry["operation"], entry.get("subresource", "")): Owned(
            frozenset(_paths(entry["fieldsV1"], shape)), entry["time"], entry["apiVersion"]
        )
        for entry in entries
    }


def _paths(node: Object, shape: Shape, path: Path = ()) -> Iterator[Path]:
    if path and (not node or "." in node):
        yield path
    for name, child in node.items():
        form, _, text = name.partition(":")
        if form == "f":
            yield from _paths(child, shape.field(text), (*path, text))
        elif form == "k":
            key = json.loads(text)
            item = Item(tuple((each, key[each]) for each in shape.keys))
            yield from _paths(child, shape.item(), (*path, item))
        elif form == "v":
            yield from _paths(child, shape.item(), (*path, Item((("", json.loads(text)),))))

"""Field ownership: the result of a server-side apply or an update, and its field managers. Pure.

A field is a path: names for the fields of maps, ``Item`` for the item of a keyed list. A
manager's set holds the leaves (scalars, atomic values, empty containers) and the items of its
last apply; for an update, the changed fields. Four rules:

1. An apply is merged into the live object: maps by name, keyed lists by key, the rest replaced.
2. A field of the manager's last apply that the new apply lacks and no other manager owns is
   removed; so is every named field above it without an owned field (with its defaults).
3. A changed value that another manager owns is a conflict: 409, or with force the other manager
   loses the field. An equal value is owned by both.
4. After an update no other manager owns the changed or removed fields.

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
    """An item of a keyed list, by key names and values; an item of a set, by its value."""

    key: tuple[tuple[str, Any], ...]


Path = tuple[str | Item, ...]
Fields = frozenset[Path]

_PRESENT = object()
"""The value of an item or container itself, independent of its content."""

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
    """A field manager: identifies one entry of ``metadata.managedFields``."""

    name: str
    operation: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """The fields of one manager, with the time and apiVersion of its last write."""

    fields: Fields
    time: str
    api_version: str


Owners = Mapping[Manager, Owned]


def leaves(value: Any, shape: Shape, path: Path = ()) -> dict[Path, Any]:
    """The fields of a value that a manager can own, with their values."""
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
    """The key of an item in its list. Raises ApiError 422 where a key field is missing."""
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
    """``live`` after an apply of ``body``, and the fields of every manager.

    Raises ApiError 409 with one cause for each conflict, unless forced.
    """
    wanted = leaves(body, shape)
    before = {each: owned.fields for each, owned in owners.items()}
    last = before.pop(manager, frozenset())
    merged = _merge(live, body, shape)
    kept = _with_parents(frozenset(wanted).union(*before.values()))
    gone = _with_parents(last) - kept
    result = _remove(merged, shape, gone, ())
    was, now = _everything(live, shape), _everything(result, shape)
    changed = _changed(was, now)
    conflicts = {each: fields & changed for each, fields in before.items() if fields & changed}
    if conflicts and not force:
        raise _conflict(conflicts, owners)
    vanished = was.keys() - now.keys()  # a removed field has no owner
    after = {each: fields - changed - vanished for each, fields in before.items()}
    after[manager] = frozenset(wanted)
    return result, {each: fields for each, fields in after.items() if fields}


def update(
    live: Object, new: Object, owners: Owners, manager: Manager, shape: Shape
) -> dict[Manager, Fields]:
    """The fields of every manager after ``live`` was replaced by ``new``."""
    was, now = _everything(live, shape), _everything(new, shape)
    changed = {
        path
        for path in _changed(was, now)
        if path not in _NOT_OWNED and not (now[path] is _PRESENT and _always_there(path, shape))
    }
    vanished = was.keys() - now.keys()
    after = {
        each: owned.fields - vanished - (frozenset() if each == manager else changed)
        for each, owned in owners.items()
    }
    after[manager] = after.get(manager, frozenset()) | changed
    return {each: fields for each, fields in after.items() if fields}


def _everything(value: Any, shape: Shape) -> dict[Path, Any]:
    """All paths of a value with their values, containers included."""
    return dict(_walk(value, shape, (), containers=True))


def _changed(was: Mapping[Path, Any], now: Mapping[Path, Any]) -> set[Path]:
    """The new or changed paths; a container that becomes empty or filled does not change."""
    empty: tuple[Any, ...] = (_PRESENT, {}, [])
    return {
        path
        for path, value in now.items()
        if path not in was or (was[path] != value and not (was[path] in empty and value in empty))
    }


def _always_there(path: Path, shape: Shape) -> bool:
    """Is this a struct that the server's Go types always have, so that no manager owns it?"""
    return path == ("metadata",) or (isinstance(shape, BuiltIn) and path[-1] in _ALWAYS_THERE)


def _with_parents(fields: Iterable[Path]) -> set[Path]:
    """The fields and the named fields above them, but for items, which have their own owners."""
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
    """The items of both, each once: those of ``body`` in its order, the others in place."""
    live_items = {key_of(item, shape): item for item in live}
    new_items = {key_of(item, shape): item for item in body}
    if len(new_items) != len(body):
        raise ApiError(500, "", "failed to create typed patch object: duplicate entries for key")
    both = [key for key in new_items if key in live_items]
    result: list[Any] = []
    left, right = list(live_items), list(new_items)
    while left or right:
        if left and left[0] not in new_items:
            result.append(live_items[left.pop(0)])
        elif left and (not both or left[0] != both[0]):
            left.pop(0)  # appended elsewhere, in the order of ``body``
        elif right:
            key = right.pop(0)
            result.append(_merge(live_items.get(key), new_items[key], shape.item()))
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
    for each, fields in sorted(conflicts.items()):
        what = f' with subresource "{each.subresource}"' if each.subresource else ""
        using = f" using {owners[each].api_version}" if each.operation == "Update" else ""
        causes += [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{each.name}"{what}{using}',
                "field": dotted(path),
            }
            for path in sorted(fields, key=str)
        ]
    plural = "" if len(causes) == 1 else "s"
    listed = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    message = f"Apply failed with {len(causes)} conflict{plural}: {listed}"
    return ApiError(409, "Conflict", message, causes=causes)


def dotted(path: Path) -> str:
    """A path as in a conflict's message: ``.spec.containers[name="web"].image``."""
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
    for each, owned in sorted(owners.items(), key=lambda pair: (pair[0].operation, pair[1].time)):
        entry = {
            "manager": each.name,
            "operation": each.operation,
            "apiVersion": owned.api_version,
            "time": owned.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields_v1(owned.fields),
        }
        if each.subresource:
            entry["subresource"] = each.subresource
        entries.append(entry)
    return entries


def fields_v1(fields: Fields) -> Object:
    """Fields in FieldsV1 form: ``f:spec``, ``k:{"name":"web"}``, ``v:"x"``; ``.`` is the item."""
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
    """The owners in the ``metadata.managedFields`` of an object; reverses ``managed_fields``."""
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

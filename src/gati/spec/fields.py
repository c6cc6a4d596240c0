"""Reading a custom resource field by field: every value has a type, or an answer that helps.

Schemas guard the API server, but an object may be older than its schema and ``plan`` reads
files that no server has seen. Null means absent everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Invalid(Exception):
    """A field that cannot be honoured: where it is and what to write instead."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object and the path that leads to it. Its readers raise Invalid."""

    values: Mapping[str, Any]
    path: str

    @classmethod
    def of(cls, value: Any, path: str) -> Fields:
        """The object at that path; an absent one is empty."""
        if value is None:
            return cls({}, path)
        if not isinstance(value, Mapping):
            raise Invalid(path, f"must be an object, not {_named(value)}")
        for key in value:
            if not isinstance(key, str):
                raise Invalid(path, f"has the key {key}: write it in quotes")
        return cls(value, path)

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}"

    def has(self, name: str) -> bool:
        """Is the field there, and not null?"""
        return self.values.get(name) is not None

    def object(self, name: str) -> Fields:
        """An object; an absent one is empty."""
        return Fields.of(self.values.get(name), self.at(name))

    def text(self, name: str) -> str | None:
        """A string with something in it, or None."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            hint = ": write it in quotes" if isinstance(value, int | float) else ""
            raise Invalid(self.at(name), f"must be a string, not {_named(value)}{hint}")
        if not value.strip():
            raise Invalid(self.at(name), "must not be empty: write a value or leave the field out")
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """A whole number within the bounds (inclusive), or None."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise Invalid(self.at(name), f"must be a whole number, not {_named(value)}")
        if not low <= value <= high:
            raise Invalid(self.at(name), f"is {value}: write a number from {low} to {high}")
        return value

    def boolean(self, name: str) -> bool | None:
        """True, False or None."""
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise Invalid(self.at(name), f"must be true or false, not {_named(value)}")

    def items(self, name: str) -> tuple[tuple[str, Any], ...]:
        """The items of a list, each with its own path; none where it is absent."""
        value = self.values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise Invalid(self.at(name), f"must be a list, not {_named(value)}")
        return tuple((f"{self.at(name)}[{index}]", item) for index, item in enumerate(value))

    def objects(self, name: str) -> tuple[Fields, ...]:
        """A list of objects."""
        return tuple(
            Fields.of(item if item is not None else "", path) for path, item in self.items(name)
        )

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        for path, item in self.items(name):
            if not isinstance(item, str):
                raise Invalid(path, f"must be a string, not {_named(item)}: write it in quotes")
        return tuple(item for _, item in self.items(name))

    def text_map(self, name: str) -> dict[str, str]:
        """A map from string to string, in the order of its keys."""
        fields = self.object(name)
        for key, value in fields.values.items():
            if not isinstance(value, str):
                raise Invalid(
                    f"{fields.path}[{key}]",
                    f"must be a string, not {_named(value)}: write it in quotes",
                )
        return {key: fields.values[key] for key in sorted(fields.values)}

    def one_of(self, *names: str) -> str | None:
        """Which of these fields is there; at most one may be."""
        given = [name for name in names if self.has(name)]
        if len(given) > 1:
            raise Invalid(self.path, f"has {' and '.join(given)}: write only one of them")
        return given[0] if given else None


def pruned(value: Any) -> Any:
    """The value without nulls, and without the maps and lists that are left empty by that.

    The API server drops those as well. A map that means something by being there
    (``emptyDir: {}``, ``labelSelector: {}``) stays.
    """
    if isinstance(value, Mapping):
        kept = {key: pruned(item) for key, item in value.items() if item is not None}
        return {
            key: item for key, item in kept.items() if item not in ({}, []) or _means(key, item)
        }
    if isinstance(value, list | tuple):
        return [pruned(item) for item in value if item is not None]
    return value


_MEANT_EMPTY = frozenset({"emptyDir", "labelSelector", "namespaceSelector", "podSelector"})


def _means(key: str, item: Any) -> bool:
    return key in _MEANT_EMPTY and item == {}


def _named(value: Any) -> str:
    """A value's JSON type, in words; the value itself may be anything, also a secret."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value)) or ("a list" if isinstance(value, list) else "an object")

"""Which values belong to a key, for keys that mostly have one.

A set takes 216 bytes, and an operator holds several keys for each object: one value is held
without a set. A key without values is removed, since names come and go for months.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Index(Generic[K, V]):
    """The values of each key. A value is no set."""

    def __init__(self) -> None:
        self._values: dict[K, V | set[V]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __getitem__(self, key: K) -> tuple[V, ...]:
        """The values of a key, in no order; none where the key has none."""
        held = self._values.get(key)
        if held is None:
            return ()
        return tuple(held) if isinstance(held, set) else (held,)

    def add(self, key: K, value: V) -> None:
        """The value belongs to the key from now on."""
        held = self._values.setdefault(key, value)
        if isinstance(held, set):
            held.add(value)
        elif held != value:
            self._values[key] = {held, value}

    def discard(self, key: K, value: V) -> None:
        """The value does not belong to the key any more, if it did."""
        held = self._values.get(key)
        if held == value:
            del self._values[key]
        elif isinstance(held, set):
            held.discard(value)
            if len(held) == 1:
                self._values[key] = held.pop()

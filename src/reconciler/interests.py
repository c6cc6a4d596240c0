"""Which parents are looked at again when an object changes.

The rule kept here: a change wakes the parents that own the object, or that asked for it by name
or by index in their last pass, and nobody else.
"""

from __future__ import annotations

from contract.metadata import controller_of, key_parts
from contract.model import Key, Kind, Need, Object, Watch


class Interests:
    """What each parent's last pass asked for, and so who is to be woken."""

    def __init__(self) -> None:
        self._needs: dict[Key, tuple[Need, ...]] = {}
        self._keys: dict[Need, set[Key]] = {}

    def look_at(self, key: Key, needs: tuple[Need, ...]) -> None:
        """From now on the key is woken by changes of what these needs ask for; none ends it."""
        before = self._needs.get(key, ())
        if needs == before:
            return
        for need in before:
            keys = self._keys[need]
            keys.discard(key)
            if not keys:
                del self._keys[need]
        for need in needs:
            self._keys.setdefault(need, set()).add(key)
        if needs:
            self._needs[key] = needs
        else:
            self._needs.pop(key, None)

    def woken(self, kind: Kind, watch: Watch, old: Object | None, new: Object | None) -> set[Key]:
        """The parents of ``kind`` that a change from ``old`` to ``new`` concerns, as ``watch`` saw
        it; None is an object that was not there, or is gone.
        """
        keys: set[Key] = set()
        for obj in (old, new):
            if obj is None:
                continue
            namespace, name = key_parts(obj)
            owner = controller_of(obj)
            if owner is not None and owner.get("kind") == kind.kind:
                keys.add(Key(kind.kind, namespace, str(owner.get("name"))))
            keys.update(self._keys.get(Need(watch.kind, namespace, name=name), ()))
            index = watch.index(obj) if watch.index else None
            if index is not None:
                keys.update(self._keys.get(Need(watch.kind, namespace, index=index), ()))
        return keys

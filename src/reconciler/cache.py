"""The cache of one kind: the objects of its lists and watches, and the answers to own writes.

The rule: a version of an object replaces an older one and never a newer one, from whichever source
the two came. A list or a watch is complete up to its resource version. So the answer to an own
write that is not newer adds nothing, and an object that is missing from a list is deleted unless
the cached version is newer than the list. Callbacks get each change, even a deletion that a gap
hid. Objects are held encoded (see ``held``) and decoded for each reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from contract.demands import Need, Watch
from contract.metadata import known_newer, newer
from contract.model import Kind, Object
from reconciler.client.api import WatchEvent
from reconciler.held import (
    Held,
    NamespacedName,
    held_form,
    is_terminating,
    is_unchanged,
    name_of,
    uid_of,
    version_of,
)
from reconciler.index import Index

OnChange = Callable[[Object | None, Object | None], None]
"""Called with (old, new) after the store changed; None where there was or is no object."""

_REMOVED_LIMIT = 10_000
"""Own deletes to remember whose DELETED frame has not come; a watch confirms them in seconds."""

Change = tuple[Held | None, Held | None]
"""(old, new); None where there was or is no object."""


class Store:
    """The objects of one kind, reduced by the ``keep`` of its Watch.

    ``scopes`` are the namespaces that are listed and watched separately; None is all namespaces in
    one, and the only scope of cluster-scoped kinds. ``owners`` returns the uids of the parents that
    an object may be a child of. ``on_change`` is called after the store changed, ``on_synced``
    after a scope was filled or could no longer be watched. Callbacks must not raise.
    """

    def __init__(
        self,
        watch: Watch,
        scopes: Sequence[str | None] = (None,),
        *,
        owners: Callable[[Object], tuple[str, ...]] = lambda _: (),
    ) -> None:
        self.watch = watch
        self.scopes = tuple(scopes) if watch.kind.namespaced else (None,)
        self._owners = owners
        self.on_change: list[OnChange] = []
        self.on_synced: list[Callable[[], None]] = []
        self._objects: dict[NamespacedName, Held] = {}
        self._owned: Index[str, NamespacedName] = Index()
        self._indexed: Index[NamespacedName, NamespacedName] = Index()
        self._removed: dict[str, str | None] = {}  # uid of an own delete, oldest first: scope
        self._seen_up_to: dict[str | None, str] = dict.fromkeys(self.scopes, "")
        self._unsynced = set(self.scopes)

    # Reading.

    @property
    def kind(self) -> Kind:
        """The kind of all objects here."""
        return self.watch.kind

    @property
    def synced(self) -> bool:
        """Has every scope been listed, and is still being watched?"""
        return not self._unsynced

    def scope_synced(self, scope: str | None) -> bool:
        """Has this scope been listed, and is still being watched?"""
        return scope not in self._unsynced

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[NamespacedName]:
        return iter(self._objects)

    def remembered(self) -> int:
        """How many entries are kept: objects, indexes, own deletes that no frame has confirmed."""
        return len(self._objects) + len(self._owned) + len(self._indexed) + len(self._removed)

    def get(self, namespace: str, name: str) -> Object | None:
        """The object of that name, or None."""
        held = self._objects.get((namespace, name))
        return held.decoded() if held else None

    def uid(self, namespace: str, name: str) -> str | None:
        """The uid of the object of that name, or None."""
        held = self._objects.get((namespace, name))
        return held.uid if held else None

    def key_of(self, uid: str) -> NamespacedName | None:
        """The namespace and name of the object with this uid, or None."""
        return next((key for key, held in self._objects.items() if held.uid == uid), None)

    def owned(self, uid: str) -> tuple[Object, ...]:
        """The children of the parent with this uid, by namespace and name."""
        return self._sorted(self._owned[uid])

    def indexed(self, namespace: str, value: str) -> tuple[Object, ...]:
        """The objects of a namespace with this value of ``Watch.index``, by name."""
        return self._sorted(self._indexed[namespace, value])

    def needed(self, need: Need) -> tuple[Object, ...]:
        """The answer to a Need for this kind."""
        if need.name is not None:
            found = self.get(need.namespace, need.name)
            return (found,) if found else ()
        return self.indexed(need.namespace, need.index or "")

    def _sorted(self, keys: Iterable[NamespacedName]) -> tuple[Object, ...]:
        return tuple(self._objects[key].decoded() for key in sorted(keys))

    # Answers to own writes.

    def put(self, obj: Object) -> None:
        """Take the answer to an own write, ahead of the watch."""
        # An answer that the watch has passed is held already, or the object was deleted since.
        passed = self._seen_up_to.get(self._scope(obj["metadata"].get("namespace", "")), "")
        if newer(version_of(obj), passed) and not self._is_before_own_delete(obj):
            self._upsert(obj)

    def remove(self, obj: Object) -> None:
        """Take the answer to an own delete: the object is gone.

        Frames of the object that are still on their way do not bring it back. An object that is
        not held was reported as deleted by the watch before.
        """
        key = name_of(obj)
        held = self._objects.get(key)
        if not held or held.uid != uid_of(obj):
            return
        self._removed[held.uid] = self._scope(key[0])
        if len(self._removed) > _REMOVED_LIMIT:
            del self._removed[next(iter(self._removed))]
        self._announce(*self._set(key, None))

    # Lists and frames of the reflector.

    def observe(self, event: WatchEvent, scope: str | None = None) -> None:
        """Take one frame of the watch of a scope; call it in the order of the watch."""
        obj = event.object
        self._seen_up_to[scope] = obj["metadata"].get("resourceVersion", "")
        if event.type == "BOOKMARK":
            return
        if event.type == "DELETED":
            self._removed.pop(uid_of(obj), None)
            self._drop(obj)
        elif not self._is_before_own_delete(obj):
            self._upsert(obj)

    def cut(self, objects: Iterable[Object]) -> dict[NamespacedName, Held]:
        """The objects as the store will hold them, without those that ``keep`` drops."""
        cut = ((name_of(obj), held_form(obj, self.watch, self._owners)) for obj in objects)
        return {key: held for key, held in cut if held is not None}

    def replace(
        self,
        listed: Mapping[NamespacedName, Held],
        version: str,
        scope: str | None = None,
        *,
        reset: bool = False,
    ) -> None:
        """Take over a complete list of a scope in one step, and announce what differs.

        ``reset``: the server was restored from a backup. A cached version with a higher number is
        then not newer, but of a history that the server no longer has.
        """
        # Listed without a deletionTimestamp after an own delete: the list is older than the delete.
        listed = {
            key: new
            for key, new in listed.items()
            if new.uid not in self._removed or is_terminating(new.decoded())
        }
        # Where versions cannot be compared, an object that is not listed is gone.
        changes = [
            self._set(key, None)
            for key, held in list(self._objects.items())
            if key not in listed
            and self._scope(key[0]) == scope
            and (reset or not known_newer(held.version, version))
        ]
        for key, new in listed.items():
            if reset or self._is_later(new.version, key):
                changes += self._exchange(key, new)
        self._removed = {uid: where for uid, where in self._removed.items() if where != scope}
        self._seen_up_to[scope] = version
        self._sync(scope)
        # After all objects are stored: a callback that reads the store sees the whole list.
        for change in changes:
            self._announce(*change)

    def unsync(self, scope: str | None = None) -> None:
        """The kind cannot be watched any more. The objects stay until the next list."""
        self._unsynced.add(scope)
        self._notify_synced()

    def _sync(self, scope: str | None) -> None:
        if scope in self._unsynced:
            self._unsynced.discard(scope)
            self._notify_synced()

    def _notify_synced(self) -> None:
        for callback in self.on_synced:
            callback()

    # Storing.

    def _scope(self, namespace: str) -> str | None:
        return None if None in self._seen_up_to else namespace

    def _is_before_own_delete(self, obj: Object) -> bool:
        """Is this a version from before an own delete of the object?"""
        return uid_of(obj) in self._removed and not is_terminating(obj)

    def _drop(self, obj: Object) -> None:
        """Forget this object, unless another one has its name or a later version is held."""
        key = name_of(obj)
        held = self._objects.get(key)
        if held and held.uid == uid_of(obj) and not known_newer(held.version, version_of(obj)):
            self._announce(*self._set(key, None))

    def _upsert(self, obj: Object) -> None:
        """Store an object unless it is older than what is held."""
        key = name_of(obj)
        if self._is_later(version_of(obj), key):
            for change in self._exchange(key, held_form(obj, self.watch, self._owners)):
                self._announce(*change)

    def _is_later(self, version: str, key: NamespacedName) -> bool:
        """Is the version later than the one that is held under the key?"""
        held = self._objects.get(key)
        return held is None or newer(version, held.version)

    def _exchange(self, key: NamespacedName, new: Held | None) -> list[Change]:
        """Store an object; first delete another one of its name, as a change of its own."""
        held = self._objects.get(key)
        if held and new and held.uid != new.uid:
            return [self._set(key, None), self._set(key, new)]
        return [self._set(key, new)]

    def _set(self, key: NamespacedName, new: Held | None) -> Change:
        """Set or (None) remove the object under the key, and its index entries; (old, new)."""
        old = self._objects.pop(key, None)
        if old is not None:
            for owner in old.owners:
                self._owned.discard(owner, key)
            if old.index is not None:
                self._indexed.discard((key[0], old.index), key)
        if new is not None:
            self._objects[key] = new
            for owner in new.owners:
                self._owned.add(owner, key)
            if new.index is not None:
                self._indexed.add((key[0], new.index), key)
        return old, new

    def _announce(self, before: Held | None, after: Held | None) -> None:
        """Call ``on_change``, unless only the resource version differs."""
        old = before.decoded() if before else None
        new = after.decoded() if after else None
        if is_unchanged(old, new):
            return
        for callback in self.on_change:
            callback(old, new)

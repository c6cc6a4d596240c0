"""What we know of one kind: the watch's view with our own writes laid over it.

The rule: a version replaces an older one and never a newer one, whichever way the two came.
A list and a watch know all that happened up to their resource version; so an answer to our own
write that is not newer than that adds nothing, and an object missing from a list is gone unless
we hold a version newer than the list. Every change is announced, deletions missed in a gap too.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import structlog

from reconciler.api import Listing, WatchEvent
from reconciler.meta import controller_of, key_parts, newer
from reconciler.model import Kind, Need, Object, Watch

NamespacedName = tuple[str, str]
"""(namespace, name); the namespace of a cluster-scoped object is empty."""

Change = tuple[Object | None, Object | None]
"""(old, new); None where there was or is no object."""

OnChange = Callable[[Object | None, Object | None], None]
"""Called with the two sides of a Change after the store changed."""

_REMOVED_LIMIT = 10_000

T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)


class Store:
    """The objects of one kind, cut down as its Watch says. They must not be changed.

    ``scopes`` are the namespaces that are listed and watched each on its own; None is all of
    them at once, as it always is for kinds without namespaces. ``owner`` answers the uid of the
    parent that an object is a child of; as it stands, that of the controller owner reference.
    Callbacks must not raise.
    """

    def __init__(
        self,
        watch: Watch,
        scopes: Sequence[str | None] = (None,),
        *,
        owner: Callable[[Object], str | None] | None = None,
    ) -> None:
        self.watch = watch
        self.scopes = tuple(scopes) if watch.kind.namespaced else (None,)
        self._owner = owner or controller_uid
        self.on_change: list[OnChange] = []
        self.on_synced: list[Callable[[bool], None]] = []
        self._objects: dict[NamespacedName, Object] = {}
        self._owned: defaultdict[str, set[NamespacedName]] = defaultdict(set)
        self._indexed: defaultdict[NamespacedName, set[NamespacedName]] = defaultdict(set)
        self._index_of: dict[NamespacedName, NamespacedName] = {}
        self._removed: dict[str, str | None] = {}  # uid of what we deleted, oldest first: scope
        self._passed: dict[str | None, str] = dict.fromkeys(self.scopes, "")
        self._unsynced = set(self.scopes)
        self._all_synced = asyncio.Event()

    # What controllers read.

    @property
    def kind(self) -> Kind:
        """The kind of all objects here."""
        return self.watch.kind

    @property
    def synced(self) -> bool:
        """Has every scope been listed, and is still being watched?"""
        return not self._unsynced

    def scope_synced(self, scope: str | None) -> bool:
        """The same of one scope."""
        return scope not in self._unsynced

    async def wait_synced(self) -> None:
        """Return once synced."""
        await self._all_synced.wait()

    def __len__(self) -> int:
        return len(self._objects)

    def all(self) -> tuple[Object, ...]:
        """All objects."""
        return tuple(self._objects.values())

    def get(self, namespace: str, name: str) -> Object | None:
        """The object of that name, or None."""
        return self._objects.get((namespace, name))

    def owned(self, uid: str) -> tuple[Object, ...]:
        """The children of the parent with this uid, by namespace and name."""
        return self._sorted(self._owned.get(uid, ()))

    def indexed(self, namespace: str, value: str) -> tuple[Object, ...]:
        """Those of a namespace for which ``Watch.index`` answers this value, by name."""
        return self._sorted(self._indexed.get((namespace, value), ()))

    def needed(self, need: Need) -> tuple[Object, ...]:
        """The answer to a Need for this kind."""
        if need.name is not None:
            found = self.get(need.namespace, need.name)
            return (found,) if found else ()
        return self.indexed(need.namespace, need.index or "")

    def _sorted(self, keys: Iterable[NamespacedName]) -> tuple[Object, ...]:
        return tuple(self._objects[key] for key in sorted(keys))

    # What writers tell.

    def put(self, obj: Object) -> None:
        """The answer to an own write, ahead of the watch."""
        passed = self._passed.get(self._scope(obj), "")
        if newer(obj, _version(passed)) and not self._gone(obj):
            self._take(obj)

    def remove(self, obj: Object) -> None:
        """Our delete of this object was accepted.

        Frames of it that are still on their way do not bring it back. One that has finalizers
        goes when the watch says so; one that is not held went that way already.
        """
        key = key_parts(obj)
        held = self._objects.get(key)
        if not held or _uid(held) != _uid(obj) or held["metadata"].get("finalizers"):
            return
        self._removed[_uid(obj)] = self._scope(obj)
        if len(self._removed) > _REMOVED_LIMIT:
            del self._removed[next(iter(self._removed))]
        self._announce(*self._stored(key, None))

    # What the reflector tells.

    def observe(self, event: WatchEvent, scope: str | None = None) -> None:
        """One frame of the watch of a scope, in the watch's order."""
        obj = event.object
        self._passed[scope] = obj["metadata"].get("resourceVersion", "")
        if event.type == "BOOKMARK":
            return
        if event.type == "DELETED":
            self._removed.pop(_uid(obj), None)
            self._drop(obj)
        elif not self._gone(obj):
            self._take(obj)

    def replace(self, listing: Listing, scope: str | None = None, *, reset: bool = False) -> None:
        """A complete list of a scope: take it over in one step, announce what differs.

        ``reset``: the server went back in time (a restored backup), and what we hold is not
        newer but from a future that did not happen.
        """
        # Listed without a sign of our delete: the list is older than the delete.
        listed = {key_parts(obj): obj for obj in listing.items if not self._gone(obj)}
        here = _version("" if reset else listing.resource_version)
        changes = [
            self._stored(key, None)
            for key, held in list(self._objects.items())
            if key not in listed and self._scope(held) == scope and not _ahead(held, here)
        ]
        for obj in listed.values():
            changes += self._taken(obj, reset=reset)
        self._removed = {uid: where for uid, where in self._removed.items() if where != scope}
        self._passed[scope] = listing.resource_version
        self._sync(scope)
        for old, new in changes:
            self._announce(old, new)

    def unsync(self, scope: str | None = None) -> None:
        """The kind or the right to see it went away. What we hold stays, for the next list."""
        was = self.synced
        self._unsynced.add(scope)
        self._all_synced.clear()
        if was:
            for callback in self.on_synced:
                callback(False)

    def _sync(self, scope: str | None) -> None:
        was = self.synced
        self._unsynced.discard(scope)
        if self.synced and not was:
            self._all_synced.set()
            for callback in self.on_synced:
                callback(True)

    # How objects come in.

    def _scope(self, obj: Object) -> str | None:
        return None if None in self._passed else obj["metadata"].get("namespace", "")

    def _gone(self, obj: Object) -> bool:
        """Is this a version from before our delete of it?"""
        return _uid(obj) in self._removed and "deletionTimestamp" not in obj["metadata"]

    def _drop(self, obj: Object) -> None:
        """Forget this object, unless its name is another's by now or we hold a later version."""
        key = key_parts(obj)
        held = self._objects.get(key)
        if held and _uid(held) == _uid(obj) and not _ahead(held, obj):
            self._announce(*self._stored(key, None))

    def _take(self, obj: Object) -> None:
        for old, new in self._taken(obj):
            self._announce(old, new)

    def _taken(self, obj: Object, *, reset: bool = False) -> list[Change]:
        """Store an object unless it is older than what is held; the changes to announce."""
        key = key_parts(obj)
        held = self._objects.get(key)
        if held and not reset and not newer(obj, held):
            return []
        new = self._cut(obj)
        if held and new and _uid(held) != _uid(new):
            return [self._stored(key, None), self._stored(key, new)]
        if held or new:
            return [self._stored(key, new)]
        return []

    def _cut(self, obj: Object) -> Object | None:
        """Without managed fields, which can be most of an object, and as ``keep`` says."""
        metadata = {
            name: value for name, value in obj["metadata"].items() if name != "managedFields"
        }
        whole = {**obj, "metadata": metadata}
        return _asked(self.watch.keep, whole, otherwise=whole) if self.watch.keep else whole

    def _stored(self, key: NamespacedName, new: Object | None) -> Change:
        """Put ``new`` in the place of what is held under the key; (old, new)."""
        old = self._objects.pop(key, None)
        if old is not None:
            _discard(self._owned, self._owner(old), key)
            _discard(self._indexed, self._index_of.pop(key, None), key)
        if new is not None:
            self._objects[key] = new
            if owner := self._owner(new):
                self._owned[owner].add(key)
            value = _asked(self.watch.index, new, None) if self.watch.index else None
            if value is not None:
                self._index_of[key] = key[0], value
                self._indexed[key[0], value].add(key)
        return old, new

    def _announce(self, old: Object | None, new: Object | None) -> None:
        """Tell of a change; another resource version alone is none."""
        if old is not None and new is not None and _same(old, new):
            return
        for callback in self.on_change:
            callback(old, new)


def _discard(index: dict[Any, set[NamespacedName]], value: object, key: NamespacedName) -> None:
    """Leave no empty sets behind: names come and go for months."""
    if value is not None and (keys := index.get(value)):
        keys.discard(key)
        if not keys:
            del index[value]


def controller_uid(obj: Object) -> str | None:
    """The uid in the controller owner reference, or None."""
    reference = controller_of(obj)
    return reference["uid"] if reference else None


def _uid(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def _asked(question: Callable[[Object], T | None], obj: Object, otherwise: T | None) -> T | None:
    """The domain's answer about one object. A raise costs this answer, and not the watch."""
    try:
        return question(obj)
    except Exception as error:  # noqa: BLE001 - pure code of a domain may raise anything
        # No traceback: its local variables are the object, and that may be a Secret.
        log.error("keep or index failed", object=key_parts(obj), error=repr(error))  # noqa: TRY400
        return otherwise


def _ahead(left: Object, right: Object) -> bool:
    """Is ``left`` known to be later? False where versions cannot be compared: gone means gone."""
    a, b = left["metadata"].get("resourceVersion", ""), right["metadata"].get("resourceVersion", "")
    return bool(a.isdigit() and b.isdigit() and int(a) > int(b))


def _version(resource_version: str) -> Object:
    """An object that is nothing but its version, to compare with."""
    return {"metadata": {"resourceVersion": resource_version}}


def _same(old: Object, new: Object) -> bool:
    if {**old, "metadata": None} != {**new, "metadata": None}:
        return False
    before, after = old["metadata"], new["metadata"]
    return {**before, "resourceVersion": ""} == {**after, "resourceVersion": ""}

"""What we know of one kind: the watch's view with our own writes laid over it.

The rule: a version replaces an older one and never a newer one, whichever way the two came.
A list and a watch know all that happened up to their resource version; so an answer to our own
write that is not newer than that adds nothing, and an object missing from a list is gone unless
we hold a version newer than the list. Every change is announced, deletions missed in a gap too.

Objects are held encoded and decoded for each reader: as dicts they take ten times the room, and
so nobody who changes what he was handed changes it for others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import structlog

from contract.demands import Need, Watch
from contract.metadata import key_parts, known_newer, newer
from contract.model import Kind, Object
from reconciler.client.api import WatchEvent

NamespacedName = tuple[str, str]
"""(namespace, name); the namespace of a cluster-scoped object is empty."""

OnChange = Callable[[Object | None, Object | None], None]
"""Called with (old, new) after the store changed; None where there was or is no object."""

_REMOVED_LIMIT = 10_000

T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)


class Held(msgspec.Struct, frozen=True, gc=False):
    """One object as the store holds it: encoded, and beside it what the store itself asks for."""

    uid: str
    version: str
    owners: tuple[str, ...]
    index: str | None
    content: bytes

    def decoded(self) -> Object:
        """The object; it is the caller's own."""
        obj: Object = msgspec.json.decode(self.content)
        return obj


Change = tuple[Held | None, Held | None]
"""(old, new); None where there was or is no object."""


class Store:
    """The objects of one kind, cut down as its Watch says.

    ``scopes`` are the namespaces that are listed and watched each on its own; None is all of
    them at once, as it always is for kinds without namespaces. ``owners`` answers the uids of the
    parents that an object may be a child of.
    ``on_change`` is called after the store changed, ``on_synced`` after a scope was filled or
    could no longer be watched. Callbacks must not raise.
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
        self._owned: defaultdict[str, set[NamespacedName]] = defaultdict(set)
        self._indexed: defaultdict[NamespacedName, set[NamespacedName]] = defaultdict(set)
        self._removed: dict[str, str | None] = {}  # uid of what we deleted, oldest first: scope
        self._passed: dict[str | None, str] = dict.fromkeys(self.scopes, "")
        self._unsynced = set(self.scopes)

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

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[NamespacedName]:
        return iter(self._objects)

    def remembered(self) -> int:
        """How many entries are kept: objects, what finds them, deletions not yet seen to arrive."""
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
        return tuple(self._objects[key].decoded() for key in sorted(keys))

    # What writers tell.

    def put(self, obj: Object) -> None:
        """The answer to an own write, ahead of the watch."""
        passed = self._passed.get(self._scope(obj["metadata"].get("namespace", "")), "")
        if newer(_version(obj), passed) and not self._gone(obj):
            self._take(obj)

    def remove(self, obj: Object) -> None:
        """Our delete of this object was answered: it is gone.

        Frames of it that are still on their way do not bring it back. One that is not held was
        reported as deleted by the watch already.
        """
        key = key_parts(obj)
        held = self._objects.get(key)
        if not held or held.uid != _uid(obj):
            return
        self._removed[held.uid] = self._scope(key[0])
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

    def cut(self, objects: Iterable[Object]) -> dict[NamespacedName, Held]:
        """A list as it will be held; what ``keep`` drops is not in it."""
        cut = ((key_parts(obj), self._held(obj)) for obj in objects)
        return {key: held for key, held in cut if held is not None}

    def replace(
        self,
        listed: Mapping[NamespacedName, Held],
        version: str,
        scope: str | None = None,
        *,
        reset: bool = False,
    ) -> None:
        """A complete list of a scope: take it over in one step, announce what differs.

        ``reset``: the server went back in time (a restored backup), and what we hold is not
        newer but from a future that did not happen.
        """
        # Listed without a sign of our delete: the list is older than the delete.
        listed = {
            key: new
            for key, new in listed.items()
            if new.uid not in self._removed or _dying(new.decoded())
        }
        changes = [
            self._stored(key, None)
            for key, held in list(self._objects.items())
            if key not in listed
            and self._scope(key[0]) == scope
            and (reset or not known_newer(held.version, version))
        ]
        for key, new in listed.items():
            if reset or self._later(new.version, key):
                changes += self._exchanged(key, new)
        self._removed = {uid: where for uid, where in self._removed.items() if where != scope}
        self._passed[scope] = version
        self._sync(scope)
        for change in changes:
            self._announce(*change)

    def unsync(self, scope: str | None = None) -> None:
        """The kind or the right to watch it went away. What is held stays until the next list."""
        self._unsynced.add(scope)
        self._notify_synced()

    def _sync(self, scope: str | None) -> None:
        if scope in self._unsynced:
            self._unsynced.discard(scope)
            self._notify_synced()

    def _notify_synced(self) -> None:
        for callback in self.on_synced:
            callback()

    # How objects come in.

    def _scope(self, namespace: str) -> str | None:
        return None if None in self._passed else namespace

    def _gone(self, obj: Object) -> bool:
        """Is this a version from before our delete of it?"""
        return _uid(obj) in self._removed and not _dying(obj)

    def _drop(self, obj: Object) -> None:
        """Forget this object, unless its name is another's by now or we hold a later version."""
        key = key_parts(obj)
        held = self._objects.get(key)
        if held and held.uid == _uid(obj) and not known_newer(held.version, _version(obj)):
            self._announce(*self._stored(key, None))

    def _take(self, obj: Object) -> None:
        """Store an object unless it is older than what is held."""
        key = key_parts(obj)
        if self._later(_version(obj), key):
            for change in self._exchanged(key, self._held(obj)):
                self._announce(*change)

    def _later(self, version: str, key: NamespacedName) -> bool:
        """Is it later than what is held under the key?"""
        held = self._objects.get(key)
        return held is None or newer(version, held.version)

    def _held(self, obj: Object) -> Held | None:
        """Without managed fields, which can be most of an object, and as ``keep`` says."""
        metadata = {
            name: value for name, value in obj["metadata"].items() if name != "managedFields"
        }
        whole = {**obj, "metadata": metadata}
        kept = call_domain(self.watch.keep, whole, otherwise=whole) if self.watch.keep else whole
        if kept is None:
            return None
        index = call_domain(self.watch.index, kept, None) if self.watch.index else None
        content = bytes(memoryview(msgspec.json.encode(kept)))  # which leaves room at its end
        return Held(_uid(obj), _version(obj), self._owners(kept), index, content)

    def _exchanged(self, key: NamespacedName, new: Held | None) -> list[Change]:
        """Another object of the same name is a deletion and an addition."""
        held = self._objects.get(key)
        if held and new and held.uid != new.uid:
            return [self._stored(key, None), self._stored(key, new)]
        return [self._stored(key, new)]

    def _stored(self, key: NamespacedName, new: Held | None) -> Change:
        """Put ``new`` in the place of what is held under the key; (old, new)."""
        old = self._objects.pop(key, None)
        if old is not None:
            for owner in old.owners:
                _discard(self._owned, owner, key)
            _discard(self._indexed, (key[0], old.index), key)
        if new is not None:
            self._objects[key] = new
            for owner in new.owners:
                self._owned[owner].add(key)
            if new.index is not None:
                self._indexed[key[0], new.index].add(key)
        return old, new

    def _announce(self, before: Held | None, after: Held | None) -> None:
        """Tell of a change; another resource version alone is none."""
        old = before.decoded() if before else None
        new = after.decoded() if after else None
        if _same(old, new):
            return
        for callback in self.on_change:
            callback(old, new)


def _discard(index: dict[Any, set[NamespacedName]], value: object, key: NamespacedName) -> None:
    """Leave no empty sets behind: names come and go for months."""
    if value is not None and (keys := index.get(value)):
        keys.discard(key)
        if not keys:
            del index[value]


def _uid(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def call_domain(
    question: Callable[[Object], T | None], obj: Object, otherwise: T | None
) -> T | None:
    """Call ``keep`` or ``index``; log an exception and use the fallback, for the watch goes on."""
    try:
        return question(obj)
    except Exception as error:  # noqa: BLE001 - pure code of a domain may raise anything
        # No traceback: its local variables are the object, and that may be a Secret.
        log.error("keep or index failed", object=key_parts(obj), error=repr(error))  # noqa: TRY400
        return otherwise


def _dying(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def _same(old: Object | None, new: Object | None) -> bool:
    if old is None or new is None:
        return old is new
    if {**old, "metadata": None} != {**new, "metadata": None}:
        return False
    before, after = old["metadata"], new["metadata"]
    return {**before, "resourceVersion": ""} == {**after, "resourceVersion": ""}

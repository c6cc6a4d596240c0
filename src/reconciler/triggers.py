"""Which parents are reconciled when an object changes.

The rule: a change queues the parent itself, the parents that the object belongs to, and those that
asked for it by name or by index in their last pass; no other parent, and never the one whose pass
wrote it. A parent whose pass waits for a cache is queued when the cache is filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from contract.demands import Demand, Need, Watch
from contract.metadata import controller_of, key_parts
from contract.model import Key, Kind, Object
from contract.ownership import annotations_of, kept_annotation, owner_annotation
from contract.plan import Controller
from contract.record import record_annotation
from reconciler.cache import Store
from reconciler.held import call_domain
from reconciler.index import Index
from reconciler.parents import own_fields
from reconciler.queue import WorkQueue
from reconciler.watches import cached_form

State = tuple[str, str]
"""Uid and resource version: one state of one object."""

GONE: State = ("", "")


class Triggers:
    """Turns changes into keys of the queue.

    ``parents`` answers the cache of a controller's own kind. ``gone`` is called with the key and
    the uid of a parent that left the cache, and with the demands that nobody makes any more.
    """

    def __init__(
        self,
        controllers: Sequence[Controller],
        queue: WorkQueue[Key],
        parents: Callable[[Controller], Store],
        gone: Callable[[Key, str, tuple[Demand, ...]], None],
    ) -> None:
        self._controllers = controllers
        self._queue = queue
        self._parents = parents
        self._gone = gone
        self._interests = Interests()
        self._parked: dict[Watch, set[Key]] = {}
        self._changed_during_pass: dict[Key, set[State]] = {}
        self._answering: Key | None = None

    # Changes of the caches.

    def changed(self, form: Watch, old: Object | None, new: Object | None) -> None:
        """An object of a cache changed from ``old`` to ``new``; None where it is not there."""
        keys: set[Key] = set()
        for obj in (old, new):
            if obj is not None:
                keys |= self._interests.askers(form, obj)
        for controller in self._controllers:
            if form == Watch(controller.kind):
                self._parent_changed(controller, old, new)
                continue
            parents = self._parents(controller)
            for obj in (old, new):
                if obj is not None:
                    keys.update(owners(controller, parents, obj))
        for key in keys:
            if self._is_cached(key):
                self._enqueue(key, state_of(new))

    def _is_cached(self, key: Key) -> bool:
        """Is it a parent in the cache? A deleted one's children are still reported after it.

        Queueing its key would leak it; the ADDED frame of a parent that is yet to come queues it.
        """
        return any(
            controller.kind == key.kind
            and self._parents(controller).uid(key.namespace, key.name) is not None
            for controller in self._controllers
        )

    def _parent_changed(
        self, controller: Controller, old: Object | None, new: Object | None
    ) -> None:
        obj = new or old
        if obj is None:
            return
        group = controller.kind.group
        key = Key(controller.kind, *key_parts(obj))
        if new is None:
            ended = self.subscribe(key, ())
            for keys in self._parked.values():
                keys.discard(key)
            self._queue.drop(key)
            self._gone(key, str(obj["metadata"].get("uid", "")), ended)
        elif old is None or user_metadata(old, group) != user_metadata(new, group):
            # A user who changes an object does not wait for the backoff of its old state.
            self._queue.forget(key)
            self._queue.add(key)
        elif own_fields(old, group) != own_fields(new, group):
            self._enqueue(key, state_of(new))

    def _enqueue(self, key: Key, state: State) -> None:
        """Reconcile the key again, unless this state of an object is an answer to its own pass.

        The watch can be faster than the answer to a write: what comes in during a pass is looked
        at when the pass has ended, and only if the pass did not write it.
        """
        if key == self._answering:
            return
        if key in self._changed_during_pass:
            self._changed_during_pass[key].add(state)
        else:
            self._queue.add(key)

    # A pass.

    def begin(self, key: Key) -> None:
        """A pass over the key begins: from now on changes are collected."""
        self._changed_during_pass[key] = set()

    def end(self, key: Key) -> None:
        """The pass has ended: what changed during it, and not by it, is reconciled."""
        if self._changed_during_pass.pop(key):
            self._queue.add(key)

    def answered(self, key: Key, obj: Object, store: Callable[[], None]) -> None:
        """The answer to a write of the key's pass; ``store`` puts it into the caches.

        The caches report it as they report any change, before ``store`` returns; it does not queue
        the key itself.
        """
        self._changed_during_pass.get(key, set()).discard(state_of(obj))
        self._answering = key
        try:
            store()
        finally:
            self._answering = None

    def subscribe(self, key: Key, demands: Iterable[Demand]) -> tuple[Demand, ...]:
        """See ``Interests.subscribe``."""
        forms = (cached_form(each) if isinstance(each, Watch) else each for each in demands)
        return self._interests.subscribe(key, tuple(forms))

    def learned(self, demand: Demand) -> None:
        """A question was answered, or cannot be: reconcile those that asked it."""
        for key in self._interests.subscribers(demand):
            self._queue.add(key)

    # Caches being filled.

    def park(self, key: Key, form: Watch) -> None:
        """Reconcile the key when this cache is filled."""
        self._parked.setdefault(form, set()).add(key)

    def filled(self, form: Watch) -> None:
        """A cache was filled, cannot be watched any more, or is not waited for any longer."""
        keys = self._parked.pop(form, set())
        keys.update(self._interests.subscribers(form))
        for controller in self._controllers:
            if any(each.optional and cached_form(each) == form for each in controller.watches):
                keys.update(self.keys(controller))
        for key in keys:
            self._queue.add(key)

    def keys(self, controller: Controller) -> Iterable[Key]:
        """The keys of all parents of a controller that the cache holds."""
        for namespace, name in self._parents(controller):
            yield Key(controller.kind, namespace, name)

    @property
    def under_way(self) -> int:
        """How many passes are under way."""
        return len(self._changed_during_pass)

    @property
    def parked(self) -> int:
        """How many keys wait for a cache."""
        return sum(map(len, self._parked.values()))

    def remembered(self) -> int:
        """Of how many keys anything is remembered."""
        return self._interests.remembered() + self.parked + self.under_way


class Interests:
    """What each parent's last pass asked for."""

    def __init__(self) -> None:
        self._demands: dict[Key, tuple[Demand, ...]] = {}
        self._keys: Index[Demand, Key] = Index()

    def subscribe(self, key: Key, demands: tuple[Demand, ...]) -> tuple[Demand, ...]:
        """From now on changes of what these demands ask for queue the key.

        No demands end it. Returns the demands that no key makes any more.
        """
        before = self._demands.get(key, ())
        if demands == before:
            return ()
        for demand in demands:
            self._keys.add(demand, key)
        ended = []
        for demand in before:
            if demand in demands:
                continue
            self._keys.discard(demand, key)
            if not self._keys[demand]:
                ended.append(demand)
        if demands:
            self._demands[key] = demands
        else:
            self._demands.pop(key, None)
        return tuple(ended)

    def subscribers(self, demand: Demand) -> Iterable[Key]:
        """The keys whose last pass made this demand."""
        return self._keys[demand]

    def askers(self, watch: Watch, obj: Object) -> set[Key]:
        """The keys whose last pass asked for this object, by name or by the watch's index."""
        namespace, name = key_parts(obj)
        keys = set(self._keys[Need(watch.kind, namespace, name=name)])
        index = call_domain(watch.index, obj, None) if watch.index else None
        if index is not None:
            keys.update(self._keys[Need(watch.kind, namespace, index=index)])
        return keys

    def remembered(self) -> int:
        """Of how many keys anything is remembered."""
        return len({*self._demands, *(key for demand in self._keys for key in self._keys[demand])})


def owners(controller: Controller, parents: Store, obj: Object) -> Iterable[Key]:
    """The parents of one controller that an object belongs to, or once belonged to.

    A controller reference names the parent; of an earlier parent of the same name it counts too,
    because what that one left blocks the names of the present one's children. Where a reference
    is missing or impossible, the mark says which parent it is.
    """
    kind = controller.kind
    reference = controller_of(obj)
    if reference is not None and _is_of_kind(reference, kind):
        namespace = key_parts(obj)[0] if kind.namespaced else ""
        yield Key(kind, namespace, str(reference.get("name")))
        return
    uid = annotations_of(obj).get(owner_annotation(kind.group))
    key = parents.key_of(uid) if uid else None
    if key is not None:
        yield Key(kind, *key)
    # A kept object outlives its parent's uid: its mark names the parent.
    resource, _, kept_for = annotations_of(obj).get(kept_annotation(kind.group), "").partition("/")
    if resource == kind.resource:
        namespace, _, name = kept_for.partition("/")
        yield Key(kind, namespace, name)


def _is_of_kind(reference: Mapping[str, Any], kind: Kind) -> bool:
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    return (group, reference.get("kind")) == (kind.group, kind.kind)


def user_metadata(parent: Object, group: str) -> list[Any]:
    """The metadata that only a user's edit changes; status writes and records leave it alone.

    The answer to our own status write can carry an edit before the watch does. The watch's frame
    of that edit is then older than the cache and changes nothing, so both are compared alike.
    """
    metadata = parent["metadata"]
    names = ("uid", "generation", "labels", "deletionTimestamp")
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(record_annotation(group), None)
    return [*(metadata.get(name) for name in names), annotations]


def state_of(obj: Object | None) -> State:
    """The state of an object; None is one that is gone."""
    if obj is None:
        return GONE
    metadata = obj["metadata"]
    return metadata.get("uid", ""), metadata.get("resourceVersion", "")

"""What a plan sees: the same for a pass, which reads caches, and for ``plan``, which reads lists.

``look`` asks the controller for its demands until it asks for nothing new. It awaits nothing and
starts nothing by itself: a cache that is still being filled, or a question without an answer, is a
fact that the plan is shown. ``find`` adds what has the name of a wanted child.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from contract.demands import Demand, Need, Seen, Watch
from contract.facts import Ask, Fact
from contract.metadata import key_parts
from contract.model import Key, Kind, Object
from contract.ownership import Owner, is_kept, is_own
from contract.plan import Child, Controller, Plan
from objects.kinds import NAMESPACE
from reconciler.cache import Store
from reconciler.target import ChangeSet

ROUNDS = 6
"""How often ``needs`` is asked in one pass; a controller that still asks for more has a bug."""


class Unsettled(Exception):
    """A controller's ``needs`` asks for something new in every round.

    ``asks`` are the questions of all rounds: they were put to their sources.
    """

    def __init__(self, kind: Kind, asks: tuple[Ask, ...]) -> None:
        super().__init__(
            f"{kind}: needs asks for something new in each of {ROUNDS} rounds; "
            f"this is a bug of the operator"
        )
        self.asks = asks


class Library(Protocol):
    """The caches and the facts that a look reads. Answers at once."""

    def store(self, watch: Watch) -> Store | None:
        """The cache of a watch; None while it is filled for the first time, or absent."""

    def absent(self, watch: Watch) -> bool:
        """Is the kind of an optional or demanded watch not served, not allowed, or not answered?"""

    def fact(self, ask: Ask, now: datetime) -> Fact:
        """What is known of a question."""


@dataclass(slots=True)
class Look:
    """What was seen for one parent, and where.

    ``demands`` are those of all rounds: the caller subscribes to each of them, and releases the
    questions when the parent asks them no more. ``unfilled`` are the watches whose caches are
    still being filled: a plan without them would delete what they hold. ``stores`` are the caches
    that were read, by watch; ``owner`` is the parent.
    """

    owner: Owner
    seen: Seen
    stores: dict[Watch, Store] = field(default_factory=dict)
    demands: tuple[Demand, ...] = ()
    unfilled: list[Watch] = field(default_factory=list)

    def cached(self, child: Child) -> Object | None:
        """What the caches hold under the name of a child, whoever owns it."""
        for watch, store in self.stores.items():
            if watch.kind == child.kind and (obj := store.get(*key_parts(child.body))):
                return obj
        return None

    def store_of(self, need: Need) -> Store | None:
        """The cache that answers a Need: one that holds all that could be asked for."""
        for watch, store in self.stores.items():
            if _answers(watch, need):
                return store
        return None

    def again(self) -> Seen:
        """What is seen, with the needed objects as the caches hold them now, after own writes."""
        stores = {need: self.store_of(need) for need in self.seen.needed}
        needed = {
            need: store.needed(need) if store is not None else self.seen.needed[need]
            for need, store in stores.items()
        }
        return replace(self.seen, needed=needed)


def _answers(watch: Watch, need: Need) -> bool:
    """Does a watch hold what a Need asks for?

    A selection by label cannot show that a name is not there, and one without index finds nothing.
    """
    if watch.kind != need.kind or watch.namespace not in (None, need.namespace):
        return False
    return not watch.labels if need.index is None else watch.index is not None


def look(
    controller: Controller, parent: Object, spec: Any, now: datetime, library: Library
) -> Look:
    """See the parent's children and what its plan needs. Raises Unsettled."""
    watched = controller.watches
    places = [each.namespace for each in watched if each.child and each.namespace]
    gathering = _Gathering(Owner.of(controller.kind, parent, places), library, now)
    # Namespaces first: whether an object in another namespace is the parent's depends on them.
    gathering.read([each for each in watched if each.kind == NAMESPACE])
    gathering.read(watched)
    demands: tuple[Demand, ...] = ()
    for _ in range(ROUNDS):
        wanted = controller.needs(parent, spec, gathering.seen, now)
        if wanted == demands:
            return gathering.concluded(demands)
        gathering.read(wanted)
        demands = wanted
    raise Unsettled(controller.kind, gathering.asks)


class _Gathering:
    """A look under way. Each demand is looked up once, however often it is asked for."""

    def __init__(self, owner: Owner, library: Library, now: datetime) -> None:
        self._library = library
        self._now = now
        self._children: dict[Key, Object] = {}
        self._needed: dict[Need, tuple[Object, ...]] = {}
        self._facts: dict[Ask, Fact] = {}
        self._absent: set[Kind] = set()
        self._look = Look(owner, Seen(owner.namespace, self._children))
        self._read: set[Demand] = set()

    @property
    def seen(self) -> Seen:
        """What is seen so far."""
        return self._look.seen

    @property
    def asks(self) -> tuple[Ask, ...]:
        """The questions that were put so far."""
        return tuple(self._facts)

    def read(self, demands: Iterable[Demand]) -> None:
        """Look up what was not looked up before; watches first, because they answer Needs."""
        for demand in sorted(demands, key=lambda each: isinstance(each, Need)):
            if demand in self._read:
                continue
            self._read.add(demand)
            if isinstance(demand, Watch):
                self._watch(demand)
            elif isinstance(demand, Need):
                self._needed[demand] = self._need(demand)
            else:
                self._facts[demand] = self._library.fact(demand, self._now)
        self._look.seen = replace(
            self._look.seen,
            children=self._children,
            needed=self._needed,
            facts=self._facts,
            absent=frozenset(self._absent),
        )

    def concluded(self, last: tuple[Demand, ...]) -> Look:
        """The look; the plan is shown the answers to the last round's demands and to no others."""
        asked = self._needed.keys() | self._facts.keys()
        self._look.demands = last
        if asked <= set(last):
            return self._look
        # What only an earlier round asked for stays subscribed to: its answer decided this round.
        self._look.demands = (*last, *(each for each in asked if each not in last))
        self._look.seen = replace(
            self._look.seen,
            needed={need: found for need, found in self._needed.items() if need in last},
            facts={ask: fact for ask, fact in self._facts.items() if ask in last},
        )
        return self._look

    def _watch(self, watch: Watch) -> None:
        if self._library.absent(watch):
            self._absent.add(watch.kind)
            return
        store = self._library.store(watch)
        if store is None:
            self._look.unfilled.append(watch)
            return
        self._look.stores[watch] = store
        if watch.child:
            self._gather(watch, store)

    def _gather(self, watch: Watch, store: Store) -> None:
        owner = self._look.owner
        for obj in store.owned(owner.uid):
            if is_own(obj, owner):
                self._children[Key.of(watch.kind, obj)] = obj
        if watch.kind == NAMESPACE:
            own = [key.name for key in self._children if key.kind == NAMESPACE]
            self._look.owner = owner.owning(own)

    def _need(self, need: Need) -> tuple[Object, ...]:
        store = self._look.store_of(need)
        if store is not None:
            return store.needed(need)
        missing = {*self._absent, *(each.kind for each in self._look.unfilled)}
        if need.kind in missing:
            return ()
        raise LookupError(f"a Need for {need.kind.resource}, which no watch looks at")


async def find(
    sight: Look,
    wanted: Iterable[Child],
    get: Callable[[Child], Awaitable[Object | None]] | None,
) -> tuple[Look, dict[Key, Object], bool]:
    """What is there under the names of the wanted children, whoever owns it.

    ``get`` reads what no cache shows; None where nothing can be there. Answers the look with the
    objects that are the parent's own by a mark that no cache is searched by, all live objects, and
    whether there were such: an object is planned with before it is written, because a plan that
    has not seen how many replicas an autoscaler gave a Deployment would take them away.
    """
    live = dict(sight.seen.children)
    found: dict[Key, Object] = {}
    for child in wanted:
        if child.key in live:
            continue
        obj = sight.cached(child)
        if obj is None and get is not None:
            obj = await get(child)
        if obj is None:
            continue
        live[child.key] = obj
        if child.hold != "shared" and is_own(obj, sight.owner):
            found[child.key] = obj
    if found:
        seen = replace(sight.seen, children={**sight.seen.children, **found})
        sight = replace(sight, seen=seen)
    return sight, live, bool(found)


def change_set(parent: Object, sight: Look, live: Mapping[Key, Object], plan: Plan) -> ChangeSet:
    """What a plan writes and deletes, given what was seen.

    Only what a filled cache of a removable child kind holds is surplus, and nothing in a namespace
    that is itself surplus or being deleted: it goes with the namespace.
    """
    wanted = plan.children or ()
    names = {child.key for child in wanted}
    removable = {watch.kind for watch in sight.stores if watch.child and watch.removable}
    surplus = {
        key: obj
        for key, obj in sight.seen.children.items()
        if key not in names and key.kind in removable and not is_kept(obj, sight.owner)
    }
    leaving = {
        key.name
        for key, obj in sight.seen.children.items()
        if key.kind == NAMESPACE and (key in surplus or "deletionTimestamp" in obj["metadata"])
    }
    doomed = tuple((key.kind, obj) for key, obj in surplus.items() if key.namespace not in leaving)
    return ChangeSet(parent, sight.owner, wanted, live, doomed, plan.acting_as)

"""What a controller can be shown: a parent, what is there beside it, what became of its writes.

It is made from what the controller itself plans and needs: the children of an earlier spec as the
API server holds them, and objects of every kind that it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from contract.demands import Need, Refusal, Seen, Watch
from contract.facts import Ask, Fact
from contract.metadata import key_parts
from contract.model import Key, Kind, Object
from contract.ownership import Owner, owner_uids
from contract.plan import Child, Controller, Plan
from reconciler.cache import Store
from reconciler.look import ROUNDS, Look, look
from reconciler.watches import cached_form
from unit.cluster_objects import live, others
from unit.subjects import Subject, marked, parents

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Situation:
    """A parent and what its controller is shown.

    ``objects`` are all objects of the cluster by kind, ``absent`` the optional kinds that are not
    served, ``facts`` what is known of questions. ``troubles`` are what became of the last writes.
    """

    controller: Controller
    parent: Object
    objects: Mapping[Kind, tuple[Object, ...]] = field(default_factory=dict)
    absent: frozenset[Kind] = frozenset()
    facts: Mapping[Ask, Fact] = field(default_factory=dict)
    foreign: Mapping[Key, str] = field(default_factory=dict)
    refused: Mapping[Key, Refusal] = field(default_factory=dict)
    contested: Mapping[Key, str] = field(default_factory=dict)
    now: datetime = NOW
    statuses: Mapping[str, Any] = field(default_factory=dict)
    """The schema of the status."""

    @property
    def group(self) -> str:
        """The group of the parent."""
        return self.controller.kind.group

    def look(self) -> Look:
        """What a pass sees. Raises Unsettled."""
        spec = self.controller.read(self.parent)
        return look(self.controller, self.parent, spec, self.now, _Shelves(self))

    def seen(self) -> Seen:
        """What the plan is shown after the writes that ended in ``troubles``."""
        seen = self.look().seen
        return replace(seen, foreign=self.foreign, refused=self.refused, contested=self.contested)

    def plan(self, seen: Seen | None = None) -> Plan:
        """The plan of the parent over that, or over what is seen."""
        spec = self.controller.read(self.parent)
        return self.controller.plan(self.parent, spec, seen or self.seen(), self.now)


class _Shelves:
    """The caches and facts of a situation. See ``look.Library``."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._stores: dict[Watch, Store] = {}

    def store(self, watch: Watch) -> Store | None:
        form = cached_form(watch)
        if form not in self._stores:
            group = self._situation.group
            store = Store(form, owners=lambda obj: owner_uids(obj, group))
            held = [
                obj
                for obj in self._situation.objects.get(watch.kind, ())
                if _is_selected(obj, watch)
            ]
            store.replace(store.cut(held), "")
            self._stores[form] = store
        return self._stores[form]

    def absent(self, watch: Watch) -> bool:
        return watch.optional and watch.kind in self._situation.absent

    def fact(self, ask: Ask, now: datetime) -> Fact:
        return self._situation.facts.get(ask, Fact())


def _is_selected(obj: Object, watch: Watch) -> bool:
    if watch.namespace not in (None, key_parts(obj)[0]):
        return False
    labels = obj["metadata"].get("labels") or {}
    wanted = (term.partition("=") for term in watch.labels.split(",") if term)
    return all(name in labels and (not sign or labels[name] == v) for name, sign, v in wanted)


@st.composite
def situations(draw: st.DrawFn, subject: Subject) -> Situation:
    """A parent with any objects beside it that its controller reads, and any failures."""
    controller, kind = draw(st.sampled_from(subject.controllers)), subject.kind
    parent = draw(parents(subject))
    before = {**draw(parents(subject)), "metadata": parent["metadata"]}
    old = Situation(controller, before).plan().children or ()
    new = Situation(controller, parent).plan().children or ()
    objects: dict[Kind, dict[tuple[str, str], Object]] = {}

    def add(of: Kind, obj: Object) -> None:
        objects.setdefault(of, {})[key_parts(obj)] = obj

    owner = Owner.of(kind, parent)
    for child in draw(st.sampled_from([new, old, new, old, ()])):
        if draw(st.integers(0, 3)):
            add(child.kind, draw(live(child, owner, parent)))
    watched = [watch.kind for watch in controller.watches]
    for of in draw(st.lists(st.sampled_from(watched), min_size=1, max_size=3)) if watched else ():
        add(of, draw(others(of, old or new)))
    for of, obj in draw(st.sampled_from([(), subject.beside])):
        add(of, obj)
    parent = draw(marked(parent, kind.group))
    optional = sorted({each.kind for each in controller.watches if each.optional}, key=str)
    found = Situation(
        controller,
        parent,
        statuses=subject.schema["status"],
        absent=frozenset(draw(st.sets(st.sampled_from(optional))) if optional else ()),
        **draw(troubles(new)),
    )
    for _ in range(ROUNDS):
        held = {of: tuple(each.values()) for of, each in objects.items()}
        found = replace(found, objects=held)
        demands = found.look().demands
        named = [each for each in demands if isinstance(each, Need) and each.name]
        asks = [each for each in demands if isinstance(each, Ask)]
        fresh = [
            each for each in named if (each.namespace, each.name) not in objects.get(each.kind, {})
        ]
        unknown = [each for each in asks if each not in found.facts]
        fresh = [each for each in fresh if draw(st.booleans())]
        if not fresh and not unknown:
            break
        for need in fresh:
            add(need.kind, _named(draw(others(need.kind, ())), need))
        facts = {**found.facts, **{ask: draw(FACTS) for ask in unknown}}
        found = replace(found, facts=facts)
    return found


FACTS = st.builds(
    Fact,
    value=st.none(),
    at=st.just(None),
    trouble=st.sampled_from(["", "connection refused"]),
    final=st.booleans(),
)
"""What is known of a question before there is an answer: answers are between source and domain."""


def _named(obj: Object, need: Need) -> Object:
    metadata = {**obj["metadata"], "name": need.name}
    if need.namespace:
        metadata["namespace"] = need.namespace
    return {**obj, "metadata": metadata}


@st.composite
def troubles(draw: st.DrawFn, children: tuple[Child, ...]) -> dict[str, Any]:
    """What can have become of the last writes of these children."""
    keys = [child.key for child in children]
    if not keys or draw(st.booleans()):
        return {}
    some = st.lists(st.sampled_from(keys), max_size=2, unique=True)
    text = st.sampled_from(["it belongs to Other x", "x" * 1024, ""])
    refusal = st.builds(Refusal, st.sampled_from([403, 422, 500]), st.just("Invalid"), text)
    return {
        "foreign": {key: draw(text) for key in draw(some)},
        "refused": {key: draw(refusal) for key in draw(some)},
        "contested": dict.fromkeys(draw(some), "rival"),
    }


def shuffled(seen: Seen) -> Iterator[Seen]:
    """The same, with its maps in another order."""
    for turn in (1, 2):
        maps: dict[str, Any] = {
            name: dict(_turned(list(getattr(seen, name).items()), turn))
            for name in ("children", "needed", "facts", "foreign", "refused", "contested")
        }
        yield replace(seen, **maps)


def _turned(items: list[Any], turn: int) -> list[Any]:
    return items[::-1] if turn == 1 else items[1:] + items[:1]

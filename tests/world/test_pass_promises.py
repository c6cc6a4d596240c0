"""What a plan relies on: completed deletions, optional kinds, questions that end with the parent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from contract.demands import Demand, Need, Seen, Watch
from contract.facts import Ask, Unavailable
from contract.model import Kind, Object
from contract.plan import NO_RIGHTS, Child, Note, Plan
from reconciler.runtime import Runtime
from world.kinds import CONFIG_MAP, WIDGET, WIDGET_CRD, body
from world.sources import ScriptedSource
from world.world import World

pytestmark = pytest.mark.looptime

GADGET = Kind("world.test", "v1", "Gadget", "gadgets")
ASK = Ask.of("git", "a")
FINALIZER = {"metadata": {"finalizers": ["example.com/theirs"]}}


def config_map(name: str, wave: int = 0) -> Child:
    return Child(CONFIG_MAP, body(CONFIG_MAP, name, metadata={"namespace": "default"}), wave=wave)


def seen_names(seen: Seen) -> list[str]:
    return sorted(key.name for key in seen.children)


@dataclass
class Widgets:
    """Wants the ConfigMaps that ``spec.list`` names; shows in ``phase`` what it sees of them."""

    demands: tuple[Demand, ...] = ()
    more: tuple[Watch, ...] = ()
    finalizer: bool | None = None
    show: Callable[[Seen], str] = lambda seen: ",".join(seen_names(seen))

    kind = WIDGET
    rights = NO_RIGHTS

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(CONFIG_MAP, child=True), *self.more)

    def read(self, parent: Object) -> Any:
        return parent.get("spec", {}).get("list", [])

    def needs(self, parent: Object, spec: Any, seen: Seen, now: Any) -> tuple[Demand, ...]:
        return self.demands

    def plan(self, parent: Object, spec: Any, seen: Seen, now: Any) -> Plan:
        status = {"phase": self.show(seen)}
        if "deletionTimestamp" in parent["metadata"]:
            return Plan(status, (), finalizer=bool(seen.children))
        waves = enumerate(spec)
        children = tuple(config_map(name, wave=-number) for number, name in waves)
        return Plan(status, children, finalizer=self.finalizer)


def widget(*names: str) -> Object:
    return body(WIDGET, "w", {"list": list(names)})


def world(controller: Widgets, **options: Any) -> World:
    return World([controller], crds=[WIDGET_CRD], **options)


class Events:
    """Takes the Events about the parents."""

    def __init__(self) -> None:
        self.notes: set[tuple[str, Note]] = set()

    def record(self, parent: Object, kind: Kind, note: Note) -> None:
        self.notes.add((parent["metadata"]["name"], note))


def phase(here: World) -> str:
    return str(here.live(WIDGET, "w").get("status", {}).get("phase"))


async def test_a_bug_is_an_event_of_its_parent_without_values():
    def fails(seen: Seen) -> str:
        raise KeyError("password")

    events = Events()

    def operator(here: World, api: Any) -> Runtime:
        runtime = Runtime(api, here.controllers, manager=here.manager, recorder=events)
        runtime.lead()
        return runtime

    async with world(Widgets(show=fails), operator=operator) as here:
        here.create(WIDGET, widget("a"))
        await here.run_for(60)
        [(name, note)] = events.notes
        assert (name, note.type, note.reason) == ("w", "Warning", "InternalError")
        assert "a bug (KeyError)" in note.message
        assert "password" not in note.message


async def test_a_child_is_not_gone_while_a_finalizer_holds_it():
    async with world(Widgets()) as here:
        here.create(WIDGET, widget("a", "b"))
        await here.settle()
        here.edit(CONFIG_MAP, "b", FINALIZER)
        here.edit(WIDGET, "w", {"spec": {"list": ["a"]}})
        await here.settle()
        assert here.live(CONFIG_MAP, "b")["metadata"]["deletionTimestamp"]
        assert phase(here) == "a,b"
        here.edit(CONFIG_MAP, "b", {"metadata": {"finalizers": None}})
        await here.settle()
        assert phase(here) == "a"


async def test_a_parent_is_not_gone_before_its_last_child():
    async with world(Widgets(finalizer=True)) as here:
        here.create(WIDGET, widget("a"))
        await here.settle()
        here.edit(CONFIG_MAP, "a", FINALIZER)
        parents_without_child = []
        here.server.journal.listeners.add(
            lambda: parents_without_child.append(
                here.get(WIDGET, "w") is None and here.get(CONFIG_MAP, "a") is not None
            )
        )
        here.delete(WIDGET, "w")
        await here.settle()
        assert here.get(WIDGET, "w") is not None
        here.edit(CONFIG_MAP, "a", {"metadata": {"finalizers": None}})
        await here.settle()
        assert here.get(WIDGET, "w") is None
        assert not any(parents_without_child)


@pytest.mark.parametrize("forbidden", [False, True], ids=["not served", "not allowed"])
async def test_an_absent_optional_kind_parks_no_object(forbidden):
    def show(seen: Seen) -> str:
        return f"{','.join(seen_names(seen))} without {','.join(map(str, seen.absent))}"

    kind = Kind("", "v1", "Secret", "secrets") if forbidden else GADGET
    need = Need(kind, "default", name="x")
    controller = Widgets((need,), (Watch(kind, optional=True),), show=show)
    async with world(controller) as here:
        if forbidden:
            here.api.refuse(kind)
        else:
            here.api.unserve(kind)
        here.create(WIDGET, widget("a"))
        await here.until(lambda: here.get(CONFIG_MAP, "a"), limit=15)
        await here.settle()
        assert phase(here) == f"a without {kind}"


async def test_an_unserved_required_kind_parks_its_controller():
    async with world(Widgets(more=(Watch(GADGET),))) as here:
        here.api.unserve(GADGET)
        here.create(WIDGET, widget("a"))
        await here.run_for(60)
        assert here.get(CONFIG_MAP, "a") is None
        assert any("gadgets" in line for line in here.operator.not_ready())


async def test_a_deleted_parent_asks_nothing_any_more():
    source = ScriptedSource("git", {})
    source.fail_next(*[Unavailable("down")] * 1000)

    def operator(here: World, api: Any) -> Runtime:
        made = Runtime(api, here.controllers, manager="operator", clock=here.now, sources=[source])
        made.lead()
        return made

    async with world(Widgets((ASK,)), operator=operator) as here:
        here.create(WIDGET, widget("a"))
        await here.run_for(30)
        assert len(source.calls) > 1
        here.delete(WIDGET, "w")
        await here.run_for(30)
        asked = len(source.calls)
        await here.run_for(900)
        assert len(source.calls) == asked
        assert here.operator.remembered() == 0


async def test_waves_order_writes_and_not_deletions():
    """As ``Child.wave``: lower waves are written first; the surplus is deleted all at once."""
    async with world(Widgets()) as here:
        here.create(WIDGET, widget("third", "second", "first"))
        await here.settle()
        made = [each.name for each in here.writes_since(0) if each.kind == "ConfigMap"]
        assert made == ["first", "second", "third"]
        mark = here.mark()
        here.edit(WIDGET, "w", {"spec": {"list": []}})
        await here.until(lambda: not here.all(CONFIG_MAP, "default"))
        deleted = [each for each in here.writes_since(mark) if each.verb == "delete"]
        assert sorted(each.name for each in deleted) == ["first", "second", "third"]


async def test_nothing_is_deleted_while_a_wanted_child_is_missing():
    async with world(Widgets()) as here:
        here.create(WIDGET, widget("a", "old"))
        await here.settle()
        here.create(CONFIG_MAP, body(CONFIG_MAP, "taken"))
        here.edit(WIDGET, "w", {"spec": {"list": ["a", "taken"]}})
        await here.settle()
        assert here.get(CONFIG_MAP, "old") is not None
        here.delete(CONFIG_MAP, "taken")
        here.edit(WIDGET, "w", {"metadata": {"labels": {"a": "b"}}})
        await here.settle()
        assert here.get(CONFIG_MAP, "old") is None

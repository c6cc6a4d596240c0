"""``compare`` reports what a pass would do, and nothing that no pass does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contract.demands import Watch
from contract.model import Object
from contract.plan import Child
from reconciler.preview import compare
from world.kinds import CONFIG_MAP, SECRET, WIDGET, body
from world.test_pass_promises import FINALIZER, Widgets, config_map, widget, world
from world.world import World

pytestmark = pytest.mark.looptime


class Wanting(Widgets):
    """Wants one child as the test made it, and the ConfigMaps that the spec names."""

    child: Child

    def plan(self, parent: Object, spec: Any, seen: Any, now: Any) -> Any:
        found = super().plan(parent, spec, seen, now)
        return replace(found, children=(*(found.children or ()), self.child))


async def compared(here: World, *names: str) -> list[tuple[str, str]]:
    """The actions that are reported for the widget with this spec, by name."""
    parent = widget(*names)
    parent["metadata"]["namespace"] = "default"
    (controller,) = here.controllers
    _, found = await compare(here.api.another("kubectl"), parent, controller, here.manager)
    return sorted((each.action, each.name) for each in found)


async def carried_out(here: World, *names: str) -> list[tuple[str, str]]:
    """What passes write when the widget gets this spec, by name."""
    mark = here.mark()
    here.edit(WIDGET, "w", {"spec": {"list": list(names)}})
    await here.run_for(30)
    writes = here.writes_since(mark)
    return sorted({(each.verb, each.name) for each in writes if each.kind == "ConfigMap"})


async def test_a_child_that_is_not_wanted_is_reported_and_deleted():
    async with world(Widgets()) as here:
        here.create(WIDGET, widget("a", "b"))
        await here.settle()
        assert await compared(here, "a") == [("delete", "b")]
        assert await carried_out(here, "a") == [("delete", "b")]


async def test_a_child_that_is_being_deleted_is_not_reported():
    async with world(Widgets()) as here:
        here.create(WIDGET, widget("a", "b"))
        await here.settle()
        for name in ("a", "b"):
            here.edit(CONFIG_MAP, name, FINALIZER)
            here.delete(CONFIG_MAP, name)
        await here.settle()
        assert await compared(here, "a") == []
        assert await carried_out(here, "a") == []


async def test_no_delete_is_reported_beside_a_conflict():
    async with world(Widgets()) as here:
        here.create(WIDGET, widget("a", "b"))
        await here.settle()
        here.create(CONFIG_MAP, body(CONFIG_MAP, "taken"))
        assert await compared(here, "a", "taken") == [("conflict", "taken")]
        assert await carried_out(here, "a", "taken") == []


async def test_no_delete_is_reported_of_a_kind_that_is_not_removable():
    class Lasting(Widgets):
        watches = (Watch(CONFIG_MAP, child=True, removable=False),)

    async with world(Lasting()) as here:
        here.create(WIDGET, widget("a", "b"))
        await here.settle()
        assert await compared(here, "a") == []
        assert await carried_out(here, "a") == []


async def test_no_create_is_reported_of_a_missing_shared_object():
    controller = Wanting(more=(Watch(SECRET, child=True),))
    metadata = {"namespace": "default"}
    controller.child = Child(SECRET, body(SECRET, "theirs", metadata=metadata), hold="shared")
    async with world(controller) as here:
        here.create(WIDGET, widget())
        await here.settle()
        assert await compared(here) == []
        assert here.get(SECRET, "theirs") is None


async def test_a_replacement_is_reported_as_one():
    controller = Wanting()
    controller.child = replace(config_map("job"), replaced=True)
    async with world(controller) as here:
        here.create(WIDGET, widget())
        await here.settle()
        assert await compared(here) == []
        data = {**controller.child.body, "data": {"a": "1"}}
        controller.child = replace(controller.child, body=data)
        assert await compared(here) == [("replace", "job")]
        assert {verb for verb, _ in await carried_out(here, "a")} == {"delete", "apply"}

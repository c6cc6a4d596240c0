"""Kinds that come and go under a toy that can do without them."""

from __future__ import annotations

from typing import Any

import pytest

from contract.model import Object
from world.kinds import CRD
from world.toyvalues import GADGET, GROUP, LAMP, TOY
from world.toyworld import BOARD_CRD, GADGET_CRD, LAMP_CRD, TOY_CRD, ToyWorld, deletes, toy

pytestmark = pytest.mark.looptime

OPTIONAL = pytest.mark.parametrize(
    ("kind", "crd", "spec"),
    [(LAMP, LAMP_CRD, {"lamp": 1}), (GADGET, GADGET_CRD, {"gadget": True})],
    ids=["watched", "demanded"],
)


class BareWorld(ToyWorld):
    """A world without lamps and gadgets at first."""

    def __init__(self, **options: Any) -> None:
        super().__init__(crds=(TOY_CRD, BOARD_CRD), **options)
        self.server.unserve(LAMP)
        self.server.unserve(GADGET)


@OPTIONAL
async def test_an_absent_kind_stops_nothing_else(kind: Any, crd: Object, spec: Any) -> None:
    async with BareWorld() as world:
        world.create(TOY, toy(**spec))
        world.create(TOY, toy("other"))
        seconds = await world.settle()
        assert seconds < 30
        assert world.condition("Complete")["message"] == f"not served: {kind}"
        assert world.ready()["status"] == world.ready("other")["status"] == "True"
        assert world.operator.not_ready() == []


@OPTIONAL
async def test_a_kind_that_arrives_wakes_its_parents(kind: Any, crd: Object, spec: Any) -> None:
    async with BareWorld() as world:
        world.create(TOY, toy(**spec))
        await world.settle()
        await world.run_for(600)
        world.create(CRD, crd)
        await world.run_for(30)
        assert world.get(kind, "toy-t")
        assert world.condition("Complete")["status"] == "Unknown"
        assert world.ready()["status"] == "True"


@OPTIONAL
async def test_a_kind_that_is_removed_again_stops_nothing(
    kind: Any, crd: Object, spec: Any
) -> None:
    async with ToyWorld(crds=(TOY_CRD, BOARD_CRD)) as world:
        for each in (LAMP_CRD, GADGET_CRD):
            world.create(CRD, each)
        world.create(TOY, toy(**spec))
        await world.settle()
        assert world.get(kind, "toy-t")
        world.delete(CRD, kind.resource)
        await world.run_for(60)
        assert world.condition("Complete")["message"] == f"not served: {kind}"
        world.edit(TOY, "t", {"spec": {"parts": 5}})
        await world.run_for(60)
        assert len(world.parts()) == 5
        assert world.ready()["status"] == "True"

        world.create(CRD, crd)
        await world.run_for(60)
        assert world.get(kind, "toy-t")
        world.delete(TOY, "t")
        await world.settle()
        assert not world.get(TOY, "t")


async def test_a_kind_replaced_within_a_second_is_watched_again() -> None:
    async with ToyWorld(crds=(TOY_CRD, BOARD_CRD, GADGET_CRD)) as world:
        world.create(CRD, LAMP_CRD)
        world.create(TOY, toy(lamp=1))
        await world.settle()
        world.delete(CRD, LAMP.resource)
        await world.run_for(0.3)
        world.create(CRD, LAMP_CRD)
        await world.run_for(60)
        assert world.get(LAMP, "toy-t")
        assert world.condition("Complete")["status"] == "Unknown"


async def test_a_toy_goes_while_the_kind_of_its_gadget_is_away() -> None:
    async with ToyWorld(crds=(TOY_CRD, BOARD_CRD, LAMP_CRD)) as world:
        world.create(CRD, GADGET_CRD)
        world.create(TOY, toy(gadget=True))
        await world.settle()
        world.delete(CRD, GADGET.resource)
        await world.run_for(30)
        world.delete(TOY, "t")
        await world.run_for(60)
        assert not world.get(TOY, "t")


async def test_a_forbidden_kind_is_treated_as_an_absent_one() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(lamp=1))
        await world.settle()
        await world.restart()
        world.api.refuse(LAMP)
        world.edit(TOY, "t", {"spec": {"parts": 3}})
        await world.run_for(60)
        assert len(world.parts()) == 3
        assert world.condition("Complete")["message"] == "not served: Lamp"
        world.api.allow(LAMP)
        await world.run_for(60)
        assert world.condition("Complete")["status"] == "Unknown"
        assert deletes(world.writes) == []


async def test_a_gadget_is_removed_by_a_process_that_did_not_make_it() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(gadget=True))
        await world.settle()
        await world.kill()
        world.edit(TOY, "t", {"spec": {"gadget": False}})
        await world.restart()
        await world.settle()
        assert not world.get(GADGET, "toy-t")
        annotations = world.live(TOY, "t")["metadata"]["annotations"]
        assert "gadgets" not in annotations[f"{GROUP}/record"]

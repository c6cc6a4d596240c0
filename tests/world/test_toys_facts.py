"""Toys whose sources hang, fail, refuse or change their answer; demands that never settle."""

from __future__ import annotations

from datetime import datetime

import pytest

from contract.demands import Demand, Seen
from contract.facts import Ask, Refused, Unavailable
from contract.model import Object
from contract.status import find
from world.toys import Toys
from world.toyvalues import TOY, WEATHER_SECONDS, Spec
from world.toyworld import ToyWorld, deletes, toy

pytestmark = pytest.mark.looptime

OTHERS = 50


async def test_a_hanging_question_delays_no_other_toy() -> None:
    async with ToyWorld() as world:
        world.skies.hold(lambda city: city == "Void")
        world.create(TOY, toy(city="Void"))
        for number in range(OTHERS):
            world.create(TOY, toy(f"u{number}", city="Ulm", parts=1))
        await world.run_for(30)
        assert all(world.ready(f"u{number}")["status"] == "True" for number in range(OTHERS))
        assert world.ready()["status"] == "False"
        assert world.condition("Weather")["message"] == "no answer within 10 s"
        mark = world.mark()
        await world.run_for(600)
        assert {write.name for write in world.writes_since(mark)} <= {"t"}
        assert len(world.writes_since(mark)) <= 1

        world.skies.release()
        await world.run_for(400)
        assert world.ready()["status"] == "True"


async def test_a_toy_whose_source_hangs_can_be_deleted() -> None:
    async with ToyWorld() as world:
        world.skies.hold()
        world.create(TOY, toy(city="Void", lamp=1))
        await world.run_for(30)
        world.delete(TOY, "t")
        await world.settle()
        assert not world.get(TOY, "t")
        assert world.operator.remembered() == 0


async def test_an_outage_of_a_source_deletes_no_child() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(city="Ulm"))
        await world.settle()
        parts, mark = world.parts(), world.mark()
        world.skies.fail_next(*[Unavailable("the tower is closed")] * 100)
        await world.restart()
        await world.run_for(60)
        assert world.condition("Weather")["message"] == "the tower is closed"
        assert world.parts() == parts
        world.edit(TOY, "t", {"spec": {"parts": 1}})
        await world.run_for(60)
        assert world.parts() == {"part-0": parts["part-0"]}
        assert len(deletes(world.writes_since(mark))) == 1


async def test_an_answer_that_is_too_old_is_asked_for_again() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(city="Ulm"))
        await world.settle()
        world.skies._answers = lambda city: f"rain over {city}"
        await world.run_for(WEATHER_SECONDS - 30)
        assert world.parts()["part-0"]["sky"] == "sun over Ulm"
        assert len(world.skies.calls) == 1
        await world.run_for(100)
        assert world.parts()["part-0"]["sky"] == "rain over Ulm"
        assert len(world.skies.calls) == 2


async def test_a_refused_question_is_a_condition_and_asked_once() -> None:
    async with ToyWorld() as world:
        world.skies.fail_next(Refused("no such city"))
        world.create(TOY, toy(city="Nowhere"))
        await world.run_for(3600)
        weather = world.condition("Weather")
        assert (weather["reason"], weather["message"]) == ("Refused", "no such city")
        assert world.skies.calls == ["Nowhere"]
        world.edit(TOY, "t", {"spec": {"city": "Ulm"}})
        await world.settle()
        assert world.ready()["status"] == "True"


class Restless(Toys):
    """Its ``needs`` asks another question in every round, for toys of size ``restless``."""

    def __init__(self) -> None:
        self.rounds = 0

    def needs(self, parent: Object, spec: Spec, seen: Seen, now: datetime) -> tuple[Demand, ...]:
        demands = super().needs(parent, spec, seen, now)
        if spec.size != "restless":
            return demands
        self.rounds += 1
        return (*demands, Ask.of("weather", f"city {self.rounds}"))


async def test_demands_that_never_settle_are_a_condition() -> None:
    async with ToyWorld() as world:
        restless = Restless()
        world.controllers = [restless]
        await world.restart()
        world.create(TOY, toy())
        world.create(TOY, toy("other"))
        await world.settle()
        world.edit(TOY, "t", {"spec": {"size": "restless"}})
        mark = world.mark()
        await world.run_for(1200)
        stalled = find(world.live(TOY, "t"), "Stalled")
        assert stalled["reason"] == "DemandsUnsettled"
        assert "in each of 6 rounds" in stalled["message"]
        assert world.ready()["observedGeneration"] == 1
        assert len(world.writes_since(mark)) == 1
        assert restless.rounds < 6 * 20, "it backs off"
        asked = world.operator.facts.remembered()
        assert asked <= 2, "the questions of failed rounds are forgotten"

        world.edit(TOY, "t", {"spec": {"size": "small"}})
        await world.settle()
        assert find(world.live(TOY, "t"), "Stalled")["status"] == "Unknown"
        assert world.ready()["observedGeneration"] == 3

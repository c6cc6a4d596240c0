"""The whole life of a toy, also when its operator dies at any moment of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contract.record import record_annotation
from reconciler.client.api import Unreachable
from reconciler.rights import rights
from world.kinds import CONFIG_MAP, JOB, LEASE, NAMESPACE, ROLE_BINDING, SECRET, body
from world.sources import Point
from world.toys import Toys
from world.toyvalues import BOARD, GADGET, GROUP, LAMP, SYSTEM, TOY, VOLUME, user_of
from world.toyworld import FULL, PLACE, ToyWorld, deletes, live, toy
from world.world import World

pytestmark = pytest.mark.looptime

SHARDS = 8


async def test_a_toy_gets_everything_that_the_contract_offers() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(**FULL))
        await world.settle()
        assert world.ready()["status"] == "True"
        status = world.live(TOY, "t")["status"]
        assert (status["number"], status["host"]) == (101, "h")
        assert world.parts() == {
            "part-0": {"size": "small", "sky": "sun over Ulm"},
            "part-1": {"size": "small", "sky": "sun over Ulm"},
        }
        for kind in (VOLUME, JOB, LAMP, GADGET):
            assert world.get(kind, "toy-t"), kind
        assert world.live(LEASE, "host-h", SYSTEM)["spec"]["holderIdentity"] == "default/t"
        rules = world.live(BOARD, "b")["spec"]["rules"]
        assert rules == [{"name": "theirs", "text": "x"}, {"name": "t", "text": "small"}]


async def test_a_restart_writes_nothing_while_nothing_changed() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(**FULL))
        await world.settle()
        mark = world.mark()
        await world.restart()
        await world.run_for(3600)
        assert world.writes_since(mark, dry_runs=True) == []


async def test_a_toy_that_is_deleted_leaves_only_what_is_kept() -> None:
    async with ToyWorld() as world:
        before = {key for key in world.state() if key[0] != "CustomResourceDefinition"}
        await live(world)
        assert {*world.state()} - before == {(VOLUME.kind, "default", "toy-t")}
        assert world.live(BOARD, "b")["spec"]["rules"] == [{"name": "theirs", "text": "x"}]
        assert world.registrar.numbers == {}
        assert [verb for verb, _ in world.registrar.effects] == ["allot", "release"]


async def test_no_child_is_created_before_record_and_finalizer() -> None:
    async with ToyWorld() as world:
        early = []

        def look() -> None:
            found = world.get(TOY, "t")
            if found is None:
                return
            metadata = found["metadata"]
            if world.get(NAMESPACE, PLACE) and not metadata.get("finalizers"):
                early.append("the namespace before the finalizer")
            record = metadata.get("annotations", {}).get(record_annotation(GROUP), "")
            if world.get(GADGET, "toy-t") and "gadgets" not in record:
                early.append("the gadget before the record")

        world.server.journal.listeners.add(look)
        await live(world)
        assert early == []


async def test_parts_change_six_seconds_after_the_spec() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy())
        await world.settle()
        world.edit(TOY, "t", {"spec": {"size": "big"}})
        await world.run_for(4)
        assert world.parts()["part-0"] == {"size": "small"}
        await world.restart()
        await world.run_for(4)
        assert world.parts()["part-0"] == {"size": "big"}


@pytest.mark.parametrize("shard", range(SHARDS))
async def test_a_crash_at_any_point_of_a_life_changes_no_state(shard: int) -> None:
    async with ToyWorld() as world:
        expected = await live(world)
        points = world.points()
        effects = world.registrar.effects
    assert len(points) >= 90
    assert {point.source for point in points} == {"", "registrar", "weather"}
    for point in points[shard::SHARDS]:
        await _dies(point, expected, effects)


async def _dies(point: Point, expected: list[Any], effects: list[Any]) -> None:
    async with ToyWorld() as world:
        died = asyncio.Event()

        def on_crash() -> None:
            died.set()
            world._died.set()

        world.crash_at(point)
        world.api.faults.on_crash = on_crash
        found = await live(world)
        assert died.is_set(), f"no crash at {point}"
        for number, (was, wanted) in enumerate(zip(found, expected, strict=True)):
            assert was == wanted, f"{point}, stage {number}"
        assert world.registrar.effects == effects, point


@pytest.mark.parametrize("shard", range(4))
async def test_a_lost_answer_of_any_write_changes_no_state(shard: int) -> None:
    async with ToyWorld() as world:
        expected = await live(world)
        count, effects = len(world.writes_since(0)), world.registrar.effects
    for number in range(shard, count, 4):
        async with ToyWorld() as world:
            lost = _lose(world, number)
            found = await live(world)
            assert lost, number
            assert found == expected, lost
            assert world.registrar.effects == effects, lost


def _lose(world: World, number: int) -> list[Any]:
    """Lose the answer of the write of that number, counted from 0; answers a list of it."""
    calls, lost = [0], []
    failure = world.api.faults.failure

    def losing(call: Any, when: Any) -> Exception | None:
        if when == "after" and not call.dry_run:
            calls[0] += 1
            if calls[0] == number + 1:
                lost.append(call)
                return Unreachable("the answer was lost")
        return failure(call, when)

    object.__setattr__(world.api, "faults", _Losing(world.api.faults, losing))
    return lost


class _Losing:
    """The faults of a client with another ``failure``."""

    def __init__(self, faults: Any, failure: Any) -> None:
        self.__dict__.update(_faults=faults, failure=failure)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._faults, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._faults, name, value)


async def test_a_toy_needs_only_its_declared_rights() -> None:
    declared = {(each.group, each.resource, each.verb) for each in rights([Toys()])}
    declared |= {(each.group, each.resource, each.verb) for each in Toys.rights}
    own = GADGET.group, GADGET.plural
    declared |= {(*own, verb) for verb in ("get", "list", "watch", "create", "patch", "delete")}
    async with ToyWorld() as world:

        def allows(user: str, verb: str, kind: Any, namespace: str, name: str) -> bool:
            if user.startswith("system:serviceaccount:"):
                return user == user_of(namespace) and is_bound(world, namespace)
            discovery = kind.plural in {"customresourcedefinitions", "apiservices"}
            return discovery or user != "operator" or (kind.group, kind.plural, verb) in declared

        world.server.authorizer = allows
        await live(world)
        refused = [each for each in world.writes if not each.committed]
        assert refused == []


def is_bound(world: World, namespace: str) -> bool:
    """May the builder of a namespace write in it?"""
    return any(each["metadata"]["name"] == "builder" for each in world.all(ROLE_BINDING, namespace))


async def test_parts_are_written_only_by_their_user() -> None:
    async with ToyWorld() as world:
        await live(world)
        parts = [write for write in world.writes if write.kind == CONFIG_MAP.kind]
        assert {write.verb for write in parts} == {"apply", "delete"}
        assert {write.user for write in parts} == {user_of(PLACE)}
        assert {write.user for write in world.writes if write.kind != CONFIG_MAP.kind} == {""}


async def test_a_forbidden_delegated_child_is_a_condition_of_its_toy() -> None:
    async with ToyWorld() as world:
        world.server.authorizer = lambda user, *_: not user.startswith("system:")
        world.create(TOY, toy(host="h"))
        world.create(TOY, toy("other", parts=0))
        await world.run_for(60)
        assert world.ready()["reason"] == "Refused"
        assert f'User "{user_of(PLACE)}" cannot' in world.ready()["message"]
        assert world.ready("other")["status"] == "True"

        world.edit(TOY, "t", {"spec": {"host": "g", "lamp": 3}})
        await world.run_for(400)
        assert world.ready()["observedGeneration"] == 2
        assert world.get(LAMP, "toy-t"), "one forbidden child holds up no other"

        world.server.authorizer = None
        await world.run_for(400)
        assert world.ready()["status"] == "True"


async def test_a_toy_is_never_gone_before_its_namespace() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(host="h"))
        await world.settle()
        metadata = {"namespace": PLACE, "finalizers": ["example.com/slow"]}
        world.create(SECRET, body(SECRET, "theirs", metadata=metadata))
        world.delete(TOY, "t")
        await world.run_for(300)
        assert world.live(NAMESPACE, PLACE)["status"]["phase"] == "Terminating"
        assert PLACE in world.ready()["message"]
        assert world.get(LEASE, "host-h", SYSTEM), "the host stays taken"
        assert world.registrar.numbers

        await world.restart()
        await world.run_for(300)
        assert world.get(TOY, "t")
        assert deletes(world.writes).count((NAMESPACE.kind, "", PLACE)) == 1

        world.edit(SECRET, "theirs", {"metadata": {"finalizers": None}}, PLACE)
        await world.settle()
        assert not world.get(TOY, "t")
        assert not world.get(LEASE, "host-h", SYSTEM)


async def test_a_held_watch_of_namespaces_ends_no_toy_early() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy())
        await world.settle()
        ends = []

        def look() -> None:
            if not world.get(TOY, "t"):
                ends.append(world.get(NAMESPACE, PLACE))

        world.api.hold_events(NAMESPACE)
        world.server.journal.listeners.add(look)
        world.delete(TOY, "t")
        await world.run_for(60)
        assert world.get(TOY, "t"), "the cache does not know that the namespace is gone"
        world.api.release_events(NAMESPACE)
        await world.settle()
        assert ends
        assert not any(ends)

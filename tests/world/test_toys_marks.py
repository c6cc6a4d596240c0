"""A toy's own objects, foreign ones with its marks, and a record that a user changed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from contract.demands import Seen
from contract.metadata import owner_reference
from contract.model import Kind, Object
from contract.plan import Plan
from contract.record import record_annotation
from world.kinds import CONFIG_MAP, JOB, LEASE, NAMESPACE, SECRET, body
from world.toys import Toys
from world.toyvalues import BOARD, GROUP, LAMP, SYSTEM, TOY, VOLUME, Spec
from world.toyworld import FULL, PLACE, ToyWorld, deletes, seed, toy

pytestmark = pytest.mark.looptime


def forged(world: ToyWorld, kind: Kind, name: str, namespace: str) -> Object:
    """A stranger's object with every mark of the toy's that the stranger could read."""
    parent = world.live(TOY, "t")
    metadata = {
        "namespace": namespace,
        "labels": {f"{GROUP}/managed": "true"},
        "annotations": {
            f"{GROUP}/owner-uid": parent["metadata"]["uid"],
            f"{GROUP}/kept-for": "toys.toys.test/default/t",
            f"{GROUP}/delegated": "system:masters",
            f"{GROUP}/adopt": "t",
        },
    }
    return world.create(kind, body(kind, name, {"colour": "mine"}, metadata=metadata))


async def test_a_forged_mark_in_a_foreign_namespace_changes_nothing() -> None:
    async with ToyWorld(namespaces=("default", SYSTEM, "theirs")) as world:
        world.create(TOY, toy(**FULL))
        await world.settle()
        kinds = (LAMP, JOB, VOLUME, CONFIG_MAP)
        before = {kind: forged(world, kind, "toy-t", "theirs") for kind in kinds}
        world.edit(TOY, "t", {"spec": {"lamp": 0, "job": None, "parts": 0, "volume": False}})
        await world.settle()
        world.delete(TOY, "t")
        await world.restart()
        await world.settle()
        assert not world.get(TOY, "t")
        assert {kind: world.live(kind, "toy-t", "theirs") for kind in kinds} == before


async def test_an_object_of_another_owner_with_our_mark_stays() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy())
        await world.settle()
        lamp = forged(world, LAMP, "theirs", "default")
        owner = world.create(JOB, body(JOB, "theirs", {"template": {"spec": {}}}))
        patch = {"metadata": {"ownerReferences": [owner_reference(owner, JOB)]}}
        lamp = world.edit(LAMP, lamp["metadata"]["name"], patch)
        world.edit(TOY, "t", {"spec": {"parts": 1}})
        await world.settle()
        assert world.live(LAMP, "theirs") == lamp


@pytest.mark.parametrize("annotations", [{}, {f"{GROUP}/owner-uid": "somebody-else"}], ids=str)
async def test_a_foreign_namespace_of_the_name_is_a_conflict(annotations: Object) -> None:
    async with ToyWorld(namespaces=("default", SYSTEM)) as world:
        theirs = body(NAMESPACE, PLACE, metadata={"annotations": annotations})
        world.create(NAMESPACE, theirs)
        part = body(CONFIG_MAP, "part-0", metadata={"namespace": PLACE}, data={"a": "b"})
        world.create(CONFIG_MAP, part)
        before = world.live(NAMESPACE, PLACE), world.live(CONFIG_MAP, "part-0", PLACE)
        world.create(TOY, toy())
        await world.run_for(60)
        assert world.ready()["reason"] == "NameConflict"
        assert PLACE in world.ready()["message"]
        world.delete(TOY, "t")
        await world.settle()
        assert not world.get(TOY, "t")
        assert (world.live(NAMESPACE, PLACE), world.live(CONFIG_MAP, "part-0", PLACE)) == before


async def test_a_taken_host_is_left_and_the_next_one_is_sticky() -> None:
    async with ToyWorld() as world:
        lease = body(LEASE, "host-h", {"holderIdentity": "x"}, metadata={"namespace": SYSTEM})
        theirs = world.create(LEASE, lease)
        world.create(TOY, toy(host="h"))
        await world.settle()
        assert world.ready()["status"] == "True"
        assert world.live(TOY, "t")["status"]["host"] == "h-default-t"
        world.delete(LEASE, "host-h", SYSTEM)
        mark = world.mark()
        await world.restart()
        await world.settle()
        assert world.writes_since(mark) == []
        assert theirs["metadata"]["uid"]


RECORDS = {
    "broken": "{",
    "of-another-form": '["allotting"]',
    "of-other-types": '{"number":"101","lost":7}',
    "of-other-names": '{"namespace":"kube-system"}',
    "removed": None,
}


@pytest.mark.parametrize("text", RECORDS.values(), ids=RECORDS.keys())
async def test_a_tampered_record_is_reported_and_replaced(text: str | None) -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(**FULL))
        await world.settle()
        mark, status = world.mark(), world.live(TOY, "t")["status"]
        world.edit(TOY, "t", {"metadata": {"annotations": {record_annotation(GROUP): text}}})
        await world.settle()
        assert world.condition("Recorded")["reason"] == "Restored"
        assert world.ready()["status"] == "True"
        assert world.live(TOY, "t")["status"]["number"] == status["number"]
        assert deletes(world.writes_since(mark)) == []
        assert [verb for verb, _ in world.registrar.effects] == ["allot"]

        world.edit(TOY, "t", {"spec": {"parts": 1}})
        await world.settle()
        assert world.condition("Recorded")["status"] == "Unknown", "reported for one generation"


class Forgetful(Toys):
    """Its plans want an empty record."""

    def plan(self, parent: Object, spec: Spec, seen: Seen, now: datetime) -> Plan:
        plan = super().plan(parent, spec, seen, now)
        return replace(plan, children=(), record={}, finalizer=None)


async def test_a_record_that_no_plan_wants_is_emptied_once() -> None:
    async with ToyWorld() as world:
        world.controllers = [Forgetful()]
        await world.restart()
        world.create(TOY, toy())
        await world.settle()
        mark = world.mark()
        _fail_if_it_spins(world)
        world.edit(TOY, "t", {"metadata": {"annotations": {record_annotation(GROUP): '{"a":1}'}}})
        await world.run_for(30)
        assert world.live(TOY, "t")["metadata"]["annotations"][record_annotation(GROUP)] == "{}"
        assert len(world.writes_since(mark)) <= 2


def _fail_if_it_spins(world: ToyWorld, most: int = 100) -> None:
    passes: list[int] = []

    def counting(*_: Any) -> None:
        passes.append(1)
        assert len(passes) < most, "the operator spins"

    world.operator.workers.observer.reconciled = counting


async def test_a_forged_number_is_replaced_and_harms_no_other_toy() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy())
        world.create(TOY, toy("victim"))
        await world.settle()
        numbers = {name: world.live(TOY, name)["status"]["number"] for name in ("t", "victim")}
        record = {"allotting": True, "number": numbers["victim"], "size": "small"}
        annotations = {record_annotation(GROUP): json.dumps(record)}
        world.edit(TOY, "t", {"metadata": {"annotations": annotations}})
        await world.settle()
        assert world.condition("Recorded")["reason"] == "Restored"
        assert world.live(TOY, "t")["status"]["number"] == numbers["t"]
        world.delete(TOY, "t")
        await world.settle()
        uid = world.live(TOY, "victim")["metadata"]["uid"]
        assert world.registrar.numbers == {uid: numbers["victim"]}


async def test_a_removed_record_does_not_leak_the_effect_outside() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy())
        await world.settle()
        await world.kill()
        world.edit(TOY, "t", {"metadata": {"annotations": {record_annotation(GROUP): None}}})
        world.delete(TOY, "t")
        await world.restart()
        await world.settle()
        assert not world.get(TOY, "t")
        assert world.registrar.numbers == {}


async def test_a_replacement_waits_until_the_old_object_is_gone() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(job="j:1", lamp=1))
        await world.settle()
        old = world.edit(JOB, "toy-t", {"metadata": {"finalizers": ["example.com/slow"]}})
        world.edit(TOY, "t", {"spec": {"job": "j:2"}})
        await world.run_for(60)
        left = world.live(JOB, "toy-t")
        assert left["metadata"]["uid"] == old["metadata"]["uid"]
        assert left["metadata"]["deletionTimestamp"]
        assert world.ready()["status"] == "False"
        assert "Job/default/toy-t" in world.ready()["message"]

        await world.restart()
        await world.run_for(60)
        assert deletes(world.writes).count((JOB.kind, "default", "toy-t")) == 1
        world.edit(JOB, "toy-t", {"metadata": {"finalizers": None}})
        await world.settle()
        made = world.live(JOB, "toy-t")
        assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "j:2"
        assert world.ready()["status"] == "True"


async def test_a_toy_waits_for_its_child_that_a_finalizer_keeps() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(lamp=1))
        await world.settle()
        world.edit(LAMP, "toy-t", {"metadata": {"finalizers": ["example.com/slow"]}})
        world.delete(TOY, "t")
        await world.run_for(60)
        assert world.get(TOY, "t")
        assert world.get(NAMESPACE, PLACE), "the namespace goes after the lamp"
        assert "Lamp/default/toy-t" in world.ready()["message"]
        world.edit(LAMP, "toy-t", {"metadata": {"finalizers": None}})
        await world.settle()
        assert not world.get(TOY, "t")


async def test_a_shared_board_loses_one_entry_with_each_toy() -> None:
    async with ToyWorld() as world:
        world.create(SECRET, seed("u", "b"))
        for name in ("t", "u"):
            world.create(TOY, toy(name))
        await world.settle()
        for name in ("t", "u"):
            world.edit(TOY, name, {"spec": {"size": "big"}})
        await world.settle(quiet=9)
        assert rules(world) == ["t", "theirs", "u"]
        assert {world.ready(name)["status"] for name in ("t", "u")} == {"True"}
        world.delete(TOY, "t")
        await world.settle()
        assert rules(world) == ["theirs", "u"]
        assert world.ready("u")["status"] == "True"
        world.delete(TOY, "u")
        await world.settle()
        assert rules(world) == ["theirs"]
        assert not world.all(TOY)
        assert "annotations" not in world.live(BOARD, "b")["metadata"], "never marked"


def rules(world: ToyWorld) -> list[str]:
    return sorted(rule["name"] for rule in world.live(BOARD, "b")["spec"]["rules"])


async def test_a_simultaneous_edit_of_a_shared_board_is_not_lost() -> None:
    async with ToyWorld() as world:
        await world.settle()
        world.api.hold_events(BOARD)
        world.edit(BOARD, "b", {"spec": {"rules": [{"name": "newer", "text": "y"}]}})
        world.create(TOY, toy())
        await world.run_for(20)
        world.api.release_events(BOARD)
        await world.settle()
        assert rules(world) == ["newer", "t"]
        assert world.ready()["status"] == "True"


async def test_a_shared_board_that_is_missing_is_waited_for() -> None:
    async with ToyWorld() as world:
        world.delete(BOARD, "b")
        world.create(TOY, toy())
        await world.settle()
        assert not world.get(BOARD, "b")
        world.create(BOARD, body(BOARD, "b", {"rules": []}))
        await world.settle()
        assert rules(world) == ["t"]
        assert world.ready()["status"] == "True"


async def test_a_kept_volume_is_adopted_by_the_next_toy_of_its_name() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(volume=True))
        await world.settle()
        volume = world.live(VOLUME, "toy-t")
        assert "ownerReferences" not in volume["metadata"]
        world.delete(TOY, "t")
        await world.settle()
        assert world.live(VOLUME, "toy-t") == volume
        world.create(TOY, toy(volume=True))
        await world.settle()
        assert world.ready()["status"] == "True"
        assert world.live(VOLUME, "toy-t") == volume, "not even written"


@pytest.mark.parametrize("what", ["edited", "deleted"])
async def test_a_changed_kept_volume_is_repaired(what: str) -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(volume=True))
        await world.settle()
        await world.run_for(60)
        if what == "edited":
            world.edit(VOLUME, "toy-t", {"metadata": {"labels": {f"{GROUP}/managed": "false"}}})
        else:
            world.delete(VOLUME, "toy-t")
        await world.settle()
        assert world.live(VOLUME, "toy-t")["metadata"]["labels"] == {f"{GROUP}/managed": "true"}


async def test_a_lamp_keeps_the_brightness_of_another_field_manager() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(lamp=5))
        await world.settle()
        world.edit(TOY, "t", {"spec": {"dimmed": True}})
        await world.settle()
        assert brightness(world) == 5
        world.edit(LAMP, "toy-t", {"spec": {"brightness": 9}})
        await world.settle()
        assert brightness(world) == 9
        world.edit(TOY, "t", {"spec": {"dimmed": False}})
        await world.settle()
        assert brightness(world) == 5


def brightness(world: ToyWorld) -> Any:
    return world.live(LAMP, "toy-t")["spec"]["brightness"]


async def test_a_suspended_toy_is_neither_written_nor_emptied() -> None:
    async with ToyWorld() as world:
        world.create(TOY, toy(lamp=5))
        await world.settle()
        mark = world.mark()
        world.edit(TOY, "t", {"spec": {"suspend": True, "lamp": 0, "size": "big"}})
        world.delete(LAMP, "toy-t")
        await world.settle()
        assert world.ready()["reason"] == "Suspended"
        assert {write.subresource for write in world.writes_since(mark)} == {"status"}

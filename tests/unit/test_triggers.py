"""Which parents are queued after a change; the writes of a pass do not wake it again."""

from __future__ import annotations

from typing import Any

import pytest

from contract.demands import Need, Watch
from contract.facts import Ask
from contract.model import Key, Kind, Object
from contract.record import finalizer, record_annotation
from objects.kinds import CONFIG_MAP, POD
from reconciler.cache import Store
from reconciler.queue import WorkQueue
from reconciler.triggers import Interests, Triggers
from unit.controllers import Idle

pytestmark = pytest.mark.looptime

KIND = Kind("example.com", "v1", "Widget", "widgets")
PARENTS = Watch(KIND)


def app_of(obj: Object) -> str | None:
    label: str | None = obj["metadata"].get("labels", {}).get("app")
    return label


PODS = Watch(POD, index=app_of)
MAPS = Watch(CONFIG_MAP)
OPTIONAL = Watch(POD, optional=True, labels="x")


WIDGETS = Idle(KIND, Watch(CONFIG_MAP, child=True), PODS, OPTIONAL)


def widget(name: str = "w", **metadata: Any) -> Object:
    base = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "1"}
    return {"metadata": {**base, **metadata}}


def config_map(name: str = "x", version: str = "1", **metadata: Any) -> Object:
    base = {"name": name, "namespace": "shop", "uid": "x", "resourceVersion": version}
    return {"metadata": {**base, **metadata}}


def controlled_by(name: str, **reference: str) -> Object:
    claim = {"apiVersion": "example.com/v1", "kind": "Widget", "name": name, "uid": f"uid-{name}"}
    return {"ownerReferences": [{**claim, **reference, "controller": True}]}


def key(name: str = "w") -> Key:
    return Key(KIND, "shop", name)


class Bench:
    """Triggers over two widgets in the cache; ``queued`` empties the queue."""

    def __init__(self) -> None:
        self.store = Store(PARENTS)
        self.queue: WorkQueue[Key] = WorkQueue()
        self.gone: list[tuple[Any, ...]] = []
        self.triggers = Triggers(
            (WIDGETS,), self.queue, lambda _: self.store, lambda *args: self.gone.append(args)
        )
        self.store.replace(self.store.cut([widget(), widget("v")]), "")

    async def queued(self) -> list[str]:
        found = []
        while len(self.queue):
            each = await self.queue.get()
            self.queue.done(each)
            found.append(each.name)
        return sorted(found)


@pytest.fixture
async def bench():
    return Bench()


@pytest.mark.parametrize(
    ("metadata", "queued"),
    [
        pytest.param({}, [], id="nobody's"),
        pytest.param(controlled_by("w"), ["w"], id="controller reference"),
        pytest.param(controlled_by("w", uid="earlier"), ["w"], id="of an earlier parent"),
        pytest.param(controlled_by("w", kind="Other"), [], id="another kind"),
        pytest.param(controlled_by("w", apiVersion="other.com/v1"), [], id="another group"),
        pytest.param(controlled_by("gone"), [], id="a parent that is not in the cache"),
        pytest.param({"annotations": {"example.com/owner-uid": "uid-v"}}, ["v"], id="mark"),
        pytest.param({"annotations": {"example.com/owner-uid": "old"}}, [], id="unknown mark"),
        pytest.param(
            {
                **controlled_by("x", apiVersion="other.com/v1"),
                "annotations": {"example.com/owner-uid": "uid-v"},
            },
            ["v"],
            id="mark beside a kind of the same name",
        ),
        pytest.param(
            {**controlled_by("x", kind="Job"), "annotations": {"example.com/owner-uid": "uid-v"}},
            ["v"],
            id="mark beside a foreign controller",
        ),
    ],
)
@pytest.mark.parametrize("deleted", [False, True], ids=["changed", "deleted"])
async def test_a_child_wakes_the_parents_it_belongs_to(bench, metadata, queued, deleted):
    obj = config_map(**metadata)
    bench.triggers.changed(MAPS, obj if deleted else None, None if deleted else obj)
    assert await bench.queued() == queued


async def test_a_child_with_a_new_owner_wakes_both_parents(bench):
    before, after = config_map(**controlled_by("w")), config_map(**controlled_by("v"))
    bench.triggers.changed(MAPS, before, after)
    assert await bench.queued() == ["v", "w"]


async def test_a_needed_object_wakes_its_parents_by_name_or_index(bench):
    bench.triggers.subscribe(key("w"), [Need(POD, "shop", name="x")])
    bench.triggers.subscribe(key("v"), [Need(POD, "shop", index="users")])
    bench.triggers.changed(PODS, None, config_map("x"))
    assert await bench.queued() == ["w"]
    bench.triggers.changed(PODS, None, config_map("y", labels={"app": "users"}))
    assert await bench.queued() == ["v"]
    bench.triggers.changed(PODS, config_map("y", labels={"app": "users"}), config_map("y"))
    assert await bench.queued() == ["v"]
    bench.triggers.changed(PODS, None, config_map("y"))
    assert await bench.queued() == []


async def test_the_last_demands_of_a_parent_replace_the_earlier(bench):
    one, two = Need(POD, "shop", name="x"), Need(POD, "shop", name="y")
    assert bench.triggers.subscribe(key(), [one]) == ()
    assert bench.triggers.subscribe(key(), [two]) == (one,)
    bench.triggers.changed(PODS, None, config_map("x"))
    assert await bench.queued() == []
    assert bench.triggers.subscribe(key(), []) == (two,)
    assert bench.triggers.remembered() == 0


async def test_a_demand_ends_with_its_last_asker():
    interests, ask = Interests(), Ask.of("git", "a")
    interests.subscribe(key("w"), (ask,))
    interests.subscribe(key("v"), (ask,))
    assert interests.subscribe(key("w"), ()) == ()
    assert interests.subscribers(ask) == (key("v"),)
    assert interests.subscribe(key("v"), ()) == (ask,)
    assert interests.remembered() == 0


async def test_an_answer_wakes_the_parents_with_its_question(bench):
    ask = Ask.of("git", "a")
    bench.triggers.subscribe(key(), [ask])
    bench.triggers.learned(Ask.of("git", "b"))
    assert await bench.queued() == []
    bench.triggers.learned(ask)
    assert await bench.queued() == ["w"]


@pytest.mark.parametrize(
    ("metadata", "queued"),
    [
        ({}, []),
        ({"resourceVersion": "2"}, []),
        ({"generation": 2}, ["w"]),
        ({"labels": {"a": "b"}}, ["w"]),
        ({"annotations": {"a": "b"}}, ["w"]),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, ["w"]),
        ({"annotations": {record_annotation(KIND.group): "{}"}}, ["w"]),
        ({"finalizers": [finalizer(KIND.group)]}, ["w"]),
        ({"finalizers": ["example.com/theirs"]}, []),
        ({"managedFields": [{}]}, []),
    ],
)
async def test_a_parent_wakes_itself_by_what_its_plan_reads(bench, metadata, queued):
    bench.triggers.changed(PARENTS, widget(), widget(**metadata))
    assert await bench.queued() == queued


async def test_an_edit_ends_the_backoff_of_the_old_state(bench):
    bench.queue.add(key())
    assert await bench.queue.get() == key()
    bench.queue.retry(key())
    bench.queue.done(key())
    bench.triggers.changed(PARENTS, widget(), widget(generation=2))
    assert await bench.queued() == ["w"]
    assert bench.queue.retry(key()) <= 1.0, "the count of failures starts again"


async def test_a_new_parent_is_reconciled(bench):
    bench.triggers.changed(PARENTS, None, widget())
    assert await bench.queued() == ["w"]


async def test_nothing_is_remembered_of_a_deleted_parent(bench):
    ask = Ask.of("git", "a")
    bench.triggers.subscribe(key(), [Need(POD, "shop", name="x"), ask])
    bench.triggers.park(key(), MAPS)
    bench.queue.add(key())
    bench.triggers.changed(PARENTS, widget(), None)
    assert await bench.queued() == []
    assert bench.triggers.remembered() == 0
    assert bench.gone == [(key(), "uid-w", (Need(POD, "shop", name="x"), ask))]


async def test_a_pass_is_not_woken_by_the_answers_to_its_writes(bench):
    written = config_map(version="5", **controlled_by("w"))
    bench.triggers.begin(key())
    bench.triggers.answered(key(), written, lambda: bench.triggers.changed(MAPS, None, written))
    bench.triggers.end(key())
    assert await bench.queued() == []


async def test_a_pass_is_not_woken_by_a_watch_faster_than_the_answer(bench):
    written = config_map(version="5", **controlled_by("w"))
    bench.triggers.begin(key())
    bench.triggers.changed(MAPS, None, written)
    bench.triggers.answered(key(), written, lambda: None)
    bench.triggers.end(key())
    assert await bench.queued() == []


async def test_a_change_by_others_during_a_pass_is_reconciled_after_it(bench):
    bench.triggers.begin(key())
    bench.triggers.changed(MAPS, None, config_map(version="6", **controlled_by("w")))
    assert await bench.queued() == []
    assert bench.triggers.under_way == 1
    bench.triggers.end(key())
    assert await bench.queued() == ["w"]
    assert bench.triggers.under_way == 0


async def test_an_answer_to_a_write_wakes_other_parents(bench):
    bench.triggers.subscribe(key("v"), [Need(CONFIG_MAP, "shop", name="x")])
    written = config_map(**controlled_by("w"))
    bench.triggers.begin(key())
    bench.triggers.answered(key(), written, lambda: bench.triggers.changed(MAPS, None, written))
    bench.triggers.end(key())
    assert await bench.queued() == ["v"]


async def test_a_filled_cache_wakes_parked_and_demanding_parents(bench):
    bench.triggers.park(key("w"), MAPS)
    assert bench.triggers.parked == 1
    bench.triggers.filled(MAPS)
    assert await bench.queued() == ["w"]
    assert bench.triggers.parked == 0
    bench.triggers.subscribe(key("v"), [Watch(CONFIG_MAP, child=True, optional=True)])
    bench.triggers.filled(MAPS)
    assert await bench.queued() == ["v"]


async def test_a_filled_optional_cache_wakes_its_controllers_parents(bench):
    bench.triggers.filled(Watch(POD, labels="x"))
    assert await bench.queued() == ["v", "w"]
    bench.triggers.filled(PODS)
    assert await bench.queued() == []

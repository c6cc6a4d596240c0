"""What a plan is shown: rounds of needs, unfilled and absent caches, and objects of a child's name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.demands import Demand, Need, Seen, Watch
from contract.facts import Ask, Fact
from contract.model import Key, Kind, Object
from contract.ownership import Owner, stamp
from contract.plan import Child, Plan
from objects.kinds import CONFIG_MAP, NAMESPACE, POD
from reconciler.look import ROUNDS, Unsettled, change_set, find, look
from reconciler.loop import after
from reconciler.preview import Lists
from reconciler.target import Action, Change

KIND = Kind("example.com", "v1", "Widget", "widgets")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARENT: Object = {"metadata": {"name": "w", "namespace": "shop", "uid": "u"}}
OWNER = Owner.of(KIND, PARENT)
MAPS = Watch(CONFIG_MAP, child=True)
NEED = Need(CONFIG_MAP, "shop", name="settings")


class Widgets:
    kind = KIND
    rights = ()

    def __init__(
        self,
        needer: Callable[[Seen], tuple[Demand, ...]] = lambda _: (),
        watches: tuple[Watch, ...] = (MAPS,),
    ) -> None:
        self.needer, self.watches, self.asked = needer, watches, 0

    def read(self, parent: Object) -> None:
        return None

    def needs(self, parent: Object, spec: Any, seen: Seen, now: Any) -> tuple[Demand, ...]:
        self.asked += 1
        return self.needer(seen)

    def plan(self, parent: Object, spec: Any, seen: Seen, now: Any) -> Plan:
        raise AssertionError("not asked for")


def child(name: str = "x", namespace: str = "shop", **options: Any) -> Child:
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return Child(CONFIG_MAP, body, **options)


def live(of: Child, **metadata: Any) -> Object:
    made = stamp(of, OWNER, PARENT)
    return {**made, "metadata": {**made["metadata"], "uid": "x", "resourceVersion": "1"} | metadata}


def foreign(name: str = "x") -> Object:
    return {"metadata": {"name": name, "namespace": "shop", "uid": "f", "resourceVersion": "1"}}


def space(name: str = "w-space", **metadata: Any) -> Object:
    annotations = {"example.com/owner-uid": "u"}
    return {"metadata": {"name": name, "uid": "n", "annotations": annotations, **metadata}}


def library(*objects: Object, watch: Watch = MAPS) -> Lists:
    lists = Lists()
    lists.hold(watch, objects, KIND.group)
    return lists


def sight(controller: Widgets, lists: Lists) -> Any:
    return look(controller, PARENT, None, NOW, lists)


def test_needs_are_repeated_until_no_new_need_appears():
    def chain(seen: Seen) -> tuple[Demand, ...]:
        found = [obj for objs in seen.needed.values() for obj in objs]
        return (NEED, *(Need(CONFIG_MAP, "shop", name=obj["data"]["next"]) for obj in found))

    settings = {**foreign("settings"), "data": {"next": "a"}}
    last = {**foreign("a"), "data": {"next": "settings"}}
    controller = Widgets(lambda seen: tuple(dict.fromkeys(chain(seen))))
    found = sight(controller, library(settings, last))
    assert [need.name for need in found.seen.needed] == ["settings", "a"]
    assert controller.asked == 3


@pytest.mark.parametrize("rounds", [1, ROUNDS - 1])
def test_needs_may_ask_for_more_in_all_but_the_last_round(rounds):
    def more(seen: Seen) -> tuple[Demand, ...]:
        return tuple(Ask.of("git", n) for n in range(min(len(seen.facts) + 1, rounds)))

    assert len(sight(Widgets(more), library()).demands) == rounds


def test_needs_that_never_settle_are_reported():
    controller = Widgets(lambda seen: tuple(Ask.of("git", n) for n in range(len(seen.facts) + 1)))
    with pytest.raises(Unsettled, match="Widget"):
        sight(controller, library())


def test_a_plan_sees_the_last_round_and_demands_all_rounds():
    one, two = Ask.of("git", 1), Ask.of("git", 2)
    found = sight(Widgets(lambda seen: (two,) if seen.facts else (one,)), library())
    assert set(found.seen.facts) == {two}
    assert set(found.demands) == {one, two}


def test_each_demand_is_looked_up_once():
    class Counting(Lists):
        facts = 0

        def fact(self, ask: Ask, now: datetime) -> Fact:
            self.facts += 1
            return Fact()

    lists = Counting()
    lists.hold(MAPS, (), KIND.group)
    one, two = Ask.of("git", 1), Ask.of("git", 2)
    sight(Widgets(lambda seen: (one, two) if seen.facts else (one,)), lists)
    assert lists.facts == 2


def test_an_unfilled_cache_is_named_and_an_absent_kind_is_seen():
    pods = Watch(POD, optional=True)
    lists = library()
    found = sight(Widgets(lambda _: (NEED,), (MAPS, pods)), lists)
    assert (found.unfilled, found.seen.absent) == ([pods], frozenset())
    lists.miss(pods)
    found = sight(Widgets(lambda _: (Need(POD, "shop", name="x"),), (MAPS, pods)), lists)
    assert (found.unfilled, found.seen.absent) == ([], {POD})
    assert found.seen.needed == {Need(POD, "shop", name="x"): ()}


@pytest.mark.parametrize("turned", [False, True])
def test_a_need_may_precede_or_follow_its_watch(turned):
    pods, need = Watch(POD), Need(POD, "shop", name="p")
    lists = library()
    lists.hold(pods, [foreign("p")], KIND.group)
    demands = (need, pods) if turned else (pods, need)
    assert sight(Widgets(lambda _: demands), lists).seen.needed[need] == (foreign("p"),)


def test_a_need_that_no_watch_answers_is_an_error():
    with pytest.raises(LookupError, match="pods"):
        sight(Widgets(lambda _: (Need(POD, "shop", name="p"),)), library())


def test_only_proven_children_are_shown_as_children():
    elsewhere = live(child("y", "victim"))
    found = sight(Widgets(), library(live(child()), foreign("z"), elsewhere))
    assert [key.name for key in found.seen.children] == ["x"]


def test_children_in_an_own_namespace_are_seen_in_any_order():
    spaces = Watch(NAMESPACE, child=True)
    inner = live(child("x", "w-space"), ownerReferences=[])
    lists = library(inner)
    lists.hold(spaces, [space()], KIND.group)
    found = sight(Widgets(watches=(MAPS, spaces)), lists)
    assert {str(key) for key in found.seen.children} == {
        "ConfigMap/w-space/x",
        "Namespace//w-space",
    }
    assert found.owner.own == {"w-space"}


async def test_an_object_of_a_wanted_name_is_a_child_by_proof_only():
    reads = []
    by_mark = live(child("marked"), ownerReferences=[])

    async def get(wanted: Child) -> Object | None:
        reads.append(wanted.key.name)
        return {"marked": by_mark}.get(wanted.key.name)

    cached = library(foreign("taken"), live(child("mine")))
    seen = sight(Widgets(), cached)
    wanted = [child(name) for name in ("mine", "taken", "marked", "none")]
    seen, there, more = await find(seen, wanted, get)
    assert reads == ["marked", "none"]
    assert {key.name for key in there} == {"mine", "taken", "marked"}
    assert {key.name for key in seen.seen.children} == {"mine", "marked"}
    assert more


async def test_a_shared_object_is_found_and_is_not_a_child():
    seen, there, more = await find(
        sight(Widgets(), library(live(child("x"), ownerReferences=[], annotations={}))),
        [child("x", hold="shared")],
        None,
    )
    assert (len(there), len(seen.seen.children), more) == (1, 0, False)


@pytest.mark.parametrize(
    ("watch", "obj", "surplus"),
    [
        pytest.param(MAPS, live(child("old")), ["old"], id="owned"),
        pytest.param(MAPS, live(child("old", hold="kept")), [], id="kept"),
        pytest.param(
            Watch(CONFIG_MAP, child=True, removable=False), live(child("old")), [], id="lasting"
        ),
        pytest.param(Watch(CONFIG_MAP), live(child("old")), [], id="only read"),
        pytest.param(MAPS, foreign("old"), [], id="foreign"),
    ],
)
def test_only_owned_objects_of_removable_kinds_are_surplus(watch, obj, surplus):
    found = sight(Widgets(watches=(watch,)), library(obj, watch=watch))
    changes = change_set(PARENT, found, {}, Plan({}, (child("new"),)))
    assert [each["metadata"]["name"] for _, each in changes.surplus] == surplus


@pytest.mark.parametrize(
    ("metadata", "wanted", "surplus"),
    [
        ({}, False, ["w-space"]),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, True, []),
        ({}, True, ["x"]),
    ],
)
def test_a_child_deleted_with_its_namespace_is_not_surplus(metadata, wanted, surplus):
    spaces = Watch(NAMESPACE, child=True)
    lists = library(live(child("x", "w-space"), ownerReferences=[]))
    lists.hold(spaces, [space(**metadata)], KIND.group)
    found = sight(Widgets(watches=(spaces, MAPS)), lists)
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "w-space"}}
    children = (Child(NAMESPACE, body),) if wanted else ()
    changes = change_set(PARENT, found, {}, Plan({}, children))
    assert [each["metadata"]["name"] for _, each in changes.surplus] == surplus


def test_the_next_plan_sees_the_outcomes_of_writes():
    keys = {name: Key(CONFIG_MAP, "shop", name) for name in ("gone", "going", "taken", "rival")}
    before = Seen("shop", {key: foreign(name) for name, key in keys.items()})
    going = foreign("going") | {"deletes": True}
    changes = (
        Change(CONFIG_MAP, keys["gone"], Action.DELETED),
        Change(CONFIG_MAP, keys["going"], Action.DELETING, going),
        Change(CONFIG_MAP, keys["taken"], Action.FOREIGN, detail="it belongs to Other x"),
        Change(CONFIG_MAP, keys["rival"], Action.CONTESTED, foreign("rival"), detail="helm"),
    )
    seen = after(before, changes)
    assert set(seen.children) == {keys["going"], keys["rival"]}
    assert seen.children[keys["going"]] == going
    assert seen.foreign == {keys["taken"]: "it belongs to Other x"}
    assert seen.contested == {keys["rival"]: "helm"}

"""The rules of the contract, as properties of every controller of every domain.

The five rules:

1. ``needs`` comes to rest within six rounds; more is a bug.
2. A record that is stored is stored: ``plan(parent + plan.record).record == plan.record`` for equal
   seen and now. Later the record may be another, but not another in each pass.
3. Two plans over the same objects are the same: a plan is a function of what it is given, changes
   nothing of it, and does not depend on the order of what is seen.
4. A transitional plan wants the old children too: ``children`` is complete, so what is not wanted is
   deleted. Over what its own writes leave, be they cut off after any wave, a plan still wants them.
5. Nothing in a record is believed that grants something: whoever may edit the parent may edit it.

And what the runtime takes for granted beside them: a plan of anything that the schema allows raises
nothing, writes only kinds that are watched as children and only in the parent's places, leaves no
child behind that may not be deleted, has a status that the schema allows, wants to be asked again
only in the future, and is quiet once it is carried out.

The controllers of a domain are found by themselves (see ``subjects``): a new one has nothing to add
here. The toy controller of the world's tests is under test too: no domain uses all of the contract
yet. Each rule is tried on a controller that breaks it.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.demands import Need, Seen, Watch
from contract.metadata import key_parts
from contract.model import Kind, Object
from contract.ownership import Owner, annotations_of, stamp
from contract.plan import NO_RIGHTS, Child, Controller, Plan
from contract.record import record_annotation
from memoryserver import MemoryApi, Server
from objects.kinds import CONFIG_MAP, SERVICE
from reconciler.apply import KubernetesTarget
from reconciler.client.api import ApiError
from reconciler.look import ROUNDS, Unsettled
from reconciler.loop import Reconciler
from reconciler.parents import Parents
from reconciler.preview import Lists
from unit.cluster_objects import others
from unit.contract_rules import (
    RULES,
    a_forged_record_grants_nothing,
    a_stored_record_is_stored,
    children_are_in_the_parents_places,
    children_are_of_watched_kinds,
    equal_objects_give_equal_plans,
    needs_come_to_rest,
    no_child_is_left_behind,
    planned,
    the_next_moment_is_in_the_future,
    the_status_is_of_the_schema,
    written_children_stay_wanted,
)
from unit.situations import NOW, Situation, situations
from unit.subjects import NAMESPACE, domains, parents, subjects
from unit.toy_subject import TOYS

SUBJECTS = [*subjects(), TOYS]

thorough = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
@settings(thorough, max_examples=150)
@given(data=st.data())
def test_every_controller_keeps_the_rules(subject, data):
    situation = data.draw(situations(subject))
    for rule in RULES:
        try:
            rule(situation)
        except Exception as error:
            error.add_note(f"the rule: {rule.__name__}")
            raise


def test_every_domain_is_under_test():
    assert "gati" in domains()
    assert {str(each) for each in SUBJECTS} >= {"GatiHandler", "GatiModule", "GatiVersion"}


PLANNING = [each for each in SUBJECTS if each.controllers[0].watches]


@pytest.mark.parametrize("subject", PLANNING, ids=str)
def test_the_situations_cover_every_rule(subject):
    """Children are wanted, and own ones are seen, beside objects that are only needed."""
    reached: set[str] = set()

    @settings(thorough, max_examples=100, derandomize=True, database=None)
    @given(situations(subject))
    def explore(situation: Situation) -> None:
        seen = situation.seen()
        found = (planned(situation), seen.children, any(seen.needed.values()))
        reached.update(itertools.compress(("wanted", "seen", "needed"), found))

    explore()
    assert reached == {"wanted", "seen", "needed"}


# Carried out.


def passes(
    controller: Controller, api: MemoryApi, place: tuple[str, str], most: int = 2 * ROUNDS
) -> Iterator[int]:
    """Passes, each by an operator that has just started; how many writes each of them made."""
    for _ in range(most):
        before = len(api.writes)
        asyncio.run(_pass(controller, api, place))
        yield sum(write.committed and not write.dry_run for write in api.writes[before:])


async def _pass(controller: Controller, api: MemoryApi, place: tuple[str, str]) -> None:
    kind = controller.kind
    library = Lists()
    for watch in controller.watches:
        listing = await api.list(watch.kind, labels=watch.labels)
        library.hold(watch, listing.items, kind.group)
    parent = await api.get(kind, *place)
    if parent is not None:
        made = Parents(api, kind, manager="operator", written=lambda _: None)
        target = KubernetesTarget(api, manager="operator")
        reconciler = Reconciler(controller, api, target, made, lambda: NOW)
        while waits := (await reconciler.reconcile(parent, library, lambda _: None)).waits_for:
            listing = await api.list(waits.kind, labels=waits.labels)
            library.hold(waits, listing.items, kind.group)


def comes_to_rest(controller: Controller, api: MemoryApi, place: tuple[str, str]) -> None:
    counts = list(itertools.takewhile(bool, passes(controller, api, place)))
    assert len(counts) < 2 * ROUNDS, "the passes go on writing"
    assert sum(itertools.islice(passes(controller, api, place), 1)) == 0


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
@thorough
@given(data=st.data())
def test_a_plan_that_is_carried_out_is_quiet(subject, data):
    kind = subject.kind
    controller = data.draw(st.sampled_from(subject.controllers))
    server = Server(lambda: NOW, crds=subject.crds)
    api = MemoryApi(server=server)
    before, after = (data.draw(parents(subject, status=False)) for _ in range(2))
    drawn = [
        (watch.kind, obj)
        for watch in controller.watches
        for obj in data.draw(st.lists(others(watch.kind, ()), max_size=1))
    ]
    for of, obj in (*subject.beside, *drawn):
        fresh = copy.deepcopy(obj)
        del fresh["metadata"]["uid"], fresh["metadata"]["resourceVersion"]
        server.create(of, fresh, "kubectl")
    place = key_parts(before)
    for parent in (before, after):
        metadata = {"namespace": place[0], "name": place[1]}
        body = {**parent, "apiVersion": kind.api_version, "metadata": metadata}
        try:
            server.apply(kind, body, "kubectl")
        except ApiError as error:
            if error.code != 422:
                raise
            continue  # the spec breaks a rule of its schema
        comes_to_rest(controller, api, place)


# Each rule is broken once.


KIND = Kind("example.com", "v1", "Widget", "widgets")
PARENT: Object = {"metadata": {"name": "w", "namespace": NAMESPACE, "uid": "u", "generation": 1}}


def config_map(name: str, namespace: str = NAMESPACE) -> Child:
    metadata = {"name": name, "namespace": namespace}
    return Child(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


@dataclass
class Widgets:
    """A controller that does what a test sets; without a setting it keeps every rule."""

    planner: Callable[[Object, Seen], Plan] = lambda *_: Plan({}, (config_map("a"),))
    needer: Callable[[Object, Seen], Any] = lambda *_: ()
    removable: bool = True

    kind = KIND
    rights = NO_RIGHTS

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (Watch(CONFIG_MAP, child=True, removable=self.removable),)

    def read(self, parent: Object) -> None:
        return None

    def needs(self, parent: Object, spec: None, seen: Seen, now: Any) -> Any:
        return self.needer(parent, seen)

    def plan(self, parent: Object, spec: None, seen: Seen, now: Any) -> Plan:
        return self.planner(parent, seen)


class Dated(Widgets):
    """It records when it was planned last."""

    def plan(self, parent: Object, spec: None, seen: Seen, now: Any) -> Plan:
        return Plan({}, record={"last": now.isoformat()})


def situation(widgets: Widgets, *children: Child, parent: Object = PARENT) -> Situation:
    """A widget with these children, live."""
    owner = Owner.of(KIND, parent)
    objects = tuple(stamp(child, owner, parent) for child in children)
    for number, obj in enumerate(objects):
        obj["metadata"] |= {"uid": str(number), "resourceVersion": "1"}
    return Situation(widgets, parent, objects={CONFIG_MAP: objects})


EMPTY = {"type": "object", "properties": {"phase": {"type": "string"}}}
ONE, TWO = config_map("a"), config_map("b")
COUNT = itertools.count()


def changing(parent: Object, seen: Seen) -> Plan:
    parent["metadata"]["generation"] += 1
    return Plan({})


def by_turns(parent: Object, seen: Seen) -> Plan:
    return Plan({}, (TWO,) if ONE.key in seen.children else (ONE,))


def believing(parent: Object, seen: Seen) -> Plan:
    text = annotations_of(parent).get(record_annotation(KIND.group))
    record = json.loads(text) if text else {"target": "a"}
    return Plan({}, (config_map(str(record.get("target", "a"))),), record=record)


def growing(parent: Object, seen: Seen) -> Plan:
    text = annotations_of(parent).get(record_annotation(KIND.group), "[]")
    return Plan({}, record={"steps": len(text)})


def curious(parent: Object, seen: Seen) -> tuple[Need, ...]:
    return tuple(Need(CONFIG_MAP, NAMESPACE, name=f"n{i}") for i in range(len(seen.needed) + 1))


def status(**fields: Any) -> Widgets:
    return Widgets(lambda *_: Plan({"conditions": [{"message": "x", **fields}]}))


def wanting(*children: Child) -> Widgets:
    return Widgets(lambda *_: Plan({}, children))


BROKEN = (
    (needs_come_to_rest, situation(Widgets(needer=curious))),
    (a_stored_record_is_stored, situation(Widgets(growing))),
    (a_stored_record_is_stored, situation(Widgets(lambda *_: Plan({}, record={"a": (1,)})))),
    (
        a_stored_record_is_stored,
        situation(Widgets(lambda *_: Plan({}, record={"pass": next(COUNT)}))),
    ),
    (a_stored_record_is_stored, situation(Dated())),
    (
        equal_objects_give_equal_plans,
        situation(Widgets(changing), parent=copy.deepcopy(PARENT)),
    ),
    (
        equal_objects_give_equal_plans,
        situation(Widgets(lambda *_: Plan({"count": next(COUNT)}))),
    ),
    (
        equal_objects_give_equal_plans,
        situation(Widgets(lambda _, seen: Plan({"one": str(next(iter(seen.children)))})), ONE, TWO),
    ),
    (written_children_stay_wanted, situation(Widgets(by_turns))),
    (a_forged_record_grants_nothing, situation(Widgets(believing))),
    (children_are_of_watched_kinds, situation(wanting(replace(ONE, kind=SERVICE)))),
    (children_are_of_watched_kinds, situation(wanting(ONE, replace(ONE, wave=1)))),
    (children_are_in_the_parents_places, situation(wanting(config_map("a", "other")))),
    (no_child_is_left_behind, situation(replace(wanting(), removable=False), ONE)),
    (the_status_is_of_the_schema, situation(status(message="x" * 1025))),
    (
        the_status_is_of_the_schema,
        replace(situation(status()), statuses=EMPTY),
    ),
    (
        the_next_moment_is_in_the_future,
        situation(Widgets(lambda *_: Plan({}, again_at=NOW - timedelta(seconds=1)))),
    ),
)


@pytest.mark.parametrize(("rule", "broken"), BROKEN, ids=lambda each: getattr(each, "__name__", ""))
def test_a_controller_that_breaks_the_rule_is_caught(rule, broken):
    with pytest.raises((AssertionError, Unsettled, jsonschema.ValidationError)):
        rule(broken)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_controller_that_keeps_the_rule_passes(rule):
    rule(situation(Widgets(), ONE))


def test_a_plan_that_never_rests_is_caught():
    api = MemoryApi(lambda: NOW)
    api.server.create(KIND, {"apiVersion": "example.com/v1", "kind": "Widget", **PARENT}, "kubectl")
    comes_to_rest(Widgets(), api, (NAMESPACE, "w"))
    with pytest.raises(AssertionError, match="go on writing"):
        comes_to_rest(Widgets(by_turns), api, (NAMESPACE, "w"))

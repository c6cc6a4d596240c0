"""The rules of the contract as functions: each raises AssertionError in a situation that breaks it.

``test_contract_rules`` states them in words.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jsonschema

from contract.demands import Watch
from contract.metadata import key_parts
from contract.ownership import annotations_of, is_kept, stamp
from contract.plan import Child
from contract.record import record_annotation
from contract.status import MESSAGE_LIMIT
from memoryserver.structural import undeclared
from objects.kinds import NAMESPACE
from reconciler.look import ROUNDS
from reconciler.parents import with_marks
from reconciler.rights import rights
from unit.situations import Situation, shuffled

FORGED = "forged-by-a-user"


def is_going(situation: Situation) -> bool:
    return "deletionTimestamp" in situation.parent["metadata"]


def planned(situation: Situation) -> tuple[Child, ...]:
    """The children of the plan; none where it leaves alone what is there."""
    return situation.plan().children or ()


def needs_come_to_rest(situation: Situation) -> None:
    situation.look()


def a_stored_record_is_stored(situation: Situation) -> None:
    seen = situation.seen()
    plan = situation.plan(seen)
    stored = with_marks(situation.parent, plan, situation.group)
    again = replace(situation, parent=stored).plan(seen)
    assert again.record == plan.record
    if plan.record is not None:
        text = stored["metadata"]["annotations"][record_annotation(situation.group)]
        assert json.loads(text) == plan.record, "the record is not JSON"
    for seconds in range(1, ROUNDS):
        later = replace(situation, parent=stored, now=situation.now + timedelta(seconds=seconds))
        plan = later.plan(seen)
        if plan.record == again.record:
            return
        stored, again = with_marks(stored, plan, situation.group), plan
    raise AssertionError("the record differs in each pass: nothing else would ever be written")


def equal_objects_give_equal_plans(situation: Situation) -> None:
    seen = situation.seen()
    before = copy.deepcopy((situation.parent, seen))
    plan = situation.plan(seen)
    assert (situation.parent, seen) == before, "the plan changed what it was given"
    assert copy.deepcopy(situation).plan(copy.deepcopy(seen)) == plan
    for each in shuffled(seen):
        assert situation.plan(each) == plan, "the plan depends on the order of what is seen"
    assert situation.look().seen == replace(seen, foreign={}, refused={}, contested={})


def written_children_stay_wanted(situation: Situation) -> None:
    """But for a parent that is being deleted, whose children go in stages."""
    if is_going(situation):
        return
    situation = replace(situation, foreign={}, refused={}, contested={})
    wanted = planned(situation)
    for last in {child.wave for child in wanted}:
        written = [child for child in wanted if child.wave <= last]
        after = with_written(situation, written).plan()
        if after.children is not None:
            owned = {child.key for child in written if child.hold != "shared"}
            left = owned - {child.key for child in after.children}
            assert not left, "the next plan deletes what this one wrote"


def with_written(situation: Situation, children: list[Child]) -> Situation:
    """The situation once these children were written, but for those whose name is taken."""
    sight = situation.look()
    objects = {kind: list(each) for kind, each in situation.objects.items()}
    for child in children:
        known = objects.setdefault(child.kind, [])
        place = key_parts(child.body)
        there = next((each for each in known if key_parts(each) == place), None)
        if there is not None and child.key not in sight.seen.children:
            continue
        body = stamp(child, sight.owner, situation.parent)
        base = there or {"metadata": {"uid": "new", "resourceVersion": "1", "generation": 1}}
        metadata = {**base["metadata"], **body["metadata"]}
        if there is not None:
            known.remove(there)
        known.append({**base, **copy.deepcopy(body), "metadata": metadata})
    return replace(situation, objects={kind: tuple(each) for kind, each in objects.items()})


def a_forged_record_grants_nothing(situation: Situation) -> None:
    plan = situation.plan()
    names = ("namespace", "name", "commit", "release", "host", "user", *(plan.record or {}))
    for record in (dict.fromkeys(names, FORGED), _forged(plan.record)):
        text = {record_annotation(situation.group): json.dumps(record)}
        annotations = {**annotations_of(situation.parent), **text}
        metadata = {**situation.parent["metadata"], "annotations": annotations}
        tampered = replace(situation, parent={**situation.parent, "metadata": metadata})
        believed = [tampered.look().demands, tampered.plan().acting_as, planned(tampered)]
        assert FORGED not in repr(believed), "a plan believes what a user wrote into the record"


def _forged(value: Any) -> Any:
    """The value with every text in it replaced."""
    if isinstance(value, dict):
        return {name: _forged(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_forged(each) for each in value]
    return FORGED if isinstance(value, str) else value


def children_are_of_watched_kinds(situation: Situation) -> None:
    demands = situation.look().demands
    watches = (
        *situation.controller.watches,
        *(each for each in demands if isinstance(each, Watch)),
    )
    children = planned(situation)
    for child in children:
        kinds = {each.kind for each in watches if each.child or child.hold == "shared"}
        assert child.kind in kinds, "a child's kind is not watched"
    own = {each.kind for each in situation.controller.watches if each.child}
    allowed = set(rights([situation.controller]))
    for kind in own & {child.kind for child in children}:
        for verb in ("get", "list", "watch", "create", "patch"):
            assert (kind.group, kind.plural, verb) in allowed, "a child may not be written"
    keys = [child.key for child in children]
    assert len(keys) == len(set(keys)), "two children have one name"


def children_are_in_the_parents_places(situation: Situation) -> None:
    owner = situation.look().owner
    made = [child.key.name for child in planned(situation) if child.kind == NAMESPACE]
    owner = owner.owning([*owner.own, *made])
    outside = [child.key for child in planned(situation) if not owner.reaches(child.key.namespace)]
    assert not outside, "a child is outside of the parent's places"
    for child in planned(situation):
        assert (child.key.namespace != "") == child.kind.namespaced


def no_child_is_left_behind(situation: Situation) -> None:
    """What may not be deleted is wanted by every plan that writes at all, or kept for good."""
    plan = situation.plan()
    if plan.children is None or is_going(situation):
        return
    watches = situation.controller.watches
    fixed = {each.kind for each in watches if each.child and not each.removable}
    wanted = {child.key for child in plan.children}
    sight = situation.look()
    left = [
        key
        for key, obj in sight.seen.children.items()
        if key.kind in fixed and key not in wanted and not is_kept(obj, sight.owner)
    ]
    assert not left, "a child that may not be deleted is not wanted any more"


def the_status_is_of_the_schema(situation: Situation) -> None:
    status = situation.plan().status
    assert undeclared(status, dict(situation.statuses)) == ""
    jsonschema.validate(status, situation.statuses)
    for condition in status.get("conditions", ()):
        assert len(condition["message"]) <= MESSAGE_LIMIT, "a message has no bound"


def the_next_moment_is_in_the_future(situation: Situation) -> None:
    again_at = situation.plan().again_at
    assert again_at is None or again_at > situation.now


RULES: tuple[Callable[[Situation], None], ...] = (
    needs_come_to_rest,
    a_stored_record_is_stored,
    equal_objects_give_equal_plans,
    written_children_stay_wanted,
    a_forged_record_grants_nothing,
    children_are_of_watched_kinds,
    children_are_in_the_parents_places,
    no_child_is_left_behind,
    the_status_is_of_the_schema,
    the_next_moment_is_in_the_future,
)

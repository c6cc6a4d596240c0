"""A plan is complete: its file or its seed gives the same run again, and an invalid field is named."""

from __future__ import annotations

import json
import string
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.mutations import MUTATIONS
from chaos.plan import Disturbance, Plan, load, random_plan, save
from chaos.proxy.rules import Rule
from chaos.scenarios import CRASHED
from chaos.suite import Suite

FULL = Plan(
    group="leader",
    name="all at once",
    scenario="handler-life",
    rules=(Rule(verb="write", phase="before", fault="respond", code=429, retry_after=1.5),),
    at="scale",
    disturbances=(Disturbance(at="scale", action="cut-lease", seconds=3.0, lead=1.5),),
    replicas=2,
    timing=(3.0, 2.0, 0.4),
    flags=("--resync=0",),
    webhook="never-agrees",
    quiet=1.0,
    exclusive=True,
    strikes=False,
    patience=9.0,
    waived={"quiescence": "why"},
    seed=7,
)


def again(plan: Plan) -> Plan:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        save(plan, file)
        return load(file)


@given(st.integers(0, 10_000), st.sampled_from(CRASHED))
def test_a_random_plan_survives_its_file(seed: int, scenario: str):
    plan = random_plan(seed, scenario)
    assert again(plan) == plan
    assert again(plan).id == plan.id


@given(st.integers(0, 10_000))
def test_the_same_seed_is_the_same_plan(seed: int):
    plan = random_plan(seed, "handler-life")
    assert plan == random_plan(seed, "handler-life")
    assert plan.id != random_plan(seed, "three-handlers").id
    assert 2 <= len(plan.rules) <= 4
    assert plan.seed == seed


def test_seeds_differ():
    assert len({random_plan(seed, "handler-life").id for seed in range(100)}) == 100


def test_every_field_survives_its_file():
    for name, value in msgspec.structs.asdict(FULL).items():
        default = msgspec.structs.asdict(Plan(group="", name="", scenario=""))[name]
        assert value != default, f"{name} is not tried"
    assert again(FULL) == FULL


def plans() -> list[Plan]:
    """All plans that need no reference, and those of the mutations."""
    every_group_but_crash = tuple(string.ascii_lowercase)  # for that the whole word is needed
    found = list(Suite().plans(every_group_but_crash))
    return found + [mutation.plan for mutation in MUTATIONS]


def test_every_plan_survives_its_file_and_has_its_own_id():
    all_plans = plans()
    assert len(all_plans) > 150
    assert [again(plan) for plan in all_plans] == all_plans
    assert len({plan.id for plan in all_plans}) == len(all_plans)


def test_a_file_holds_only_what_differs_from_a_calm_run(tmp_path: Path):
    save(Plan(group="calm", name="run", scenario="handler-life"), tmp_path / "plan.json")
    text = (tmp_path / "plan.json").read_text("utf-8")
    assert json.loads(text) == {"group": "calm", "name": "run", "scenario": "handler-life"}
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"patients": 3}, "patients"),
        ({"rules": [{"phase": "before", "fault": "drop", "secnods": 3}]}, "secnods"),
        ({"rules": [{"phase": "before", "fault": "cut"}]}, "cut is not a fault of before"),
        ({"disturbances": [{"at": "x", "action": "cut", "second": 1}]}, "second"),
        ({"replicas": "two"}, r"\$\.replicas"),
    ],
)
def test_an_unknown_field_or_value_is_named(tmp_path: Path, change: dict[str, object], named: str):
    file = tmp_path / "plan.json"
    plan = {"group": "g", "name": "n", "scenario": "handler-life"}
    file.write_text(json.dumps(plan | change), "utf-8")
    with pytest.raises(ValueError, match=named) as caught:
        load(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"group": "g"}'])
def test_an_invalid_plan_is_refused(tmp_path: Path, text: str):
    (tmp_path / "plan.json").write_text(text, "utf-8")
    with pytest.raises(ValueError, match=r"plan\.json"):
        load(tmp_path / "plan.json")

"""A mutation is caught by an oracle that it names, and not by its control."""

from typing import Any

import pytest
from msgspec.structs import replace

from chaos.evidence import Finding
from chaos.mutations import MUTATIONS, Mutation
from chaos.plan import Plan
from chaos.pool import Result
from chaos.proof import Verdict, control

BARE: dict[str, Any] = {
    "group": "mutation",
    "scenario": "handler-life",
    "quiet": 3.0,
    "patience": 20.0,
}
MUTATION = MUTATIONS[0]
NAMED = Finding(MUTATION.oracles[0], "what it objects to")
OTHER = Finding("rig", "connection refused")


def result(*findings: Finding) -> Result:
    return Result(MUTATION.plan, findings, seconds=1.0)


@pytest.mark.parametrize(
    ("found", "without", "caught"),
    [
        (result(NAMED), result(), True),
        (result(OTHER, NAMED), result(), True),
        (result(), result(), False),
        (result(OTHER), result(), False),
        (result(NAMED), result(OTHER), False),
        (result(NAMED), result(NAMED), False),
    ],
)
def test_a_mutation_is_caught_only_by_an_oracle_that_it_names(
    found: Result, without: Result, caught: bool
):
    verdict = Verdict(MUTATION, found, without)
    assert bool(verdict.caught) is caught
    assert str(verdict).startswith("caught" if caught else "MISSED")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_the_control_is_the_same_plan_under_another_name(mutation: Mutation):
    plan = control(mutation)
    unnamed = {"group": "", "name": ""}
    assert replace(plan, **unnamed) == replace(mutation.plan, **unnamed)
    assert plan.id != mutation.plan.id


def test_plans_that_differ_in_their_name_only_have_one_control():
    undisturbed = [
        each for each in MUTATIONS if each.plan == Plan(**BARE | {"name": each.plan.name})
    ]
    assert len(undisturbed) > 5
    assert len({control(each).id for each in undisturbed}) == 1


def test_plans_that_differ_in_more_have_controls_of_their_own():
    distinct = {replace(each.plan, group="", name="").id for each in MUTATIONS}
    assert len({control(each).id for each in MUTATIONS}) >= len(distinct)

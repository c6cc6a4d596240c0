"""What counts as catching a mutation."""

import pytest

from chaos.evidence import Finding
from chaos.mutations import MUTATIONS
from chaos.pool import Result
from chaos.proof import Verdict, control

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
        (result(NAMED), None, True),  # an undisturbed plan: the calm runs are its control
        (result(), result(), False),
        (result(OTHER), result(), False),
        (result(NAMED), result(OTHER), False),
        (result(NAMED), result(NAMED), False),
    ],
)
def test_a_mutation_is_caught_by_an_oracle_that_it_names_and_by_nothing_without_it(
    found: Result, without: Result | None, caught: bool
):
    verdict = Verdict(MUTATION, found, without)
    assert bool(verdict.caught) is caught
    assert str(verdict).startswith("caught" if caught else "MISSED")


def test_the_control_is_the_same_plan_under_another_name():
    plan = control(MUTATION)
    assert plan.rules == MUTATION.plan.rules
    assert plan.disturbances == MUTATION.plan.disturbances
    assert plan.id != MUTATION.plan.id

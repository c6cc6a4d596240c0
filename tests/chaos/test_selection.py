"""The fault rig's fixed selection: a little of every group, and that the rig finds bugs.

All of the rig is `make chaos`. The plans in `plans/` are those that once failed; each is replayed
here, and a new one is kept by putting its file there.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos import catalogue
from chaos.crash_points import PHASES, crash_plans
from chaos.evidence import Reference
from chaos.mutations import MUTATIONS
from chaos.plan import Plan, load, save
from chaos.pool import Pool
from chaos.proof import prove
from chaos.report import failures
from chaos.scenarios import SCENARIOS
from chaos.suite import Suite

pytestmark = [pytest.mark.long, pytest.mark.timeout(900), pytest.mark.xdist_group("chaos")]

KEPT = sorted((Path(__file__).parent / "plans").glob("*.json"))
SCENARIO = "handler-life"
WORKERS = 4
"""A plan mostly waits; the other tests run beside."""
CAUGHT = ("adopt-foreign-objects", "apply-without-drift", "apply-without-uid")

Write = tuple[str, str, str, str]
CRASHES: tuple[tuple[Write, str], ...] = tuple(
    (write, phase)
    for write in (
        ("create", "apply", "deployments", ""),
        ("scale", "apply", "gatihandlers", "status"),
    )
    for phase in PHASES
)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Suite]:
    """A rig with a control plane of its own; a failed plan's files stay in its folder."""
    if pytestconfig.option.context:
        pytest.skip("the rig breaks a control plane of its own")
    with Suite(folder=tmp_path_factory.mktemp("chaos") / "suite", report=print) as made:
        yield made
        gc.collect()  # what undisturbed runs left open ends here, not in some other test


def crashes(reference: Reference) -> Iterator[Plan]:
    """The first write of each kind chosen, in each of its phases."""
    wanted = dict.fromkeys(CRASHES)
    for plan in crash_plans(reference):
        rule = plan.rules[0]
        point = ((plan.at, rule.verb, rule.resource, rule.subresource), rule.phase)
        if point in wanted and plan.strikes and rule.first == 1:
            del wanted[point]
            yield plan
    assert not wanted, f"no undisturbed run has these writes: {list(wanted)}"


def one(plans: Iterator[Plan], is_it: Callable[[Plan], bool]) -> Plan:
    """The first plan of the catalogue that is meant."""
    return next(plan for plan in plans if is_it(plan))


def selection(reference: Reference) -> Iterator[Plan]:
    """The kept plans, crashes, and one plan each of the faults of Lease, watch and request."""
    yield from map(load, KEPT)
    yield from crashes(reference)
    subject = next(each for each in catalogue.SUBJECTS if each.scenario == SCENARIO)
    yield one(
        catalogue.leader_faults(subject), lambda plan: plan.name == "cut-lease, a change after 3 s"
    )
    yield one(catalogue.watch_faults(subject), lambda plan: plan.rules[0].fault == "gone")
    yield one(catalogue.request_faults(subject), _is_lost_timeout)
    yield from catalogue.calm((SCENARIO,), 1)


def _is_lost_timeout(plan: Plan) -> bool:
    rule = plan.rules[0]
    return (rule.phase, rule.fault, rule.code) == ("committed", "respond", 504)


def test_the_operator_passes_a_selection_of_faults(suite: Suite):
    plans = list(selection(suite.reference(SCENARIO)))
    assert len(plans) == len(KEPT) + len(CRASHES) + 4
    results = suite.run(plans, Pool(WORKERS))
    found = "\n".join(failures(results))
    assert not found, found
    assert {result.plan.id for result in results if result.struck} == {plan.id for plan in plans}


def test_the_rig_finds_bugs_installed_in_the_operator(suite: Suite):
    chosen = [mutation for mutation in MUTATIONS if mutation.name in CAUGHT]
    assert len(chosen) == len(CAUGHT)
    verdicts = prove(suite, chosen, WORKERS, lambda _result: None)
    assert all(each.caught for each in verdicts), "\n".join(map(str, verdicts))


def test_a_kept_plan_can_be_replayed_by_a_run(tmp_path: Path):
    assert KEPT
    for file in KEPT:
        plan = load(file)
        assert plan.scenario in SCENARIOS
        assert plan.strikes, "a plan that need not strike is not a regression"
        save(plan, tmp_path / file.name)
        assert (tmp_path / file.name).read_text() == file.read_text(), "saved by chaos.plan.save"

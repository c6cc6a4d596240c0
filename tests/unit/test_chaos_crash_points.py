"""Every write of the undisturbed runs is a crash point in each phase, and fewer is a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from chaos.crash_points import PHASES, crash_plans
from chaos.evidence import Evidence, Reference, StepEnd, WriteKey
from chaos.plan import Plan
from chaos.pool import Result
from chaos.proxy.requests import Request
from chaos.proxy.trace import Entry
from chaos.report import crash_points

APPLY = WriteKey("scale", "apply", "deployments", "handler-web", "", 1)
STATUS = WriteKey("scale", "apply", "gatihandlers", "web", "status", 2)
EVENT = WriteKey("create", "create", "events", "*", "", 1)
VARYING = WriteKey("scale", "apply", "gatihandlers", "web", "status", 3)
REFERENCE = Reference("handler-life", {}, {}, (APPLY, STATUS, EVENT), (VARYING,), 1.0)


def entry(at: float, **fields: Any) -> Entry:
    given = {"verb": "apply", "resource": "deployments", "name": "web"} | fields
    return Entry(seq=0, at=at, ended=at, **given)


def keys(*entries: Entry) -> list[str]:
    plan = Plan(group="g", name="n", scenario="handler-life")
    steps = [StepEnd("create", 1.0, 2.0, {}), StepEnd("scale", 2.0, 3.0, {})]
    return [str(key) for key in Evidence(plan, steps=steps, entries=list(entries)).write_keys()]


def test_writes_are_counted_from_the_beginning_of_each_step():
    assert keys(entry(1.1), entry(1.2), entry(2.0)) == [
        "create: apply deployments/web #1",
        "create: apply deployments/web #2",
        "scale: apply deployments/web #1",
    ]


def test_writes_count_in_the_order_of_their_time():
    status = {"resource": "gatihandlers", "subresource": "status"}
    assert keys(entry(1.2), entry(1.1, **status)) == [
        "create: apply gatihandlers/web/status #1",
        "create: apply deployments/web #1",
    ]


def test_the_writes_of_events_are_numbered():
    of_event = {"verb": "create", "resource": "events"}
    assert keys(entry(1.1, **of_event, name="a.1"), entry(1.2, **of_event, name="b.2")) == [
        "create: create events/* #1",
        "create: create events/* #2",
    ]


def test_reads_dry_runs_and_leases_are_not_crash_points():
    reads = [entry(1.1, verb="get"), entry(1.1, verb="watch"), entry(1.1, dry_run=True)]
    assert keys(*reads, entry(1.1, resource="leases", verb="update")) == []


def test_there_is_one_plan_for_each_write_and_each_phase():
    plans = list(crash_plans(REFERENCE))
    assert len(plans) == 4 * len(PHASES)
    assert len({plan.id for plan in plans}) == len(plans)
    assert [str(plan) for plan in plans[:3]] == [
        f"crash/handler-life/scale: apply deployments/handler-web #1 {phase}" for phase in PHASES
    ]
    assert {plan.rules[0].phase for plan in plans} == set(PHASES)
    assert {plan.rules[0].fault for plan in plans} == {"kill"}


def test_a_write_of_some_undisturbed_runs_need_not_strike():
    loose = [plan.name for plan in crash_plans(REFERENCE) if not plan.strikes]
    assert loose == [f"{VARYING} {phase}" for phase in PHASES]


def test_a_plan_strikes_its_write_and_no_other():
    plans = {plan.name: plan for plan in crash_plans(REFERENCE)}
    apply = plans[f"{APPLY} before"]
    assert apply.at == "scale"
    request = Request("apply", "apps", "deployments", "n", "handler-web")
    assert apply.rules[0].matches(request)
    for other in (
        {"dry_run": True},
        {"name": "handler-api"},
        {"subresource": "status"},
        {"verb": "delete"},
        {"resource": "services"},
    ):
        assert not apply.rules[0].matches(request._replace(**other))
    assert plans[f"{STATUS} before"].rules[0].first == 2
    event = plans[f"{EVENT} before"].rules[0]
    assert event.matches(Request("create", "events.k8s.io", "events", "n", "web.123"))


def results(reference: Reference = REFERENCE) -> list[Result]:
    return [Result(plan, (), 1.0, struck=plan.strikes) for plan in crash_plans(reference)]


def line(members: list[Result]) -> str:
    (text,) = crash_points({"crash/handler-life": members}, [REFERENCE])
    return text


def test_the_report_compares_the_plans_with_those_run():
    assert line(results()) == (
        "handler-life: 3 writes x 3 phases = 9 plans; 9 run, 9 struck; of 1 writes that not every "
        "undisturbed run has, 3 plans run, 0 struck"
    )


def test_a_plan_that_was_not_run_is_fewer():
    assert line(results()[1:]).startswith("FEWER: handler-life: 3 writes x 3 phases = 9 plans; 8 ")


def test_a_plan_that_did_not_strike_is_fewer():
    members = results()
    members[0] = Result(members[0].plan, (), 1.0, struck=False)
    assert line(members).startswith("FEWER: ")


def test_a_plan_that_is_run_twice_must_strike_twice():
    members = results()
    again = Result(members[0].plan, (), 1.0, struck=False)
    assert line([*members, again]).startswith("FEWER: ")


def test_an_optional_plan_does_not_replace_a_required_one():
    members = results()
    loose = msgspec.structs.replace(members[0].plan, strikes=False)
    members[0] = Result(loose, (), 1.0, struck=True, folder=Path("x"))
    assert line(members).startswith("FEWER: ")


def test_a_scenario_without_crash_plans_is_not_mentioned():
    assert list(crash_points({"calm": []}, [REFERENCE])) == []

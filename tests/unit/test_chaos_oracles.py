"""Each oracle of the fault rig objects to what is wrong, and to nothing that is only like it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from chaos.evidence import Evidence, Exit, Quiet, Reference, Sample, StepEnd
from chaos.oracles import EVENTS, MORE_BYTES, MORE_TASKS, ORACLES, judge, tries_within
from chaos.plan import Plan
from chaos.proxy.rules import Rule
from chaos.proxy.trace import Entry
from chaos.recorder import Frame

PLAN = Plan(group="test", name="test", scenario="handler-life")
TWO = msgspec.structs.replace(PLAN, replicas=2)
SECRET = "correct horse battery staple"


def evidence(plan: Plan = PLAN, **fields: Any) -> Evidence:
    return Evidence(plan, **fields)


def write(at: float, **fields: Any) -> Entry:
    """The operator's write, done in a tenth of a second."""
    told = {"verb": "apply", "resource": "deployments", "name": "web", "code": 200}
    entry = {"seq": 0, "ended": at + 0.1, "replica": "a", **told, **fields}
    return Entry(at=at, **{"server_code": entry["code"], **entry})


def lease(at: float, replica: str, holder: str | None = None, **fields: Any) -> Entry:
    holder = replica if holder is None else holder
    return write(
        at, verb="update", resource="leases", replica=replica, holder=holder, ended=at, **fields
    )


def frame(obj: dict[str, Any], kind: str = "MODIFIED", resource: str = "gatihandlers") -> Frame:
    return Frame(0.0, kind, resource, obj)


def condition(kind: str, status: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": "Why",
        "lastTransitionTime": "t1",
        "observedGeneration": 1,
        **fields,
    }


READY = condition("Ready", "True")


def handler(*conditions: dict[str, Any], uid: str = "u", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "uid": uid, "generation": 2},
        "status": {"observedGeneration": 2, "conditions": list(conditions or (READY,)), **status},
    }


def reference(**fields: Any) -> Reference:
    known: dict[str, Any] = {"snapshots": {"create": {}}, "counts": {}, "writes": (), "varying": ()}
    return Reference("handler-life", **(known | fields), seconds=1.0)


def ended(name: str, *problems: str) -> StepEnd:
    return StepEnd(name, 0.0, 1.0, {}, problems)


# Each case gives evidence that is wrong, and the same with the one change that makes it right.

Case = Callable[[bool], Evidence]
CASES: list[tuple[str, str, Case]] = []


def case(oracle: str) -> Callable[[Case], Case]:
    def add(function: Case) -> Case:
        CASES.append((oracle, function.__name__.removeprefix("_"), function))
        return function

    return add


@case("end-state")
def _a_step_lacks_something(wrong: bool) -> Evidence:
    return evidence(steps=[ended("create", *(["x: missing"] if wrong else []))])


@case("end-state")
def _a_step_was_never_reached(wrong: bool) -> Evidence:
    wanted = reference(snapshots={"create": {}, "delete": {}})
    steps = [ended("create")] if wrong else [ended("create"), ended("delete")]
    return evidence(reference=wanted, steps=steps)


@case("object-counts")
def _a_child_was_made_anew(wrong: bool) -> Evidence:
    child = {"metadata": {"name": "web"}}
    frames = [frame(child, "ADDED", "deployments"), frame(child, "MODIFIED", "deployments")]
    if wrong:
        frames += [frame(child, kind, "deployments") for kind in ("DELETED", "ADDED")]
    counts = {"deployments/web/ADDED": 1}
    return evidence(reference=reference(counts=counts), frames=frames)


@case("object-counts")
def _a_child_was_not_deleted(wrong: bool) -> Evidence:
    child = {"metadata": {"name": "web"}}
    kinds = ["ADDED"] if wrong else ["ADDED", "DELETED"]
    counts = {"services/web/ADDED": 1, "services/web/DELETED": 1}
    frames = [frame(child, kind, "services") for kind in kinds]
    return evidence(reference=reference(counts=counts), frames=frames)


@case("object-counts")
def _a_child_is_missing_in_a_run_that_came_to_its_end(wrong: bool) -> Evidence:
    steps = [ended("create", *([] if wrong else ["x: missing"]))]
    return evidence(reference=reference(counts={"services/web/ADDED": 1}), steps=steps)


@case("object-counts")
def _something_is_made_that_never_was(wrong: bool) -> Evidence:
    name = "new" if wrong else "kube-root-ca.crt"
    frames = [frame({"metadata": {"name": name}}, "ADDED", "configmaps")]
    return evidence(reference=reference(), frames=frames)


@case("quiescence")
def _a_write_comes_after_convergence(wrong: bool) -> Evidence:
    return evidence(quiets=[Quiet("scale", 10.0, 15.0)], entries=[write(12.0 if wrong else 9.9)])


@case("quiescence")
def _a_real_write_and_no_dry_run(wrong: bool) -> Evidence:
    return evidence(quiets=[Quiet("scale", 10.0, 15.0)], entries=[write(12.0, dry_run=not wrong)])


@case("quiescence")
def _an_event_is_written_and_no_lease(wrong: bool) -> Evidence:
    resource = "events" if wrong else "leases"
    return evidence(quiets=[Quiet("x", 10.0, 15.0)], entries=[write(12.0, resource=resource)])


@case("quiescence")
def _silence_never_comes(wrong: bool) -> Evidence:
    return evidence(quiets=[Quiet("scale", 10.0, 10.0, restless=wrong)])


@case("foreign")
def _a_foreign_object_is_written(wrong: bool) -> Evidence:
    after = {"services/x": "uid 1, written by ['gati-operator', 'user']" if wrong else "uid 1"}
    return evidence(foreign_before={"services/x": "uid 1"}, foreign_after=after)


@case("foreign")
def _a_foreign_object_is_gone(wrong: bool) -> Evidence:
    before = {"services/x": "uid 1"}
    return evidence(foreign_before=before, foreign_after={} if wrong else before)


def _marked(manager: str, annotation: str = "chaos/foreign") -> dict[str, Any]:
    managed = [{"manager": "a-user"}, {"manager": manager}]
    return {"metadata": {"name": "x", "annotations": {annotation: "a"}, "managedFields": managed}}


@case("foreign")
def _a_foreign_object_is_written_for_a_moment(wrong: bool) -> Evidence:
    by = "gati-operator-status" if wrong else "kube-controller-manager"
    return evidence(frames=[frame(_marked(each), resource="services") for each in ("kubectl", by)])


@case("foreign")
def _a_canary_is_written_and_no_child(wrong: bool) -> Evidence:
    return evidence(frames=[frame(_marked("gati-operator", "chaos/canary" if wrong else "child"))])


@case("foreign")
def _a_foreign_object_was_there_as_it_went(wrong: bool) -> Evidence:
    kind = "MODIFIED" if wrong else "DELETED"
    return evidence(frames=[frame(_marked("gati-operator"), kind, "services")])


def _led(*entries: Entry, plan: Plan = TWO) -> Evidence:
    return evidence(plan, entries=list(entries), lease_seconds=3.0)


@case("single-writer")
def _a_standby_writes(wrong: bool) -> Evidence:
    return _led(lease(0, "a"), write(1, replica="b" if wrong else "a"))


@case("single-writer")
def _a_standby_writes_and_leaves_before_the_answer(wrong: bool) -> Evidence:
    sent = {"code": 0, "forwarded": 1.0 if wrong else 0.0}
    return _led(lease(0, "a"), write(1, replica="b", **sent))


@case("single-writer")
def _nobody_leads_and_one_writes(wrong: bool) -> Evidence:
    return _led(lease(2 if wrong else 0, "a"), write(1))


@case("single-writer")
def _a_write_is_sent_after_another_took_the_lease(wrong: bool) -> Evidence:
    return _led(lease(0, "a"), write(3.6 if wrong else 2.9, ended=9.0), lease(3.5, "b"))


@case("single-writer")
def _a_leader_writes_after_its_lease_ran_out(wrong: bool) -> Evidence:
    return _led(lease(0, "a"), write(3.2 if wrong else 2.9))


@case("single-writer")
def _a_renewal_that_was_refused_is_none(wrong: bool) -> Evidence:
    code = 500 if wrong else 200
    return _led(lease(0, "a"), lease(2, "a", code=code, server_code=code), write(4))


@case("single-writer")
def _a_renewal_counts_though_its_answer_was_lost(wrong: bool) -> Evidence:
    lost = lease(2, "a", code=0, server_code=0 if wrong else 200)
    return _led(lease(0, "a"), lost, write(4))


@case("single-writer")
def _the_lease_is_taken_before_it_ran_out(wrong: bool) -> Evidence:
    return _led(lease(0, "a"), lease(2.5 if wrong else 3.1, "b"))


@case("single-writer")
def _the_lease_of_another_is_emptied(wrong: bool) -> Evidence:
    return _led(lease(0, "a"), lease(1, "b" if wrong else "a", holder=""))


@case("single-writer")
def _a_write_follows_the_release(wrong: bool) -> Evidence:
    return _led(lease(0, "a"), lease(2 if wrong else 1.5, "a", holder=""), *_after_release(wrong))


def _after_release(wrong: bool) -> Iterator[Entry]:
    if not wrong:
        yield lease(1.6, "a")
    yield write(2.5)


def _failing(*times: float, **fields: Any) -> list[Entry]:
    return [write(at, **{"code": 500, **fields}) for at in times]


@case("bounded-retries")
def _a_request_is_tried_again_without_a_wait(wrong: bool) -> Evidence:
    pause = 0.01 if wrong else 0.5
    return evidence(entries=_failing(*(pause * number for number in range(20))))


@case("bounded-retries")
def _a_short_burst_in_a_long_run(wrong: bool) -> Evidence:
    """Over the whole run the number would be right."""
    pause = 0.01 if wrong else 3.0
    calm = [3.0 * number for number in range(20)]
    burst = [60.0 + pause * number for number in range(15)]
    return evidence(entries=_failing(*calm, *burst))


@case("bounded-retries")
def _failures_of_one_row_and_not_of_many(wrong: bool) -> Evidence:
    entries = _failing(*(0.1 * number for number in range(30)))
    if not wrong:
        entries[1::2] = [write(each.at) for each in entries[1::2]]
    return evidence(entries=entries)


@case("bounded-retries")
def _a_dry_run_that_succeeds_is_no_success(wrong: bool) -> Evidence:
    entries = _failing(*(0.05 * number for number in range(20)))
    between = [write(each.at + 0.02, dry_run=wrong) for each in entries]
    return evidence(entries=entries + between)


@case("bounded-retries")
def _the_failures_of_one_process_and_not_of_two(wrong: bool) -> Evidence:
    entries = _failing(*(0.1 * number for number in range(20)))
    ends = [] if wrong else [Exit("a", -9, planned=True, at=0.95)]
    return evidence(entries=entries, exits=ends)


@case("bounded-retries")
def _failures_of_one_object_and_not_of_many(wrong: bool) -> Evidence:
    entries = _failing(*(0.01 * number for number in range(20)))
    if not wrong:
        for number, entry in enumerate(entries):
            entry.name = f"web-{number % 4}"
    return evidence(entries=entries)


@case("bounded-retries")
def _no_answer_is_a_failure_and_not_there_is_none(wrong: bool) -> Evidence:
    times = [0.01 * number for number in range(20)]
    return evidence(entries=_failing(*times, verb="get", code=0 if wrong else 404))


@case("bounded-retries")
def _a_watch_is_opened_again_and_again(wrong: bool) -> Evidence:
    times = [0.01 * number for number in range(20)]
    fault = "stream/gone" if wrong else ""
    return evidence(entries=_failing(*times, verb="watch", code=200, fault=fault))


ASKED = Rule(phase="before", fault="respond", code=429, retry_after=2.0)
IMPATIENT = msgspec.structs.replace(PLAN, rules=(ASKED,))


@case("bounded-retries")
def _a_try_comes_before_the_server_said(wrong: bool) -> Evidence:
    told = write(0, code=429, rule=0)
    return evidence(IMPATIENT, entries=[told, write(1.9 if wrong else 2.1)])


@case("bounded-retries")
def _a_dry_run_is_a_try_too_and_another_object_is_not(wrong: bool) -> Evidence:
    told = write(0, code=429, rule=0)
    return evidence(IMPATIENT, entries=[told, write(1, dry_run=True, name="web" if wrong else "x")])


@case("bounded-retries")
def _only_the_process_that_was_told_must_wait(wrong: bool) -> Evidence:
    ends = [Exit("b" if wrong else "a", -9, planned=True, at=0.5)]
    return evidence(IMPATIENT, entries=[write(0, code=429, rule=0), write(1)], exits=ends)


@case("bounded-writes")
def _an_object_is_written_in_a_loop(wrong: bool) -> Evidence:
    pause = 0.2 if wrong else 0.4
    return evidence(entries=[write(pause * number) for number in range(31)])


@case("bounded-writes")
def _writes_that_succeed_and_none_that_are_refused(wrong: bool) -> Evidence:
    code = 200 if wrong else 409
    return evidence(entries=[write(0.1 * number, code=code) for number in range(40)])


@case("bounded-writes")
def _writes_that_were_carried_out_and_none_that_did_not_arrive(wrong: bool) -> Evidence:
    told = {"code": 0, "server_code": 200 if wrong else 0}
    return evidence(entries=[write(0.1 * number, **told) for number in range(40)])


@case("bounded-writes")
def _events_are_told_in_a_loop(wrong: bool) -> Evidence:
    replicas = ["a"] if wrong else ["a", "b"]
    return evidence(
        entries=[
            write(0.1 * n, resource="events", name=f"e-{n}", replica=replicas[n % len(replicas)])
            for n in range(40)
        ]
    )


@case("bounded-writes")
def _one_object_and_not_many(wrong: bool) -> Evidence:
    names = ["web"] if wrong else ["web", "api"]
    return evidence(entries=[write(0.1 * n, name=names[n % len(names)]) for n in range(40)])


@case("no-secret")
def _a_log_holds_a_secret(wrong: bool) -> Evidence:
    log = f"took {SECRET}" if wrong else "took a secret"
    return evidence(outputs={"log": log}, secrets={"a password": SECRET})


@case("no-secret")
def _a_metric_holds_it_in_base64(wrong: bool) -> Evidence:
    text = base64.b64encode(SECRET.encode()).decode() if wrong else "none"
    return evidence(outputs={"metrics": text}, secrets={"a password": SECRET})


@case("no-secret")
def _an_object_held_it_for_a_moment(wrong: bool) -> Evidence:
    texts = ["", SECRET if wrong else "canary", ""]
    frames = [frame({"metadata": {"name": "e"}, "note": text}, resource="events") for text in texts]
    return evidence(frames=frames, secrets={"a password": SECRET})


@case("no-secret")
def _a_child_holds_it(wrong: bool) -> Evidence:
    child = {"metadata": {"name": "web"}, "spec": {"env": [SECRET if wrong else "canary"]}}
    return evidence(frames=[frame(child, resource="deployments")], secrets={"it": SECRET})


def _statuses(*objects: dict[str, Any], **fields: Any) -> Evidence:
    return evidence(frames=[frame(each, **fields) for each in objects])


@case("status-rules")
def _a_generation_is_claimed_that_is_not_there(wrong: bool) -> Evidence:
    return _statuses(handler(observedGeneration=3 if wrong else 2))


@case("status-rules")
def _a_condition_claims_it(wrong: bool) -> Evidence:
    return _statuses(handler(condition("Ready", "True", observedGeneration=3 if wrong else 2)))


@case("status-rules")
def _the_observed_generation_falls(wrong: bool) -> Evidence:
    second = handler(observedGeneration=1, uid="u" if wrong else "another")
    return _statuses(handler(), second)


@case("status-rules")
def _there_is_no_ready(wrong: bool) -> Evidence:
    return _statuses(handler(condition("Autoscaled" if wrong else "Ready", "True")))


@case("status-rules")
def _conditions_are_not_unique(wrong: bool) -> Evidence:
    return _statuses(handler(READY, READY if wrong else condition("Autoscaled", "True")))


@case("status-rules")
def _ready_and_something_that_contradicts_it(wrong: bool) -> Evidence:
    return _statuses(handler(READY, condition("Stalled", "True" if wrong else "False")))


@case("status-rules")
def _reconciling_and_stalled(wrong: bool) -> Evidence:
    status = "True" if wrong else "Unknown"
    return _statuses(
        handler(
            condition("Ready", "False"),
            condition("Stalled", "True"),
            condition("Reconciling", status),
        )
    )


@case("status-rules")
def _a_reason_is_no_word(wrong: bool) -> Evidence:
    return _statuses(handler(condition("Ready", "True", reason="" if wrong else "AllReady")))


@case("status-rules")
def _a_new_time_without_a_transition(wrong: bool) -> Evidence:
    status = "True" if wrong else "False"
    return _statuses(handler(), handler(condition("Ready", status, lastTransitionTime="t2")))


@case("status-rules")
def _a_new_time_though_the_status_was_not_wiped(wrong: bool) -> Evidence:
    later = handler(condition("Ready", "True", lastTransitionTime="t2"))
    between = [] if wrong else [handler() | {"status": {}}]
    return _statuses(handler(), *between, later)


@case("status-rules")
def _a_new_time_of_a_condition_that_was_there_all_along(wrong: bool) -> Evidence:
    extra, later = (condition("Autoscaled", "True", lastTransitionTime=t) for t in ("t1", "t2"))
    between = handler(READY, extra) if wrong else handler(READY)
    return _statuses(handler(READY, extra), between, handler(READY, later))


@case("status-rules")
def _a_deleted_object_has_no_status_to_judge(wrong: bool) -> Evidence:
    return _statuses(handler(observedGeneration=9), kind="MODIFIED" if wrong else "DELETED")


@case("status-rules")
def _the_status_of_a_child_is_not_ours(wrong: bool) -> Evidence:
    resource = "gatihandlers" if wrong else "deployments"
    return _statuses(handler(observedGeneration=9), resource=resource)


@case("health")
def _a_process_ended_by_itself(wrong: bool) -> Evidence:
    return evidence(exits=[Exit("a", 1, planned=not wrong, at=1.0)])


@case("health")
def _a_leader_ended_though_it_had_just_renewed(wrong: bool) -> Evidence:
    renewal = Entry(
        seq=0, at=9.5 if wrong else 7.0, replica="a", verb="update", resource="leases", code=200
    )
    exits = [Exit("a", 1, planned=False, at=10.0)]
    return evidence(TWO, entries=[renewal], exits=exits, renew_seconds=2.0)


def _renewal(at: float) -> Entry:
    return Entry(seq=0, at=at, replica="a", verb="update", resource="leases", code=200)


@case("health")
def _a_process_ended_that_never_had_the_lease(wrong: bool) -> Evidence:
    renewals = [] if wrong else [_renewal(5.0)]
    exits = [Exit("a", 1, planned=False, at=10.0)]
    return evidence(TWO, entries=renewals, exits=exits, renew_seconds=2.0)


@case("health")
def _the_lease_of_the_process_before_it_is_no_excuse(wrong: bool) -> Evidence:
    renewals = [_renewal(3.0), *([] if wrong else [_renewal(6.0)])]
    exits = [Exit("a", 1, planned=False, at=at) for at in (5.0, 10.0)]
    return evidence(TWO, entries=renewals, exits=exits, renew_seconds=2.0)


@case("health")
def _a_log_shows_a_bug(wrong: bool) -> Evidence:
    log = "line\nTraceback (most recent call last):\n" if wrong else "line\n"
    return evidence(outputs={"a log": log})


@case("health")
def _a_log_names_a_bug(wrong: bool) -> Evidence:
    return evidence(outputs={"a log": f"{'a bug' if wrong else 'no trouble'} in reconciling web"})


def _samples(*values: tuple[int, int], pids: tuple[int, ...] = (1, 1, 1)) -> Evidence:
    samples = [
        Sample("a", pid, f"step-{number}", tasks, resident)
        for number, (pid, (tasks, resident)) in enumerate(zip(pids, values, strict=False))
    ]
    return evidence(samples=samples)


@case("resources")
def _tasks_pile_up(wrong: bool) -> Evidence:
    return _samples((10, 0), (10 + MORE_TASKS + wrong, 0))


@case("resources")
def _tasks_pile_up_after_a_sample_that_did_not_tell(wrong: bool) -> Evidence:
    return _samples((-1, 0), (10, 0), (10 + MORE_TASKS + wrong, 0))


@case("resources")
def _memory_grows(wrong: bool) -> Evidence:
    return _samples((10, 100), (10, 100 + MORE_BYTES + wrong))


@case("resources")
def _one_process_grows_and_not_the_next_one(wrong: bool) -> Evidence:
    return _samples((10, 0), (50, 0), pids=(1, 1 if wrong else 2))


@case("strikes")
def _a_fault_did_not_happen(wrong: bool) -> Evidence:
    return evidence(IMPATIENT, hits=[0 if wrong else 1])


@case("strikes")
def _nobody_counted(wrong: bool) -> Evidence:
    return evidence(IMPATIENT, hits=[] if wrong else [2])


@case("strikes")
def _a_fault_had_to_happen(wrong: bool) -> Evidence:
    return evidence(msgspec.structs.replace(IMPATIENT, strikes=wrong), hits=[0])


@case("strikes")
def _a_disturbance_could_not_be_carried_out(wrong: bool) -> Evidence:
    return evidence(misses=["kill-apiserver at scale: no such process"] if wrong else [])


@pytest.mark.parametrize(
    ("oracle", "make"), [pytest.param(o, f, id=f"{o}: {n}") for o, n, f in CASES]
)
def test_an_oracle_objects_to_what_is_wrong_and_not_to_its_like(oracle: str, make: Case):
    assert list(ORACLES[oracle](make(True)))
    assert list(ORACLES[oracle](make(False))) == []


def test_every_oracle_has_a_case():
    assert {oracle for oracle, _, _ in CASES} == set(ORACLES)


def test_no_oracle_objects_to_nothing():
    assert judge(evidence()) == []
    assert judge(evidence(TWO)) == []


def test_a_finding_names_its_oracle_and_what_a_plan_waives_is_not_asked():
    wrong = {"exits": [Exit("a", 1, planned=False, at=1.0)]}
    assert [str(each) for each in judge(evidence(**wrong))] == [
        "health: a ended by itself with code 1"
    ]
    waived = msgspec.structs.replace(PLAN, waived={"health": "it is to end"})
    assert judge(evidence(waived, **wrong)) == []


def test_a_plan_cannot_waive_what_does_not_exist():
    with pytest.raises(ValueError, match="wealth"):
        judge(evidence(msgspec.structs.replace(PLAN, waived={"wealth": "a slip of the pen"})))


def test_one_secret_in_many_frames_is_told_once():
    frames = [frame({"metadata": {"name": "web"}, "x": SECRET}) for _ in range(5)]
    found = list(ORACLES["no-secret"](evidence(frames=frames, secrets={"it": SECRET})))
    assert found == ["gatihandlers/web holds it"]


def test_a_lease_changes_hands_when_its_write_is_done():
    """The old leader may write while the request that deposes it is on its way."""
    taking = lease(2.96, "b")
    taking.ended = 3.5
    assert list(ORACLES["single-writer"](_led(lease(0.0, "a"), write(2.98), taking))) == []


@pytest.mark.parametrize("seconds", [0.0, 1.0, 10.0, 100.0])
def test_the_bound_of_tries_is_above_what_the_work_queue_does(seconds: float):
    """Its shortest waits, one after another, and a resync as often as jitter allows."""
    tries, at, wait = 1, 0.0, 0.2
    while (at := at + wait * 0.5) <= seconds:
        tries += 1
        wait = min(2 * wait, 5.0)
    resyncs = int(seconds / 0.9)
    assert tries + resyncs + EVENTS <= tries_within(seconds) <= tries + resyncs + EVENTS + 1

"""The condition Ready of a handler and its reason, read off Deployments and pods."""

import json

import pytest

from gati.handler import pod_problems
from gati.handler.status.judge import judge
from gati.handler.status.observe import observe
from objects.pods import Problem, diagnose
from unit.gati_objects import IMAGE, condition, handler, live_deployment, pod, problem, waiting

QUOTA = "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
LATE = condition("Progressing", "False", "ProgressDeadlineExceeded")

VERDICTS = [
    # what the Deployment shows, the floor, (ready, reason, stalled), message
    ({}, 3, (True, "Ready", ""), "3 of 3 replicas ready"),
    ({"available": 2}, 3, (False, "Progressing", ""), "2 of 3 replicas ready"),
    ({"available": 2}, 2, (True, "Ready", ""), "2 of 3 replicas ready"),
    ({"available": 2, "ready": 3}, 3, (False, "Progressing", ""), "2 of 3 replicas available, 3"),
    ({"available": 2, "ready": 3}, 2, (True, "Ready", ""), "2 of 3 replicas available, 3 ready"),
    ({"replicas": 10, "total": 4, "available": 2}, 2, (True, "Ready", ""), "2 of 10"),
    ({"current": False}, 3, (False, "Progressing", ""), "waiting for the Deployment"),
    ({"total": 4, "updated": 1}, 3, (False, "Progressing", ""), "rolling out, 1 of 3"),
    ({"total": 4, "updated": 3}, 3, (False, "Progressing", ""), "rolling out, 3 of 3"),
    ({"replicas": 0}, 0, (True, "ScaledToZero", ""), "no replica is asked for"),
    ({"replicas": 0, "total": 1, "available": 1}, 0, (True, "ScaledToZero", ""), "no replica"),
    ({"replicas": 3, "total": 1, "available": 1}, 3, (False, "Progressing", ""), "1 of 3"),
    (
        {"available": 0, "conditions": (LATE,)},
        3,
        (False, "ProgressDeadlineExceeded", "ProgressDeadlineExceeded"),
        "no progress within",
    ),
    ({"available": 0, "conditions": (LATE,), "current": False}, 3, (False, "Progressing", ""), ""),
    ({"conditions": (LATE,)}, 3, (True, "Ready", ""), "3 of 3"),
]


@pytest.mark.parametrize(("shown", "floor", "verdict", "text"), VERDICTS)
def test_the_verdict_follows_from_the_deployment(shown, floor, verdict, text):
    result = judge(observe(live_deployment(handler(), **shown)), floor, None)
    assert (result.ready, result.reason, result.stalled) == verdict
    assert text in result.message


def test_without_a_deployment_nothing_is_ready():
    assert not judge(observe(None), 0, None).ready


def test_a_condition_without_a_type_is_ignored():
    nameless = {"status": "True", "reason": "Odd"}
    shown = observe(live_deployment(handler(), conditions=(nameless, LATE)))
    assert shown == observe(live_deployment(handler(), conditions=(LATE,)))


def test_a_pods_problem_gives_reason_and_message():
    problem = Problem("ImagePullBackOff", "the image x cannot be pulled")
    result = judge(observe(live_deployment(handler(), available=1)), 3, problem)
    assert result.reason == "ImagePullBackOff"
    assert result.message == "1 of 3 replicas ready: the image x cannot be pulled"
    assert result.stalled == ""


def test_a_problem_does_not_make_a_ready_handler_unready():
    problem = Problem("CrashLoopBackOff", "x")
    assert judge(observe(live_deployment(handler(), replicas=5, available=4)), 2, problem).ready


def test_an_exceeded_deadline_names_the_pods_problem():
    shown = live_deployment(handler(), available=0, conditions=(LATE,))
    result = judge(observe(shown), 3, Problem("Unschedulable", "no room"))
    assert (result.reason, result.stalled) == ("Unschedulable", "ProgressDeadlineExceeded")


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        (
            f'pods "handler-users-fd6f-l4jb2" is forbidden: {QUOTA}',
            "QuotaExceeded",
            QUOTA,
        ),
        (
            'pods "handler-users-fd6f-l4jb2" is forbidden: violates PodSecurity "restricted"',
            "ReplicaFailure",
            'violates PodSecurity "restricted"',
        ),
    ],
)
def test_pods_not_created_are_reported_without_their_names(text, reason, message):
    failure = condition("ReplicaFailure", "True", "FailedCreate", text)
    shown = live_deployment(handler(), total=0, available=0, conditions=(failure,))
    result = judge(observe(shown), 3, None)
    assert (result.reason, result.message) == (reason, f"0 of 3 replicas ready: {message}")


def test_a_rollout_that_fails_still_serves_from_the_old_pods():
    shown = live_deployment(handler(), total=4, updated=1, available=3)
    result = judge(observe(shown), 3, Problem("ImagePullBackOff", "x"))
    assert not result.ready
    assert result.serving


def restarted(count, *, ready=False, code=1, reason="Error", **state):
    last = {"terminated": {"exitCode": code, "reason": reason}}
    one = {"name": "handler", "ready": ready, "restartCount": count, "lastState": last}
    return {"containerStatuses": [one | {"state": state or {"running": {}}}]}


UNSCHEDULABLE = condition(
    "PodScheduled",
    "False",
    "Unschedulable",
    "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available.",
)

DIAGNOSES = [
    (waiting("ErrImagePull", 'rpc error: code = NotFound desc = "x"'), "ImagePullBackOff", IMAGE),
    (waiting("ImagePullBackOff", 'Back-off pulling image "x"'), "ImagePullBackOff", IMAGE),
    (waiting("InvalidImageName", "x"), "InvalidImageName", "not a valid image name"),
    (
        waiting(
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root "
            '(pod: "handler-users-7d9f8-x2k4p_shop(0f2a)", container: handler)',
        ),
        "CreateContainerConfigError",
        "container has runAsNonRoot and image will run as root",
    ),
    (
        waiting("CreateContainerConfigError", 'configmap "settings" not found'),
        "CreateContainerConfigError",
        'configmap "settings" not found',
    ),
    (
        waiting("RunContainerError", "task 0123456789abcdef0123 of handler-users-7d9f8-x2k4p"),
        "CreateContainerError",
        "task <id> of <pod>",
    ),
    (
        restarted(1, waiting={"reason": "CrashLoopBackOff"}),
        "CrashLoopBackOff",
        "container handler keeps ending with exit code 1",
    ),
    (
        restarted(5, code=137, reason="OOMKilled"),
        "CrashLoopBackOff",
        "container handler keeps ending with exit code 137 (OOMKilled)",
    ),
    ({"conditions": [UNSCHEDULABLE]}, "Unschedulable", "0/3 nodes are available: 3 Insufficient"),
]


@pytest.mark.parametrize(("status", "reason", "text"), DIAGNOSES)
def test_a_pod_that_does_not_start_has_a_reason(status, reason, text):
    problem = diagnose(pod(status))
    assert problem is not None
    assert problem.reason == reason
    assert text in problem.message


STARTED = "2026-01-01T00:00:00Z"


def ran(start, end):
    """How a run of a container ended, as ``lastState`` or ``state`` has it."""
    return {"exitCode": 137, "reason": "OOMKilled", "startedAt": start, "finishedAt": end}


SHORT = ran("2025-12-31T23:50:01Z", STARTED)
LONG = ran("2025-12-31T23:50:00Z", STARTED)
RUNNING = {"running": {"startedAt": STARTED}}
NOW_AND_THEN = [
    # the run before, the present state, when Ready changed, whether it counts as crashing
    (SHORT, RUNNING, "2026-01-01T00:09:59Z", True),
    (SHORT, RUNNING, "2025-12-31T23:00:00Z", True),
    (SHORT, RUNNING, "2026-01-01T00:10:00Z", False),
    (SHORT, RUNNING, "2026-03-01T00:00:00Z", False),
    (LONG, RUNNING, "2026-01-01T00:00:01Z", False),
    (LONG, RUNNING, None, False),
    (LONG, {"waiting": {"reason": "CrashLoopBackOff"}}, None, True),
    (SHORT, {"terminated": SHORT}, "2026-03-01T00:00:00Z", True),
    (SHORT, {"terminated": LONG}, None, False),
    (LONG, {"terminated": SHORT}, None, True),
    # where a time is missing or unreadable
    (SHORT, RUNNING, None, True),
    (SHORT, RUNNING, "yesterday", True),
    (SHORT, RUNNING, "2026-03-01T00:00:00", True),
    (SHORT, {"running": {}}, "2026-03-01T00:00:00Z", True),
    (SHORT, {"running": {"startedAt": None}}, "2026-03-01T00:00:00Z", True),
    (ran(None, STARTED), RUNNING, "2026-01-01T00:00:01Z", True),
    (ran("2025-01-01T00:00:00Z", None), RUNNING, "2026-01-01T00:00:01Z", True),
    (ran(7, STARTED), RUNNING, "2026-01-01T00:00:01Z", True),
    ({}, RUNNING, "2026-01-01T00:00:01Z", True),
]


@pytest.mark.parametrize(("before", "state", "changed", "crashing"), NOW_AND_THEN)
def test_a_long_run_between_restarts_is_not_a_crash_loop(before, state, changed, crashing):
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": changed}
    one = {"name": "handler", "ready": False, "restartCount": 3, "state": state}
    container = one | {"lastState": {"terminated": before}}
    found = pod({"conditions": [condition], "containerStatuses": [container]})
    problem = diagnose(found)
    assert (problem is not None) == crashing
    assert (pod_problems.keep(found) is not None) == crashing


def test_a_crashing_pod_is_kept_without_its_times():
    """Times decide whether there is a problem; none of them gets into what is kept."""

    def kept(minute):
        moments = (f"2026-01-01T00:{minute:02}:00Z", f"2026-01-01T00:{minute:02}:30Z")
        state = {"running": {"startedAt": moments[1]}}
        last = {"terminated": ran(*moments)}
        one = {"name": "handler", "ready": False, "restartCount": minute}
        condition = {"type": "Ready", "status": "False", "lastTransitionTime": moments[0]}
        status = {
            "conditions": [condition],
            "containerStatuses": [one | {"state": state, "lastState": last}],
        }
        return pod_problems.keep(pod(status))

    assert kept(3) is not None
    assert kept(3) == kept(4)


@pytest.mark.parametrize("status", [row[0] for row in DIAGNOSES])
def test_the_message_is_the_same_for_every_pod(status):
    one = diagnose(pod(status))
    text = json.dumps(status).replace("x2k4p", "zzzzz").replace("0123456789abcdef0123", "f" * 20)
    other = diagnose(pod(json.loads(text), name="handler-users-7d9f8-zzzzz"))
    assert one == other


@pytest.mark.parametrize(
    "healthy",
    [
        pod({}),
        pod({"phase": "Running", **restarted(0, ready=True)}),
        pod(restarted(9, ready=True)),
        pod(restarted(1)),
        pod(waiting("ContainerCreating")),
        pod(waiting("PodInitializing")),
        pod(waiting("ImagePullBackOff"), deletionTimestamp="2026-01-01T00:00:00Z"),
        pod({"phase": "Failed", "reason": "Evicted", **restarted(3)}),
    ],
)
def test_a_pod_without_a_problem_is_not_kept(healthy):
    assert pod_problems.keep(healthy) is None


def test_a_kept_pod_holds_its_problem_and_little_else():
    kept = pod_problems.keep(pod(waiting("ErrImagePull"), annotations={"big": "x" * 1000}))
    assert kept is not None
    assert set(kept) == {"apiVersion", "kind", "metadata", "problem"}
    assert kept["metadata"] == {
        "name": "handler-users-7d9f8-x2k4p",
        "namespace": "shop",
        "uid": "p",
        "resourceVersion": "9",
        "labels": {"gati.dev/workload": "handler-users"},
    }


def test_the_gravest_of_several_problems_is_reported():
    pods = [
        problem(status)
        for status in ({"conditions": [UNSCHEDULABLE]}, waiting("ErrImagePull"), restarted(4))
    ]
    worst = pod_problems.worst(pods)
    assert worst is not None
    assert worst.reason == "ImagePullBackOff"
    assert worst == pod_problems.worst(reversed(pods))
    assert pod_problems.worst([]) is None


def test_a_paused_deployment_is_named_with_its_remedy():
    shown = live_deployment(handler(), replicas=2, updated=0)
    shown["spec"]["paused"] = True
    message = judge(observe(shown), 2, None).message
    assert "paused" in message
    assert f"kubectl rollout resume deployment/{shown['metadata']['name']}" in message

"""The status of a handler shows why it is not Ready; a failing handler affects no other, and one
that waits for a user's change does not keep the operator busy.
"""

from __future__ import annotations

import pytest

from harness.objects import Objects, condition, eventually
from harness.operator_process import OperatorProcess

BEHAVIOUR = "devcluster/behaviour"


@pytest.mark.parametrize(
    ("behaviour", "reason", "message"),
    [
        ("image-pull-backoff", "ImagePullBackOff", "web:v1.0.0 cannot be pulled"),
        ("crash-loop", "CrashLoopBackOff", "keeps ending with exit code 1"),
        ("config-error", "CreateContainerConfigError", ""),
    ],
)
def test_the_reason_of_failing_pods_comes_and_goes(
    operator: OperatorProcess, objects: Objects, behaviour: str, reason: str, message: str
) -> None:
    objects.handler("web", replicas=2, podLabels={BEHAVIOUR: behaviour})
    reported = objects.wait_for_reason("web", reason)
    assert message in reported["message"]
    assert reported["status"] == "False"
    assert objects.existing("gatihandlers", "web")["status"]["phase"] == "Failed"
    eventually(
        lambda: [
            event
            for event in objects.list("events")
            if (event["reason"], event["type"]) == (reason, "Warning")
            and event["involvedObject"]["kind"] == "GatiHandler"
        ]
    )
    # It is reported once: pods that go on failing cost nothing.
    operator.settle(2.0)
    mark = operator.audit_mark()
    operator.settle(3.0)
    assert operator.writes(mark) == []

    objects.handler("web", replicas=2)
    assert objects.ready("web")["status"]["phase"] == "Running"


def test_a_bad_update_leaves_the_old_pods_serving(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=2)
    objects.ready("web")
    objects.handler("web", replicas=2, image="web:bad", podLabels={BEHAVIOUR: "crash-loop"})
    objects.wait_for_reason("web", "CrashLoopBackOff")
    handler = objects.existing("gatihandlers", "web")
    assert handler["status"]["readyReplicas"] == 2
    assert handler["status"]["phase"] == "Running"
    objects.handler("web", replicas=2)
    objects.ready("web")


def test_pods_that_never_get_ready_leave_it_reconciling(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", podLabels={BEHAVIOUR: "never-ready"})
    reported = objects.wait_for_reason("web", "Progressing")
    eventually(lambda: objects.list("pods", "gati.dev/workload=handler-web"))
    operator.settle(2.0)
    handler = objects.existing("gatihandlers", "web")
    assert reported["status"] == "False"
    assert condition(handler, "Reconciling")["status"] == "True"
    assert "0 of 1 replicas ready" in condition(handler, "Ready")["message"]


def test_unschedulable_pods_are_reported(operator: OperatorProcess, objects: Objects) -> None:
    objects.handler("web", nodeSelector={"disk": "of-gold"})
    reported = objects.wait_for_reason("web", "Unschedulable")
    assert "node" in reported["message"]


def test_an_exceeded_quota_is_reported_and_lifting_it_heals(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.create(
        "resourcequotas",
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "small"},
            "spec": {"hard": {"pods": "1"}},
        },
    )
    eventually(lambda: objects.existing("resourcequotas", "small").get("status"))
    objects.handler("web", replicas=3)
    reported = objects.wait_for_reason("web", "QuotaExceeded")
    assert "exceeded quota: small" in reported["message"]
    objects.merge("resourcequotas", "small", {"spec": {"hard": {"pods": "10"}}})
    # The Deployment's controller has a backoff of its own.
    objects.ready("web", 120)


def test_a_permanent_refusal_is_reported_once_and_rarely_retried(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("good")
    objects.handler(
        "bad",
        env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.nope"}}}],
    )
    reported = objects.wait_for_reason("bad", "ApiRefused")
    assert "metadata.nope" in reported["message"]
    objects.ready("good")
    mark = operator.audit_mark()
    operator.settle(0.1)
    assert operator.total("reconciler_reconcile_errors_total") >= 1

    def tries() -> int:
        writes = [write for write in operator.writes(mark) if write.name == "handler-bad"]
        assert all(write.code == 422 for write in writes if write.resource == "deployments")
        return len([write for write in writes if write.resource == "deployments"])

    eventually(lambda: tries() >= 2)
    told_writes = [
        write
        for write in operator.writes(mark)
        if write.name == "bad" and write.subresource == "status"
    ]
    assert len(told_writes) <= 1

    objects.handler("bad")
    objects.ready("bad", 30)


def test_a_missing_image_is_reported_and_a_default_heals_it(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", image=None, version=None)
    reported = objects.wait_for_reason("web", "ImageMissing")
    assert "--default-image" in reported["message"]
    assert objects.children("web") == {}
    assert operator.terminate() == 0
    operator.run("--default-image=default:v1")
    assert objects.ready("web")["status"]["image"] == "default:v1"

    # Without it again: what runs keeps running.
    assert operator.terminate() == 0
    operator.run()
    objects.wait_for_reason("web", "ImageMissing")
    assert objects.existing("deployments", "handler-web")["status"]["readyReplicas"] == 1


def test_pods_that_fail_later_are_reported(operator: OperatorProcess, objects: Objects) -> None:
    objects.handler("web")
    objects.ready("web")
    objects.kubectl(
        *("label", "pods", "-l", "gati.dev/workload=handler-web", f"{BEHAVIOUR}=crash-loop")
    )
    objects.wait_for_reason("web", "CrashLoopBackOff")
    objects.kubectl("label", "pods", "-l", "gati.dev/workload=handler-web", f"{BEHAVIOUR}-")
    objects.ready("web")

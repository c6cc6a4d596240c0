"""Drift of a handler's children is repaired by the watch alone: the operator of these tests has
no resync.
"""

from __future__ import annotations

from typing import Any

import pytest

from contract.model import Object
from harness.objects import CHILDREN, Objects, condition, eventually
from harness.operator_process import OperatorProcess

FULL: dict[str, Any] = {
    "replicas": 2,
    "config": {"LOG_LEVEL": "info"},
    "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 4},
}
"""A handler that has every kind of child."""

SPOILED: dict[str, Object] = {
    "configmaps": {"data": {"LOG_LEVEL": "debug"}},
    "deployments": {"spec": {"minReadySeconds": None, "revisionHistoryLimit": 9}},
    "services": {"spec": {"selector": {"gati.dev/handler": "other"}}},
    "horizontalpodautoscalers": {"spec": {"maxReplicas": 9}},
    "poddisruptionbudgets": {"spec": {"maxUnavailable": 2}},
}


def content(child: Object) -> Object:
    """What of an object somebody wants, without what the server counts and stamps."""
    kept = {key: value for key, value in child.items() if key not in ("metadata", "status")}
    metadata = child["metadata"]
    return kept | {key: metadata.get(key) for key in ("labels", "ownerReferences")}


def child_of(objects: Objects, resource: str) -> Object:
    return objects.existing(resource, "handler-web")


@pytest.fixture
def web(operator: OperatorProcess, objects: Objects) -> Object:
    """A ready handler with every kind of child, and an operator at rest."""
    objects.handler("web", **FULL)
    handler = objects.ready("web")
    assert {resource for resource, _ in objects.children("web")} == set(CHILDREN)
    operator.settle()
    return handler


def test_an_edited_child_is_repaired_in_place(
    web: Object, operator: OperatorProcess, objects: Objects
) -> None:
    for resource in CHILDREN:
        before = child_of(objects, resource)
        spoiled = objects.merge(resource, "handler-web", SPOILED[resource])
        assert content(spoiled) != content(before)
        eventually(lambda: content(child_of(objects, resource)) == content(before))  # noqa: B023
        assert child_of(objects, resource)["metadata"]["uid"] == before["metadata"]["uid"]
    objects.ready("web")


def test_a_deleted_child_comes_back(
    web: Object, operator: OperatorProcess, objects: Objects
) -> None:
    for resource in CHILDREN:
        uid = child_of(objects, resource)["metadata"]["uid"]
        objects.delete(resource, "handler-web")

        def made_again() -> bool:
            found = objects.get(resource, "handler-web")  # noqa: B023
            return found is not None and found["metadata"]["uid"] != uid  # noqa: B023

        eventually(made_again)
    objects.ready("web")


@pytest.mark.parametrize(
    "stripped",
    [
        {"labels": None},
        {"ownerReferences": None},
        {"labels": None, "ownerReferences": None},
        {"annotations": {"gati.dev/owner-uid": None, "gati.dev/intent": None}},
    ],
    ids=["labels", "owner", "labels-and-owner", "marks"],
)
def test_removed_marks_of_a_child_are_restored_in_place(
    web: Object, operator: OperatorProcess, objects: Objects, stripped: Object
) -> None:
    for resource in CHILDREN:
        before = child_of(objects, resource)
        objects.merge(resource, "handler-web", {"metadata": stripped})

        def mended() -> bool:
            now = child_of(objects, resource)  # noqa: B023
            marks = set(before["metadata"]["annotations"])  # noqa: B023
            there = set(now["metadata"].get("annotations") or ())
            return content(now) == content(before) and marks <= there  # noqa: B023

        eventually(mended)
        assert child_of(objects, resource)["metadata"]["uid"] == before["metadata"]["uid"]
    operator.settle()
    objects.ready("web")


def test_drift_during_a_downtime_is_repaired_at_the_start(
    web: Object, operator: OperatorProcess, objects: Objects
) -> None:
    before = objects.children("web")
    operator.kill()
    objects.merge("deployments", "handler-web", SPOILED["deployments"])
    objects.merge("configmaps", "handler-web", {"metadata": {"ownerReferences": None}})
    objects.merge("poddisruptionbudgets", "handler-web", {"metadata": {"labels": None}})
    objects.delete("services", "handler-web")
    operator.run()

    def repaired() -> bool:
        now = objects.children("web")
        return set(now) == set(before) and all(
            content(now[key]) == content(before[key]) for key in now if key[0] != "services"
        )

    eventually(repaired)
    for key, child in objects.children("web").items():
        same = child["metadata"]["uid"] == before[key]["metadata"]["uid"]
        assert same is (key[0] != "services")


def test_kubectl_scale_of_the_deployment_is_undone(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=2)
    objects.ready("web")
    objects.kubectl("scale", "deployment", "handler-web", "--replicas=5")
    eventually(lambda: child_of(objects, "deployments")["spec"]["replicas"] == 2)
    objects.ready("web")


def test_a_contest_names_the_rival_and_slows_the_repairs(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=2)
    objects.ready("web")

    def fight() -> bool:
        objects.apply(
            "deployments",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "handler-web"},
                "spec": {"replicas": 4},
            },
        )
        contested = condition(objects.existing("gatihandlers", "web"), "Contested")
        return contested.get("status") == "True" and "a-user" in contested["message"]

    eventually(fight)
    mark = operator.audit_mark()
    operator.settle(2.0)
    repairs = [
        write
        for write in operator.writes(mark)
        if write.resource == "deployments" and not write.dry_run
    ]
    assert len(repairs) <= 2
    assert operator.total("reconciler_contested_total") >= 1

"""A foreign object under the name of a child is never changed, adopted or deleted because of its
name; the handler reports it, and continues by itself once the name is free.
"""

from __future__ import annotations

import pytest

from contract.model import Object
from harness.objects import Objects, condition, eventually
from harness.operator_process import OperatorProcess

HEALED = 40.0
"""Seconds. A name that is taken is looked at every 30 s, at most a tenth more; the rest is
slack."""

POD = {"containers": [{"name": "theirs", "image": "theirs:v1"}]}
FOREIGN: dict[str, Object] = {
    "deployments": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "theirs"}},
            "template": {"metadata": {"labels": {"app": "theirs"}}, "spec": POD},
        },
    },
    "services": {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 3000}]},
    },
    "configmaps": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"THEIRS": "1"}},
    "horizontalpodautoscalers": {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"},
            "minReplicas": 1,
            "maxReplicas": 2,
        },
    },
    "poddisruptionbudgets": {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "theirs"}}},
    },
}
SPEC = {
    "replicas": 2,
    "config": {"A": "1"},
    "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 3},
}


def make_foreign(objects: Objects, resource: str, **metadata: object) -> Object:
    body = FOREIGN[resource] | {"metadata": {"name": "handler-web", **metadata}}
    return objects.create(resource, body)


def settled(objects: Objects, resource: str) -> Object:
    """The object once its own controller has nothing more to write to it."""

    def observed() -> Object | None:
        found = objects.existing(resource, "handler-web")
        seen = (found.get("status") or {}).get("observedGeneration")
        if resource == "deployments" and not found["status"].get("availableReplicas"):
            return None
        return found if seen in (None, found["metadata"].get("generation")) else None

    return eventually(observed)


@pytest.mark.parametrize("resource", ["deployments", "services"])
def test_a_name_clash_is_reported_and_heals_by_itself(
    operator: OperatorProcess, objects: Objects, resource: str
) -> None:
    make_foreign(objects, resource)
    before = settled(objects, resource)
    objects.handler("web")
    objects.handler("bystander")
    reported = objects.wait_for_reason("web", "NameConflict")
    kind = FOREIGN[resource]["kind"]
    assert f"{kind} handler-web exists already" in reported["message"]
    assert "gati.dev/adopt=web" in reported["message"]
    handler = objects.existing("gatihandlers", "web")
    assert handler["status"]["phase"] == "Failed"
    assert condition(handler, "Stalled")["status"] == "True"
    objects.ready("bystander")

    # Neither time, nor an edit, nor the end of the handler touches it.
    objects.handler("web", image="web:v2")
    objects.wait_for_reason("web", "NameConflict")
    operator.settle()
    after = objects.existing(resource, "handler-web")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]

    mark = operator.audit_mark()
    objects.delete(resource, "handler-web")
    eventually(lambda: objects.get(resource, "handler-web") is None)
    objects.ready("web", HEALED)
    made = objects.existing(resource, "handler-web")
    assert made["metadata"]["uid"] != before["metadata"]["uid"]
    refused = [write for write in operator.writes(mark) if write.code >= 400]
    assert refused == []


@pytest.mark.parametrize(
    "resource", ["configmaps", "horizontalpodautoscalers", "poddisruptionbudgets"]
)
def test_a_name_clash_of_any_other_child_is_reported(
    operator: OperatorProcess, objects: Objects, resource: str
) -> None:
    before = make_foreign(objects, resource)["metadata"]["uid"]
    objects.handler("web", **SPEC)
    reported = objects.wait_for_reason("web", "NameConflict")
    assert f"{FOREIGN[resource]['kind']} handler-web" in reported["message"]
    operator.settle()
    after = objects.existing(resource, "handler-web")
    assert after["metadata"]["uid"] == before
    managers = {each["manager"] for each in after["metadata"]["managedFields"]}
    assert "gati-operator" not in managers
    # Deleting the handler does not take along what was never its own.
    objects.delete("gatihandlers", "web")
    eventually(lambda: not objects.children("web"))
    operator.settle()
    assert objects.existing(resource, "handler-web")["metadata"]["uid"] == before


def test_labels_and_annotations_alone_do_not_make_a_child(
    operator: OperatorProcess, objects: Objects
) -> None:
    labels = {"app.kubernetes.io/managed-by": "gati-operator", "gati.dev/handler": "web"}
    before = make_foreign(
        objects, "services", labels=labels, annotations={"gati.dev/owner-uid": "made-up"}
    )
    objects.handler("web")
    objects.wait_for_reason("web", "NameConflict")
    operator.settle()
    after = objects.existing("services", "handler-web")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_name_clash_is_checked_again_after_a_restart(
    operator: OperatorProcess, objects: Objects
) -> None:
    before = make_foreign(objects, "services")
    objects.handler("web")
    objects.wait_for_reason("web", "NameConflict")
    operator.settle()
    assert operator.terminate() == 0
    mark = operator.audit_mark()
    operator.run()
    eventually(lambda: operator.reconciles() >= 1)
    operator.settle()
    assert [each for each in operator.writes(mark) if each.code < 400 and not each.dry_run] == []
    after = objects.existing("services", "handler-web")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_the_adopt_annotation_adopts_a_foreign_object(
    operator: OperatorProcess, objects: Objects
) -> None:
    before = make_foreign(objects, "services", labels={"team": "blue"})
    uid = objects.handler("web")["metadata"]["uid"]
    objects.wait_for_reason("web", "NameConflict")

    # For another handler it is no permission.
    objects.kubectl("annotate", "service", "handler-web", "gati.dev/adopt=other")
    objects.merge("gatihandlers", "web", {"metadata": {"annotations": {"gati.dev/reconcile": "1"}}})
    operator.settle()
    objects.wait_for_reason("web", "NameConflict")

    objects.kubectl("annotate", "--overwrite", "service", "handler-web", "gati.dev/adopt=web")
    objects.merge("gatihandlers", "web", {"metadata": {"annotations": {"gati.dev/reconcile": "2"}}})
    objects.ready("web")
    after = objects.existing("services", "handler-web")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"]["team"] == "blue"
    assert after["spec"]["selector"]["gati.dev/handler"] == "web"
    assert [owner["uid"] for owner in after["metadata"]["ownerReferences"]] == [uid]


def test_a_child_of_a_live_parent_is_not_adopted(
    operator: OperatorProcess, objects: Objects
) -> None:
    parent = make_foreign(objects, "configmaps")
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "handler-web",
        "uid": parent["metadata"]["uid"],
        "controller": True,
    }
    before = make_foreign(
        objects, "services", ownerReferences=[owner], annotations={"gati.dev/adopt": "web"}
    )
    objects.handler("web")
    reported = objects.wait_for_reason("web", "NameConflict")
    assert "it belongs to ConfigMap handler-web" in reported["message"]
    operator.settle()
    after = objects.existing("services", "handler-web")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_orphaned_children_are_adopted_by_their_annotation(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web")
    objects.ready("web")
    operator.kill()
    objects.kubectl("delete", "gh", "web", "--cascade=orphan")
    for resource in ("deployments", "services"):
        objects.kubectl("annotate", resource, "handler-web", "gati.dev/adopt=web")
    before = objects.children("web")
    operator.run()
    objects.handler("web")
    objects.ready("web")
    after = objects.children("web")
    assert {key: child["metadata"]["uid"] for key, child in after.items()} == {
        key: child["metadata"]["uid"] for key, child in before.items()
    }

"""A converged object is not written, and a write holds only the operator's own fields."""

from __future__ import annotations

from typing import Any

from harness.objects import CHILDREN, Objects, eventually
from harness.operator_process import OperatorProcess

FOREIGN = {"metadata": {"labels": {"team": "blue"}, "annotations": {"example.com/note": "keep"}}}


def test_an_edit_of_the_handlers_metadata_writes_nothing(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web")
    objects.ready("web")
    operator.settle()
    before, mark, passes = objects.children("web"), operator.audit_mark(), operator.reconciles()

    objects.merge("gatihandlers", "web", FOREIGN)
    eventually(lambda: operator.reconciles() > passes)
    operator.settle()
    assert operator.writes(mark) == []
    assert objects.children("web") == before


def test_labels_and_annotations_of_others_stay_on_children(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=2, config={"A": "1"})
    objects.ready("web")
    operator.settle()
    mark = operator.audit_mark()
    for resource, name in objects.children("web"):
        objects.merge(resource, name, FOREIGN)
    operator.settle()
    assert [write for write in operator.writes(mark) if write.resource in CHILDREN] == []

    objects.handler("web", replicas=3, config={"A": "2"}, image="web:v2")
    objects.ready("web")
    children = objects.children("web")
    assert len(children) == 4
    for child in children.values():
        assert child["metadata"]["labels"]["team"] == "blue"
        assert child["metadata"]["annotations"]["example.com/note"] == "keep"
    assert objects.existing("configmaps", "handler-web")["data"] == {"A": "2"}


def test_a_wiped_status_comes_back_the_same(operator: OperatorProcess, objects: Objects) -> None:
    objects.handler("web", autoscaling={"enabled": True, "minReplicas": 2, "maxReplicas": 4})
    objects.ready("web")
    operator.settle()

    def timeless() -> Any:
        status = objects.existing("gatihandlers", "web").get("status") or {}
        for each in status.get("conditions", ()):
            del each["lastTransitionTime"]
        return status

    before, children = timeless(), objects.children("web")
    objects.kubectl(
        *("patch", "gh", "web", "--subresource=status", "--type=merge", '-p={"status":null}')
    )
    eventually(lambda: timeless() == before)
    operator.settle()
    now = objects.children("web")
    assert {
        key: child["metadata"]["generation"]
        for key, child in now.items()
        if "spec" in child and "generation" in child["metadata"]
    } == {
        key: child["metadata"]["generation"]
        for key, child in children.items()
        if "generation" in child["metadata"]
    }


def test_a_restart_writes_nothing(operator: OperatorProcess, objects: Objects) -> None:
    objects.handler("a", replicas=2, config={"A": "1"}, version="1.0.0+build.5")
    objects.handler("b", autoscaling={"enabled": True, "minReplicas": 2, "maxReplicas": 4})
    objects.handler(
        "c",
        volumes=[{"name": "scratch", "emptyDir": {}}],
        volumeMounts=[{"name": "scratch", "mountPath": "/data"}],
        env=[{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        resources={"requests": {"cpu": "0.5", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        topologySpreadConstraints=[
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
    )
    objects.handler("d", replicas=0)
    for name in "abcd":
        objects.ready(name)
    operator.settle(3.0)
    assert operator.terminate() == 0

    mark = operator.audit_mark()
    operator.run()
    eventually(lambda: operator.reconciles() >= 4)
    operator.settle(2.0)
    assert operator.writes(mark) == []


def test_a_container_of_others_stays_beside_the_handlers(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web")
    objects.ready("web")
    added = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:v1"}]}}}}
    path = objects.path("deployments", "handler-web")
    objects.cluster.api.json("PATCH", path, added, "application/strategic-merge-patch+json")
    objects.handler("web", image="web:v2")
    assert objects.ready("web")["status"]["image"] == "web:v2"
    template = objects.existing("deployments", "handler-web")["spec"]["template"]["spec"]
    images = {each["name"]: each["image"] for each in template["containers"]}
    assert images == {"side": "side:v1", "handler": "web:v2"}


def test_a_restart_of_the_pods_by_kubectl_is_not_undone(
    operator: OperatorProcess, objects: Objects
) -> None:
    mark = "kubectl.kubernetes.io/restartedAt"

    def marks() -> dict[str, str]:
        template = objects.existing("deployments", "handler-web")["spec"]["template"]
        return dict(template["metadata"]["annotations"])

    objects.handler("web")
    objects.ready("web")
    objects.kubectl("rollout", "restart", "deployment/handler-web")
    objects.kubectl("rollout", "status", "deployment/handler-web", "--timeout=60s")
    operator.settle()
    restarted = marks()[mark]
    objects.handler("web", image="web:v2")
    objects.ready("web")
    assert marks()[mark] == restarted

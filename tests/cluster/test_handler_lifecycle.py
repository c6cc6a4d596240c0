"""From a GatiHandler to what runs, through its changes, to its end; nothing is left and nobody
else's work is undone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cluster.operator_process import (
    CHILDREN,
    Objects,
    OperatorProcess,
    condition,
    eventually,
    install,
    is_ready,
)
from devcluster import Cluster, DevclusterError
from devcluster.api import ApiError

FOREIGN = {"metadata": {"labels": {"team": "blue"}, "annotations": {"example.com/note": "keep"}}}


def test_a_handler_gets_its_children_with_owner_status_and_events(
    operator: OperatorProcess, objects: Objects
) -> None:
    handler = objects.handler("web", replicas=2, config={"LOG_LEVEL": "debug"})
    handler = objects.ready("web")

    children = objects.children("web")
    assert {resource for resource, _ in children} == {
        "configmaps",
        "deployments",
        "poddisruptionbudgets",
        "services",
    }
    for child in children.values():
        [owner] = child["metadata"]["ownerReferences"]
        assert owner["uid"] == handler["metadata"]["uid"]
        assert owner["controller"] is True

    status = handler["status"]
    assert status["phase"] == "Running"
    assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (2, 2, 2)
    assert status["version"] == "v1.0.0"
    assert "Finalizers" not in objects.kubectl("describe", "gh", "web")
    pods = objects.list("pods", status["selector"])
    assert len(pods) == 2

    def told() -> set[str]:
        return {
            each["reason"]
            for each in objects.list("events")
            if each["involvedObject"]["uid"] == handler["metadata"]["uid"]
        }

    eventually(lambda: told() >= {"Created", "Ready"})


@pytest.mark.parametrize(
    "version", ["v1.1.0", "1.0.0+build.5", "tsv:1732186200-users-042"], ids=["plain", "build", "tsv"]
)
def test_a_new_version_rolls_the_deployment_and_does_not_replace_it(
    operator: OperatorProcess, objects: Objects, version: str
) -> None:
    objects.handler("web")
    objects.ready("web")
    before = objects.there("deployments", "handler-web")
    service = objects.there("services", "handler-web")

    objects.handler("web", version=version, image="web:v1.1.0")
    handler = objects.ready("web")
    after = objects.there("deployments", "handler-web")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["selector"] == before["spec"]["selector"]
    assert after["metadata"]["generation"] > before["metadata"]["generation"]
    assert handler["status"]["version"] == version
    assert handler["status"]["image"] == "web:v1.1.0"
    template = after["spec"]["template"]["metadata"]
    assert template["annotations"]["gati.dev/version"] == version

    def pods() -> list[str]:
        found = objects.list("pods", "gati.dev/workload=handler-web")
        return [pod["spec"]["containers"][0]["image"] for pod in found]

    eventually(lambda: pods() == ["web:v1.1.0"])
    now = objects.there("services", "handler-web")
    assert now["metadata"]["resourceVersion"] == service["metadata"]["resourceVersion"]
    assert operator.running


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
    assert objects.there("configmaps", "handler-web")["data"] == {"A": "2"}


def test_a_field_that_is_wanted_no_more_goes_away(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=2, config={"A": "1"}, nodeSelector={"kubernetes.io/os": "linux"})
    objects.ready("web")
    objects.handler("web", replicas=1)
    objects.ready("web")
    eventually(
        lambda: {resource for resource, _ in objects.children("web")} == {"deployments", "services"}
    )
    pod = objects.there("deployments", "handler-web")["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod
    assert "envFrom" not in pod["containers"][0]


def test_a_handler_deleted_while_the_operator_is_down_leaves_nothing(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=2, config={"A": "1"})
    objects.handler("other")
    objects.ready("web")
    objects.ready("other")
    operator.kill()
    objects.delete("gatihandlers", "web")
    eventually(lambda: objects.get("gatihandlers", "web") is None)
    operator.run()
    eventually(lambda: not objects.children("web"))
    eventually(lambda: not objects.list("pods", "gati.dev/workload=handler-web"))
    operator.settle()
    assert is_ready(objects.there("gatihandlers", "other"))


def test_a_handler_deleted_during_its_retries_leaves_no_orphan(
    operator: OperatorProcess, objects: Objects
) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    objects.create("resourcequotas", quota | {"spec": {"hard": {"count/deployments.apps": "0"}}})
    eventually(lambda: objects.there("resourcequotas", "none").get("status"))
    objects.handler("web")
    objects.told("web", "QuotaExceeded")

    def refused() -> int:
        return len([write for write in operator.writes() if write.code == 403])

    eventually(lambda: refused() >= 3)
    objects.delete("gatihandlers", "web")
    objects.delete("resourcequotas", "none")
    eventually(lambda: objects.get("gatihandlers", "web") is None)
    eventually(lambda: not objects.children("web"))
    # The longest wait between two tries is five seconds: none comes any more.
    operator.settle(6.0)
    assert objects.children("web") == {}
    assert objects.get("deployments", "handler-web") is None


def test_a_handler_that_is_deleted_and_made_again_gets_new_children(
    operator: OperatorProcess, objects: Objects
) -> None:
    for image in ("web:v1", "web:v2", "web:v3"):
        uid = objects.handler("web", image=image)["metadata"]["uid"]
        objects.ready("web")
        for child in objects.children("web").values():
            assert child["metadata"]["ownerReferences"][0]["uid"] == uid
        objects.delete("gatihandlers", "web")


def test_two_handlers_of_one_version_share_no_pod(
    operator: OperatorProcess, objects: Objects
) -> None:
    names = ("users", "users-v1")
    for name in names:
        objects.handler(name, version="v1.0.0", replicas=2)
    for name in names:
        objects.ready(name)

    def addresses(name: str) -> set[str]:
        slices = objects.list("endpointslices", f"kubernetes.io/service-name=handler-{name}")
        return {
            endpoint["targetRef"]["name"]
            for each in slices
            for endpoint in each.get("endpoints") or ()
        }

    def pods(name: str) -> set[str]:
        workload = objects.there("deployments", f"handler-{name}")
        [(label, value)] = workload["spec"]["selector"]["matchLabels"].items()
        return {pod["metadata"]["name"] for pod in objects.list("pods", f"{label}={value}")}

    for name in names:
        assert len(pods(name)) == 2
        eventually(lambda name=name: addresses(name) == pods(name))
    assert pods(names[0]).isdisjoint(pods(names[1]))


def test_an_operator_for_all_namespaces_serves_a_namespace_that_comes_later(
    operators: Callable[..., OperatorProcess], own_cluster: Callable[..., Cluster]
) -> None:
    cluster = own_cluster()
    install(cluster)
    operators(cluster, "").run()
    for namespace in ("shop", "elsewhere"):
        cluster.create_namespace(namespace)
        objects = Objects(cluster, namespace)
        objects.handler("web")
        objects.ready("web")
        assert objects.get("services", "handler-web")


def test_quick_edits_end_in_the_last_one(operator: OperatorProcess, objects: Objects) -> None:
    for number in range(30):
        objects.handler("web", image=f"web:v{number}", replicas=number % 3)
    objects.ready("web")
    operator.settle()
    deployment = objects.there("deployments", "handler-web")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "web:v29"
    assert deployment["spec"]["replicas"] == 2
    owned = objects.list("deployments")
    assert [each["metadata"]["name"] for each in owned] == ["handler-web"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "spec"),
        ({"spec": None}, "spec"),
        ({"spec": {}}, "path"),
        ({"spec": {"path": "/a", "port": 0}}, "spec.port"),
        ({"spec": {"path": "/a", "port": 99999}}, "spec.port"),
        ({"spec": {"path": "/a", "handlerPath": "/a"}}, "handlerPath"),
        ({"spec": {"path": "/a", "replicas": -1}}, "spec.replicas"),
    ],
    ids=["no-spec", "null-spec", "no-path", "port-0", "port-99999", "two-paths", "replicas"],
)
def test_the_api_server_refuses_what_makes_no_sense_and_says_what(
    operator: OperatorProcess, objects: Objects, body: dict[str, Any], says: str
) -> None:
    for version in ("v1", "v1alpha1"):
        document = {
            "apiVersion": f"gati.dev/{version}",
            "kind": "GatiHandler",
            "metadata": {"name": "wrong", "namespace": objects.namespace},
        }
        with pytest.raises(DevclusterError) as refusal:
            objects.cluster.kubectl("create", "-f", "-", input=json.dumps(document | body))
        assert says in str(refusal.value)
    assert operator.running


def test_a_suspended_handler_is_left_as_it_is(operator: OperatorProcess, objects: Objects) -> None:
    objects.handler("web")
    objects.ready("web")
    objects.handler("web", suspend=True, image="web:v2")
    objects.told("web", "Suspended", "Suspended")
    operator.settle()
    before, mark = objects.there("deployments", "handler-web"), operator.audit_mark()
    objects.merge("deployments", "handler-web", {"spec": {"replicas": 3}})
    objects.delete("services", "handler-web")
    operator.settle(2.0)
    writes = [write for write in operator.writes(mark) if write.resource != "events"]
    assert {(write.resource, write.subresource) for write in writes} <= {("gatihandlers", "status")}
    assert objects.get("services", "handler-web") is None
    assert objects.there("deployments", "handler-web")["spec"]["replicas"] == 3
    image = before["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "web:v1.0.0"

    objects.handler("web")
    objects.ready("web")
    assert objects.get("services", "handler-web")
    assert objects.there("deployments", "handler-web")["spec"]["replicas"] == 1
    assert condition(objects.there("gatihandlers", "web"), "Suspended") == {}


def test_each_operator_class_has_its_own_handlers(
    operator: OperatorProcess, operators: Callable[..., OperatorProcess], objects: Objects
) -> None:
    objects.handler("plain")
    objects.handler("blue")
    labels = {"metadata": {"labels": {"gati.dev/operator-class": "blue"}}}
    objects.ready("blue")
    objects.merge("gatihandlers", "blue", labels)
    objects.ready("plain")
    operator.settle()

    blue = operators(objects.cluster, objects.namespace)
    blue.run("--operator-class=blue")
    objects.handler("blue", image="web:v2")
    objects.merge("gatihandlers", "blue", labels)
    objects.handler("plain", image="web:v3")
    for name, image in (("blue", "web:v2"), ("plain", "web:v3")):
        assert objects.ready(name)["status"]["image"] == image
    names = {"handler-blue", "blue"}
    assert {line["key"] for line in blue.lines() if "key" in line} == {
        f"GatiHandler/{objects.namespace}/blue"
    }
    operator.kill()
    mark = blue.audit_mark()
    objects.merge("deployments", "handler-blue", {"spec": {"replicas": 4}})
    objects.merge("deployments", "handler-plain", {"spec": {"replicas": 4}})
    eventually(lambda: objects.there("deployments", "handler-blue")["spec"]["replicas"] == 1)
    blue.settle()
    assert objects.there("deployments", "handler-plain")["spec"]["replicas"] == 4
    written = {write.name for write in blue.writes(mark) if write.resource != "events"}
    assert written <= names


def test_one_of_two_operators_writes_and_the_other_takes_over(
    operators: Callable[..., OperatorProcess], objects: Objects
) -> None:
    # A class of its own is a Lease of its own, so that tests can run side by side.
    elected = (
        f"--operator-class={objects.namespace[-6:]}",
        "--lease-duration=4",
        "--renew-deadline=3",
        "--retry-period=0.5",
        "--lease-namespace=gati-system",
    )
    first, second = (
        operators(objects.cluster, objects.namespace, flags=("--resync=0", *elected))
        for _ in range(2)
    )
    first.run()
    eventually(lambda: first.total("reconciler_leader") == 1)
    second.run()
    label = {"metadata": {"labels": {"gati.dev/operator-class": objects.namespace[-6:]}}}
    objects.handler("web")
    objects.merge("gatihandlers", "web", label)
    objects.ready("web")
    assert second.reconciles() == 0
    assert second.total("reconciler_leader") == 0

    first.kill()
    objects.handler("web", image="web:v2")
    objects.merge("gatihandlers", "web", label)
    assert objects.ready("web")["status"]["image"] == "web:v2"
    assert second.reconciles() > 0


def test_pods_are_hardened_enough_for_a_restricted_namespace(
    operator: OperatorProcess, objects: Objects
) -> None:
    enforce = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    objects.cluster.api.json(
        "PATCH", f"/api/v1/namespaces/{objects.namespace}", enforce, "application/merge-patch+json"
    )
    with pytest.raises(ApiError) as refusal:  # the policy is in force
        plain = {"containers": [{"name": "a", "image": "a"}]}
        objects.create(
            "pods",
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "plain"}, "spec": plain},
        )
    assert refusal.value.status == 403
    objects.handler("web")
    objects.ready("web")
    [pod] = objects.list("pods", "gati.dev/workload=handler-web")
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert not [child for child in CHILDREN if child == "secrets"]


def test_a_changed_config_map_rolls_the_pods(operator: OperatorProcess, objects: Objects) -> None:
    def digest() -> str:
        template = objects.there("deployments", "handler-web")["spec"]["template"]["metadata"]
        return str(template["annotations"].get("gati.dev/config-digest"))

    shared = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}}
    objects.create("configmaps", shared | {"data": {"A": "1"}})
    envs = [{"configMapRef": {"name": "shared"}}]
    objects.handler("web", envFrom=envs, config={"B": "1"})
    objects.ready("web")
    first = digest()
    objects.merge("configmaps", "shared", {"data": {"A": "2"}})
    second = eventually(lambda: digest() if digest() != first else "")
    objects.ready("web")
    objects.handler("web", envFrom=envs, config={"B": "2"})
    eventually(lambda: digest() not in (first, second))
    objects.ready("web")
    operator.settle()
    mark = operator.audit_mark()
    objects.merge("configmaps", "shared", FOREIGN)
    operator.settle()
    assert operator.writes(mark) == []


def test_a_wiped_status_comes_back_the_same(operator: OperatorProcess, objects: Objects) -> None:
    objects.handler("web", autoscaling={"enabled": True, "minReplicas": 2, "maxReplicas": 4})
    objects.ready("web")
    operator.settle()

    def timeless() -> Any:
        status = objects.there("gatihandlers", "web").get("status") or {}
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
    assert {key: child["metadata"]["generation"] for key, child in now.items() if "spec" in child
            and "generation" in child["metadata"]} == {
        key: child["metadata"]["generation"] for key, child in children.items()
        if "generation" in child["metadata"]}


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


def test_kubectl_scale_of_the_handler_sets_its_replicas(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web")
    objects.ready("web")
    objects.kubectl("scale", "gh", "web", "--replicas=3")
    handler = objects.ready("web")
    assert handler["spec"]["replicas"] == 3
    assert objects.there("deployments", "handler-web")["spec"]["replicas"] == 3
    assert handler["status"]["readyReplicas"] == 3

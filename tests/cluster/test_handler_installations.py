"""Several operators in one cluster, and one for all its namespaces: each object has one writer."""

from __future__ import annotations

from collections.abc import Callable

from devcluster import Cluster
from harness.objects import Objects, eventually
from harness.operator_process import OperatorProcess, install


def test_an_operator_of_all_namespaces_serves_a_later_one(
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
    eventually(lambda: objects.existing("deployments", "handler-blue")["spec"]["replicas"] == 1)
    blue.settle()
    assert objects.existing("deployments", "handler-plain")["spec"]["replicas"] == 4
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

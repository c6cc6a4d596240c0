"""The operator survives every fault of the API server and of the network, recovers by itself,
stops at SIGTERM meanwhile, and logs no secret.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.faults import Relay, service_gone_and_back
from devcluster import Cluster
from devcluster.api import ApiError
from harness.objects import Objects, eventually, is_ready
from harness.operator_process import OperatorProcess, install


@pytest.fixture
def relay(gati_cluster: Cluster) -> Iterator[Relay]:
    """A way to the API server that can be broken."""
    made = Relay(gati_cluster.url)
    yield made
    made.close()


@pytest.fixture
def through_relay(
    operators: Callable[..., OperatorProcess], objects: Objects, relay: Relay
) -> OperatorProcess:
    """An operator that reaches the API server through the relay."""
    operator = operators(objects.cluster, objects.namespace, server=relay.url)
    operator.run()
    return operator


@pytest.fixture
def broken_webhook(objects: Objects) -> Iterator[Callable[[], None]]:
    """An admission webhook that nobody answers, for writes of Deployments; called, it goes away."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    chosen = {"matchLabels": {"kubernetes.io/metadata.name": objects.namespace}}
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "resources": ["deployments"],
        "operations": ["CREATE", "UPDATE"],
    }
    webhook = {
        "name": "down.example.com",
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "namespaceSelector": chosen,
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    api = objects.cluster.api
    api.json(
        "POST",
        path,
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": objects.namespace},
            "webhooks": [webhook],
        },
    )
    probe = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "probe"},
        "spec": {
            "selector": {"matchLabels": {"app": "probe"}},
            "template": {
                "metadata": {"labels": {"app": "probe"}},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            },
        },
    }

    def refused() -> bool:
        try:
            api.json("POST", objects.path("deployments") + "?dryRun=All", probe)
        except ApiError as error:
            return error.status == 500
        return False

    def remove() -> None:
        with contextlib.suppress(ApiError):
            api.json("DELETE", f"{path}/{objects.namespace}")

    eventually(refused)
    yield remove
    remove()


def test_watches_that_break_again_and_again_lose_no_change(
    through_relay: OperatorProcess, relay: Relay, objects: Objects
) -> None:
    objects.handler("web")
    objects.ready("web")
    for number in range(3):
        relay.cut()
        objects.handler("web", image=f"web:v{number}")
        assert objects.ready("web")["status"]["image"] == f"web:v{number}"
        service_gone_and_back(objects, "web")
    assert relay.connections < 500


def test_a_deletion_during_an_outage_costs_the_others_no_write(
    through_relay: OperatorProcess, relay: Relay, objects: Objects
) -> None:
    objects.handler("stays")
    objects.handler("goes")
    objects.ready("stays")
    objects.ready("goes")
    through_relay.settle()
    mark = through_relay.audit_mark()
    relay.refuse()
    objects.delete("gatihandlers", "goes")
    eventually(lambda: through_relay.logged("watch interrupted"))
    assert through_relay.answer("/healthz")[0] == 200
    relay.let_through()
    eventually(lambda: not objects.children("goes"))
    service_gone_and_back(objects, "stays")
    through_relay.settle()
    names = {each.name for each in through_relay.writes(mark) if each.resource != "events"}
    assert names <= {"handler-stays"}


@pytest.mark.parametrize("fault", ["refuse", "swallow"])
def test_sigterm_ends_an_operator_that_reaches_no_api_server(
    through_relay: OperatorProcess, relay: Relay, objects: Objects, fault: str
) -> None:
    objects.handler("web")
    objects.ready("web")
    getattr(relay, fault)()
    if fault == "refuse":
        eventually(lambda: through_relay.logged("watch interrupted"))
    assert through_relay.terminate(30) == 0


def test_sigterm_ends_an_operator_in_the_middle_of_its_retries(
    operator: OperatorProcess, objects: Objects, broken_webhook: Callable[[], None]
) -> None:
    for number in range(5):
        objects.handler(f"web{number}")

    def failed() -> int:
        return len([write for write in operator.writes() if write.code == 500])

    eventually(lambda: failed() >= 10)
    assert operator.terminate(30) == 0


def test_a_webhook_that_is_down_is_reported_and_heals(
    operator: OperatorProcess, objects: Objects, broken_webhook: Callable[[], None]
) -> None:
    objects.handler("web")
    reported = objects.wait_for_reason("web", "ApiRefused")
    assert "failed calling webhook" in reported["message"]
    assert operator.answer("/healthz")[0] == 200
    broken_webhook()
    objects.ready("web")


def test_an_overloaded_api_server_is_waited_for(
    operators: Callable[..., OperatorProcess], own_cluster: Callable[..., Cluster]
) -> None:
    cluster = own_cluster(
        apiserver_flags=[
            "--enable-priority-and-fairness=false",
            "--max-mutating-requests-inflight=1",
            "--max-requests-inflight=20",
        ]
    )
    install(cluster)
    cluster.create_namespace("shop")
    objects = Objects(cluster, "shop")
    names = [f"web{number}" for number in range(12)]
    for name in names:
        objects.handler(name)
    operator = operators(cluster, "shop")
    operator.run()

    def ready() -> bool:
        return all(is_ready(handler) for handler in objects.list("gatihandlers"))

    eventually(ready, 120)
    assert operator.total("reconciler_api_requests_total", 'code="429"') > 0
    assert operator.running
    assert len(objects.list("services", "gati.dev/handler")) == len(names)


def test_missing_rights_are_reported_with_a_remedy_and_heal(
    operators: Callable[..., OperatorProcess], objects: Objects
) -> None:
    account = (objects.namespace, "default")
    operator = operators(objects.cluster, objects.namespace, account=account)
    operator.start("--log-level=debug")
    status, text = eventually(
        lambda: answer if "forbidden" in (answer := operator.answer("/readyz"))[1] else None
    )
    assert "kubectl apply -f deploy/gati/rbac.yaml" in text
    assert operator.answer("/healthz")[0] == 200
    assert status == 503
    objects.handler("web")
    # As in the shipped file: one namespace only, by a RoleBinding to the same ClusterRole.
    objects.kubectl(
        *("create", "rolebinding", "operator", "--clusterrole=gati-operator"),
        f"--serviceaccount={objects.namespace}:default",
    )
    objects.ready("web", 90)


def test_no_log_holds_a_token_whatever_fails(
    operators: Callable[..., OperatorProcess], objects: Objects, relay: Relay
) -> None:
    operator = operators(objects.cluster, objects.namespace, server=relay.url)
    operator.run("--log-level=debug")
    objects.handler("web")
    objects.handler("wrong", env=[field("metadata.nope")])
    objects.ready("web")
    objects.wait_for_reason("wrong", "ApiRefused")
    relay.refuse()
    eventually(lambda: operator.logged("watch interrupted"))
    relay.let_through()
    service_gone_and_back(objects, "web")
    assert operator.terminate() == 0

    # A token that the server does not take: every request is answered by 401.
    good = operator.token
    secret = f"eyJhbGciOiJub25lIn0.{good[-60:]}.nobody"
    text = operator.kubeconfig.read_text("utf-8")
    operator.kubeconfig.write_text(text.replace(good, secret), "utf-8")
    operator.start("--log-level=debug")
    eventually(lambda: operator.logged("unauthorized"))
    eventually(lambda: "unauthorized" in operator.answer("/readyz?verbose")[1])
    log = operator.log.read_text("utf-8")
    for token in (good, secret):
        assert token not in log
        assert token.rpartition(".")[2][:20] not in log or token == secret
    assert "Bearer" not in log
    assert len(log.splitlines()) == len([json.loads(line) for line in log.splitlines()])


def field(path: str) -> dict[str, Any]:
    """A variable whose value is a field of the pod."""
    return {"name": "FIELD", "valueFrom": {"fieldRef": {"fieldPath": path}}}

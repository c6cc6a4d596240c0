"""The life of a GatiHandler, from its creation through its changes to its deletion: children are
updated in place, and none is left behind.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest

from contract.model import Object
from harness.objects import Objects, condition, eventually, is_ready
from harness.operator_process import OperatorProcess

_WEB = ("deployments", "handler-web")
FOREIGN = {"metadata": {"labels": {"team": "blue"}, "annotations": {"example.com/note": "keep"}}}


def test_a_handler_gets_children_with_owner_status_and_events(
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

    def reasons() -> set[str]:
        return {
            each["reason"]
            for each in objects.list("events")
            if each["involvedObject"]["uid"] == handler["metadata"]["uid"]
        }

    eventually(lambda: reasons() >= {"Created", "Ready"})


@pytest.mark.parametrize(
    "version",
    ["v1.1.0", "1.0.0+build.5", "tsv:1732186200-users-042"],
    ids=["plain", "build", "tsv"],
)
def test_a_new_version_rolls_the_deployment_in_place(
    operator: OperatorProcess, objects: Objects, version: str
) -> None:
    objects.handler("web")
    objects.ready("web")
    before = objects.existing("deployments", "handler-web")
    service = objects.existing("services", "handler-web")

    objects.handler("web", version=version, image="web:v1.1.0")
    handler = objects.ready("web")
    after = objects.existing("deployments", "handler-web")
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
    now = objects.existing("services", "handler-web")
    assert now["metadata"]["resourceVersion"] == service["metadata"]["resourceVersion"]
    assert operator.running


def test_a_handler_is_ready_after_its_min_ready_seconds(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", minReadySeconds=5)
    waiting = "0 of 1 replicas available, 1 ready, waiting for minReadySeconds"
    eventually(lambda: _ready(objects).get("message") == waiting)
    assert _ready(objects)["status"] == "False"

    ready = _moment(condition(objects.ready("web"), "Ready"))
    [pod] = objects.list("pods", "gati.dev/workload=handler-web")
    assert ready - _moment(condition(pod, "Ready")) >= timedelta(seconds=4)  # both are cut to 1 s

    objects.handler("web")  # without the field: the Deployment has its default, no pod restarts
    eventually(lambda: "minReadySeconds" not in objects.existing(*_WEB)["spec"])
    objects.ready("web")
    [same] = objects.list("pods", "gati.dev/workload=handler-web")
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]


def _ready(objects: Objects) -> Object:
    return condition(objects.get("gatihandlers", "web"), "Ready")


def _moment(found: Object) -> datetime:
    return datetime.fromisoformat(found["lastTransitionTime"])


def test_a_field_that_is_wanted_no_more_goes_away(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler(
        "web", replicas=2, config={"A": "1"}, nodeSelector={"kubernetes.io/os": "linux"}
    )
    objects.ready("web")
    objects.handler("web", replicas=1)
    objects.ready("web")
    eventually(
        lambda: {resource for resource, _ in objects.children("web")} == {"deployments", "services"}
    )
    pod = objects.existing("deployments", "handler-web")["spec"]["template"]["spec"]
    assert "nodeSelector" not in pod
    assert "envFrom" not in pod["containers"][0]


def test_a_handler_deleted_during_a_downtime_leaves_nothing(
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
    assert is_ready(objects.existing("gatihandlers", "other"))


def test_a_handler_deleted_during_its_retries_leaves_no_orphan(
    operator: OperatorProcess, objects: Objects
) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    objects.create("resourcequotas", quota | {"spec": {"hard": {"count/deployments.apps": "0"}}})
    eventually(lambda: objects.existing("resourcequotas", "none").get("status"))
    objects.handler("web")
    objects.wait_for_reason("web", "QuotaExceeded")

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


def test_a_recreated_handler_gets_new_children(operator: OperatorProcess, objects: Objects) -> None:
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
        workload = objects.existing("deployments", f"handler-{name}")
        [(label, value)] = workload["spec"]["selector"]["matchLabels"].items()
        return {pod["metadata"]["name"] for pod in objects.list("pods", f"{label}={value}")}

    def agree(name: str) -> bool:
        return addresses(name) == pods(name)

    for name in names:
        assert len(pods(name)) == 2
        eventually(partial(agree, name))
    assert pods(names[0]).isdisjoint(pods(names[1]))


def test_the_last_of_several_quick_edits_is_applied(
    operator: OperatorProcess, objects: Objects
) -> None:
    for number in range(30):
        objects.handler("web", image=f"web:v{number}", replicas=number % 3)
    objects.ready("web")
    operator.settle()
    deployment = objects.existing("deployments", "handler-web")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "web:v29"
    assert deployment["spec"]["replicas"] == 2
    owned = objects.list("deployments")
    assert [each["metadata"]["name"] for each in owned] == ["handler-web"]


def test_a_suspended_handler_keeps_its_children_unchanged(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web")
    objects.ready("web")
    objects.handler("web", suspend=True, image="web:v2")
    objects.wait_for_reason("web", "Suspended", "Suspended")
    operator.settle()
    before, mark = objects.existing("deployments", "handler-web"), operator.audit_mark()
    objects.merge("deployments", "handler-web", {"spec": {"replicas": 3}})
    objects.delete("services", "handler-web")
    operator.settle(2.0)
    writes = [write for write in operator.writes(mark) if write.resource != "events"]
    assert {(write.resource, write.subresource) for write in writes} <= {("gatihandlers", "status")}
    assert objects.get("services", "handler-web") is None
    assert objects.existing("deployments", "handler-web")["spec"]["replicas"] == 3
    image = before["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "web:v1.0.0"

    objects.handler("web")
    objects.ready("web")
    assert objects.get("services", "handler-web")
    assert objects.existing("deployments", "handler-web")["spec"]["replicas"] == 1
    assert condition(objects.existing("gatihandlers", "web"), "Suspended") == {}


def test_a_changed_config_map_rolls_the_pods(operator: OperatorProcess, objects: Objects) -> None:
    def digest() -> str:
        template = objects.existing("deployments", "handler-web")["spec"]["template"]["metadata"]
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


def test_kubectl_scale_of_the_handler_sets_its_replicas(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web")
    objects.ready("web")
    objects.kubectl("scale", "gh", "web", "--replicas=3")
    handler = objects.ready("web")
    assert handler["spec"]["replicas"] == 3
    assert objects.existing("deployments", "handler-web")["spec"]["replicas"] == 3
    assert handler["status"]["readyReplicas"] == 3


def test_a_child_deleted_in_the_foreground_is_recreated(
    operator: OperatorProcess, objects: Objects
) -> None:
    objects.handler("web", replicas=2)
    objects.ready("web")
    uid = objects.existing("deployments", "handler-web")["metadata"]["uid"]
    objects.kubectl("delete", "deployment", "handler-web", "--cascade=foreground")

    def made_again() -> bool:
        found = objects.get("deployments", "handler-web")
        return found is not None and found["metadata"]["uid"] != uid

    eventually(made_again)
    objects.ready("web")


def test_a_deleted_namespace_ends_and_the_operator_rests(
    operator: OperatorProcess, objects: Objects
) -> None:
    for name in ("one", "two", "three"):
        objects.handler(name, config={"A": "1"})
    for name in ("one", "two", "three"):
        objects.ready(name)
    objects.cluster.kubectl("delete", "namespace", objects.namespace, "--timeout=60s")
    operator.settle()
    mark = operator.audit_mark()
    operator.settle(6.0)  # the longest wait between two tries is five seconds
    assert operator.writes(mark) == []
    assert operator.total("reconciler_queue_oldest_retry_seconds") == 0

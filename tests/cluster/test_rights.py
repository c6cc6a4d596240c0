"""The operator's own rights: none too many, none missing, each one seen at work.

Acceptance: every right that is shipped is either seen in the API server's audit log or stands in
the reviewed list below, with its reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from contract.plan import Right
from devcluster import Cluster
from gati import operator as gati
from harness.objects import Objects, condition, eventually
from harness.operator_process import USER, OperatorProcess, install
from reconciler.process.events import QUIET
from reconciler.rights import rights

RBAC = Path(__file__).parents[2] / "deploy" / "gati" / "rbac.yaml"

REVIEWED = {
    "create": "an apply that creates is authorised as create and audited as patch",
    "get configmaps": "read only where the name is taken in the moment of our write, or to name "
    "the rival of a contest: the watch shows every ConfigMap",
    "get horizontalpodautoscalers": "as for ConfigMaps",
    "get gatimodules": "asked only after a status whose answer was lost",
    "get gativersions": "as for GatiModules",
    "update gatihandlers/finalizers": "asked for by the admission plugin "
    "OwnerReferencesPermissionEnforcement, which is off on this control plane",
}
"""Rights that no audit log can show, by verb or by verb and resource."""


def shipped(kind: str) -> set[Right]:
    """The rights in the shipped roles of that kind."""
    documents = [each for each in yaml.safe_load_all(RBAC.read_text("utf-8")) if each]
    return {
        Right(group, resource, verb)
        for role in documents
        if role["kind"] == kind and role["metadata"]["name"].startswith("gati-operator")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_shipped_role_is_exactly_what_the_controllers_need():
    assert shipped("ClusterRole") == set(rights(gati.controllers(gati.Settings())))


def test_the_lease_rights_are_of_the_operators_namespace_only():
    group = "coordination.k8s.io"
    assert shipped("Role") == {Right(group, "leases", verb) for verb in ("get", "create", "update")}


def test_no_right_is_a_wildcard_reads_secrets_or_escalates():
    everything = shipped("ClusterRole") | shipped("Role")
    assert not [right for right in everything if "*" in right]
    assert not [right for right in everything if right.resource.startswith("secrets")]
    assert not {right.verb for right in everything} & {"escalate", "bind", "impersonate"}


def used(cluster: Cluster) -> Iterator[Right]:
    """The rights that the audit log shows at work."""
    for line in cluster.audit_log.read_text("utf-8").splitlines():
        event = json.loads(line)
        reference = event.get("objectRef") or {}
        if event["user"]["username"] == USER and "resource" in reference:
            subresource = reference.get("subresource")
            resource = reference["resource"] + (f"/{subresource}" if subresource else "")
            yield Right(reference.get("apiGroup", ""), resource, event["verb"])


def forbidden(cluster: Cluster) -> list[str]:
    """What the operator tried and was not allowed."""
    lines = cluster.audit_log.read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return [
        event["requestURI"]
        for event in events
        if event["user"]["username"] == USER
        and event.get("responseStatus", {}).get("code") == 403
        and "forbidden" in event.get("responseStatus", {}).get("message", "")
    ]


def foreign(resource: str, api_version: str, kind: str, spec: dict) -> tuple[str, dict]:
    body = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "handler-taken"},
        **({"spec": spec} if spec else {}),
    }
    return resource, body


LABELS = {"matchLabels": {"app": "theirs"}}
FOREIGN = (
    foreign("configmaps", "v1", "ConfigMap", {}),
    foreign(
        "deployments",
        "apps/v1",
        "Deployment",
        {
            "replicas": 0,
            "selector": LABELS,
            "template": {
                "metadata": {"labels": {"app": "theirs"}},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            },
        },
    ),
    foreign("services", "v1", "Service", {"ports": [{"port": 80}]}),
    foreign(
        "horizontalpodautoscalers",
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        {
            "maxReplicas": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"},
        },
    ),
    foreign("poddisruptionbudgets", "policy/v1", "PodDisruptionBudget", {"selector": LABELS}),
)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_every_right_is_used_or_has_a_reviewed_reason(
    own_cluster: Callable[..., Cluster], operators: Callable[..., OperatorProcess]
):
    """A life that needs every right: names taken and freed, everything on, off, deleted."""
    # Without WatchList the fallback lists, so that this right is seen at work too.
    cluster = own_cluster(apiserver_flags=["--feature-gates=WatchList=false"])
    install(cluster)
    cluster.create_namespace("rights")
    objects = Objects(cluster, "rights")
    process = operators(cluster, "", flags=("--backoff=0.2", "--backoff-limit=2"))
    process.run()
    scaling = {"enabled": True, "minReplicas": 2, "maxReplicas": 4}
    for resource, body in FOREIGN:
        objects.create(resource, body)
    objects.handler("taken", config={"A": "b"}, autoscaling=scaling)
    for resource, body in FOREIGN:  # in the order of the waves: each shows only after the last
        eventually(partial(conflicts, objects, body["kind"]))
        objects.delete(resource, "handler-taken")
        objects.merge("gatihandlers", "taken", {"metadata": {"annotations": {"look": resource}}})
    objects.ready("taken")
    service_gone_and_back(objects)
    repaired = time.monotonic()
    objects.merge("gatihandlers", "taken", {"spec": {"config": None, "autoscaling": None}})
    objects.merge("gatihandlers", "taken", {"spec": {"replicas": 1}})
    eventually(lambda: set(objects.children("taken")) == {
        ("deployments", "handler-taken"), ("services", "handler-taken")
    })  # fmt: skip
    objects.kubectl("apply", "-f", str(RBAC.parents[2] / "examples"), "-n", "default")
    # Once more, late enough that the Event is counted up at once.
    time.sleep(max(0.0, repaired + QUIET.total_seconds() + 1 - time.monotonic()))
    service_gone_and_back(objects)
    eventually(lambda: Right("", "events", "patch") in set(used(cluster)))
    assert process.terminate() == 0  # a watch is audited when it ends
    assert missing(cluster) == set()
    assert forbidden(cluster) == []


def conflicts(objects: Objects, kind: str) -> bool:
    """Does the handler report that its name is taken by an object of that kind?"""
    found = condition(objects.existing("gatihandlers", "taken"), "Ready")
    return found.get("reason") == "NameConflict" and kind in found["message"]


def service_gone_and_back(objects: Objects) -> None:
    """Delete the handler's Service and wait for the next one."""
    uid = objects.existing("services", "handler-taken")["metadata"]["uid"]
    objects.delete("services", "handler-taken")

    def back() -> bool:
        found = objects.get("services", "handler-taken")
        return found is not None and found["metadata"]["uid"] != uid

    eventually(back)


def missing(cluster: Cluster) -> set[Right]:
    seen = set(used(cluster))
    return {
        right
        for right in shipped("ClusterRole") | shipped("Role")
        if right not in seen
        and right.verb not in REVIEWED
        and f"{right.verb} {right.resource}" not in REVIEWED
    }

"""What the API server admits: valid handlers, and pods that a restricted namespace takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from devcluster import DevclusterError
from devcluster.api import ApiError
from harness.objects import CHILDREN, Objects
from harness.operator_process import OperatorProcess


@pytest.mark.parametrize(
    ("body", "message"),
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
def test_the_api_server_refuses_an_invalid_spec_by_its_field(
    operator: OperatorProcess, objects: Objects, body: dict[str, Any], message: str
) -> None:
    for version in ("v1", "v1alpha1"):
        document = {
            "apiVersion": f"gati.dev/{version}",
            "kind": "GatiHandler",
            "metadata": {"name": "wrong", "namespace": objects.namespace},
        }
        with pytest.raises(DevclusterError) as refusal:
            objects.cluster.kubectl("create", "-f", "-", input=json.dumps(document | body))
        assert message in str(refusal.value)
    assert operator.running


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

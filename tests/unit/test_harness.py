"""The harness reads objects that lack any optional field."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contract.model import Object
from harness.objects import condition, is_ready
from harness.operator_process import USER, OperatorProcess, Write

PATCH = {
    "verb": "patch",
    "user": {"username": USER},
    "requestURI": "/apis/apps/v1/namespaces/shop/deployments/web?dryRun=All",
    "objectRef": {"resource": "deployments", "namespace": "shop", "name": "web"},
    "responseStatus": {"code": 200},
}
UNAUTHENTICATED = {**PATCH, "user": {}, "userAgent": USER}
WITHOUT_OBJECT = {**PATCH, "requestURI": "/metrics", "objectRef": None}
WITHOUT_STATUS = {key: value for key, value in PATCH.items() if key != "responseStatus"}


@pytest.fixture
def operator(tmp_path: Path) -> OperatorProcess:
    """An operator of all namespaces that was never started."""
    config = tmp_path / "kubeconfig"
    config.write_text(json.dumps({"users": [{"user": {"token": "t"}}]}), "utf-8")
    cluster: Any = SimpleNamespace(
        service_account_kubeconfig=lambda *_: config, audit_log=tmp_path / "audit.log"
    )
    return OperatorProcess(cluster, "", tmp_path / "log")


def audited(operator: OperatorProcess, *events: Object) -> list[Write]:
    """The operator's writes where these requests stand in the audit log."""
    text = "".join(f"{json.dumps(event)}\n" for event in events)
    operator.cluster.audit_log.write_text(text, "utf-8")
    return operator.writes()


def test_an_audited_write_is_the_operators(operator: OperatorProcess) -> None:
    written = Write("patch", "deployments", "web", "", 200, dry_run=True)
    assert audited(operator, PATCH) == [written]


def test_a_request_without_a_user_is_not_the_operators(operator: OperatorProcess) -> None:
    assert audited(operator, UNAUTHENTICATED) == []


def test_a_write_without_object_or_answer_is_read(operator: OperatorProcess) -> None:
    assert audited(operator, WITHOUT_OBJECT, WITHOUT_STATUS) == [
        Write("patch", "", "", "", 200, dry_run=False),
        Write("patch", "deployments", "web", "", 0, dry_run=True),
    ]


def test_a_status_that_names_no_generation_is_not_ready() -> None:
    ready = {"type": "Ready", "status": "True"}
    handler: Object = {"metadata": {"generation": 2}, "status": {"conditions": [{}, ready]}}
    assert condition(handler, "Ready") == ready
    assert not is_ready(handler)
    handler["status"]["observedGeneration"] = 2
    assert is_ready(handler)

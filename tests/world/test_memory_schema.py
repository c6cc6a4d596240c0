"""The in-memory API server refuses what a CustomResourceDefinition's schema refuses."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.model import Kind, Object
from crds.documents import crd_documents
from gati.kinds import GATI_HANDLER
from gati.resources import API
from memoryserver import Server
from reconciler.client.api import MERGE_PATCH, ApiError

NAME = ("shop", "users")


@pytest.fixture
def server() -> Server:
    return Server(lambda: datetime(2026, 1, 2, tzinfo=UTC), crds=crd_documents(API))


def handler(**spec: Any) -> Object:
    return {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": {"name": "users", "namespace": "shop"},
        "spec": {"path": "/users", **spec},
    }


def patch(server: Server, kind: Kind, spec: Object) -> Object:
    return server.patch(kind, *NAME, {"spec": spec}, "a-user", content_type=MERGE_PATCH)


def test_a_bound_and_a_rule_are_refused_on_create_and_apply(server: Server) -> None:
    body = handler(handlerPath="/b", replicas=5000)
    for write in (server.create, server.apply):
        with pytest.raises(ApiError) as caught:
            write(GATI_HANDLER, copy.deepcopy(body), "a-user")
        assert caught.value.code == 422
        assert "spec.replicas in body should be less than or equal to 1000" in str(caught.value)
        assert "two spellings of one field" in str(caught.value)
    assert server.get(GATI_HANDLER, *NAME) is None


def test_an_update_is_refused_for_what_it_changes_only(server: Server) -> None:
    server.create(GATI_HANDLER, handler(), "a-user")
    looser = copy.deepcopy(crd_documents(API))
    schema = looser[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["replicas"]["maximum"]
    server.define(looser[0])
    patch(server, GATI_HANDLER, {"replicas": 5000})
    server.define(crd_documents(API)[0])
    patch(server, GATI_HANDLER, {"port": 80})
    with pytest.raises(ApiError, match="replicas in body should be less than"):
        patch(server, GATI_HANDLER, {"replicas": 6000})


def test_an_optional_field_may_be_null(server: Server) -> None:
    made = server.apply(GATI_HANDLER, handler(env=None, replicas=None), "a-user")
    assert made["spec"] == {"path": "/users", "env": None, "replicas": 1}


def test_no_rule_reads_an_old_value_of_the_wrong_type(server: Server) -> None:
    looser = copy.deepcopy(crd_documents(API)[0])
    schema = looser["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    before = schema["properties"]["spec"]["properties"]["autoscaling"]
    schema["properties"]["spec"]["properties"]["autoscaling"] = {"type": "integer"}
    server.define(looser)
    server.create(GATI_HANDLER, handler(autoscaling=5), "a-user")
    schema["properties"]["spec"]["properties"]["autoscaling"] = before
    server.define(looser)
    patch(server, GATI_HANDLER, {"port": 81})
    with pytest.raises(ApiError, match="two spellings") as caught:
        patch(server, GATI_HANDLER, {"handlerPath": "/b", "autoscaling": {"enabled": False}})
    assert caught.value.causes

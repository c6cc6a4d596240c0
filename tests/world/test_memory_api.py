"""What a client of the in-memory server can ask beyond the table of conformance scripts."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from contract.model import Kind, Object
from memoryserver import MemoryApi
from reconciler.client.api import MERGE_PATCH, ApiError
from world.deletions import DELETIONS, Deletion, what_is_left
from world.kinds import (
    CONFIG_MAP,
    CRD,
    DEPLOYMENT,
    NAMESPACE,
    POD,
    WIDGET,
    WIDGET_CRD,
    body,
    deployment,
)
from world.refusals import UNREACHABLE, refused

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPTIONAL = Kind("keda.test", "v1", "ScaledObject", "scaledobjects")
DEPLOYER = "system:serviceaccount:deployers:shop"


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi(lambda: NOW)


def placed(kind: Kind, name: str = "x", spec: Object | None = None, **metadata: object) -> Object:
    namespace = {"namespace": "default"} if kind.namespaced else {}
    return body(kind, name, spec, metadata={**namespace, **metadata})


def pod(**more: object) -> Object:
    return placed(POD, spec={"containers": [{"name": "main", "image": "app:1"}], **more})


async def created(api: MemoryApi, kind: Kind, obj: Object) -> str:
    return str((await api.create(kind, obj))["metadata"]["uid"])


# ---- deletion -----------------------------------------------------------------------------------


@pytest.mark.parametrize("deletion", DELETIONS, ids=lambda deletion: deletion.name)
async def test_a_delete_returns_what_is_left(api: MemoryApi, deletion: Deletion) -> None:
    assert await what_is_left(api, deletion, "default") == (deletion.left, deletion.left)


async def test_finalizers_leave_the_object(api: MemoryApi) -> None:
    uid = await created(api, CONFIG_MAP, placed(CONFIG_MAP, finalizers=["a.test/b"]))

    left = await api.delete(CONFIG_MAP, "default", "x", uid=uid)

    assert left is not None
    assert left == await api.get(CONFIG_MAP, "default", "x")
    assert left["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    assert await api.delete(CONFIG_MAP, "default", "x", uid=uid) == left


async def test_a_namespace_stays_until_it_is_finalized(api: MemoryApi) -> None:
    uid = await created(api, NAMESPACE, placed(NAMESPACE, "shop"))

    left = await api.delete(NAMESPACE, "", "shop", uid=uid)

    assert left is not None
    assert left["status"] == {"phase": "Terminating"}
    assert "deletionGracePeriodSeconds" not in left["metadata"]
    api.server.finalize_namespace(NAMESPACE, "shop")
    assert await api.get(NAMESPACE, "", "shop") is None


async def test_a_pod_on_a_node_stays_until_its_kubelet_is_done(api: MemoryApi) -> None:
    uid = await created(api, POD, pod(nodeName="node-1"))

    left = await api.delete(POD, "default", "x", uid=uid)

    assert left is not None
    assert left["metadata"]["deletionGracePeriodSeconds"] == 30
    assert left["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    running = {"metadata": {"labels": {"still": "there"}}}
    await api.patch(POD, "default", "x", running, content_type=MERGE_PATCH)
    assert await api.get(POD, "default", "x") is not None
    assert api.server.delete(POD, "default", "x", grace=0) is None
    assert await api.get(POD, "default", "x") is None


# ---- validation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("deadline", "message"), UNREACHABLE)
async def test_a_deadline_is_above_the_wait_for_readiness(
    api: MemoryApi, deadline: int, message: str
) -> None:
    obj = deployment("x", minReadySeconds=10, progressDeadlineSeconds=deadline)
    obj["metadata"]["namespace"] = "default"
    assert await refused(api, DEPLOYMENT, obj) == message


# ---- discovery ----------------------------------------------------------------------------------


async def test_discovery_follows_what_is_served(api: MemoryApi) -> None:
    found = await api.discover()
    assert found.serves(CONFIG_MAP) is True
    assert found.find("v1", "Namespace") == NAMESPACE
    assert found.serves(OPTIONAL) is False
    api.serve(OPTIONAL)
    assert (await api.discover()).serves(OPTIONAL) is True
    api.unserve(OPTIONAL)
    assert (await api.discover()).serves(OPTIONAL) is False
    api.server.undiscovered.add(OPTIONAL.api_version)
    assert (await api.discover()).serves(OPTIONAL) is None


async def test_a_definition_brings_its_kind_and_takes_it_along(api: MemoryApi) -> None:
    uid = await created(api, CRD, WIDGET_CRD)
    assert (await api.discover()).serves(WIDGET) is True
    await api.create(WIDGET, placed(WIDGET, spec={"size": "1", "unknown": "x"}))
    widget = await api.get(WIDGET, "default", "x")
    assert widget is not None
    assert widget["spec"] == {"size": "1", "replicas": 1}

    await api.delete(CRD, "", WIDGET_CRD["metadata"]["name"], uid=uid)

    assert (await api.discover()).serves(WIDGET) is False
    with pytest.raises(ApiError, match="404"):
        await api.get(WIDGET, "default", "x")
    await api.create(CRD, WIDGET_CRD)
    assert await api.get(WIDGET, "default", "x") is None


# ---- names only ---------------------------------------------------------------------------------


async def test_names_only_shows_metadata_only(api: MemoryApi) -> None:
    await api.create(CONFIG_MAP, {**placed(CONFIG_MAP, labels={"a": "b"}), "data": {"big": "x"}})

    [item] = (await api.list(CONFIG_MAP, names_only=True)).items
    assert set(item) == {"apiVersion", "kind", "metadata"}
    assert item["metadata"]["labels"] == {"a": "b"}
    async with aclosing(api.watch(CONFIG_MAP, initial_events=True, names_only=True)) as frames:
        added, bookmark = [await anext(frames), await anext(frames)]
    assert added.object == item
    assert bookmark.object["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


# ---- identity -----------------------------------------------------------------------------------


async def test_a_view_records_the_user_of_each_call(api: MemoryApi) -> None:
    await api.acting_as(DEPLOYER).create(CONFIG_MAP, placed(CONFIG_MAP))
    await api.acting_as(DEPLOYER).get(CONFIG_MAP, "default", "x")
    await api.create(CONFIG_MAP, placed(CONFIG_MAP, "y"))

    assert [(write.name, write.user) for write in api.writes] == [("x", DEPLOYER), ("y", "")]
    assert [call.user for call in api.reads] == [DEPLOYER]


async def test_a_view_suffers_the_faults_of_its_client(api: MemoryApi) -> None:
    view = api.acting_as(DEPLOYER)
    api.refuse(CONFIG_MAP, "create")
    with pytest.raises(ApiError, match="403"):
        await view.create(CONFIG_MAP, placed(CONFIG_MAP))


async def test_a_second_impersonation_is_refused(api: MemoryApi) -> None:
    with pytest.raises(ValueError, match="not a user"):
        api.acting_as("")
    with pytest.raises(ValueError, match="already"):
        api.acting_as(DEPLOYER).acting_as("jane")


async def test_an_authorizer_refuses_with_the_servers_message(api: MemoryApi) -> None:
    asked: list[tuple[str, str, str, str, str]] = []

    def allows(user: str, verb: str, kind: Kind, namespace: str, name: str) -> bool:
        asked.append((user, verb, kind.plural, namespace, name))
        return user != DEPLOYER or verb != "create"

    api.server.authorizer = allows
    view = api.acting_as(DEPLOYER)
    with pytest.raises(ApiError) as caught:
        await view.apply(CONFIG_MAP, placed(CONFIG_MAP), manager="m")
    assert (caught.value.code, caught.value.reason) == (403, "Forbidden")
    assert caught.value.message == (
        f'configmaps is forbidden: User "{DEPLOYER}" cannot create resource "configmaps" '
        'in API group "" in the namespace "default"'
    )
    await api.apply(CONFIG_MAP, placed(CONFIG_MAP), manager="m")
    await view.apply(CONFIG_MAP, placed(CONFIG_MAP), manager="m")
    assert asked == [
        (DEPLOYER, "patch", "configmaps", "default", "x"),
        (DEPLOYER, "create", "configmaps", "default", "x"),
        ("operator", "patch", "configmaps", "default", "x"),
        ("operator", "create", "configmaps", "default", "x"),
        (DEPLOYER, "patch", "configmaps", "default", "x"),
    ]
    assert [write.committed for write in api.writes] == [False, True, True]

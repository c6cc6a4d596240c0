"""The in-memory API server is checked, not trusted: a real one leaves the same transcripts.

What each call leaves, and every object that a script wrote as a whole, field ownership
included. What a real server answers is the measure: see ``world/conformance`` for recording it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from devcluster import Cluster
from memoryserver import MemoryApi
from memoryserver.served import BUILT_IN
from reconciler.client import kubeconfig
from reconciler.client.api import MERGE_PATCH, ApiError
from reconciler.client.client import Client
from world.conformance.transcript import MANAGER, SCENARIOS, Scenario, Transcript
from world.deletions import DELETIONS, Deletion, what_is_left
from world.kinds import CONFIG_MAP, CRD, DEPLOYMENT, NAMESPACE, WIDGET, WIDGET_CRD, body, deployment
from world.refusals import UNREACHABLE, refused


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    """A client whose field manager is the scenarios', on a cluster that serves Widgets."""
    loaded = kubeconfig.load(str(cluster.kubeconfig))
    async with Client(loaded, user_agent=f"{MANAGER}/1") as client:
        try:
            await client.create(CRD, WIDGET_CRD)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        async with asyncio.timeout(30):
            while not (await client.discover()).serves(WIDGET):
                await asyncio.sleep(0.1)
        yield client


@pytest.mark.parametrize("deletion", DELETIONS, ids=lambda deletion: deletion.name)
async def test_a_delete_leaves_the_recorded_object(
    deletion: Deletion, client: Client, namespace: str
) -> None:
    assert await what_is_left(client, deletion, namespace) == (deletion.left, deletion.left)
    if deletion.left and deletion.left[0] != ["kubernetes"]:
        free = {"metadata": {"finalizers": None}}
        await client.patch(deletion.kind, namespace, "x", free, content_type=MERGE_PATCH)


@pytest.mark.parametrize(("deadline", "message"), UNREACHABLE)
async def test_a_deadline_is_refused_with_the_same_message(
    client: Client, namespace: str, deadline: int, message: str
) -> None:
    obj = deployment("x", minReadySeconds=10, progressDeadlineSeconds=deadline)
    obj["metadata"]["namespace"] = namespace
    assert await refused(client, DEPLOYMENT, obj) == message


async def test_the_built_in_kinds_are_those_of_a_real_server(client: Client) -> None:
    found = await client.discover()
    definitions = (await client.list(CRD)).items
    custom = {definition["spec"]["group"] for definition in definitions}
    custom.add("metrics.k8s.io")  # of an aggregated API server
    assert {kind for kind in found.kinds if kind.group not in custom} == BUILT_IN


async def test_a_refusal_has_the_same_message(client: Client, namespace: str) -> None:
    user = f"system:serviceaccount:{namespace}:nobody"
    memory = MemoryApi(lambda: datetime.now(UTC))
    memory.server.authorizer = lambda *_: False
    obj = body(CONFIG_MAP, "x", metadata={"namespace": namespace})
    refusals = []
    for api in (client.acting_as(user), memory.acting_as(user)):
        for call in (
            api.get(CONFIG_MAP, namespace, "x"),
            api.list(CONFIG_MAP, namespace),
            api.list(CONFIG_MAP),
            api.get(NAMESPACE, "", "x"),
            api.create(CONFIG_MAP, obj),
            api.apply(CONFIG_MAP, obj, manager="m"),
            api.delete(CONFIG_MAP, namespace, "x", uid="u"),
        ):
            with pytest.raises(ApiError) as caught:
                await call
            refusals.append((caught.value.code, caught.value.reason, caught.value.message))
    assert refusals[:7] == refusals[7:]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_real_server_leaves_the_recorded_transcript(
    scenario: Scenario, client: Client, namespace: str
) -> None:
    real = Transcript(client, namespace)

    await scenario.script(real)

    if os.environ.get("RECORD_TRANSCRIPTS"):
        scenario.record(real.objects)
    assert real.objects == scenario.recorded

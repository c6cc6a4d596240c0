"""The in-memory API server is checked, not trusted: a real one leaves the same transcripts.

The words of the table, and every object that a scenario wrote as a whole, field ownership
included. What a real server answers is the measure: see ``world/scenarios.py`` for recording it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from devcluster import Cluster
from reconciler.client import kubeconfig
from reconciler.client.api import ApiError
from reconciler.client.client import Client
from world.kinds import CRD, WIDGET, WIDGET_CRD
from world.scenarios import MANAGER, SCENARIOS, Scenario, Transcript


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
            while not await client.served(WIDGET):
                await asyncio.sleep(0.1)
        yield client


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_real_server_does_the_same(
    scenario: Scenario, client: Client, namespace: str
) -> None:
    real = Transcript(client, namespace)

    await scenario.script(real)

    assert real.words == list(scenario.words)
    if os.environ.get("RECORD_TRANSCRIPTS"):
        scenario.record(real.objects)
    assert real.objects == scenario.recorded

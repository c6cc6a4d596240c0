"""Events on a real API server: accepted, shown by kubectl describe, and never twice."""

import asyncio

import pytest

from contract.model import Kind
from contract.plan import Note
from reconciler.client.api import Unreachable
from reconciler.client.client import Client
from reconciler.client.kubeconfig import load
from reconciler.process.events import EVENT, Recorder
from unit.partial_api import PartialApi

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")


class LosesFirstAnswer(PartialApi):
    """An Api whose first create is committed, and looks as if it had not been."""

    def __init__(self, api):
        self._api = api
        self.lost = False

    async def patch(self, *arguments, **options):
        return await self._api.patch(*arguments, **options)

    async def create(self, kind, body):
        made = await self._api.create(kind, body)
        if not self.lost:
            self.lost = True
            raise Unreachable("reset")
        return made


@pytest.fixture
async def client(cluster):
    async with Client(load(str(cluster.kubeconfig)), user_agent="test-events") as made:
        yield made


async def test_an_event_with_a_lost_answer_is_described_once(cluster, client, namespace):
    dropped: list[str] = []
    recorder = Recorder(LosesFirstAnswer(client), "test-operator", "pod_1", dropped=dropped.append)
    writer = asyncio.create_task(recorder.run())
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": "parent"},
    }
    parent = await client.create(CONFIG_MAP, body)
    recorder.record(parent, CONFIG_MAP, Note("Warning", "ImageMissing", "set spec.image"))
    recorder.record(parent, CONFIG_MAP, Note("Normal", "Long", "ä" * 3000))
    await recorder.drain(30)
    writer.cancel()
    assert not dropped

    shown = cluster.kubectl("describe", "configmap", "parent", "-n", namespace)
    (line,) = (line for line in shown.splitlines() if "ImageMissing" in line)
    assert "test-operator" in line
    assert "set spec.image" in line
    uid = parent["metadata"]["uid"]
    found = await client.list(EVENT, namespace, fields=f"involvedObject.uid={uid}")
    assert {event["reason"]: event["count"] for event in found.items} == {
        "ImageMissing": 1,
        "Long": 1,
    }

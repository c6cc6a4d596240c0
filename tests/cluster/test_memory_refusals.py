"""The in-memory API server refuses a custom resource as a real one does, with the same Status.

Compared are the code, the reason, and of each cause the reason, the field and the message. What an
update leaves as it was is not refused by either.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.model import Kind, Object
from crds.documents import crd_documents
from devcluster import Cluster
from gati.kinds import GATI_HANDLER
from gati.resources import API
from memoryserver import MemoryApi
from reconciler.client import kubeconfig
from reconciler.client.api import MERGE_PATCH, Api, ApiError
from reconciler.client.client import Client
from refused_objects import REFUSED
from world.kinds import CRD, WIDGET_CRD, body

GADGET = Kind("refusals.test", "v1", "Gadget", "gadgets")


@pytest.fixture
async def client(gati_cluster: Cluster) -> AsyncIterator[Client]:
    """A client of the real API server, which has the CRDs as they are shipped."""
    async with Client(kubeconfig.load(str(gati_cluster.kubeconfig)), user_agent="tester/1") as made:
        yield made


async def refusal(write: Awaitable[Object]) -> tuple[Any, ...] | None:
    """How a write is refused: code, reason and causes; None where it is taken."""
    try:
        await write
    except ApiError as error:
        causes = {(c.get("reason"), c.get("field"), c.get("message")) for c in error.causes}
        return error.code, error.reason, frozenset(causes)
    return None


async def test_a_creation_is_refused_with_the_same_status(client: Client, namespace: str) -> None:
    memory = MemoryApi(lambda: datetime(2026, 1, 1, tzinfo=UTC), crds=crd_documents(API))
    asked = 0
    for name, (obj, messages) in REFUSED.items():
        if not any("spec" in each.partition(":")[0] for each in messages):
            continue  # metadata: the in-memory server has rules of its own
        placed = {**obj, "metadata": {"name": "users", "namespace": namespace}}
        asked += 1
        wanted = await refusal(client.create(GATI_HANDLER, copy.deepcopy(placed)))
        assert wanted is not None
        assert await refusal(memory.create(GATI_HANDLER, copy.deepcopy(placed))) == wanted, name
    assert asked > 20


def definition(*, strict: bool) -> Object:
    """The Gadget; the loose one takes what the strict one refuses."""
    text: Object = {"type": "string"} | ({"maxLength": 3} if strict else {})
    entry: Object = {"type": "object", "properties": {"name": text, "value": text}}
    rule = {"rule": "self.least <= self.most", "message": "least is above most"}
    spec: Object = {
        "type": "object",
        "properties": {
            "text": text,
            "other": {"type": "string"},
            "least": {"type": "integer", "default": 0},
            "most": {"type": "integer", "default": 9} | ({"maximum": 9} if strict else {}),
            "entry": entry | ({"required": ["name"]} if strict else {}),
            "tags": {"type": "object", "additionalProperties": text},
        },
    } | ({"x-kubernetes-validations": [rule]} if strict else {})
    crd = copy.deepcopy(WIDGET_CRD)
    crd["metadata"]["name"] = f"{GADGET.plural}.{GADGET.group}"
    crd["spec"]["group"] = GADGET.group
    crd["spec"]["names"] = {"plural": GADGET.plural, "singular": "gadget", "kind": GADGET.kind}
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    crd["spec"]["versions"][0]["subresources"] = {"status": {}}
    properties["spec"] = spec
    return crd


OLD = {"text": "too long", "most": 99, "entry": {"value": "a"}, "tags": {"a.b": "too long"}}
UPDATES: list[Object] = [
    {"spec": {"other": "x"}},
    {"spec": {"text": "long too"}},
    {"spec": {"text": "abc"}},
    {"spec": {"most": 98}},
    {"spec": {"most": 8, "text": "longer"}},
    {"spec": {"entry": {"value": "b"}}},
    {"spec": {"entry": {"name": "b"}}},
    {"spec": {"tags": {"a.b": "long too"}}},
    {"spec": {"tags": {"c": "abc"}}},
    {"spec": {"tags": {"a.c": "too long"}}},
    {"spec": {"text": "abc", "most": 1, "least": 2, "entry": {"name": "b"}, "tags": None}},
    {"metadata": {"labels": {"a": "b"}}},
]


async def test_an_update_is_refused_for_the_same_changes(client: Client, namespace: str) -> None:
    memory = MemoryApi(lambda: datetime(2026, 1, 1, tzinfo=UTC), crds=[definition(strict=False)])
    crd = await client.apply(CRD, definition(strict=False), manager="tester")
    try:
        async with asyncio.timeout(30):
            while not (await client.discover()).serves(GADGET):
                await asyncio.sleep(0.1)
        for number in range(-1, len(UPDATES)):
            for api in (client, memory):
                old = body(GADGET, f"x{number}", OLD, metadata={"namespace": namespace})
                await api.create(GADGET, copy.deepcopy(old))
        await client.apply(CRD, definition(strict=True), manager="tester")
        async with asyncio.timeout(30):
            for number in range(1000):
                spare = {"spec": {"text": f"{number} is too long"}}
                if await refusal(update(client, namespace, -1, spare)):
                    break
                await asyncio.sleep(0.1)
        memory.server.define(definition(strict=True))
        taken = 0
        for number, patch in enumerate(UPDATES):
            wanted = await refusal(update(client, namespace, number, patch))
            assert await refusal(update(memory, namespace, number, patch)) == wanted, patch
            taken += wanted is None
        assert 3 <= taken <= len(UPDATES) - 3
    finally:
        uid = crd["metadata"]["uid"]
        await client.delete(CRD, "", crd["metadata"]["name"], uid=uid)


def update(api: Api, namespace: str, number: int, patch: Object) -> Awaitable[Object]:
    """A merge patch of one of the objects that the loose definition took."""
    sent = copy.deepcopy(patch)
    return api.patch(GADGET, namespace, f"x{number}", sent, content_type=MERGE_PATCH)

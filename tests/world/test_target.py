"""The contract DeploymentTarget, with a target that is not Kubernetes."""

import asyncio

import pytest

from crds.documents import crd_documents
from gati import operator
from gati.kinds import GATI_HANDLER
from gati.resources import API
from memoryserver.target import MemoryTarget
from objects.kinds import CONFIG_MAP, DEPLOYMENT, SERVICE
from reconciler.runtime import Runtime
from world.world import World

pytestmark = pytest.mark.looptime


def world_on(target):
    def process(world, api):
        runtime = Runtime(
            api,
            world.controllers,
            manager="operator",
            target=lambda _kubernetes: target,
            clock=world.now,
            rng=world.random,
        )
        runtime.lead()
        return runtime

    controllers = operator.controllers(operator.Settings())
    return World(controllers=controllers, crds=crd_documents(API), operator=process)


def handler(**spec):
    return {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": {"name": "users"},
        "spec": {"path": "/users", "image": "users:1", **spec},
    }


async def test_the_loop_writes_children_only_through_its_target():
    target = MemoryTarget()
    async with world_on(target) as world:
        world.create(GATI_HANDLER, handler(config={"A": "b"}))
        await world.settle()
        kinds = {key.kind.kind for key in target.objects}
        assert kinds == {"ConfigMap", "Deployment", "Service"}
        assert {write.kind for write in world.writes} == {"GatiHandler"}
        assert world.all(DEPLOYMENT) == []


async def test_surplus_children_leave_the_target():
    target = MemoryTarget()
    async with world_on(target) as world:
        world.create(GATI_HANDLER, handler(replicas=2))
        await world.settle()
        seen = asyncio.create_task(first(target.watch(SERVICE, "default")))
        await asyncio.sleep(0)
        assert await target.list(SERVICE, "default", "gati.dev/handler=users")
        assert await target.list(SERVICE, "default", "gati.dev/handler=other") == []
        assert await target.delete(SERVICE, "default", "handler-users")
        assert not await target.delete(SERVICE, "default", "handler-users")
        assert (await seen).type == "DELETED"
        world.edit(GATI_HANDLER, "users", {"spec": {"config": {"A": "b"}}})
        await world.settle()
        assert await target.get(SERVICE, "default", "handler-users")
        assert await target.get(CONFIG_MAP, "default", "handler-users")
        world.delete(GATI_HANDLER, "users")
        await world.settle()
        assert target.objects == {}


async def first(events):
    async for event in events:
        return event
    return None

"""A process without the lease, or without a kind, forgets deleted parents and stops at once."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from contract.status import find
from gati.kinds import GATI_HANDLER
from objects.kinds import DEPLOYMENT, POD_DISRUPTION_BUDGET
from reconciler.client.api import Unreachable
from reconciler.runtime import STOP_SECONDS, Runtime
from world.handlers import handler, options
from world.world import World

pytestmark = pytest.mark.looptime

NAMES = [f"h{number}" for number in range(10)]


@asynccontextmanager
async def standby(world):
    """A second process beside the world's leader; ends only by ``stop``."""
    runtime = Runtime(
        world.api.another(world.manager),
        world.controllers,
        manager=world.manager,
        clock=world.now,
        rng=world.random,
    )
    running = asyncio.create_task(runtime.run())
    try:
        yield runtime
    finally:
        runtime.stop()
        await running


def remembered(runtime):
    return runtime.queue.remembered(), runtime.remembered()


NOTHING = (0, 0)


async def test_a_standby_forgets_deleted_handlers():
    async with World(**options()) as world, standby(world) as runtime:
        for cycle in range(3):
            for name in NAMES:
                world.create(GATI_HANDLER, handler(name, config={"A": str(cycle)}))
            await world.settle()
            assert len(runtime.queue) == len(NAMES)
            for name in NAMES:
                world.delete(GATI_HANDLER, name)
            await world.settle()
            assert remembered(runtime) == NOTHING


async def test_a_leader_without_a_kind_forgets_deleted_handlers():
    async with World(**options()) as world:
        for name in NAMES:
            world.create(GATI_HANDLER, handler(name))
        await world.settle()
        world.api.unserve(POD_DISRUPTION_BUDGET)
        world.api.end_watches()
        for _ in range(3):
            await world.run_for(30)
            for name in NAMES:
                world.edit(GATI_HANDLER, name, {"spec": {"image": "users:2"}})
            await world.run_for(5)
            assert world.operator.triggers.parked == len(NAMES)
            for name in NAMES:
                world.delete(GATI_HANDLER, name)
            await world.run_for(30)
            assert remembered(world.operator) == NOTHING
            for name in NAMES:
                world.create(GATI_HANDLER, handler(name))
        await world.run_for(5)
        world.api.serve(POD_DISRUPTION_BUDGET)
        await world.run_for(60)
        for name in NAMES:
            assert find(world.live(GATI_HANDLER, name), "Ready")["status"] == "True"


async def test_a_failed_pass_of_a_deleted_handler_leaves_nothing():
    async with World(**options()) as world:
        await world.settle()
        world.api.delay(5.0, verb="apply")
        world.api.fail_next("apply", DEPLOYMENT, Unreachable("cut"))
        world.create(GATI_HANDLER, handler("users"))
        await world.run_for(2)
        assert world.operator.queue.remembered() == 1
        world.delete(GATI_HANDLER, "users")
        world.api.unserve(POD_DISRUPTION_BUDGET)
        world.api.end_watches()
        await world.run_for(30)
        assert remembered(world.operator) == NOTHING


async def test_a_new_leader_reconciles_a_recreated_handler():
    async with World(**options()) as world, standby(world) as runtime:
        world.create(GATI_HANDLER, handler("users"))
        await world.settle()
        await world.kill()
        world.delete(GATI_HANDLER, "users")
        world.create(GATI_HANDLER, handler("users", image="users:2"))
        await world.run_for(5)
        runtime.lead()
        await world.run_for(60)
        assert find(world.live(GATI_HANDLER, "users"), "Ready")["status"] == "True"
        assert "users:2" in str(world.live(DEPLOYMENT, "handler-users")["spec"])


async def test_a_handler_recreated_during_a_pass_is_reconciled():
    async with World(**options()) as world:
        world.api.delay_answers(5.0)
        world.create(GATI_HANDLER, handler("users"))
        await world.run_for(2)
        world.delete(GATI_HANDLER, "users")
        world.create(GATI_HANDLER, handler("users", image="users:2"))
        await world.settle(quiet=20)
        assert find(world.live(GATI_HANDLER, "users"), "Ready")["status"] == "True"
        assert "users:2" in str(world.live(DEPLOYMENT, "handler-users")["spec"])


@pytest.mark.parametrize("led", [True, False])
async def test_a_process_without_a_pass_under_way_stops_at_once(led):
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler("users"))
        await world.settle()
        loop = asyncio.get_running_loop()
        async with standby(world) as runtime:
            if led:
                runtime.lead()
            await world.run_for(10)
            asked = loop.time()
        assert loop.time() - asked < STOP_SECONDS / 10

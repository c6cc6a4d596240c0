"""An operator of this source over the objects of an earlier release: nothing is written.

A child rewritten by an upgrade restarts workloads, and another ``auto-`` version rolls them. Where
a release changes what it writes on purpose, the handlers that it concerns are named here.
"""

import asyncio
import os

import pytest

from gati.kinds import GATI_HANDLER
from gati.names import workload
from objects.kinds import SERVICE
from world.controllers import GarbageCollector, NamespaceController
from world.stored import arguments, keep, record, releases
from world.world import World

pytestmark = pytest.mark.looptime

if os.environ.get("RECORD_STORED"):

    async def test_record():
        keep(os.environ["RECORD_STORED"], await record())


REWORDED = frozenset({"invalid", "invalid-later"})
"""Handlers whose status has another message since the release: one write of it each."""


def upgraded(release: str) -> World:
    """A cluster as a release left it; its controllers are at rest, and so never in a hurry."""
    world = World(**arguments(fakes=(GarbageCollector(), NamespaceController()), namespaces=()))
    world.server.restore(releases()[release])
    return world


def versions(world: World) -> dict[str, str]:
    """The version of each handler, by its name."""
    return {
        each["metadata"]["name"]: each.get("status", {}).get("version", "")
        for each in world.all(GATI_HANDLER)
    }


@pytest.mark.parametrize("release", releases())
async def test_an_upgraded_operator_writes_nothing(release):
    await asyncio.sleep(3600)  # the objects are from the past
    world = upgraded(release)
    before = world.state()
    made = {name: each for name, each in versions(world).items() if each.startswith("auto-")}
    async with world:
        await world.run_for(1200)

        written = [write for write in world.writes_since(0) if write.kind not in {"Event", "Lease"}]
        assert {(each.subresource, each.name) for each in written} == {
            ("status", name) for name in REWORDED
        }
        assert len(made) > 10
        assert made.items() <= versions(world).items()
        assert _without_messages(world.state()) == _without_messages(before)


@pytest.mark.parametrize("release", releases())
async def test_an_upgraded_operator_recreates_the_releases_objects(release):
    await asyncio.sleep(3600)
    world = upgraded(release)
    before = world.state()
    running = [each for each in world.all(GATI_HANDLER) if _phase(each) == "Running"]
    for each in running:
        world.delete(SERVICE, workload(each["metadata"]["name"]))
    async with world:
        await world.settle()

        assert len(running) > 10
        assert _without_messages(world.state()) == _without_messages(before)


def _phase(handler):
    return handler.get("status", {}).get("phase")


def _without_messages(value):
    if isinstance(value, dict):
        return {n: _without_messages(v) for n, v in value.items() if n != "message"}
    if isinstance(value, list):
        return [_without_messages(each) for each in value]
    return value

"""Ready is about the present template, however late the Deployment controller observes it."""

import pytest

from contract.status import find
from crds.documents import crd_documents
from gati import operator
from gati.kinds import GATI_HANDLER
from gati.resources import API
from objects.kinds import CONFIG_MAP, DEPLOYMENT
from reconciler.client.api import MERGE_PATCH
from world.world import World

pytestmark = pytest.mark.looptime

SCALING = {"enabled": True, "minReplicas": 2, "maxReplicas": 9}
SETTINGS = [{"configMapRef": {"name": "settings"}}]


def controllers(image="users:1"):
    return operator.controllers(operator.Settings(default_image=image))


def options():
    return {"controllers": controllers(), "crds": crd_documents(API)}


async def make_ready(world, **spec):
    """A handler that runs the default image with the users' settings; nobody looks after that."""
    theirs = {"metadata": {"name": "settings"}, "data": {"A": "1"}}
    world.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **theirs})
    spec = {"path": "/users", "version": "1.0.0", "replicas": 2, "envFrom": SETTINGS, **spec}
    world.create(
        GATI_HANDLER,
        {
            "apiVersion": "gati.dev/v1",
            "kind": "GatiHandler",
            "metadata": {"name": "users"},
            "spec": spec,
        },
    )
    await world.settle()
    assert ready(world) == "True"
    fakes, world.fakes = world.fakes, [each for each in world.fakes if each != world.deployments]
    return fakes


def ready(world):
    return find(world.live(GATI_HANDLER, "users"), "Ready")["status"]


def template(world):
    return world.live(DEPLOYMENT, "handler-users")["spec"]["template"]


def scale(world, replicas):
    world.server.patch(
        DEPLOYMENT,
        "default",
        "handler-users",
        {"spec": {"replicas": replicas}},
        "kube-controller-manager",
        content_type=MERGE_PATCH,
        subresource="scale",
    )


def change_the_settings(world):
    world.edit(CONFIG_MAP, "settings", {"data": {"A": "2"}})


async def start_with_another_image(world):
    world.controllers = controllers("users:2")
    await world.restart()


async def test_changed_settings_are_ready_after_their_rollout():
    async with World(**options()) as world:
        fakes, old = await make_ready(world), template(world)
        change_the_settings(world)
        await world.run_for(30)
        assert template(world) != old
        assert ready(world) == "False"
        world.fakes = fakes
        await world.settle()
        assert ready(world) == "True"


async def test_another_default_image_is_ready_after_its_rollout():
    async with World(**options()) as world:
        fakes = await make_ready(world)
        await start_with_another_image(world)
        await world.run_for(30)
        assert world.live(GATI_HANDLER, "users")["status"]["image"] == "users:2"
        assert ready(world) == "False"
        world.fakes = fakes
        await world.settle()
        assert ready(world) == "True"


async def test_changed_settings_are_reported_though_the_operator_died():
    async with World(**options()) as world:
        await make_ready(world)
        world.api.crash_after(1)
        change_the_settings(world)
        await world.until(lambda: world.dead)
        await world.restart()
        await world.run_for(30)
        assert ready(world) == "False"


async def test_a_scale_up_does_not_hide_changed_settings():
    async with World(**options()) as world:
        await make_ready(world, autoscaling=SCALING)
        scale(world, 6)
        change_the_settings(world)
        await world.run_for(30)
        assert ready(world) == "False"


async def test_a_scale_up_does_not_hide_another_image():
    async with World(**options()) as world:
        await make_ready(world, autoscaling=SCALING)
        scale(world, 6)
        live = world.live(DEPLOYMENT, "handler-users")
        live["status"]["observedGeneration"] = live["metadata"]["generation"]
        world.server.replace(DEPLOYMENT, live, "kube-controller-manager", subresource="status")
        await world.run_for(5)
        assert ready(world) == "True"
        await start_with_another_image(world)
        await world.run_for(30)
        assert ready(world) == "False"


async def test_a_scale_up_alone_keeps_ready_and_costs_no_write():
    async with World(**options()) as world:
        fakes = await make_ready(world, autoscaling=SCALING)
        mark = world.mark()
        scale(world, 6)
        await world.run_for(30)
        assert ready(world) == "True"
        world.fakes = fakes
        await world.settle()
        assert ready(world) == "True"
        written = world.writes_since(mark)
        assert {write.subresource for write in written} == {"status"}
        assert len(written) <= 2


@pytest.mark.parametrize(
    "change", [{"replicas": 5}, {"progressDeadlineSeconds": 60}, {"paused": True}], ids=str
)
async def test_repairs_outside_the_template_keep_the_handler_ready(change):
    async with World(**options()) as world:
        fakes = await make_ready(world)
        states = []
        world.server.journal.listeners.add(lambda: states.append(ready(world)))
        world.edit(DEPLOYMENT, "handler-users", {"spec": change})
        await world.run_for(30)
        world.fakes = fakes
        await world.settle()
        assert set(states) == {"True"}

"""The handler's own ConfigMap is there for as long as a pod that may start again needs it."""

import pytest

from contract.status import find
from gati.kinds import GATI_HANDLER
from gati.names import MANAGED_BY_LABEL
from objects.kinds import CONFIG_MAP, DEPLOYMENT
from world.controllers import Broken
from world.handlers import handler, options
from world.world import World

pytestmark = pytest.mark.looptime

CONFIG = {"GREETING": "hello"}
OWN = [{"configMapRef": {"name": "handler-users"}}]


def world():
    return World(**options())


async def make_ready(here, **spec):
    here.create(GATI_HANDLER, handler(**spec))
    await here.settle()


def edit(here, **spec):
    here.edit(GATI_HANDLER, "users", {"spec": spec})


def data(here):
    found = here.get(CONFIG_MAP, "handler-users")
    return None if found is None else found["data"]


def template(here):
    return here.live(DEPLOYMENT, "handler-users")["spec"]["template"]


def reads_own_configuration(here):
    return "envFrom" in template(here)["spec"]["containers"][0]


def written(here, mark):
    """What the operator wrote of objects other than the status, as (verb, kind)."""
    writes = here.writes_since(mark)
    return [(each.verb, str(each.kind)) for each in writes if not each.subresource]


async def test_removed_configuration_stays_until_old_pods_are_gone():
    async with world() as here:
        await make_ready(here, config=CONFIG)
        here.deployments.seconds = 100.0
        mark = here.mark()
        edit(here, config=None)
        await here.run_for(90)
        assert not reads_own_configuration(here)
        assert data(here) == CONFIG
        assert written(here, mark) == [("apply", "Deployment")]
        await here.run_for(20)
        assert data(here) is None
        assert written(here, mark) == [("apply", "Deployment"), ("delete", "ConfigMap")]
        await here.settle()
        assert find(here.live(GATI_HANDLER, "users"), "Ready")["status"] == "True"


async def test_configuration_stays_while_a_rollout_does_not_finish():
    async with world() as here:
        await make_ready(here, config=CONFIG)
        here.deployments.broken["users:2"] = Broken("ImagePullBackOff")
        edit(here, config=None, image="users:2")
        await here.run_for(3600)
        assert data(here) == CONFIG
        edit(here, image="users:3")
        await here.settle()
        assert data(here) is None


async def test_configuration_stays_until_the_rollout_is_observed():
    async with world() as here:
        await make_ready(here, config=CONFIG)
        fakes, here.fakes = here.fakes, [one for one in here.fakes if one != here.deployments]
        edit(here, config=None)
        await here.run_for(60)
        assert not reads_own_configuration(here)
        assert data(here) == CONFIG
        here.fakes = fakes
        await here.settle()
        assert data(here) is None


async def test_configuration_without_its_label_stays_after_a_restart():
    async with world() as here:
        await make_ready(here, config=CONFIG)
        await here.kill()
        here.deployments.seconds = 100.0
        here.edit(CONFIG_MAP, "handler-users", {"metadata": {"labels": {MANAGED_BY_LABEL: None}}})
        edit(here, config=None)
        await here.restart()
        await here.run_for(90)
        assert data(here) == CONFIG
        await here.run_for(20)
        assert data(here) is None


async def test_removed_configuration_that_is_edited_stays_as_edited():
    async with world() as here:
        await make_ready(here, config=CONFIG)
        here.deployments.seconds = 100.0
        edit(here, config=None)
        await here.run_for(30)
        mark = here.mark()
        here.edit(CONFIG_MAP, "handler-users", {"data": {"GREETING": "hi"}})
        await here.run_for(30)
        assert data(here) == {"GREETING": "hi"}
        here.edit(CONFIG_MAP, "handler-users", {"data": None})
        await here.run_for(30)
        assert "data" not in here.live(CONFIG_MAP, "handler-users")
        assert len(written(here, mark)) <= 2
        await here.run_for(20)
        assert here.get(CONFIG_MAP, "handler-users") is None


async def test_configuration_restored_in_time_is_never_deleted():
    async with world() as here:
        await make_ready(here, config=CONFIG)
        uid = here.live(CONFIG_MAP, "handler-users")["metadata"]["uid"]
        here.deployments.seconds = 100.0
        edit(here, config=None)
        await here.run_for(30)
        edit(here, config={"GREETING": "good evening"})
        await here.run_for(5)
        assert data(here) == {"GREETING": "good evening"}
        await here.settle()
        assert reads_own_configuration(here)
        assert here.live(CONFIG_MAP, "handler-users")["metadata"]["uid"] == uid


async def test_a_handler_deleted_during_a_rollout_leaves_nothing():
    async with world() as here:
        await make_ready(here, config=CONFIG)
        here.deployments.seconds = 100.0
        edit(here, config=None)
        await here.run_for(30)
        here.delete(GATI_HANDLER, "users")
        await here.settle()
        assert data(here) is None


async def test_a_users_configmap_of_any_name_rolls_the_pods():
    async with world() as here:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "handler-users"}}
        here.create(CONFIG_MAP, {**body, "data": {"A": "1"}})
        await make_ready(here, envFrom=OWN)
        before = template(here)
        here.edit(CONFIG_MAP, "handler-users", {"data": {"A": "2"}})
        await here.settle()
        assert template(here) != before
        assert data(here) == {"A": "2"}


@pytest.mark.parametrize(("before", "after"), [(CONFIG, None), (None, CONFIG)])
async def test_configuration_named_by_the_spec_costs_one_rollout(before, after):
    async with world() as here:
        await make_ready(here, config=before, envFrom=OWN)
        generation = here.live(DEPLOYMENT, "handler-users")["metadata"]["generation"]
        edit(here, config=after)
        await here.settle()
        assert here.live(DEPLOYMENT, "handler-users")["metadata"]["generation"] == generation + 1
        assert data(here) == CONFIG  # the pods name it

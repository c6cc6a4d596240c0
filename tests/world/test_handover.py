"""Orphans of a handler are adopted by the next one of its name where an annotation allows it."""

from functools import partial

import pytest

from contract.status import find
from gati.kinds import GATI_HANDLER
from objects.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from world import handlers
from world.handlers import CHILDREN, options, scale
from world.world import World

pytestmark = pytest.mark.looptime

handler = partial(handlers.handler, config={"GREETING": "hello"})
SCALING = {"enabled": True, "minReplicas": 2, "maxReplicas": 6}


def world():
    return World(**options())


async def leave_orphans(here, **annotations):
    """As ``kubectl delete gh users --cascade=orphan`` does, and an annotation by hand."""
    here.create(GATI_HANDLER, handler(autoscaling=SCALING))
    await here.settle()
    await here.kill()
    patch = {"metadata": {"ownerReferences": None, "annotations": annotations}}
    for kind in CHILDREN:
        here.edit(kind, "handler-users", patch)
    here.delete(GATI_HANDLER, "users")


def reason(here, type_):
    return find(here.live(GATI_HANDLER, "users"), type_)["reason"]


async def test_adopted_orphans_belong_to_the_next_handler():
    async with world() as here:
        await leave_orphans(here, **{"gati.dev/adopt": "users"})
        scale(here, 5)
        made = here.create(GATI_HANDLER, handler(autoscaling={**SCALING, "maxReplicas": 20}))
        await here.restart()
        await here.settle()
        for kind in CHILDREN:
            (owner,) = here.live(kind, "handler-users")["metadata"]["ownerReferences"]
            assert owner["uid"] == made["metadata"]["uid"]
        autoscaler = here.live(HORIZONTAL_POD_AUTOSCALER, "handler-users")
        assert autoscaler["spec"]["maxReplicas"] == 20
        assert here.live(DEPLOYMENT, "handler-users")["spec"]["replicas"] == 5
        assert reason(here, "Autoscaled") == "OwnAutoscaler"
        assert reason(here, "Ready") == "Ready"


@pytest.mark.parametrize("annotations", [{}, {"gati.dev/adopt": "orders"}])
async def test_an_autoscaler_without_the_annotation_stays_the_users(annotations):
    async with world() as here:
        await leave_orphans(here, **annotations)
        here.create(GATI_HANDLER, handler(autoscaling={**SCALING, "maxReplicas": 20}))
        await here.restart()
        await here.run_for(100)
        autoscaler = here.live(HORIZONTAL_POD_AUTOSCALER, "handler-users")
        assert autoscaler["spec"]["maxReplicas"] == 6
        assert reason(here, "Autoscaled") == "UsersAutoscaler"


async def test_an_adopted_unwanted_autoscaler_keeps_scaling():
    async with world() as here:
        await leave_orphans(here, **{"gati.dev/adopt": "users"})
        scale(here, 5)
        here.create(GATI_HANDLER, handler())
        await here.restart()
        await here.settle()
        assert here.live(HORIZONTAL_POD_AUTOSCALER, "handler-users")["spec"]["maxReplicas"] == 6
        assert here.live(DEPLOYMENT, "handler-users")["spec"]["replicas"] == 5
        assert reason(here, "Autoscaled") == "UsersAutoscaler"

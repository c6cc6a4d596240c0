"""A failure makes the operator send no request that its role does not allow."""

import pytest

from contract.plan import Right
from crds.documents import crd_documents
from gati import operator
from gati.kinds import GATI_HANDLER, GATI_MODULE, GATI_VERSION
from gati.resources import API
from reconciler.client.api import ApiError
from reconciler.rights import rights
from world.world import World

pytestmark = pytest.mark.looptime

MODULE = {"moduleName": "db", "moduleType": "node", "runtime": "node:20", "image": "i"}
VERSION = {"handlerName": "users", "version": "1.0.0", "image": "users:1"}
HANDLER = {"path": "/users", "version": "1.0.0", "image": "users:1"}


def world():
    """A world in which the operator may read no more than its role allows."""
    controllers = operator.controllers(operator.Settings())
    here = World(controllers, crds=crd_documents(API))
    given = set(rights(controllers))
    kinds = {watch.kind for each in controllers for watch in each.watches}
    for kind in kinds | {each.kind for each in controllers}:
        for verb in ("get", "list", "watch"):
            if Right(kind.group, kind.plural, verb) not in given:
                here.api.refuse(kind, verb)
    return here


@pytest.mark.parametrize(
    ("kind", "spec", "edit"),
    [
        (GATI_HANDLER, HANDLER, {"image": "users:2"}),
        (GATI_MODULE, MODULE, {"image": "i:2"}),
        (GATI_VERSION, VERSION, {"version": "2.0.0"}),
    ],
    ids=str,
)
async def test_a_status_with_a_lost_answer_is_written_again(kind, spec, edit):
    async with world() as here:
        here.api.fail_next("apply", kind, ApiError(504, "Timeout", "late"), when="after")
        metadata = {"name": "users"}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        here.create(kind, body | {"spec": spec})
        await here.settle()
        here.edit(kind, "users", {"spec": edit})
        await here.run_for(600)
        found = here.live(kind, "users")
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 2

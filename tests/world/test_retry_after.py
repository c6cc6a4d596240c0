"""Retry-After is obeyed from a server that is busy, and for a minute at most."""

import asyncio

import pytest

from crds.documents import crd_documents
from gati import operator
from gati.kinds import GATI_HANDLER
from gati.resources import API
from objects.kinds import DEPLOYMENT
from reconciler.client.api import ApiError
from world.world import World

pytestmark = pytest.mark.looptime


def options():
    return {
        "controllers": operator.controllers(operator.Settings()),
        "crds": crd_documents(API),
    }


def handler():
    return {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": {"name": "users"},
        "spec": {"path": "/users", "version": "1.0.0", "image": "users:1", "replicas": 2},
    }


async def until_an_edit_is_carried_out(error):
    """Seconds from an answer to the time when an edit after it has reached the Deployment."""
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        world.api.fail_next("apply", DEPLOYMENT, error)
        world.edit(GATI_HANDLER, "users", {"spec": {"image": "users:2"}})
        await asyncio.sleep(0.1)
        assert "users:2" not in str(world.live(DEPLOYMENT, "handler-users")), "it was refused"
        world.edit(GATI_HANDLER, "users", {"spec": {"image": "users:3"}})
        return await world.until(
            lambda: "users:3" in str(world.live(DEPLOYMENT, "handler-users")), limit=120
        )


@pytest.mark.parametrize("code", [429, 503])
async def test_a_retry_after_of_a_busy_server_is_obeyed(code):
    assert 20 <= await until_an_edit_is_carried_out(ApiError(code, retry_after=20)) + 0.1 <= 30


@pytest.mark.parametrize("code", [429, 503])
async def test_a_retry_after_of_an_hour_delays_an_edit_by_a_minute(code):
    assert 59 <= await until_an_edit_is_carried_out(ApiError(code, retry_after=3600)) <= 70


@pytest.mark.parametrize("code", [403, 422, 500])
async def test_a_retry_after_of_a_refusal_is_ignored(code):
    """An admission webhook can write ``retryAfterSeconds`` into its denial."""
    assert await until_an_edit_is_carried_out(ApiError(code, retry_after=50)) <= 5

"""An object with the name, the labels or the marks of a child is not always a child.

A child that the watch does not show is planned with before it is written.
"""

import asyncio
from typing import Any

import pytest

from contract.status import find
from gati.kinds import GATI_HANDLER
from gati.names import MANAGED_BY, MANAGED_BY_LABEL
from objects.kinds import CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, SERVICE
from reconciler.client.api import JSON_PATCH
from reconciler.preview import compare
from world.handlers import handler, options, scale
from world.world import World

pytestmark = pytest.mark.looptime

SCALING = {"enabled": True, "minReplicas": 2, "maxReplicas": 60}


def world(**more):
    return World(**options(**more))


def ready(here):
    return find(here.live(GATI_HANDLER, "users"), "Ready")


def image(here):
    return here.live(DEPLOYMENT, "handler-users")["spec"]["template"]["spec"]["containers"][0][
        "image"
    ]


def copied(here, kind, name, namespace, **annotations):
    """Somebody takes a child's manifest to another namespace, with its marks."""
    obj = here.live(kind, name)
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": obj["metadata"].get("labels", {}),
        "annotations": obj["metadata"]["annotations"] | annotations,
    }
    return {**obj, "metadata": metadata}


async def test_a_copy_in_another_namespace_is_not_the_child():
    async with world(namespaces=("default", "zzz")) as here:
        here.create(GATI_HANDLER, handler(config={"GREETING": "hello"}))
        await here.settle()
        here.create(CONFIG_MAP, copied(here, CONFIG_MAP, "handler-users", "zzz"))
        here.create(DEPLOYMENT, copied(here, DEPLOYMENT, "handler-users", "zzz"))
        theirs = here.live(DEPLOYMENT, "handler-users", "zzz")["spec"]
        here.edit(GATI_HANDLER, "users", {"spec": {"image": "users:2"}})
        await here.settle()
        assert image(here) == "users:2"
        assert ready(here)["status"] == "True"
        assert here.live(DEPLOYMENT, "handler-users", "zzz")["spec"] == theirs


async def test_a_copy_in_another_namespace_is_not_deleted_as_surplus():
    async with world(namespaces=("default", "zzz")) as here:
        here.create(GATI_HANDLER, handler(config={"GREETING": "hello"}))
        await here.settle()
        here.create(CONFIG_MAP, copied(here, CONFIG_MAP, "handler-users", "zzz"))
        here.edit(GATI_HANDLER, "users", {"spec": {"config": None}})
        await here.settle()
        assert here.get(CONFIG_MAP, "handler-users") is None
        assert here.get(CONFIG_MAP, "handler-users", "zzz") is not None


def replicas_over_time(here):
    """Every number of replicas that the Deployment ever had from now on."""
    seen = []

    def look():
        found = here.get(DEPLOYMENT, "handler-users")
        if found:
            seen.append(found["spec"]["replicas"])

    here.server.journal.listeners.add(look)
    return seen


async def test_an_autoscaled_deployment_without_label_keeps_replicas():
    async with world() as here:
        here.create(GATI_HANDLER, handler(autoscaling=SCALING))
        await here.settle()
        scale(here, 50)
        await here.settle()
        seen = replicas_over_time(here)
        here.edit(DEPLOYMENT, "handler-users", {"metadata": {"labels": {MANAGED_BY_LABEL: None}}})
        await here.settle()
        labels = here.live(DEPLOYMENT, "handler-users")["metadata"]["labels"]
        assert labels[MANAGED_BY_LABEL] == MANAGED_BY
        assert set(seen) == {50}


async def test_a_restart_finds_a_deployment_without_label_and_status():
    async with world() as here:
        here.create(GATI_HANDLER, handler(autoscaling=SCALING))
        await here.settle()
        scale(here, 50)
        await here.settle()
        await here.kill()
        here.edit(DEPLOYMENT, "handler-users", {"metadata": {"labels": {MANAGED_BY_LABEL: None}}})
        wipe = [{"op": "remove", "path": "/status"}]
        where = (GATI_HANDLER, "default", "users", wipe, "somebody")
        here.server.patch(*where, content_type=JSON_PATCH, subresource="status")
        seen = replicas_over_time(here)
        await here.restart()
        await here.settle()
        assert ready(here)["status"] == "True"
        assert set(seen) == {50}


@pytest.mark.parametrize("labels", [{}, {MANAGED_BY_LABEL: MANAGED_BY}])
async def test_an_adopted_deployment_keeps_its_autoscaled_replicas(labels):
    async with world() as here:
        pod = {
            "metadata": {"labels": {"gati.dev/workload": "handler-users"}},
            "spec": {"containers": [{"name": "handler", "image": "users:0"}]},
        }
        here.create(
            DEPLOYMENT,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {
                    "name": "handler-users",
                    "labels": labels,
                    "annotations": {"gati.dev/adopt": "users"},
                },
                "spec": {
                    "replicas": 50,
                    "selector": {"matchLabels": {"gati.dev/workload": "handler-users"}},
                    "template": pod,
                },
            },
        )
        seen = replicas_over_time(here)
        here.create(GATI_HANDLER, handler(autoscaling=SCALING))
        await here.settle()
        assert image(here) == "users:1"
        assert set(seen) == {50}


async def test_orphans_of_an_earlier_handler_are_a_name_clash():
    """Nothing spins, though two plans over a foreign Deployment differed once."""
    async with world() as here:
        spec: Any = {"config": {"GREETING": "hello"}, "autoscaling": SCALING}
        here.create(GATI_HANDLER, handler(**spec))
        await here.settle()
        await here.kill()
        for kind in (CONFIG_MAP, DEPLOYMENT, SERVICE, HORIZONTAL_POD_AUTOSCALER):
            patch = {"metadata": {"ownerReferences": None}}
            here.edit(kind, "handler-users", patch)
        here.delete(GATI_HANDLER, "users")
        here.create(GATI_HANDLER, handler(**spec))
        await here.restart()
        passes = counted(here)
        await here.run_for(100)
        assert ready(here)["reason"] == "NameConflict"
        assert here.live(GATI_HANDLER, "users")["status"].get("replicas", 0) == 0
        assert len(passes) < 20


def counted(here, most=1000):
    """A list that grows with every pass; a loop without end fails instead of standing still."""
    passes = []

    def counting(*_):
        passes.append(1)
        assert len(passes) < most, "the operator spins"

    here.operator.workers.observer.reconciled = counting
    return passes


async def test_children_of_an_earlier_handler_are_waited_for():
    """Deleted and made anew before the garbage collector has come: that is nobody's conflict."""
    async with world() as here:
        here.create(GATI_HANDLER, handler())
        await here.settle()
        reasons = []

        def look():
            found = here.get(GATI_HANDLER, "users")
            reasons.append(found and find(found, "Ready").get("reason"))

        here.server.journal.listeners.add(look)
        old = here.live(DEPLOYMENT, "handler-users")["metadata"]["uid"]
        here.delete(GATI_HANDLER, "users")
        here.create(GATI_HANDLER, handler())
        await asyncio.sleep(1)  # the garbage collector is late
        await here.run_for(60)
        assert ready(here)["status"] == "True"
        assert here.live(DEPLOYMENT, "handler-users")["metadata"]["uid"] != old
        assert "NameConflict" not in reasons


@pytest.mark.parametrize("kind", [DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER], ids=str)
async def test_permanent_orphans_of_an_earlier_handler_are_a_clash(kind):
    """Somebody's finalizer, or a garbage collector that does not come."""
    async with world() as here:
        here.create(GATI_HANDLER, handler(autoscaling=SCALING))
        await here.settle()
        here.edit(kind, "handler-users", {"metadata": {"finalizers": ["example.com/theirs"]}})
        here.delete(GATI_HANDLER, "users")
        here.create(GATI_HANDLER, handler(autoscaling=SCALING))
        await here.run_for(200)
        assert ready(here)["reason"] == "NameConflict"
        assert f"{kind} handler-users" in ready(here)["message"]
        here.edit(kind, "handler-users", {"metadata": {"finalizers": None}})
        await here.run_for(200)
        assert ready(here)["status"] == "True"


async def test_the_preview_reads_what_the_watch_does_not_show():
    async with world() as here:
        wanted = handler(autoscaling=SCALING)
        here.create(GATI_HANDLER, wanted)
        await here.settle()
        scale(here, 50)
        await here.settle()
        await here.kill()
        here.edit(DEPLOYMENT, "handler-users", {"metadata": {"labels": {MANAGED_BY_LABEL: None}}})
        wanted["metadata"]["namespace"] = "default"
        (controller,) = (each for each in here.controllers if each.kind == GATI_HANDLER)
        api = here.api.another("kubectl")
        _, changes = await compare(api, wanted, controller, here.manager)
        (change,) = (each for each in changes if each.kind == "Deployment")
        assert "replicas" not in change.text
        assert MANAGED_BY_LABEL in change.text

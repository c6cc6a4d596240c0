"""The world itself: a real runtime in it converges, rests, dies at any write and restarts."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

import pytest

from contract.demands import Need, Seen, Watch
from contract.metadata import owner_reference
from contract.model import Object
from contract.plan import NO_RIGHTS, Child, Plan
from contract.status import Condition, conditions, find
from reconciler.client.api import JSON_PATCH, MERGE_PATCH
from world.consistency import ImpossibleWorld
from world.controllers import Broken, DeploymentController
from world.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    NAMESPACE,
    POD,
    WIDGET,
    WIDGET_CRD,
    body,
    deployment,
)
from world.world import NeverQuiet, World, end_state

pytestmark = pytest.mark.looptime


WRITES = 4
"""What it takes to make a Widget: two children, and a status before and after they are ready."""


class Widgets:
    """A Widget wants a ConfigMap and a Deployment, and is ready when that is."""

    kind = WIDGET
    watches: tuple[Watch, ...] = (Watch(CONFIG_MAP, child=True), Watch(DEPLOYMENT, child=True))

    rights = NO_RIGHTS

    def read(self, parent: Object) -> Object:
        spec: Object = parent.get("spec", {})
        return spec

    def needs(self, parent: Object, spec: Object, seen: Seen, now: datetime) -> tuple[Need, ...]:
        return ()

    def plan(self, parent: Object, spec: Object, seen: Seen, now: datetime) -> Plan:
        metadata = parent["metadata"]
        placed: Object = {"namespace": metadata["namespace"]}
        name = metadata["name"]
        data = body(CONFIG_MAP, name, metadata=placed, data={"size": spec.get("size", "")})
        image = f"app:{spec.get('size', '')}"
        work = deployment(name, {"name": "main", "image": image}, replicas=spec.get("replicas", 1))
        work["metadata"] |= placed
        live = seen.child(DEPLOYMENT, name)
        ready = (
            live is not None
            and live.get("status", {}).get("observedGeneration") == live["metadata"]["generation"]
            and find(live, "Available")["status"] == "True"
        )
        condition = Condition("Ready", "True" if ready else "False", "Seen")
        old = parent.get("status", {}).get("conditions", ())
        status = {
            "observedGeneration": metadata["generation"],
            "conditions": conditions([condition], old, metadata["generation"], now),
        }
        return Plan(status, (Child(CONFIG_MAP, data), Child(DEPLOYMENT, work)))


def widget_world(**options: Any) -> World:
    return World([Widgets()], crds=[WIDGET_CRD], **options)


def ready(world: World, name: str = "w") -> str:
    return str(find(world.live(WIDGET, name), "Ready")["status"])


async def test_a_world_converges_and_then_rests() -> None:
    async with widget_world() as world:
        world.create(WIDGET, body(WIDGET, "w", {"size": "1", "replicas": 2}))
        seconds = await world.settle()

        assert ready(world) == "True"
        assert world.live(DEPLOYMENT, "w")["status"]["availableReplicas"] == 2
        assert 2 <= seconds < 60
        assert len(world.writes) == WRITES

        mark = world.mark()
        await world.restart()
        await world.run_for(3600)
        assert world.writes_since(mark) == []


async def test_a_deleted_or_changed_child_is_restored() -> None:
    async with widget_world() as world:
        world.create(WIDGET, body(WIDGET, "w", {"size": "1"}))
        await world.settle()

        world.delete(CONFIG_MAP, "w")
        world.edit(DEPLOYMENT, "w", {"spec": {"replicas": 7}})
        await world.settle()

        assert world.live(CONFIG_MAP, "w")["data"] == {"size": "1"}
        assert world.live(DEPLOYMENT, "w")["spec"]["replicas"] == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", range(1, WRITES + 2))
async def test_a_crash_at_any_write_ends_in_the_same_state(write: int, when: Any) -> None:
    async with widget_world() as world:
        world.api.crash_after(write, when=when)
        world.create(WIDGET, body(WIDGET, "w", {"size": "1", "replicas": 2}))
        await world.settle()
        assert world.dead or write > WRITES
        if world.dead:
            await world.restart()
            await world.settle()
        found = world.state()

    async def undisturbed(other: World) -> None:
        other.create(WIDGET, body(WIDGET, "w", {"size": "1", "replicas": 2}))

    assert found == await end_state(undisturbed, controllers=[Widgets()], crds=[WIDGET_CRD])


async def test_a_dead_operator_writes_nothing_and_is_recognized() -> None:
    async with widget_world() as world:
        world.api.crash_after(1)
        world.create(WIDGET, body(WIDGET, "w", {"size": "1"}))
        await world.settle()

        assert world.dead
        assert len(world.writes) == 1
        await world.restart()
        assert not world.dead


async def test_lost_events_are_recovered_by_a_relist() -> None:
    async with widget_world() as world:
        world.create(WIDGET, body(WIDGET, "w", {"size": "1"}))
        await world.settle()
        world.api.drop_events(lambda kind, _event: kind == CONFIG_MAP)
        world.delete(CONFIG_MAP, "w")
        await world.settle()
        assert world.get(CONFIG_MAP, "w") is None  # the operator has no event of it

        world.api.drop_events(None)
        world.api.restart_server()
        await world.settle(quiet=60)

        assert world.get(CONFIG_MAP, "w") is not None


class Restless:
    """An operator that writes for ever."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def run(self) -> None:
        for count in range(10**6):
            data = body(CONFIG_MAP, "x", data={"n": str(count)}, metadata={"namespace": "default"})
            await self.world.api.apply(CONFIG_MAP, data, manager="restless")
            await asyncio.sleep(1)


async def test_a_world_that_does_not_rest_names_the_writer() -> None:
    async with World(operator=lambda world, _: Restless(world)) as world:
        with pytest.raises(NeverQuiet, match="manager='restless'"):
            await world.settle(limit=30)


class Failing:
    """An operator with a bug."""

    async def run(self) -> None:
        raise ZeroDivisionError


async def test_an_operator_that_fails_fails_the_test() -> None:
    with pytest.raises(ZeroDivisionError):
        async with World(operator=lambda _world, _api: Failing()) as world:
            await world.run_for(10)


class Idle:
    """An operator that does nothing."""

    async def run(self) -> None:
        await asyncio.Event().wait()


def quiet_world(**options: Any) -> World:
    return World(operator=lambda _world, _api: Idle(), **options)


async def test_an_inconsistent_end_state_fails_the_test() -> None:
    async def lie() -> None:
        async with quiet_world() as world:
            world.create(WIDGET, body(WIDGET, "w", {}))
            patch = {"status": {"observedGeneration": 9}}
            await world.api.patch(
                WIDGET, "default", "w", patch, content_type=MERGE_PATCH, subresource="status"
            )

    with pytest.raises(ImpossibleWorld, match="observed generation 9"):
        await lie()


# ---- the cluster's controllers ------------------------------------------------------------------


async def test_a_rollout_keeps_the_old_pods_until_its_end() -> None:
    async with quiet_world() as world:
        world.create(DEPLOYMENT, deployment("d", replicas=3))
        await world.settle()
        status = world.live(DEPLOYMENT, "d")["status"]
        assert (status["availableReplicas"], status["observedGeneration"]) == (3, 1)

        world.apply(DEPLOYMENT, deployment("d", {"name": "main", "image": "app:2"}, replicas=3))
        await world.run_for(1)
        status = world.live(DEPLOYMENT, "d")["status"]
        assert (status["availableReplicas"], status["replicas"]) == (3, 6)
        assert find(world.live(DEPLOYMENT, "d"), "Progressing")["reason"] == "ReplicaSetUpdated"
        await world.settle()
        assert world.live(DEPLOYMENT, "d")["status"]["replicas"] == 3


async def test_a_broken_image_never_becomes_ready_and_times_out() -> None:
    async with quiet_world() as world:
        world.deployments.broken["app:bad"] = Broken("ImagePullBackOff", "no such image")
        world.create(DEPLOYMENT, deployment("d"))
        await world.settle()
        world.edit(DEPLOYMENT, "d", {"spec": {"progressDeadlineSeconds": 60}})
        image = {"path": "/spec/template/spec/containers/0/image", "value": "app:bad"}
        bad = [{"op": "replace", **image}]
        world.server.patch(DEPLOYMENT, "default", "d", bad, "m", content_type=JSON_PATCH)
        await world.run_for(61)

        live = world.live(DEPLOYMENT, "d")
        assert live["status"]["availableReplicas"] == 1  # the old one
        assert find(live, "Progressing")["reason"] == "ProgressDeadlineExceeded"


async def test_pods_that_cannot_be_made_are_a_replica_failure() -> None:
    async with quiet_world() as world:
        fault = Broken("FailedCreate", "exceeded quota", creates_pods=False)
        world.deployments.broken["app:1"] = fault
        world.create(DEPLOYMENT, deployment("d"))
        await world.settle()

        live = world.live(DEPLOYMENT, "d")
        assert find(live, "ReplicaFailure")["message"] == "exceeded quota"
        assert "replicas" not in live["status"]


async def test_a_waiting_pod_shows_its_reason() -> None:
    world = quiet_world()
    world.deployments.pods = True
    async with world:
        world.deployments.broken["app:bad"] = Broken("CrashLoopBackOff", "back-off 10s")
        world.create(DEPLOYMENT, deployment("d", replicas=2))
        world.create(DEPLOYMENT, deployment("e", {"name": "main", "image": "app:bad"}))
        await world.settle()

        pods = world.all(POD)
        assert len(pods) == 3
        waiting = [
            status["state"]["waiting"]["reason"]
            for pod in pods
            for status in pod["status"]["containerStatuses"]
            if not status["ready"]
        ]
        assert waiting == ["CrashLoopBackOff"]

        world.delete(DEPLOYMENT, "d")
        world.edit(DEPLOYMENT, "e", {"spec": {"replicas": 0}})
        await world.settle()
        assert world.all(POD) == []


async def test_an_autoscaler_scales_within_bounds_and_owns_replicas() -> None:
    async with quiet_world() as world:
        world.apply(DEPLOYMENT, deployment("d", replicas=2), "operator")
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
        world.create(
            AUTOSCALER, body(AUTOSCALER, "h", {"scaleTargetRef": target, "maxReplicas": 5})
        )
        world.autoscaler.wanted["h"] = 9
        await world.settle()

        live = world.live(DEPLOYMENT, "d")
        assert live["spec"]["replicas"] == 5
        owners = {
            (entry["manager"], entry.get("subresource"))
            for entry in live["metadata"]["managedFields"]
            if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
        }
        assert owners == {("kube-controller-manager", "scale")}

        world.edit(DEPLOYMENT, "d", {"spec": {"replicas": 0}})
        await world.settle()
        assert world.live(DEPLOYMENT, "d")["spec"]["replicas"] == 0


async def test_orphans_are_collected_within_their_namespace() -> None:
    async with quiet_world(namespaces=("default", "other")) as world:
        parent = world.create(WIDGET, body(WIDGET, "w", {}))
        reference = owner_reference(parent, WIDGET)

        def child(name: str, **metadata: Any) -> Object:
            return body(CONFIG_MAP, name, metadata={"ownerReferences": [reference], **metadata})

        child_object = world.create(CONFIG_MAP, child("child"))
        world.create(CONFIG_MAP, child("stray", namespace="other"))
        grandchild = owner_reference(child_object, CONFIG_MAP)
        world.create(CONFIG_MAP, body(CONFIG_MAP, "g", metadata={"ownerReferences": [grandchild]}))
        await world.settle()
        # The owner lives, but not there: a real cluster's collector deletes it as well.
        assert world.get(CONFIG_MAP, "stray", "other") is None
        assert world.get(CONFIG_MAP, "child") is not None

        world.delete(WIDGET, "w")
        await world.settle()
        assert world.all(CONFIG_MAP) == []


async def test_a_namespace_that_is_deleted_empties_first() -> None:
    async with quiet_world(namespaces=("default", "doomed")) as world:
        held = {"namespace": "doomed", "finalizers": ["a.test/b"]}
        world.create(CONFIG_MAP, body(CONFIG_MAP, "held", metadata=held))
        world.create(CONFIG_MAP, body(CONFIG_MAP, "free", metadata={"namespace": "doomed"}))
        world.delete(NAMESPACE, "doomed", "")
        await world.settle()
        left = [obj["metadata"]["name"] for obj in world.all(CONFIG_MAP)]
        assert left == ["held"]
        assert world.live(NAMESPACE, "doomed", "")["status"]["phase"] == "Terminating"

        world.edit(CONFIG_MAP, "held", {"metadata": {"finalizers": None}}, "doomed")
        await world.settle()
        assert world.get(NAMESPACE, "doomed", "") is None


async def test_time_passes_in_microseconds() -> None:
    started = time.perf_counter()
    async with quiet_world(fakes=[DeploymentController()]) as world:
        before = world.now()
        await world.run_for(600)
        assert (world.now() - before).total_seconds() == pytest.approx(600)
    assert time.perf_counter() - started < 5

"""The real loop and the real plan of a GatiHandler, under crashes, lost events and failures.

Every property is one that a user of Kubernetes takes for granted: the end state depends on
what is wanted and on nothing that happened on the way.
"""

import asyncio

import looptime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.status import find
from gati.kinds import GATI_HANDLER
from objects.kinds import CONFIG_MAP, DEPLOYMENT, POD_DISRUPTION_BUDGET, SERVICE
from reconciler.client.api import ApiError, Unreachable
from world.handlers import CHILDREN, handler, options
from world.world import World, end_state

pytestmark = pytest.mark.looptime


def ready(world, name="users"):
    return find(world.live(GATI_HANDLER, name), "Ready")


async def life(world):
    """The whole life of one handler, up to the point where it still exists."""
    world.create(GATI_HANDLER, handler(config={"GREETING": "hello"}))
    await world.settle()
    world.edit(GATI_HANDLER, "users", {"spec": {"version": "1.1.0", "image": "users:2"}})
    await world.settle()
    scaling = {"enabled": True, "minReplicas": 2, "maxReplicas": 6}
    world.edit(GATI_HANDLER, "users", {"spec": {"autoscaling": scaling, "config": None}})
    await world.settle()
    world.edit(GATI_HANDLER, "users", {"spec": {"autoscaling": None, "replicas": 3}})
    await world.settle()


async def test_a_handler_becomes_ready_with_few_writes_and_then_rests():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        assert ready(world)["status"] == "True"
        made = [write for write in world.writes if write.kind != "Event"]
        statuses = [write for write in made if write.subresource == "status"]
        assert len(made) - len(statuses) == 3  # Deployment, Service, PodDisruptionBudget
        assert len(statuses) <= 3
        mark = world.mark()
        await world.run_for(1200)
        assert world.writes_since(mark, dry_runs=True) == []


async def test_a_restart_writes_nothing():
    async with World(**options()) as world:
        await life(world)
        mark = world.mark()
        await world.restart()
        await world.settle()
        await world.run_for(600)
        assert world.writes_since(mark, dry_runs=True) == []


async def test_a_restart_beside_a_name_clash_tries_no_write():
    """A create that is refused changes nothing, and is a write all the same."""
    async with World(**options()) as world:
        foreign = {"ports": [{"port": 80}], "selector": {"app": "theirs"}}
        body = {"metadata": {"name": "handler-users"}, "spec": foreign}
        world.create(SERVICE, {"apiVersion": "v1", "kind": "Service", **body})
        world.create(GATI_HANDLER, handler())
        await world.settle()
        assert ready(world)["reason"] == "NameConflict"
        await world.restart()
        before = len(world.api.writes)
        await world.run_for(100)
        assert world.api.writes[before:] == []


async def count_writes():
    async with World(**options()) as world:
        await life(world)
        return len(world.writes_since(0))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_at_any_write_changes_nothing_in_the_end(when):
    expected = await end_state(life, **options())
    total = await count_writes()
    assert total >= 12
    for number in range(1, total + 1):
        async with World(**options()) as world:
            world.api.crash_after(number, when=when)

            async def lives(world=world):
                while True:
                    await world.until(lambda: world.dead, limit=1e9)
                    await world.restart()

            reviver = asyncio.create_task(lives())
            await life(world)
            reviver.cancel()
            await asyncio.gather(reviver, return_exceptions=True)
            await world.settle()
            assert objects(world.state()) == objects(expected), f"after a crash at write {number}"


def objects(state):
    """All but Events, which depend on what happened on the way."""
    return {key: obj for key, obj in state.items() if key[0] != "Event"}


async def test_an_edit_before_the_status_write_is_not_lost():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        world.api.delay(2.0, verb="apply", kind=GATI_HANDLER)
        world.edit(GATI_HANDLER, "users", {"spec": {"path": "/people"}})
        await world.run_for(1)
        # The status write is under way, and will bring this edit back before the watch does.
        world.api.hold_events(GATI_HANDLER)
        world.edit(GATI_HANDLER, "users", {"spec": {"image": "users:2"}})
        await world.run_for(3)
        world.api.release_events(GATI_HANDLER)
        await world.settle()
        containers = world.live(DEPLOYMENT, "handler-users")["spec"]["template"]["spec"]
        assert containers["containers"][0]["image"] == "users:2"


async def test_an_own_write_that_the_watch_shows_first_wakes_no_pass():
    """Otherwise each pass is followed by one that finds nothing to do."""
    passes = []
    for seconds in (0.0, 0.1):
        async with World(**options()) as world:
            world.api.delay_answers(seconds)
            await world.settle()
            before = world.operator.workers.passes
            world.create(GATI_HANDLER, handler(suspend=True))
            await world.settle()
            passes.append(world.operator.workers.passes - before)
    assert passes[0] == passes[1]


async def test_a_change_by_others_during_a_pass_wakes_another_pass():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        world.api.delay_answers(5.0)
        world.edit(GATI_HANDLER, "users", {"spec": {"version": "1.1.0"}})
        await world.run_for(2)
        assert world.operator.triggers.under_way == 1
        world.edit(SERVICE, "handler-users", {"spec": {"ports": [{"port": 1, "name": "x"}]}})
        world.delete(POD_DISRUPTION_BUDGET, "handler-users")
        await world.settle(quiet=20)
        service = world.live(SERVICE, "handler-users")
        assert "http" in [port["name"] for port in service["spec"]["ports"]]
        assert world.live(POD_DISRUPTION_BUDGET, "handler-users")


async def test_a_handler_that_is_deleted_during_its_pass_is_forgotten():
    async with World(**options()) as world:
        world.api.delay_answers(5.0)
        world.create(GATI_HANDLER, handler())
        await world.run_for(2)
        world.delete(GATI_HANDLER, "users")
        await world.settle(quiet=20)
        assert world.operator.remembered() == 0


@given(
    gone=st.sets(st.integers(0, 60), max_size=12),
    seed=st.integers(0, 100),
    late=st.sampled_from((0.0, 0.2, 3.0)),
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_lost_events_and_ended_watches_change_nothing_in_the_end(gone, seed, late):
    async def run():
        expected = await end_state(life, **options())
        async with World(**options(seed=seed)) as world:
            counted = 0

            def lose(_kind, _event):
                nonlocal counted
                counted += 1
                return counted in gone

            world.api.drop_events(lose)
            world.api.delay_answers(late)
            await life(world)
            world.api.drop_events(None)
            world.server.compact()
            world.api.end_watches()
            await world.settle(quiet=40)
            assert objects(world.state()) == objects(expected)

    fresh_loop(run)


def fresh_loop(run):
    """Run a coroutine on a fake-time loop of its own: Hypothesis calls a test many times."""

    class Policy(asyncio.DefaultEventLoopPolicy):
        pass

    cls = looptime.make_event_loop_class(asyncio.SelectorEventLoop)
    loop = cls(start=0, end=None, idle_timeout=None)
    loop.setup_looptime(_enabled=True, start=0)
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


@pytest.mark.parametrize("kind", CHILDREN, ids=str)
async def test_a_child_deleted_by_hand_comes_back(kind):
    async with World(**options()) as world:
        scaling = {"enabled": True, "minReplicas": 2, "maxReplicas": 6}
        world.create(GATI_HANDLER, handler(autoscaling=scaling, config={"A": "b"}))
        await world.settle()
        before = world.live(kind, "handler-users")["metadata"]["uid"]
        world.delete(kind, "handler-users")
        await world.settle()
        assert world.live(kind, "handler-users")["metadata"]["uid"] != before
        assert ready(world)["status"] == "True"


async def test_a_deleted_handler_leaves_nothing_and_nothing_comes_back():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler(config={"A": "b"}))
        await world.settle()
        mark = world.mark()
        world.delete(GATI_HANDLER, "users")
        await world.settle()
        for kind in CHILDREN:
            assert world.all(kind, "default") == []
        assert world.writes_since(mark) == []


async def test_a_handler_deleted_while_its_writes_fail_leaves_nothing():
    async with World(**options()) as world:
        world.api.fail_next("apply", SERVICE, ApiError(500, "InternalError", "no"), times=1000)
        world.create(GATI_HANDLER, handler())
        await world.run_for(30)
        world.delete(GATI_HANDLER, "users")
        await world.run_for(3)
        world.api.fail_next("apply", SERVICE, ApiError(500, "InternalError", "no"), times=0)
        await world.settle()
        for kind in CHILDREN:
            assert world.all(kind, "default") == []


async def test_a_collected_child_of_a_deleted_handler_stays_gone():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        world.api.hold_events(GATI_HANDLER)
        mark = world.mark()
        world.delete(GATI_HANDLER, "users")
        await world.settle()
        world.api.release_events(GATI_HANDLER)
        await world.settle()
        assert [write for write in world.writes_since(mark) if write.verb == "apply"] == []


async def test_a_wiped_status_comes_back_the_same():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        before = world.state()
        wipe_status(world)
        await world.settle()
        assert objects(world.state()) == objects(before)


def wipe_status(world, name="users"):
    world.server.patch(
        GATI_HANDLER,
        "default",
        name,
        {"status": None},
        "kubectl-edit",
        content_type="application/merge-patch+json",
        subresource="status",
    )


async def test_a_conflict_at_the_status_is_retried():
    """An API server that is busy with one object gives up and answers 409, though it still exists."""
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        world.api.fail_next("apply", GATI_HANDLER, ApiError(409, "Conflict", "please try again"))
        wipe_status(world)
        await world.settle()
        assert ready(world)["status"] == "True"


async def test_a_poisoned_handler_does_not_delay_the_others():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler("poisoned"))
        await world.settle()
        broken = ApiError(500, "InternalError", "poison")
        world.api.mutating_webhook = poison(broken)
        world.edit(GATI_HANDLER, "poisoned", {"spec": {"image": "poison:1"}})
        await world.run_for(5)
        for number in range(10):
            world.create(GATI_HANDLER, handler(f"h{number}"))
        await world.run_for(10)
        assert all(ready(world, f"h{number}")["status"] == "True" for number in range(10))
        assert "poison" in find(world.live(GATI_HANDLER, "poisoned"), "Ready")["message"]


def poison(error):
    def webhook(kind, obj):
        if kind == DEPLOYMENT and "poison:1" in str(obj):
            raise error
        return obj

    return webhook


async def test_a_child_deleted_during_a_watch_gap_is_recreated():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        world.api.partition("silent")
        world.delete(SERVICE, "handler-users")
        await world.run_for(5)
        world.server.compact()
        world.api.heal()
        world.api.end_watches()
        await world.settle(quiet=40)
        assert world.get(SERVICE, "handler-users") is not None


async def test_an_unserved_kind_is_waited_for_and_then_used():
    async with World(**options()) as world:
        world.api.unserve(POD_DISRUPTION_BUDGET)
        await world.restart()
        world.api.unserve(POD_DISRUPTION_BUDGET)
        world.create(GATI_HANDLER, handler())
        await world.run_for(60)
        assert world.get(DEPLOYMENT, "handler-users") is None
        assert any("poddisruptionbudgets" in line for line in world.operator.not_ready())
        world.api.serve(POD_DISRUPTION_BUDGET)
        await world.run_for(60)
        assert ready(world)["status"] == "True"


async def test_a_revoked_right_is_reported_and_its_return_heals():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        world.api.refuse(SERVICE)
        world.api.end_watches()
        await world.run_for(60)
        assert any("forbidden" in line for line in world.operator.not_ready())
        world.api.allow(SERVICE)
        world.delete(SERVICE, "handler-users")
        await world.run_for(90)
        assert world.operator.not_ready() == []
        assert world.get(SERVICE, "handler-users") is not None


async def test_a_changed_configmap_of_the_users_rolls_the_pods():
    async with World(**options()) as world:
        theirs = {"metadata": {"name": "settings"}, "data": {"A": "1"}}
        world.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **theirs})
        world.create(GATI_HANDLER, handler(envFrom=[{"configMapRef": {"name": "settings"}}]))
        await world.settle()
        before = world.live(DEPLOYMENT, "handler-users")["spec"]["template"]
        mark = world.mark()
        world.edit(CONFIG_MAP, "settings", {"data": {"A": "2"}})
        await world.settle()
        assert world.live(DEPLOYMENT, "handler-users")["spec"]["template"] != before
        assert not [w for w in world.writes_since(mark) if w.kind == "ConfigMap"]


async def test_lost_answers_change_nothing_in_the_end():
    expected = await end_state(life, **options())
    async with World(**options()) as world:
        for _ in range(3):
            world.api.fail_next("apply", None, Unreachable("cut"), when="after")
        await life(world)
        await world.settle(quiet=40)
        assert objects(world.state()) == objects(expected)


async def test_a_suspended_handler_is_reported_and_not_repaired():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        world.edit(GATI_HANDLER, "users", {"spec": {"suspend": True}})
        await world.settle()
        mark = world.mark()
        world.delete(SERVICE, "handler-users")
        world.edit(GATI_HANDLER, "users", {"spec": {"image": "users:9"}})
        await world.settle()
        assert world.get(SERVICE, "handler-users") is None
        assert {write.subresource for write in world.writes_since(mark)} <= {"status"}
        assert world.live(GATI_HANDLER, "users")["status"]["phase"] == "Suspended"
        world.edit(GATI_HANDLER, "users", {"spec": {"suspend": None}})
        await world.settle()
        assert world.get(SERVICE, "handler-users") is not None


async def test_replicas_never_dip_when_an_autoscaler_takes_over():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler(replicas=5))
        await world.settle()
        seen = []
        scaling = {"enabled": True, "minReplicas": 2, "maxReplicas": 9}
        world.edit(GATI_HANDLER, "users", {"spec": {"autoscaling": scaling}})

        async def look():
            while True:
                seen.append(world.live(DEPLOYMENT, "handler-users")["spec"]["replicas"])
                await asyncio.sleep(0.01)

        looking = asyncio.create_task(look())
        await world.settle()
        looking.cancel()
        assert min(seen) == 5


async def latencies(*, poisoned):
    """Seconds from a spec's change to the child's, for twenty handlers in a row."""
    async with World(**options()) as world:
        names = [f"h{number}" for number in range(20)]
        for name in (*names, "poisoned"):
            world.create(GATI_HANDLER, handler(name))
        await world.settle()
        world.api.delay(0.01)
        mark = world.mark()
        if poisoned:
            world.api.mutating_webhook = poison(ApiError(500, "InternalError", "poison"))
            world.edit(GATI_HANDLER, "poisoned", {"spec": {"image": "poison:1"}})
            await world.run_for(5)
        found = []
        loop = asyncio.get_running_loop()
        for name in names:
            started = loop.time()
            world.edit(GATI_HANDLER, name, {"spec": {"image": "next:1"}})
            while "next:1" not in str(world.live(DEPLOYMENT, f"handler-{name}")["spec"]):
                await asyncio.sleep(0.001)
            found.append(loop.time() - started)
            await world.run_for(5)
        tries = [write for write in world.writes_since(mark) if not write.committed]
        return found, len(tries)


async def test_endless_errors_of_one_handler_do_not_slow_the_others():
    without, _ = await latencies(poisoned=False)
    beside, tries = await latencies(poisoned=True)
    assert tries >= 5
    assert max(beside) <= 1.1 * max(without)


async def test_an_autoscaler_that_adds_pods_makes_nothing_unready():
    async with World(**options()) as world:
        scaling = {"enabled": True, "minReplicas": 2, "maxReplicas": 9}
        world.create(GATI_HANDLER, handler(autoscaling=scaling))
        await world.settle()
        states = []

        async def look():
            while True:
                states.append(ready(world)["status"])
                await asyncio.sleep(0.01)

        looking = asyncio.create_task(look())
        world.server.patch(
            DEPLOYMENT,
            "default",
            "handler-users",
            {"spec": {"replicas": 6}},
            "kube-controller-manager",
            content_type="application/merge-patch+json",
            subresource="scale",
        )
        await asyncio.sleep(0.2)  # before the Deployment controller has looked at it
        await world.settle()
        looking.cancel()
        assert set(states) == {"True"}
        assert world.live(GATI_HANDLER, "users")["status"]["replicas"] == 6


async def test_deleted_handlers_are_not_remembered():
    async with World(**options()) as world:
        for cycle in range(3):
            for number in range(10):
                scaling = {"enabled": True, "minReplicas": 2, "maxReplicas": 4}
                world.create(
                    GATI_HANDLER,
                    handler(f"h{number}", autoscaling=scaling, config={"A": str(cycle)}),
                )
            world.api.fail_next("apply", SERVICE, ApiError(500, "InternalError", "no"), times=3)
            await world.settle()
            for number in range(10):
                world.delete(GATI_HANDLER, f"h{number}")
            await world.settle()
        runtime = world.operator
        assert sum(len(each.store) for each in runtime.reflectors) == 0
        assert (runtime.queue.remembered(), runtime.remembered()) == (0, 0)


async def test_converged_children_are_not_remembered():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        for reconciler in world.operator.reconcilers.values():
            assert reconciler.target.remembered() == 0


async def test_the_reconcile_annotation_starts_a_pass_at_once():
    async with World(**options()) as world:
        world.create(GATI_HANDLER, handler())
        await world.settle()
        world.api.refuse(SERVICE, "apply")
        world.delete(SERVICE, "handler-users")
        await world.run_for(120)
        world.api.allow(SERVICE, "apply")
        await world.run_for(5)
        assert world.get(SERVICE, "handler-users") is None  # the next try is a minute away
        world.edit(
            GATI_HANDLER, "users", {"metadata": {"annotations": {"gati.dev/reconcile": "1"}}}
        )
        await world.run_for(1)
        assert world.get(SERVICE, "handler-users") is not None

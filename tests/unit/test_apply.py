"""What is written and what is not, on the in-memory API server."""

from datetime import UTC, datetime

import pytest

from contract.metadata import owner_reference
from contract.model import Kind, Object
from contract.ownership import Owner, stamp
from contract.plan import Child
from memoryserver import MemoryApi
from objects.matching import content_digest
from reconciler.apply import KubernetesTarget
from reconciler.client.api import ApiError, Unreachable
from reconciler.contention import FREE_REPAIRS
from reconciler.target import Action, ChangeSet

pytestmark = pytest.mark.looptime

PARENT_KIND = Kind("gati.dev", "v1", "GatiHandler", "gatihandlers")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")


@pytest.fixture
def api():
    return MemoryApi(lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def target(api):
    return KubernetesTarget(api, manager="operator")


async def make_parent(api, name="users"):
    body = {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {},
    }
    return await api.create(PARENT_KIND, body)


def config(parent, name="config", *, wave=0, **data):
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": "shop",
        },
        "data": data,
    }
    return Child(CONFIG_MAP, body, wave=wave)


def workload(parent, *, replicas=None, yields=(), image="app:1"):
    body: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "app",
            "namespace": "shop",
        },
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
    }
    if replicas is not None:
        body["spec"]["replicas"] = replicas
    return Child(DEPLOYMENT, body, yields=yields)


async def settle(api, target, parent, *children, surplus=(), cached=True):
    """One change set with the cache as it truly is (or empty); the actions by name."""
    live = {}
    for child in children:
        obj = await api.get(child.kind, "shop", child.key.name) if cached else None
        if obj is not None:
            live[child.key] = obj
    changes = await target.apply(
        ChangeSet(parent, Owner.of(PARENT_KIND, parent), children, live, surplus)
    )
    return {change.key.name: change for change in changes}


def committed(api):
    return [write for write in api.writes if write.committed and not write.dry_run]


async def test_a_missing_child_is_created_by_one_write(api, target):
    parent = await make_parent(api)
    before = len(committed(api))
    child = config(parent, a="1")
    assert (await settle(api, target, parent, child))["config"].action is Action.CREATED
    for _ in range(3):
        assert (await settle(api, target, parent, child))["config"].action is Action.UNCHANGED
    assert len(committed(api)) == before + 1


async def test_nothing_is_sent_for_a_converged_child_after_a_restart(api, target):
    parent = await make_parent(api)
    child = workload(parent, replicas=2)
    await settle(api, target, parent, child)
    before = len(api.writes)
    restarted = KubernetesTarget(api, manager="operator")
    assert (await settle(api, restarted, parent, child))["app"].action is Action.UNCHANGED
    assert len(api.writes) == before


async def test_a_changed_field_is_repaired_and_foreign_fields_stay(api, target):
    parent = await make_parent(api)
    child = config(parent, a="1")
    await settle(api, target, parent, child)
    await api.patch(
        CONFIG_MAP,
        "shop",
        "config",
        {"data": {"a": "2", "b": "theirs"}, "metadata": {"labels": {"team": "x"}}},
        content_type="application/merge-patch+json",
    )
    change = (await settle(api, target, parent, child))["config"]
    assert change.action is Action.REPAIRED
    assert change.paths == ("data.a",)
    live = await api.get(CONFIG_MAP, "shop", "config")
    assert live["data"] == {"a": "1", "b": "theirs"}
    assert live["metadata"]["labels"] == {"team": "x"}


async def test_a_field_that_is_wanted_no_more_goes_away(api, target):
    parent = await make_parent(api)
    await settle(api, target, parent, config(parent, a="1", b="2"))
    await settle(api, target, parent, config(parent, a="1"))
    assert (await api.get(CONFIG_MAP, "shop", "config"))["data"] == {"a": "1"}


@pytest.mark.parametrize("cached", [True, False], ids=["seen in the cache", "hidden from it"])
async def test_a_foreign_object_of_that_name_is_never_touched(api, target, cached):
    parent = await make_parent(api)
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config", "namespace": "shop"},
        "data": {"theirs": "1"},
    }
    foreign = await api.create(CONFIG_MAP, theirs)
    child = config(parent, a="1")
    for _ in range(3):
        change = (await settle(api, target, parent, child, cached=cached))["config"]
        assert change.action is Action.FOREIGN
    assert sum(write.committed and write.verb == "apply" for write in api.writes) == 0
    assert await api.get(CONFIG_MAP, "shop", "config") == foreign
    await api.delete(CONFIG_MAP, "shop", "config", uid=foreign["metadata"]["uid"])
    healed = (await settle(api, target, parent, child, cached=cached))["config"]
    assert healed.action is Action.CREATED


async def test_a_foreign_object_stops_the_later_waves(api, target):
    parent = await make_parent(api)
    metadata = {"name": "config", "namespace": "shop"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    await api.create(CONFIG_MAP, body)
    surplus = config(parent, "old")
    await api.create(CONFIG_MAP, surplus.body)
    old = await api.get(CONFIG_MAP, "shop", "old")
    changes = await settle(
        api,
        target,
        parent,
        config(parent),
        config(parent, "later", wave=1),
        surplus=((CONFIG_MAP, old),),
    )
    assert changes["later"].action is Action.HELD
    assert await api.get(CONFIG_MAP, "shop", "later") is None
    assert await api.get(CONFIG_MAP, "shop", "old") == old


async def test_an_object_released_by_its_owner_is_adopted_in_place(api, target):
    parent = await make_parent(api)
    stale = {**owner_reference(parent, PARENT_KIND), "uid": "of-an-earlier-life"}
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "config",
            "namespace": "shop",
            "annotations": {"gati.dev/adopt": "users"},
            "ownerReferences": [stale],
        },
    }
    foreign = await api.create(CONFIG_MAP, body)
    change = (await settle(api, target, parent, config(parent, a="1")))["config"]
    live = await api.get(CONFIG_MAP, "shop", "config")
    assert change.action is Action.CONFIGURED
    assert live["metadata"]["uid"] == foreign["metadata"]["uid"]
    assert [ref["uid"] for ref in live["metadata"]["ownerReferences"]] == [
        parent["metadata"]["uid"]
    ]


async def test_an_adopt_annotation_respects_another_controller(api, target):
    parent = await make_parent(api)
    other = await make_parent(api, "other")
    body = stamp(config(other), Owner.of(PARENT_KIND, other), other)
    body["metadata"]["annotations"] = {"gati.dev/adopt": "users"}
    foreign = await api.create(CONFIG_MAP, body)
    change = (await settle(api, target, parent, config(parent)))["config"]
    assert change.action is Action.FOREIGN
    assert await api.get(CONFIG_MAP, "shop", "config") == foreign


async def test_a_child_without_its_owner_reference_is_repaired(api, target):
    parent = await make_parent(api)
    child = config(parent, a="1")
    await settle(api, target, parent, child)
    live = await api.get(CONFIG_MAP, "shop", "config")
    await api.patch(
        CONFIG_MAP,
        "shop",
        "config",
        {"metadata": {"ownerReferences": None}},
        content_type="application/merge-patch+json",
    )
    change = (await settle(api, target, parent, child))["config"]
    repaired = await api.get(CONFIG_MAP, "shop", "config")
    assert change.action is Action.REPAIRED
    assert repaired["metadata"]["uid"] == live["metadata"]["uid"]
    assert repaired["metadata"]["ownerReferences"][0]["uid"] == parent["metadata"]["uid"]


async def test_yielded_replicas_follow_their_new_field_manager(api, target):
    parent = await make_parent(api)
    await settle(api, target, parent, workload(parent, replicas=5))
    yielding = workload(parent, yields=(("spec", "replicas"),))
    await settle(api, target, parent, yielding)
    assert (await api.get(DEPLOYMENT, "shop", "app"))["spec"]["replicas"] == 5
    await api.patch(
        DEPLOYMENT,
        "shop",
        "app",
        {"spec": {"replicas": 8}},
        content_type="application/merge-patch+json",
    )
    newer = workload(parent, yields=(("spec", "replicas"),), image="app:2")
    assert (await settle(api, target, parent, newer))["app"].action is Action.CONFIGURED
    assert (await api.get(DEPLOYMENT, "shop", "app"))["spec"]["replicas"] == 8


async def test_a_rewriting_webhook_costs_one_dry_run_after_a_restart(api, target):
    def mirror(kind, obj):
        if kind == DEPLOYMENT:
            for container in obj["spec"]["template"]["spec"]["containers"]:
                container["image"] = "mirror/" + container["image"].removeprefix("mirror/")
        return obj

    api.mutating_webhook = mirror
    parent = await make_parent(api)
    child = workload(parent, replicas=1)
    await settle(api, target, parent, child)
    writes = len(api.writes)
    assert (await settle(api, target, parent, child))["app"].action is Action.UNCHANGED
    assert len(api.writes) == writes
    restarted = KubernetesTarget(api, manager="operator")
    for _ in range(3):
        assert (await settle(api, restarted, parent, child))["app"].action is Action.UNCHANGED
    assert [write.dry_run for write in api.writes[writes:]] == [True]


async def test_an_unstable_webhook_costs_one_write_after_a_restart(api, target):
    count = 0

    def restless(kind, obj):
        nonlocal count
        if kind == DEPLOYMENT:
            count += 1
            obj["spec"]["template"]["spec"]["containers"][0]["image"] = f"random:{count}"
        return obj

    api.mutating_webhook = restless
    parent = await make_parent(api)
    child = workload(parent, replicas=1)
    await settle(api, target, parent, child)
    restarted = KubernetesTarget(api, manager="operator")
    before = len(committed(api))
    for _ in range(5):
        await settle(api, restarted, parent, child)
    assert len(committed(api)) == before + 1


async def test_a_contested_child_waits_and_its_rival_is_named(api, target):
    parent = await make_parent(api)
    child = config(parent, a="1")
    await settle(api, target, parent, child)
    rival = api.another(manager="rival")
    actions = []
    for _ in range(FREE_REPAIRS + 1):
        await rival.patch(
            CONFIG_MAP,
            "shop",
            "config",
            {"data": {"a": "2"}},
            content_type="application/merge-patch+json",
        )
        change = (await settle(api, target, parent, child))["config"]
        actions.append(change.action)
    assert actions == [Action.REPAIRED] * FREE_REPAIRS + [Action.CONTESTED]
    assert change.detail == "rival"
    assert change.wait == pytest.approx(5, abs=0.1)


async def test_a_surplus_child_is_deleted_only_as_it_was_seen(api, target):
    parent = await make_parent(api)
    await settle(api, target, parent, config(parent, "old"))
    seen = await api.get(CONFIG_MAP, "shop", "old")
    await api.patch(
        CONFIG_MAP,
        "shop",
        "old",
        {"metadata": {"labels": {"x": "y"}}},
        content_type="application/merge-patch+json",
    )
    changes = await settle(api, target, parent, surplus=((CONFIG_MAP, seen),))
    assert changes["old"].action is Action.FAILED
    assert changes["old"].error.code == 409
    fresh = await api.get(CONFIG_MAP, "shop", "old")
    changes = await settle(api, target, parent, surplus=((CONFIG_MAP, fresh),))
    assert changes["old"].action is Action.DELETED
    assert await api.get(CONFIG_MAP, "shop", "old") is None


async def test_an_update_does_not_resurrect_a_deleted_child(api, target):
    parent = await make_parent(api)
    await settle(api, target, parent, config(parent, a="1"))
    live = await api.get(CONFIG_MAP, "shop", "config")
    await api.delete(CONFIG_MAP, "shop", "config", uid=live["metadata"]["uid"])
    wanted = config(parent, a="2")
    changes = await target.apply(
        ChangeSet(parent, Owner.of(PARENT_KIND, parent), (wanted,), {wanted.key: live})
    )
    assert changes[0].action is Action.FAILED
    assert await api.get(CONFIG_MAP, "shop", "config") is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (403, Action.REFUSED),
        (422, Action.REFUSED),
        (500, Action.REFUSED),
        (429, Action.FAILED),
        (503, Action.FAILED),
        (504, Action.FAILED),
    ],
)
async def test_a_transient_error_is_not_a_refusal(api, target, code, expected):
    parent = await make_parent(api)
    api.fail_next("apply", CONFIG_MAP, ApiError(code, "Some", "no"))
    change = (await settle(api, target, parent, config(parent)))["config"]
    assert change.action is expected


async def test_a_create_whose_answer_was_lost_is_found_again(api, target):
    parent = await make_parent(api)
    child = config(parent, a="1")
    api.fail_next("apply", CONFIG_MAP, Unreachable("cut"), when="after")
    lost = (await settle(api, target, parent, child, cached=False))["config"]
    assert lost.action is Action.FAILED
    first = await api.get(CONFIG_MAP, "shop", "config")
    hidden = (await settle(api, target, parent, child, cached=False))["config"]
    assert hidden.action is Action.WAITING, "what is ours is planned with before it is written"
    assert (await settle(api, target, parent, child))["config"].action is Action.UNCHANGED
    assert content_digest(await api.get(CONFIG_MAP, "shop", "config")) == content_digest(first)

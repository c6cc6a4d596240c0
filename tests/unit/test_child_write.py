"""How one child is written: guards, hand-over of fields, and what a DELETE answers."""

from __future__ import annotations

import asyncio
import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.model import Kind, Object
from contract.ownership import Owner, stamp
from contract.plan import Child
from memoryserver import MemoryApi
from objects.kinds import CONFIG_MAP
from reconciler.apply import KubernetesTarget
from reconciler.child_write import CREATE_ONLY, ChildWrite, copy_value, delete, unchanged
from reconciler.client.api import JSON_PATCH, ApiError, NotLeader, Unreachable
from reconciler.converge import NOTHING, Memory
from reconciler.target import Action, ChangeSet

pytestmark = pytest.mark.looptime

KIND = Kind("example.com", "v1", "Widget", "widgets")
PARENT: Object = {"metadata": {"name": "w", "namespace": "shop", "uid": "u"}}
OWNER = Owner.of(KIND, PARENT)
MERGE = "application/merge-patch+json"


@pytest.fixture
def api():
    return MemoryApi(lambda: datetime(2026, 1, 1, tzinfo=UTC))


def child(name: str = "x", **options: Any) -> Child:
    data = options.pop("data", {"a": "1"})
    metadata = {"name": name, "namespace": "shop"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return Child(CONFIG_MAP, body, **options)


def writing(api: MemoryApi, of: Child, memory: Memory = NOTHING) -> ChildWrite:
    return ChildWrite(api, of, stamp(of, OWNER, PARENT), OWNER, "operator", memory)


async def there(api: MemoryApi, name: str = "x") -> Object | None:
    return await api.get(CONFIG_MAP, "shop", name)


async def theirs(api: MemoryApi, **metadata: Any) -> Object:
    obj = copy.deepcopy(child().body)
    obj["metadata"] |= metadata
    return await api.create(CONFIG_MAP, obj)


async def edit(api: MemoryApi, patch: Object) -> Object:
    return await api.patch(CONFIG_MAP, "shop", "x", patch, content_type=MERGE)


# Values at paths.


@pytest.mark.parametrize(
    ("source", "path", "copied"),
    [
        ({"spec": {"replicas": 3}}, ("spec", "replicas"), {"spec": {"replicas": 3}}),
        ({"spec": {"replicas": 0}}, ("spec", "replicas"), {"spec": {"replicas": 0}}),
        ({"spec": {}}, ("spec", "replicas"), {}),
        ({}, ("spec", "a", "b"), {}),
        ({"spec": None}, ("spec", "replicas"), {}),
        ({"spec": "text"}, ("spec", "replicas"), {}),
        ({"spec": [1]}, ("spec", "a", "b"), {}),
        ({"top": 1}, ("top",), {"top": 1}),
    ],
)
def test_a_value_is_copied_only_where_the_source_has_it(source, path, copied):
    destination: Object = {}
    copy_value(source, destination, path)
    assert destination == copied


def test_a_copied_value_leaves_what_is_beside_it():
    destination = {"spec": {"paused": True}, "kind": "X"}
    copy_value({"spec": {"replicas": 3, "other": 1}}, destination, ("spec", "replicas"))
    assert destination == {"spec": {"paused": True, "replicas": 3}, "kind": "X"}


@given(
    st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from("cd"), st.integers()))
)
def test_copying_a_value_twice_changes_nothing_more(source):
    once: Object = {}
    copy_value(source, once, ("a", "c"))
    twice = copy.deepcopy(once)
    copy_value(source, twice, ("a", "c"))
    assert twice == once
    assert bool(once) == ("c" in source.get("a", {}))


# Guards.


async def test_a_patch_holds_only_for_the_state_that_was_seen(api):
    seen = await theirs(api)
    patch = [*unchanged(seen), {"op": "replace", "path": "/data/a", "value": "2"}]
    await edit(api, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(ApiError):
        await api.patch(CONFIG_MAP, "shop", "x", patch, content_type=JSON_PATCH)
    now = await there(api)
    assert now is not None
    patch[:2] = unchanged(now)
    assert (await api.patch(CONFIG_MAP, "shop", "x", patch, content_type=JSON_PATCH))["data"] == {
        "a": "2"
    }


async def test_a_missing_child_is_made_by_an_apply_that_only_creates(api):
    await theirs(api)
    before = await there(api)
    change = await writing(api, child()).settle(None)
    assert change.action is Action.FOREIGN
    assert await there(api) == before
    body = stamp(child("new"), OWNER, PARENT)
    only = {**body, "metadata": {**body["metadata"], "resourceVersion": CREATE_ONLY}}
    await api.apply(CONFIG_MAP, only, manager="operator")
    with pytest.raises(ApiError) as caught:
        await api.apply(CONFIG_MAP, only, manager="operator")
    assert caught.value.code == 409


async def test_a_shared_object_is_written_only_as_it_was_seen(api):
    seen = await theirs(api)
    wanted = child(hold="shared", data={"a": "2"})
    await edit(api, {"data": {"b": "1"}})
    with pytest.raises(ApiError) as caught:
        await writing(api, wanted).settle(seen)
    assert caught.value.code == 409
    change = await writing(api, wanted).settle(await there(api))
    assert change.action is Action.REPAIRED
    now = await there(api)
    assert now is not None
    assert now["data"] == {"a": "2", "b": "1"}
    assert "annotations" not in now["metadata"]
    assert "ownerReferences" not in now["metadata"]


async def test_a_shared_object_that_is_missing_is_not_created(api):
    change = await writing(api, child(hold="shared")).settle(None)
    assert (change.action, change.object) == (Action.WAITING, None)
    assert await there(api) is None


# Deletions.


async def test_a_delete_returns_what_is_left(api):
    await theirs(api, finalizers=["example.com/theirs"])
    left = await delete(api, CONFIG_MAP, await there(api) or {})
    assert left is not None
    assert left["metadata"]["deletionTimestamp"]
    assert left == await there(api)
    await edit(api, {"metadata": {"finalizers": None}})
    assert await there(api) is None
    assert await delete(api, CONFIG_MAP, left) is None, "what is gone already is gone"


async def test_a_delete_is_bound_to_the_uid_and_version_seen(api):
    seen = await theirs(api)
    await edit(api, {"data": {"b": "1"}})
    with pytest.raises(ApiError) as caught:
        await delete(api, CONFIG_MAP, seen)
    assert caught.value.code == 409
    assert await delete(api, CONFIG_MAP, await there(api) or {}) is None
    another = await theirs(api)
    with pytest.raises(ApiError):
        await delete(api, CONFIG_MAP, seen)
    assert await there(api) == another


async def test_a_replacement_creates_once_the_old_object_is_gone(api):
    first = await writing(api, child(replaced=True)).settle(None)
    assert first.action is Action.CREATED
    await edit(api, {"metadata": {"finalizers": ["example.com/theirs"]}})
    wanted = child(replaced=True, data={"a": "2"})
    write = writing(api, wanted)
    change = await write.settle(await there(api))
    assert (change.action, change.wait) == (Action.WAITING, 5.0)
    assert (write.answer, write.removed) == (await there(api), None)
    held = await there(api)
    assert (await writing(api, wanted).settle(held)).action is Action.WAITING
    await edit(api, {"metadata": {"finalizers": None}})
    assert (await writing(api, wanted).settle(None)).action is Action.CREATED
    live = await there(api)
    write = writing(api, child(replaced=True, data={"a": "3"}))
    change = await write.settle(live)
    assert (change.action, change.wait) == (Action.WAITING, 0.0)
    assert (write.answer, write.removed) == (None, live)


# Children of one change set.


@pytest.mark.parametrize("error", [NotLeader("lost"), Unreachable("cut")], ids=["lease", "network"])
async def test_a_change_set_ends_when_all_its_writes_have_ended(api, error):
    ended = []

    class Slow(MemoryApi):
        async def apply(self, kind: Kind, body: Object, **options: Any) -> Object:
            if body["metadata"]["name"] == "first":
                raise error
            await asyncio.sleep(5)
            ended.append(body["metadata"]["name"])
            return await super().apply(kind, body, **options)

    target = KubernetesTarget(Slow(server=api.server), manager="operator")
    changes = ChangeSet(PARENT, OWNER, (child("first"), child("second")), {})
    if isinstance(error, NotLeader):
        with pytest.raises(NotLeader):
            await target.apply(changes)
    else:
        assert (await target.apply(changes))[0].action is Action.FAILED
    assert ended == ["second"]

"""POST, PUT, DELETE and the two kinds of patches."""

from __future__ import annotations

from world.conformance.transcript import Transcript, config_map, scenario, with_metadata
from world.kinds import CONFIG_MAP, LEASE, WIDGET, body


@scenario
async def a_post_creates_once(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1")).leaves("created")
    await t.create(CONFIG_MAP, config_map(a="2")).leaves("409 AlreadyExists")
    versioned = with_metadata(config_map("y"), resourceVersion="5")
    await t.create(CONFIG_MAP, versioned).leaves("500")
    illegal = "422 Invalid FieldValueInvalid metadata.name"
    await t.create(CONFIG_MAP, config_map("Not_Legal")).leaves(illegal)


@scenario
async def a_namespace_must_exist(t: Transcript) -> None:
    lost = with_metadata(config_map(), namespace="not-there")
    await t.create(CONFIG_MAP, lost).leaves("404 NotFound")
    await t.apply(CONFIG_MAP, lost).leaves("404 NotFound")


@scenario
async def a_put_is_guarded_by_version_and_uid(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1")).leaves("created")
    await t.replace(CONFIG_MAP, config_map(a="2")).leaves("changed")
    await t.replace(CONFIG_MAP, config_map(a="2")).leaves("unchanged")
    old = with_metadata(config_map(a="3"), resourceVersion="1")
    await t.replace(CONFIG_MAP, old).leaves("409 Conflict")
    other = with_metadata(config_map(a="3"), uid="another")
    await t.replace(CONFIG_MAP, other).leaves("409 Conflict")
    await t.replace(CONFIG_MAP, config_map("missing", a="1")).leaves("404 NotFound")


@scenario
async def a_put_of_what_was_read_is_accepted_once(t: Transcript) -> None:
    read = await t.create(CONFIG_MAP, config_map(a="1")).leaves("created")
    await t.replace(CONFIG_MAP, {**read, "data": {"a": "2"}}).leaves("changed")
    await t.replace(CONFIG_MAP, {**read, "data": {"a": "3"}}).leaves("409 Conflict")
    again = await t.live(CONFIG_MAP, "x")
    await t.replace(CONFIG_MAP, {**again, "data": {"a": "3"}}).leaves("changed")


@scenario
async def a_put_of_a_custom_resource_or_a_lease_needs_a_version(t: Transcript) -> None:
    needed = "422 Invalid FieldValueInvalid metadata.resourceVersion"
    await t.create(WIDGET, body(WIDGET, "w", {"size": "1"})).leaves("created")
    changed = body(WIDGET, "w", {"size": "2"})
    await t.replace(WIDGET, changed).leaves(needed)
    await t.replace(WIDGET, with_metadata(changed, resourceVersion="1")).leaves("409 Conflict")
    await t.create(LEASE, body(LEASE, "l", {"holderIdentity": "a"})).leaves("created")
    await t.replace(LEASE, body(LEASE, "l", {"holderIdentity": "b"})).leaves(needed)


@scenario
async def a_delete_has_preconditions(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1")).leaves("created")
    await t.delete(CONFIG_MAP, "x", uid="another").leaves("409 Conflict")
    await t.delete(CONFIG_MAP, "x", version="1").leaves("409 Conflict")
    await t.delete(CONFIG_MAP, "x").leaves("deleted")
    await t.delete(CONFIG_MAP, "x", uid="another").leaves("404 NotFound")


@scenario
async def finalizers_hold_back_a_deletion(t: Transcript) -> None:
    held = body(WIDGET, "w", {}, metadata={"finalizers": ["a.test/b"]})
    await t.create(WIDGET, held).leaves("created")
    for _ in range(2):
        await t.delete(WIDGET, "w").leaves("deleting")
        assert await t.value(WIDGET, "w", "metadata", "generation") == 2
    more = {"metadata": {"finalizers": ["a.test/b", "a.test/c"]}}
    await t.patch(WIDGET, "w", more).leaves("422 Invalid FieldValueForbidden metadata.finalizers")
    await t.create(WIDGET, body(WIDGET, "w", {})).leaves("409 AlreadyExists")
    await t.apply(WIDGET, body(WIDGET, "w", {"size": "1"})).leaves("changed")
    # The object is gone then; the answer has the resource version from before.
    await t.patch(WIDGET, "w", {"metadata": {"finalizers": None}}).leaves("unchanged")
    assert await t.api.get(WIDGET, t.namespace, "w") is None


@scenario
async def a_json_patch_is_applied_whole_or_not_at_all(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1")).leaves("created")
    failing = {"op": "test", "path": "/data/a", "value": "2"}
    change = {"op": "replace", "path": "/data/a", "value": "3"}
    await t.patch(CONFIG_MAP, "x", [change, failing]).leaves("422 Invalid")
    # A replace of what is not there adds it.
    absent = {"op": "replace", "path": "/data/none", "value": "1"}
    await t.patch(CONFIG_MAP, "x", [absent]).leaves("changed")
    await t.patch(CONFIG_MAP, "x", [{"op": "remove", "path": "/data/neither"}]).leaves(
        "422 Invalid"
    )
    parentless = {"op": "add", "path": "/none/a", "value": "1"}
    await t.patch(CONFIG_MAP, "x", [parentless]).leaves("422 Invalid")
    rename = {"op": "add", "path": "/metadata/name", "value": "y"}
    await t.patch(CONFIG_MAP, "x", [rename]).leaves("400 BadRequest")
    uid = {"op": "replace", "path": "/metadata/uid", "value": "y"}
    await t.patch(CONFIG_MAP, "x", [uid]).leaves("422 Invalid FieldValueInvalid metadata.uid")
    version = {"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}
    await t.patch(CONFIG_MAP, "x", [version]).leaves("409 Conflict")
    labels = {"op": "add", "path": "/metadata/labels", "value": {"a/b": "c"}}
    await t.patch(CONFIG_MAP, "x", [labels]).leaves("changed")
    escaped = {"op": "test", "path": "/metadata/labels/a~1b", "value": "c"}
    await t.patch(CONFIG_MAP, "x", [escaped]).leaves("unchanged")
    await t.patch(CONFIG_MAP, "missing", [labels]).leaves("404 NotFound")


@scenario
async def a_merge_patch_merges_and_removes_by_null(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1")).leaves("created")
    await t.patch(CONFIG_MAP, "x", {"data": {"a": None, "b": "2"}}).leaves("changed")
    assert await t.value(CONFIG_MAP, "x", "data") == {"b": "2"}
    old = {"metadata": {"resourceVersion": "1"}, "data": {"c": "3"}}
    await t.patch(CONFIG_MAP, "x", old).leaves("409 Conflict")
    await t.patch(CONFIG_MAP, "x", {"data": {"b": "2"}}).leaves("unchanged")
    await t.patch(CONFIG_MAP, "x", {"data": None}).leaves("changed")
    assert await t.value(CONFIG_MAP, "x", "data") is None

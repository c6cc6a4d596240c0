"""Server-side apply: guards, conflicts, ownership of fields, list items and references."""

from __future__ import annotations

from typing import Any

from contract.model import Object
from world.conformance.transcript import Transcript, config_map, scenario, with_metadata
from world.kinds import CONFIG_MAP, DEPLOYMENT, WIDGET, body, deployment

CONFLICT = "409 Conflict FieldManagerConflict"


@scenario
async def an_apply_creates_and_repeats_without_a_write(t: Transcript) -> None:
    await t.apply(CONFIG_MAP, config_map(a="1")).leaves("created")
    await t.apply(CONFIG_MAP, config_map(a="1")).leaves("unchanged")
    await t.apply(CONFIG_MAP, config_map(b="2"), dry_run=True).leaves("unchanged")
    await t.apply(CONFIG_MAP, config_map(b="2")).leaves("changed")
    assert await t.value(CONFIG_MAP, "x", "data") == {"b": "2"}


@scenario
async def version_1_makes_an_apply_create_only(t: Transcript) -> None:
    once = with_metadata(config_map(a="1"), resourceVersion="1")
    await t.apply(CONFIG_MAP, once).leaves("created")
    await t.apply(CONFIG_MAP, once).leaves("409 Conflict")
    await t.apply(CONFIG_MAP, {**once, "data": {"a": "2"}}, "two").leaves("409 Conflict")
    assert await t.value(CONFIG_MAP, "x", "data") == {"a": "1"}


@scenario
async def a_uid_guards_an_apply_against_resurrection(t: Transcript) -> None:
    made = await t.apply(CONFIG_MAP, config_map(a="1")).leaves("created")
    other = with_metadata(config_map(a="2"), uid="another")
    await t.apply(CONFIG_MAP, other).leaves("422 Invalid FieldValueInvalid metadata.uid")
    await t.apply(CONFIG_MAP, with_metadata(other, resourceVersion="1")).leaves("409 Conflict")
    mine = with_metadata(config_map(a="1"), uid=made["metadata"]["uid"])
    await t.apply(CONFIG_MAP, mine).leaves("unchanged")
    await t.delete(CONFIG_MAP, "x").leaves("deleted")
    await t.apply(CONFIG_MAP, mine).leaves("409 Conflict")
    version = made["metadata"]["resourceVersion"]
    versioned = with_metadata(config_map(a="1"), resourceVersion=version)
    await t.apply(CONFIG_MAP, versioned).leaves("created")


@scenario
async def an_apply_conflicts_over_changed_values_only(t: Transcript) -> None:
    await t.apply(CONFIG_MAP, config_map(a="1")).leaves("created")
    await t.apply(CONFIG_MAP, config_map(a="2"), "two", force=False).leaves(f"{CONFLICT} .data.a")
    await t.apply(CONFIG_MAP, config_map(a="1", b="2"), "two", force=False).leaves("changed")
    await t.apply(CONFIG_MAP, config_map(), "one").leaves("changed")
    assert await t.value(CONFIG_MAP, "x", "data") == {"a": "1", "b": "2"}
    await t.apply(CONFIG_MAP, config_map(a="3"), "three", force=True).leaves("changed")
    assert await t.value(CONFIG_MAP, "x", "data") == {"a": "3", "b": "2"}
    await t.apply(CONFIG_MAP, config_map(a="1"), "one", force=False).leaves(f"{CONFLICT} .data.a")


@scenario
async def a_field_goes_with_its_last_manager(t: Transcript) -> None:
    await t.apply(CONFIG_MAP, config_map(a="1")).leaves("created")
    labelled = with_metadata(config_map(), labels={"l": "m"})
    await t.apply(CONFIG_MAP, labelled, "two").leaves("changed")
    await t.apply(CONFIG_MAP, config_map()).leaves("changed")
    assert await t.value(CONFIG_MAP, "x", "data") is None
    await t.apply(CONFIG_MAP, config_map(), "three").leaves("unchanged")


@scenario
async def a_field_of_a_post_stays_when_an_apply_drops_it(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1")).leaves("created")
    await t.apply(CONFIG_MAP, config_map(a="1", b="2")).leaves("changed")
    assert await t.value(CONFIG_MAP, "x", "data") == {"a": "1", "b": "2"}
    await t.apply(CONFIG_MAP, config_map(c="3")).leaves("changed")
    assert await t.value(CONFIG_MAP, "x", "data") == {"a": "1", "c": "3"}


@scenario
async def an_update_owns_the_fields_that_it_changes(t: Transcript) -> None:
    both = config_map(a="1", b="2")
    await t.apply(CONFIG_MAP, both).leaves("created")
    await t.patch(CONFIG_MAP, "x", {"data": {"a": "9"}}).leaves("changed")
    await t.apply(CONFIG_MAP, both, force=False).leaves(f"{CONFLICT} .data.a")
    await t.apply(CONFIG_MAP, both).leaves("changed")
    await t.patch(CONFIG_MAP, "x", [{"op": "remove", "path": "/data/b"}]).leaves("changed")


@scenario
async def an_apply_with_managed_fields_is_refused(t: Transcript) -> None:
    empty = with_metadata(config_map(), managedFields=[])
    await t.apply(CONFIG_MAP, empty).leaves("400 BadRequest")
    null = with_metadata(config_map(), managedFields=None)
    await t.apply(CONFIG_MAP, null).leaves("created")


@scenario
async def list_items_are_owned_one_by_one(t: Transcript) -> None:
    main: Object = {
        "name": "main",
        "image": "app:1",
        "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
        "env": [{"name": "A", "value": ""}, {"name": "B", "value": "1"}],
        "livenessProbe": {"httpGet": {"path": "/health", "port": 80}},
        "resources": {"requests": {"cpu": "1000m"}, "limits": {"cpu": "1.5", "memory": "1024Mi"}},
        "securityContext": {"runAsNonRoot": True},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    made = deployment("d", main)
    made["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
    await t.apply(DEPLOYMENT, made).leaves("created")
    containers = "/spec/template/spec/containers"
    patch = [
        {"op": "replace", "path": f"{containers}/0/image", "value": "app:2"},
        {"op": "add", "path": f"{containers}/0/env/-", "value": {"name": "Z", "value": "z"}},
        {"op": "add", "path": f"{containers}/-", "value": {"name": "side", "image": "s:1"}},
    ]
    await t.patch(DEPLOYMENT, "d", patch).leaves("changed")
    bare = deployment("d", {"name": "main", "image": "app:1"})
    await t.apply(DEPLOYMENT, bare).leaves("changed")
    other = deployment("d", {"name": "other", "image": "app:1"})
    await t.apply(DEPLOYMENT, other).leaves("changed")


@scenario
async def keyed_lists_keep_the_order_of_the_last_apply(t: Transcript) -> None:
    def named(*names: str) -> Object:
        return body(WIDGET, "w", {"named": [{"name": name} for name in names]})

    await t.apply(WIDGET, named("a", "b")).leaves("created")
    await t.apply(WIDGET, named("c", "b", "d"), "two").leaves("changed")
    await t.apply(WIDGET, named("b", "a")).leaves("changed")
    await t.apply(WIDGET, named("a")).leaves("changed")


@scenario
async def an_emptied_struct_goes_with_its_defaults(t: Transcript) -> None:
    spec = {"size": "1", "nested": {"a": "1"}, "tags": {"x": "1"}, "list": ["a"]}
    await t.apply(WIDGET, body(WIDGET, "w", spec)).leaves("created")
    emptied = body(WIDGET, "w", {"size": "1", "nested": {}, "tags": {}})
    await t.apply(WIDGET, emptied).leaves("changed")
    await t.apply(WIDGET, body(WIDGET, "w", {"size": "1"})).leaves("changed")
    await t.apply(WIDGET, body(WIDGET, "w")).leaves("changed")
    assert await t.value(WIDGET, "w", "spec") is None


@scenario
async def owner_references_and_finalizers_are_owned_one_by_one(t: Transcript) -> None:
    # Owners of a kind that nobody serves: the garbage collector cannot look whether they are gone.
    def owned(*uids: str, finalizer: str = "") -> Object:
        owners = [
            {"apiVersion": "none.test/v1", "kind": "None", "name": "none", "uid": uid}
            for uid in uids
        ]
        return with_metadata(
            body(WIDGET, "w", {}),
            ownerReferences=owners,
            **({"finalizers": [finalizer]} if finalizer else {}),
        )

    await t.apply(WIDGET, owned("1", finalizer="a.test/one")).leaves("created")
    await t.apply(WIDGET, owned("2", finalizer="a.test/two"), "two").leaves("changed")
    await t.apply(WIDGET, owned("1", finalizer="a.test/one"), "three").leaves("changed")
    assert await t.value(WIDGET, "w", "metadata", "generation") == 1
    await t.apply(WIDGET, body(WIDGET, "w", {})).leaves("changed")
    assert await t.value(WIDGET, "w", "metadata", "generation") == 1
    await t.apply(WIDGET, body(WIDGET, "w", {}), "three").leaves("changed")
    assert await t.value(WIDGET, "w", "metadata", "generation") == 1


@scenario
async def owner_references_are_validated(t: Transcript) -> None:
    def owner(**more: Any) -> Object:
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": "n", "uid": "1", **more}

    two = [owner(controller=True), owner(controller=True, uid="2")]
    two_controllers = with_metadata(config_map(), ownerReferences=two)
    await t.apply(CONFIG_MAP, two_controllers).leaves(
        "422 Invalid FieldValueInvalid metadata.ownerReferences"
    )
    without_uid = with_metadata(config_map(), ownerReferences=[owner(uid="")])
    await t.create(CONFIG_MAP, without_uid).leaves(
        "422 Invalid FieldValueInvalid metadata.ownerReferences.uid"
    )

"""The subresources status and scale, the generation, and what a custom resource's schema keeps."""

from __future__ import annotations

from contract.model import Object
from world.conformance.transcript import Transcript, config_map, scenario
from world.kinds import CONFIG_MAP, DEPLOYMENT, WIDGET, body, deployment


@scenario
async def the_status_changes_only_through_its_subresource(t: Transcript) -> None:
    with_status = body(WIDGET, "w", {"size": "1"}, status={"phase": "lost"})
    await t.apply(WIDGET, with_status).leaves("created")
    assert await t.value(WIDGET, "w", "metadata", "generation") == 1
    status = {"phase": "a", "conditions": [{"type": "Ready", "status": "True"}]}
    both = body(WIDGET, "w", {"size": "lost"}, status=status, metadata={"labels": {"a": "lost"}})
    await t.apply(WIDGET, both, "status", subresource="status").leaves("changed")
    assert await t.value(WIDGET, "w", "metadata", "generation") == 1
    await t.apply(WIDGET, both, "status", subresource="status").leaves("unchanged")
    patch = {"status": {"phase": "b"}, "spec": {"size": "lost"}}
    await t.patch(WIDGET, "w", patch, "status").leaves("changed")
    assert await t.value(WIDGET, "w", "metadata", "generation") == 1
    empty = body(WIDGET, "w", status={})
    await t.apply(WIDGET, empty, "status", subresource="status").leaves("changed")
    assert await t.value(WIDGET, "w", "status") == {"phase": "b"}
    assert await t.value(WIDGET, "w", "metadata", "generation") == 1


@scenario
async def generation_follows_the_spec_only(t: Transcript) -> None:
    status = body(WIDGET, "w", status={"phase": "a"})
    await t.apply(WIDGET, status, subresource="status").leaves("404 NotFound")
    await t.apply(CONFIG_MAP, config_map(), subresource="status").leaves("404 NotFound")
    with_status = body(WIDGET, "w", {"size": "1"}, status={"phase": "lost"})
    await t.create(WIDGET, with_status).leaves("created")
    await t.patch(WIDGET, "w", {"status": {"phase": "lost"}}).leaves("unchanged")
    spec: Object = {"size": "2", "replicas": None, "tags": {}}
    await t.patch(WIDGET, "w", {"spec": spec}).leaves("changed")
    assert await t.value(WIDGET, "w", "metadata", "generation") == 2
    await t.patch(WIDGET, "w", {"metadata": {"labels": {"a": "b"}}}).leaves("changed")
    assert await t.value(WIDGET, "w", "metadata", "generation") == 2


@scenario
async def a_custom_resource_has_a_scale_subresource(t: Transcript) -> None:
    await t.create(WIDGET, body(WIDGET, "w", {"size": "1"})).leaves("created")
    await t.patch(WIDGET, "w", {"spec": {"replicas": 4}}, "scale").leaves("changed")
    assert await t.value(WIDGET, "w", "spec", "replicas") == 4
    await t.apply(WIDGET, body(WIDGET, "w", {"replicas": 4})).leaves("changed")
    conflict = "409 Conflict FieldManagerConflict .spec.replicas"
    await t.apply(WIDGET, body(WIDGET, "w", {"replicas": 5}), force=False).leaves(conflict)


@scenario
async def replicas_are_handed_over_by_a_second_manager(t: Transcript) -> None:
    await t.apply(DEPLOYMENT, deployment("d", replicas=5)).leaves("created")
    replicas = body(DEPLOYMENT, "d", {"replicas": 5})
    await t.apply(DEPLOYMENT, replicas, "handover").leaves("changed")
    await t.apply(DEPLOYMENT, deployment("d")).leaves("changed")
    assert await t.value(DEPLOYMENT, "d", "spec", "replicas") == 5
    await t.patch(DEPLOYMENT, "d", {"spec": {"replicas": 4}}, "scale").leaves("changed")
    await t.patch(DEPLOYMENT, "d", {"spec": {"replicas": 3}}, "scale").leaves("changed")
    assert await t.value(DEPLOYMENT, "d", "spec", "replicas") == 3
    conflict = "409 Conflict FieldManagerConflict .spec.replicas"
    await t.apply(DEPLOYMENT, deployment("d", replicas=1), force=False).leaves(conflict)
    await t.apply(DEPLOYMENT, deployment("d", replicas=1)).leaves("changed")


@scenario
async def replicas_without_a_manager_return_to_their_default(t: Transcript) -> None:
    await t.apply(DEPLOYMENT, deployment("d", replicas=5)).leaves("created")
    assert await t.value(DEPLOYMENT, "d", "spec", "replicas") == 5
    await t.apply(DEPLOYMENT, deployment("d")).leaves("changed")
    assert await t.value(DEPLOYMENT, "d", "spec", "replicas") == 1
    assert await t.value(DEPLOYMENT, "d", "metadata", "generation") == 2


@scenario
async def a_scale_of_unowned_replicas_leaves_no_manager(t: Transcript) -> None:
    await t.apply(DEPLOYMENT, deployment("d")).leaves("created")
    await t.patch(DEPLOYMENT, "d", {"spec": {"replicas": 7}}, "scale").leaves("changed")
    await t.apply(DEPLOYMENT, deployment("d", replicas=6), force=False).leaves("changed")
    assert await t.value(DEPLOYMENT, "d", "spec", "replicas") == 6


@scenario
async def unknown_fields_are_pruned(t: Transcript) -> None:
    spec = {"size": "1", "nested": {"unknown": 1}, "unknown": {"a": 1}}
    await t.create(WIDGET, body(WIDGET, "w", spec)).leaves("created")
    status = {"status": {"phase": "Pending", "unknown": True}}
    await t.patch(WIDGET, "w", status, "status").leaves("changed")
    assert await t.value(WIDGET, "w", "status") == {"phase": "Pending"}


@scenario
async def an_apply_of_unknown_fields_is_refused(t: Transcript) -> None:
    await t.apply(WIDGET, body(WIDGET, "w", {"unknown": 1})).leaves("500")
    await t.apply(WIDGET, body(WIDGET, "w", {"size": 1})).leaves("500")
    unknown_in_list = body(WIDGET, "w", {"named": [{"name": "a", "unknown": "b"}]})
    await t.apply(WIDGET, unknown_in_list).leaves("500")
    any_tag = body(WIDGET, "w", {"size": "1", "tags": {"any": "b"}})
    await t.apply(WIDGET, any_tag).leaves("created")
    unknown = body(WIDGET, "w", status={"unknown": 1})
    await t.apply(WIDGET, unknown, "status", subresource="status").leaves("500")
    known = body(WIDGET, "w", status={"replicas": 1})
    await t.apply(WIDGET, known, "status", subresource="status").leaves("changed")

"""Lists, their selectors, watches, and kinds that are not served."""

from __future__ import annotations

from contract.model import Kind
from world.conformance.transcript import Transcript, config_map, scenario, with_metadata
from world.kinds import CONFIG_MAP, WIDGET, body

NOT_SERVED = Kind("none.test", "v1", "Nothing", "nothings")


@scenario
async def selectors_choose_what_a_list_has(t: Transcript) -> None:
    for name, own in (("a", {"x": "1", "y": ""}), ("b", {"x": "2"}), ("c", {"z": "1"})):
        await t.create(CONFIG_MAP, with_metadata(config_map(name), labels=own)).leaves("created")
    await t.select(CONFIG_MAP, labels="x=1").leaves(["a"])
    await t.select(CONFIG_MAP, labels="x in (1, 2)").leaves(["a", "b"])
    await t.select(CONFIG_MAP, labels="kept!=1").leaves(["a", "b", "c"])
    await t.select(CONFIG_MAP, labels="!x").leaves(["c"])
    await t.select(CONFIG_MAP, labels="x notin (1,2),z").leaves(["c"])
    await t.select(CONFIG_MAP, labels="x!=1").leaves(["b", "c"])
    await t.select(CONFIG_MAP, labels="x,y=").leaves(["a"])
    await t.select(CONFIG_MAP, fields="metadata.name=b").leaves(["b"])
    await t.select(CONFIG_MAP, labels="x=1", fields="metadata.name=b").leaves([])
    await t.select(CONFIG_MAP, labels="x in (").leaves("400 BadRequest")
    await t.select(CONFIG_MAP, fields="data.a=1").leaves("400 BadRequest")


@scenario
async def a_watch_reports_leaving_the_selection_as_a_deletion(t: Transcript) -> None:
    start = (await t.api.list(WIDGET, t.namespace)).resource_version
    a = body(WIDGET, "a", {}, metadata={"labels": {"x": "1"}})
    await t.create(WIDGET, a).leaves("created")
    b = body(WIDGET, "b", {}, metadata={"labels": {"x": "2"}})
    await t.create(WIDGET, b).leaves("created")
    await t.patch(WIDGET, "a", {"spec": {"size": "1"}}).leaves("changed")
    await t.patch(WIDGET, "a", {"metadata": {"labels": {"x": "2"}}}).leaves("changed")
    await t.patch(WIDGET, "a", {"metadata": {"labels": {"x": "1"}}}).leaves("changed")
    await t.delete(WIDGET, "a").leaves("deleted")
    await t.watch(WIDGET, labels="x=1", resource_version=start).leaves(
        "ADDED a {'x': '1'}",
        "MODIFIED a {'x': '1'}",
        "DELETED a {'x': '1'}",
        "ADDED a {'x': '1'}",
        "DELETED a {'x': '1'}",
    )


@scenario
async def a_watch_can_begin_with_initial_events(t: Transcript) -> None:
    await t.create(WIDGET, body(WIDGET, "a", {})).leaves("created")
    await t.create(WIDGET, body(WIDGET, "b", {})).leaves("created")
    whole = t.watch(WIDGET, initial_events=True)
    await whole.leaves("ADDED a {}", "ADDED b {}", "BOOKMARK true")
    one = t.watch(WIDGET, initial_events=True, fields="metadata.name=a")
    await one.leaves("ADDED a {}", "BOOKMARK true")
    await t.watch(WIDGET).leaves("ADDED a {}", "ADDED b {}")


@scenario
async def a_watch_resumes_or_expires(t: Transcript) -> None:
    start = (await t.api.list(WIDGET, t.namespace)).resource_version
    await t.create(WIDGET, body(WIDGET, "a", {})).leaves("created")
    await t.delete(WIDGET, "a").leaves("deleted")
    await t.create(WIDGET, body(WIDGET, "a", {})).leaves("created")
    resumed = t.watch(WIDGET, resource_version=start)
    await resumed.leaves("ADDED a {}", "DELETED a {}", "ADDED a {}")
    await t.watch(WIDGET, resource_version="1").leaves("410 Expired")


@scenario
async def a_kind_that_is_not_served_is_404_for_every_verb(t: Transcript) -> None:
    nothing = with_metadata(body(NOT_SERVED, "n"), namespace=t.namespace)
    await t.request(t.api.get(NOT_SERVED, t.namespace, "n")).leaves("404")
    await t.request(t.api.list(NOT_SERVED, t.namespace)).leaves("404")
    await t.request(t.api.apply(NOT_SERVED, nothing, manager="one")).leaves("404")
    await t.request(t.api.create(NOT_SERVED, nothing)).leaves("404")

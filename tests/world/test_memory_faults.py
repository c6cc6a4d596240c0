"""Each fault has its documented effect, on its own client only, and ends when it is lifted."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.model import Kind, Object
from memoryserver import CrashPoint, MemoryApi
from reconciler.client.api import ApiError, NotLeader, Unreachable, WatchEvent
from world.kinds import CONFIG_MAP, SECRET, WIDGET, body

pytestmark = pytest.mark.looptime


def config_map(name: str = "x", /, **data: str) -> Object:
    made = body(CONFIG_MAP, name, data=data)
    made["metadata"]["namespace"] = "default"
    return made


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi(lambda: datetime(2026, 1, 1, tzinfo=UTC))


def now() -> float:
    return asyncio.get_running_loop().time()


async def collected(api: MemoryApi, seconds: float, kind: Kind = CONFIG_MAP, **watch: Any) -> list:
    """(seconds, type, name) of the events that come in that time, and how the watch ended."""
    events: list[Any] = []
    started = now()

    async def collect() -> None:
        try:
            async with aclosing(api.watch(kind, **watch)) as stream:
                async for event in stream:
                    name = event.object["metadata"].get("name", "")
                    events.append((round(now() - started), event.type, name))
            events.append((round(now() - started), "ended"))
        except (ApiError, Unreachable) as error:
            events.append((round(now() - started), str(error)))

    task = asyncio.create_task(collect())
    await asyncio.wait([task], timeout=seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return events


async def in_the_meantime(*waits: Any) -> None:
    """Calls, one each second from the next second on."""
    for call in waits:
        await asyncio.sleep(1)
        await call()


async def test_a_failure_is_raised_before_anything_is_written(api: MemoryApi) -> None:
    api.fail_next("apply", CONFIG_MAP, ApiError(500, "", "down"), times=2)

    for _ in range(2):
        with pytest.raises(ApiError, match="down"):
            await api.apply(CONFIG_MAP, config_map(a="1"), manager="m")
    assert await api.get(CONFIG_MAP, "default", "x") is None
    assert api.writes == []

    await api.apply(CONFIG_MAP, config_map(a="1"), manager="m")
    assert [write.committed for write in api.writes] == [True]


async def test_an_ambiguous_write_is_committed_without_an_answer(api: MemoryApi) -> None:
    api.fail_next("*", None, Unreachable("lost"), when="after")

    with pytest.raises(Unreachable):
        await api.create(CONFIG_MAP, config_map(a="1"))

    assert await api.get(CONFIG_MAP, "default", "x") is not None
    assert [(write.committed, write.changed) for write in api.writes] == [(True, True)]


@pytest.mark.parametrize(("when", "left"), [("before", ["a"]), ("after", ["a", "b"])])
async def test_a_crash_ends_every_call_from_that_write_on(
    api: MemoryApi, when: Any, left: list[str]
) -> None:
    api.crash_after(2, when=when)

    await api.create(CONFIG_MAP, config_map("a"))
    await api.apply(CONFIG_MAP, config_map("dry"), manager="m", dry_run=True)  # never counts
    with pytest.raises(CrashPoint):
        await api.create(CONFIG_MAP, config_map("b"))
    with pytest.raises(CrashPoint):
        await api.get(CONFIG_MAP, "default", "a")

    found = await api.another("survivor").list(CONFIG_MAP)
    assert [item["metadata"]["name"] for item in found.items] == left


async def test_a_crash_can_wait_for_the_writes_of_one_kind(api: MemoryApi) -> None:
    api.crash_after(1, on=lambda call: call.kind == "Secret")

    await api.create(CONFIG_MAP, config_map("a"))
    with pytest.raises(CrashPoint):
        await api.create(SECRET, body(SECRET, "s", metadata={"namespace": "default"}))


async def test_a_partition_refuses_at_once_and_heals(api: MemoryApi) -> None:
    api.partition()

    with pytest.raises(Unreachable):
        await api.get(CONFIG_MAP, "default", "x")
    assert now() < 1
    await api.another("other").create(CONFIG_MAP, config_map("x"))
    api.heal()
    assert await api.get(CONFIG_MAP, "default", "x") is not None


async def test_a_silent_partition_costs_every_call_its_deadline(api: MemoryApi) -> None:
    api.partition("silent")
    started = now()

    with pytest.raises(Unreachable):
        await api.get(CONFIG_MAP, "default", "x")

    assert now() - started == pytest.approx(api.deadline, abs=0.1)


async def test_a_silent_partition_ends_a_watch_after_its_patience(api: MemoryApi) -> None:
    other = api.another("other")
    cut = asyncio.create_task(
        in_the_meantime(
            lambda: _do(lambda: api.partition("silent")),
            lambda: other.create(CONFIG_MAP, config_map("unheard")),
        )
    )

    events = await collected(api, 200, resource_version=str(api.server.revision))

    await cut
    assert events == [(90, "no frame of the watch for 90 s")]


async def _do(act: Any) -> None:
    act()


async def test_a_delay_beyond_the_deadline_is_no_answer(api: MemoryApi) -> None:
    api.delay(5, verb="get")
    started = now()
    assert await api.get(CONFIG_MAP, "default", "x") is None
    assert now() - started == pytest.approx(5, abs=0.1)

    api.delay(31, verb="get", kind=CONFIG_MAP)
    with pytest.raises(Unreachable):
        await api.get(CONFIG_MAP, "default", "x")
    assert now() - started == pytest.approx(35, abs=0.1)


async def test_a_guard_is_asked_before_writes_and_bounds_them(api: MemoryApi) -> None:
    api.guard = lambda: 2.0
    api.delay(3, verb="create")
    with pytest.raises(Unreachable):
        await api.create(CONFIG_MAP, config_map("x"))

    def not_leading() -> float:
        raise NotLeader("no lease")

    api.guard = not_leading
    with pytest.raises(NotLeader):
        await api.apply(CONFIG_MAP, config_map("x"), manager="m")
    await api.apply(CONFIG_MAP, config_map("x"), manager="m", dry_run=True)
    assert await api.get(CONFIG_MAP, "default", "x") is None


async def test_rights_and_kinds_come_and_go(api: MemoryApi) -> None:
    api.refuse(CONFIG_MAP, "create")
    with pytest.raises(ApiError, match="403"):
        await api.create(CONFIG_MAP, config_map("x"))
    assert await api.get(CONFIG_MAP, "default", "x") is None
    api.allow(CONFIG_MAP, "create")
    await api.create(CONFIG_MAP, config_map("x"))

    api.unserve(CONFIG_MAP)
    with pytest.raises(ApiError, match="404"):
        await api.get(CONFIG_MAP, "default", "x")
    api.serve(CONFIG_MAP)
    assert await api.get(CONFIG_MAP, "default", "x") is not None


async def test_a_watch_gets_bookmarks_and_ends(api: MemoryApi) -> None:
    await api.create(CONFIG_MAP, config_map("x"))

    events = await collected(api, 400, initial_events=True)

    assert events == [
        (0, "ADDED", "x"),
        (0, "BOOKMARK", ""),
        *((minute * 60, "BOOKMARK", "") for minute in range(1, 5)),
        (300, "ended"),
    ]


async def test_a_bookmark_saves_a_quiet_watch_from_compaction(api: MemoryApi) -> None:
    start = str(api.server.revision)
    await api.create(SECRET, body(SECRET, "s", metadata={"namespace": "default"}))
    moved: list[str] = []
    async with aclosing(api.watch(CONFIG_MAP, resource_version=start)) as stream:
        async for event in stream:
            moved.append(event.object["metadata"]["resourceVersion"])
            break
    api.compact()

    assert await collected(api, 1, resource_version=moved[0]) == []
    (event,) = await collected(api, 1, resource_version=start)
    assert event[1].startswith("410 Expired")


async def test_events_are_dropped_by_choice(api: MemoryApi) -> None:
    start = str(api.server.revision)
    for name in ("a", "b"):
        await api.create(CONFIG_MAP, config_map(name))

    def lost(_kind: Kind, event: WatchEvent) -> bool:
        return bool(event.object["metadata"]["name"] == "a")

    api.drop_events(lost)
    assert [event[2] for event in await collected(api, 1, resource_version=start)] == ["b"]
    api.drop_events(None)
    assert [event[2] for event in await collected(api, 1, resource_version=start)] == ["a", "b"]


async def test_held_events_come_late_while_calls_pass(api: MemoryApi) -> None:
    api.hold_events(CONFIG_MAP)
    later = asyncio.create_task(
        in_the_meantime(
            lambda: api.create(CONFIG_MAP, config_map("x")),
            lambda: _do(lambda: api.release_events(CONFIG_MAP)),
        )
    )

    events = await collected(api, 10, resource_version=str(api.server.revision))

    await later
    assert events == [(2, "ADDED", "x")]


async def test_a_watch_that_is_held_for_long_is_given_up(api: MemoryApi) -> None:
    api.hold_events(CONFIG_MAP)
    await api.create(CONFIG_MAP, config_map("x"))

    events = await collected(api, 400, resource_version="1000")

    assert events == [(90, "no frame of the watch for 90 s")]


async def test_an_open_watch_outlives_a_compaction(api: MemoryApi) -> None:
    def write_and_compact() -> None:
        api.server.create(CONFIG_MAP, config_map("x"), "other")
        api.compact()

    later = asyncio.create_task(in_the_meantime(lambda: _do(write_and_compact)))

    events = await collected(api, 10, resource_version=str(api.server.revision))

    await later
    assert events == [(1, "ADDED", "x")]


@pytest.mark.parametrize(
    ("error", "shown"), [(None, "ended"), (ApiError(410, "Expired", "x"), "410 Expired: x")]
)
async def test_open_watches_end_quietly_or_by_an_error(
    api: MemoryApi, error: Exception | None, shown: str
) -> None:
    later = asyncio.create_task(in_the_meantime(lambda: _do(lambda: api.end_watches(error))))

    events = await collected(api, 10, resource_version=str(api.server.revision))

    await later
    assert events == [(1, shown)]
    # Only what was open: the next watch is not concerned.
    assert await collected(api, 10, resource_version=str(api.server.revision)) == []


async def test_every_resume_after_a_server_restart_is_too_old(api: MemoryApi) -> None:
    start = str(api.server.revision)
    api.restart_server()

    (event,) = await collected(api, 1, resource_version=start)

    assert event[1].startswith("410 Expired")


async def test_a_watch_from_the_future_is_silent(api: MemoryApi) -> None:
    future = str(api.server.revision + 100)
    later = asyncio.create_task(in_the_meantime(lambda: api.create(CONFIG_MAP, config_map("x"))))

    events = await collected(api, 301, resource_version=future)

    await later
    assert events == [(90, "no frame of the watch for 90 s")]


async def test_a_stale_list_shows_an_earlier_state(api: MemoryApi) -> None:
    await api.create(CONFIG_MAP, config_map("old"))
    api.stale_list(CONFIG_MAP)
    version = api.server.revision
    await api.create(CONFIG_MAP, config_map("new"))

    stale = await api.list(CONFIG_MAP)
    assert [item["metadata"]["name"] for item in stale.items] == ["old"]
    assert stale.resource_version == str(version)
    api.fresh_list(CONFIG_MAP)
    assert len((await api.list(CONFIG_MAP)).items) == 2


async def test_a_webhook_rewrites_and_the_rest_stays_converged(api: MemoryApi) -> None:
    def mirrored(_kind: Kind, obj: Object) -> Object:
        return {**obj, "data": {**obj.get("data", {}), "image": "mirror/app"}}

    api.mutating_webhook = mirrored
    first = await api.apply(CONFIG_MAP, config_map(image="app"), manager="m")
    dry = await api.apply(CONFIG_MAP, config_map(image="app"), manager="m", dry_run=True)
    again = await api.apply(CONFIG_MAP, config_map(image="app"), manager="m")

    assert first["data"] == {"image": "mirror/app"}
    assert dry == first == again


async def test_an_unstable_webhook_changes_every_write(api: MemoryApi) -> None:
    count = iter(range(100))
    api.mutating_webhook = lambda _kind, obj: {**obj, "data": {"n": str(next(count))}}

    versions = {
        (await api.apply(CONFIG_MAP, config_map(), manager="m"))["metadata"]["resourceVersion"]
        for _ in range(3)
    }

    assert len(versions) == 3


async def test_a_dry_run_leaves_no_trace(api: MemoryApi) -> None:
    before = api.server.revision

    answer = await api.apply(CONFIG_MAP, config_map(a="1"), manager="m", dry_run=True)

    assert answer["data"] == {"a": "1"}
    assert api.server.revision == before
    assert await api.get(CONFIG_MAP, "default", "x") is None
    assert [(w.dry_run, w.committed, w.changed) for w in api.writes] == [(True, True, False)]


async def test_a_returned_object_is_a_copy_of_the_callers_own(api: MemoryApi) -> None:
    given = config_map(a="1")
    made = await api.create(CONFIG_MAP, given)
    given["data"]["a"] = made["data"]["a"] = "changed"
    made["metadata"]["managedFields"].clear()

    live = await api.get(CONFIG_MAP, "default", "x")

    assert live is not None
    assert live["data"] == {"a": "1"}
    assert live["metadata"]["managedFields"]


async def test_two_versions_of_a_kind_are_one_object(api: MemoryApi) -> None:
    older = Kind(WIDGET.group, "v1alpha1", WIDGET.kind, WIDGET.plural)
    placed = {"namespace": "default"}
    made = await api.create(older, body(older, "w", {"size": "1"}, metadata=placed))

    read = await api.get(WIDGET, "default", "w")

    assert read is not None
    assert read["apiVersion"] == "world.test/v1"
    assert made["apiVersion"] == "world.test/v1alpha1"
    assert read["metadata"] == made["metadata"]

"""What is written to a parent: record and finalizer, and when its status is due."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.model import Kind, Object
from contract.plan import Plan
from contract.record import finalizer, has_finalizer, record_annotation
from memoryserver import MemoryApi
from reconciler.client.api import ApiError, Unreachable
from reconciler.parents import (
    PROGRESS_SECONDS,
    Parents,
    is_marked,
    own_fields,
    with_marks,
)

pytestmark = pytest.mark.looptime

KIND = Kind("example.com", "v1", "Widget", "widgets")
GROUP = KIND.group
OURS, THEIRS = finalizer(GROUP), "example.com/theirs"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def parent(**metadata: Any) -> Object:
    base = {"name": "w", "namespace": "shop", "uid": "u"}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {**base, **metadata}}


def noted(text: str) -> Object:
    return parent(annotations={record_annotation(GROUP): text})


@given(record=st.dictionaries(st.text(), JSON, max_size=3), wanted=st.sampled_from([None, True]))
def test_a_record_is_read_as_it_was_stored(record, wanted):
    plan = Plan({}, record=record, finalizer=wanted)
    stored = with_marks(parent(finalizers=[THEIRS]), plan, GROUP)
    assert is_marked(stored, plan, GROUP)
    assert stored["metadata"]["finalizers"][0] == THEIRS
    changed = Plan({}, record={**record, "more": 1})
    assert is_marked(stored, changed, GROUP) == (record.get("more") == 1)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", "[" * 100_000, '{"a":' * 100_000, "9" * 10_000],
    ids=lambda text: text[:4] or "empty",
)
def test_a_record_that_cannot_be_read_is_not_the_plans(text):
    assert not is_marked(noted(text), Plan({}, record={"step": 1}), GROUP)


def test_a_plan_without_record_and_finalizer_leaves_both():
    marked = with_marks(parent(), Plan({}, record={"a": 1}, finalizer=True), GROUP)
    assert is_marked(marked, Plan({}), GROUP)
    assert with_marks(marked, Plan({}), GROUP) == marked


def test_the_operators_fields_are_status_record_and_finalizer():
    before = own_fields(parent(), GROUP)
    marked = with_marks(parent(), Plan({}, record={"a": 1}), GROUP)
    assert own_fields(marked, GROUP) != before
    assert own_fields(parent(finalizers=[OURS]), GROUP) != before
    assert own_fields({**parent(), "status": {"a": 1}}, GROUP) != before
    theirs = parent(finalizers=[THEIRS], labels={"a": "b"}, annotations={"a": "b"})
    assert own_fields(theirs, GROUP) == before


@pytest.fixture
def api():
    return MemoryApi(lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def written():
    return []


@pytest.fixture
def parents(api, written):
    return Parents(api, KIND, manager="operator", written=written.append)


async def made(api: MemoryApi, **metadata: Any) -> Object:
    obj = parent(**metadata)
    del obj["metadata"]["uid"]
    return await api.create(KIND, {**obj, "spec": {}})


async def read(api: MemoryApi) -> Object:
    found = await api.get(KIND, "shop", "w")
    assert found is not None
    return found


async def test_record_and_finalizer_are_stored_in_one_write(api, parents, written):
    await parents.mark(await made(api), Plan({}, record={"b": 1, "a": 2}, finalizer=True))
    live = await read(api)
    assert live["metadata"]["annotations"][record_annotation(GROUP)] == '{"a":2,"b":1}'
    assert live["metadata"]["finalizers"] == [OURS]
    assert written == [live]


async def test_storing_one_of_both_keeps_the_other(api, parents):
    await parents.mark(await made(api), Plan({}, record={"a": 1}, finalizer=True))
    await parents.mark(await read(api), Plan({}, record={"a": 2}))
    live = await read(api)
    assert has_finalizer(live, GROUP)
    await parents.mark(live, Plan({}, finalizer=True))
    record = (await read(api))["metadata"]["annotations"][record_annotation(GROUP)]
    assert json.loads(record) == {"a": 2}


async def test_only_the_operators_finalizer_is_taken_off(api, parents):
    live = await made(api, finalizers=[THEIRS, OURS, "example.com/more"])
    await parents.mark(live, Plan({}, finalizer=False))
    assert (await read(api))["metadata"]["finalizers"] == [THEIRS, "example.com/more"]


async def test_a_finalizer_is_taken_off_only_the_state_that_was_seen(api, parents):
    seen = await made(api, finalizers=[OURS])
    await api.patch(
        KIND,
        "shop",
        "w",
        {"metadata": {"finalizers": [THEIRS]}},
        content_type="application/merge-patch+json",
    )
    with pytest.raises(ApiError):
        await parents.mark(seen, Plan({}, finalizer=False))
    assert (await read(api))["metadata"]["finalizers"] == [THEIRS]


async def test_nothing_is_written_to_a_later_parent_of_the_name(api, parents):
    seen = await made(api)
    await api.delete(KIND, "shop", "w", uid=seen["metadata"]["uid"])
    later = await made(api)
    with pytest.raises(ApiError):
        await parents.mark(seen, Plan({}, record={"a": 1}))
    with pytest.raises(ApiError):
        await parents.write_status(seen, {"phase": "x"})
    assert await read(api) == later


RECORD, OFF = Plan({}, record={"a": 1}), Plan({}, finalizer=False)


@pytest.mark.parametrize("plan", [RECORD, OFF, None], ids=["record", "finalizer", "status"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_parent_is_read_after_a_write_without_answer(api, parents, plan, when):
    seen = await made(api, finalizers=[OURS, THEIRS])
    assert not await parents.is_outdated(seen)
    api.fail_next("patch" if plan is OFF else "apply", KIND, Unreachable("cut"), when=when)
    with pytest.raises(Unreachable):
        if plan is None:
            await parents.write_status(seen, {"phase": "x"})
        else:
            await parents.mark(seen, plan)
    assert await parents.is_outdated(seen) is (when == "after")
    assert not await parents.is_outdated(await read(api))


async def test_a_refused_write_leaves_nothing_in_doubt(api, parents):
    seen = await made(api)
    api.fail_next("apply", KIND, ApiError(422, "Invalid", "no"))
    with pytest.raises(ApiError):
        await parents.write_status(seen, {"phase": "x"})
    before = len(api.reads)
    assert not await parents.is_outdated(seen)
    assert len(api.reads) == before


async def test_a_stored_status_is_not_due(api, parents):
    seen, status = await made(api), {"phase": "Running"}
    assert parents.status_due(seen, status) == 0.0
    await parents.write_status(seen, status)
    assert parents.status_due(await read(api), status) is None


async def test_a_status_that_another_manager_adds_to_is_written_once(api, parents):
    await made(api)
    theirs = {"status": {"theirs": "1"}}
    content = "application/merge-patch+json"
    await api.patch(KIND, "shop", "w", theirs, content_type=content, subresource="status")
    await parents.write_status(await read(api), {"phase": "Running"})
    live = await read(api)
    assert live["status"] == {"phase": "Running", "theirs": "1"}
    assert parents.status_due(live, {"phase": "Running"}) is None
    assert parents.status_due(live, {"phase": "Failed"}) == 0.0
    parents.forget(live["metadata"]["uid"])
    assert parents.status_due(live, {"phase": "Running"}) == 0.0
    assert parents.remembered() == 0


async def test_progress_alone_is_due_a_second_after_the_last_status(api, parents):
    seen = await made(api)
    await parents.write_status(seen, {"phase": "Pending", "ready": 1})
    live = await read(api)
    await asyncio.sleep(0.25)
    due = parents.status_due(live, {"phase": "Pending", "ready": 2})
    assert due == pytest.approx(PROGRESS_SECONDS - 0.25)
    assert parents.status_due(live, {"phase": "Running", "ready": 2}) == 0.0
    await asyncio.sleep(PROGRESS_SECONDS)
    assert parents.status_due(live, {"phase": "Pending", "ready": 2}) == 0.0

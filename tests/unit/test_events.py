"""Events: what kubectl describe reads, how often it is written, and that nothing waits for it."""

import asyncio
import contextlib
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from contract.model import Kind
from contract.plan import Note
from reconciler.client.api import ApiError, NotLeader, Unreachable
from reconciler.process import events
from reconciler.process.events import Recorder
from unit.partial_api import PartialApi

pytestmark = pytest.mark.looptime

WIDGET = Kind("example.com", "v1", "Widget", "widgets")
NOTE = Note("Warning", "ImageMissing", "set spec.image")


def widget(name="w", **metadata):
    meta = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": "7"}
    return {"metadata": {**meta, **metadata}}


class Server(PartialApi):
    """An Api for Events."""

    def __init__(self):
        self.events = {}
        self.calls = []
        self.faults = []  # raised by the next calls, after the write if "committed"
        self.open = asyncio.Event()
        self.open.set()

    async def create(self, kind, body):
        return await self._do("create", body["metadata"]["name"], lambda: self._create(body))

    async def patch(self, kind, namespace, name, patch, *, content_type, subresource=""):
        assert content_type == "application/merge-patch+json"
        return await self._do("patch", name, lambda: self._patch(name, patch))

    async def _do(self, verb, name, act):
        await self.open.wait()
        self.calls.append((verb, name))
        fault, committed = self.faults.pop(0) if self.faults else (None, True)
        result = act() if committed else None
        if fault:
            raise fault
        return result

    def _create(self, body):
        name = body["metadata"]["name"]
        if name in self.events:
            raise ApiError(409, "AlreadyExists", "exists")
        self.events[name] = dict(body)
        return body

    def _patch(self, name, patch):
        if name not in self.events:
            raise ApiError(404, "NotFound", "gone")
        self.events[name].update(patch)
        return self.events[name]

    @property
    def only(self):
        (event,) = self.events.values()
        return event


class Bench:
    def __init__(self, server=None, start=datetime(2030, 1, 1, tzinfo=UTC)):
        self.server = server or Server()
        self.dropped: Counter[str] = Counter()
        self.busy = False
        loop = asyncio.get_running_loop()
        self.recorder = Recorder(
            self.server,
            "widget-operator",
            "pod_1",
            dropped=lambda reason: self.dropped.update([reason]),
            busy=lambda: self.busy,
            now=lambda: start + timedelta(seconds=loop.time()),
        )

    def record(self, note=NOTE, parent=None):
        self.recorder.record(parent or widget(), WIDGET, note)


@contextlib.asynccontextmanager
async def bench(server=None):
    made = Bench(server)
    task = asyncio.create_task(made.recorder.run())
    try:
        yield made
        assert not task.done(), "the writer never ends by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_event_has_what_describe_shows():
    async with bench() as b:
        b.record()
        await b.recorder.drain(1)
        event = b.server.only
        assert event["involvedObject"] == {
            "apiVersion": "example.com/v1",
            "kind": "Widget",
            "namespace": "ns",
            "name": "w",
            "uid": "uid-w",
            "resourceVersion": "7",
        }
        assert event["metadata"]["namespace"] == "ns"
        assert (event["type"], event["reason"], event["message"]) == (
            "Warning",
            "ImageMissing",
            "set spec.image",
        )
        assert event["source"] == {"component": "widget-operator"}
        assert event["reportingComponent"] == "widget-operator"
        assert event["count"] == 1
        assert event["firstTimestamp"] == event["lastTimestamp"] == "2030-01-01T00:00:00Z"


async def test_a_repeated_note_is_one_patch_a_minute_with_the_count():
    async with bench() as b:
        for _ in range(300):
            b.record()
            await asyncio.sleep(1)
        assert Counter(verb for verb, _ in b.server.calls) == {"create": 1, "patch": 4}
        assert b.server.only["count"] == 241
        assert b.server.only["lastTimestamp"] == "2030-01-01T00:04:00Z"
        assert not b.dropped


async def test_a_note_without_a_repetition_costs_one_request():
    async with bench() as b:
        b.record()
        await asyncio.sleep(1)
        b.record()
        await asyncio.sleep(3600)
        assert len(b.server.calls) == 1


async def test_after_ten_quiet_minutes_it_is_a_new_event():
    async with bench() as b:
        b.record()
        await asyncio.sleep(601)
        b.record()
        await b.recorder.drain(1)
        assert [event["count"] for event in b.server.events.values()] == [1, 1]


@pytest.mark.parametrize("other", ["type", "reason", "message", "uid"])
async def test_another_type_reason_message_or_object_is_another_event(other):
    async with bench() as b:
        b.record()
        if other == "uid":
            b.record(parent=widget(uid="uid-later"))
        else:
            b.record(NOTE.__class__(**{**_fields(NOTE), other: "Normal"}))
        await b.recorder.drain(1)
        assert len(b.server.events) == 2


def _fields(note):
    return {"type": note.type, "reason": note.reason, "message": note.message}


@pytest.mark.parametrize("committed", [True, False])
async def test_a_create_whose_answer_was_lost_makes_one_event(committed):
    async with bench() as b:
        b.server.faults.append((Unreachable("reset"), committed))
        b.record()
        await b.recorder.drain(5)
        assert [verb for verb, _ in b.server.calls] == ["create", "create"]
        assert b.server.only["count"] == 1
        assert not b.dropped


async def test_the_same_note_after_a_restart_makes_no_second_event():
    async with bench() as before:
        before.record()
        await before.recorder.drain(1)
        async with bench(before.server) as after:
            after.record()
            await after.recorder.drain(1)
            assert len(before.server.events) == 1
            assert not after.dropped


async def test_an_event_that_was_deleted_is_made_again():
    async with bench() as b:
        b.record()
        await asyncio.sleep(61)
        b.server.events.clear()
        b.record()
        await b.recorder.drain(1)
        assert b.server.only["count"] == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (ApiError(403, "Forbidden", "no"), "refused"),
        (ApiError(500, "InternalError", "no"), "refused"),
        (ApiError(429, "TooManyRequests", "no", retry_after=1), "refused"),
        (Unreachable("reset"), "unreachable"),
        (NotLeader("lost"), "not_leader"),
    ],
)
async def test_an_unwritable_event_is_counted_logged_once_and_dropped(fault, reason):
    with capture_logs() as lines:
        async with bench() as b:
            for number in range(4):
                b.server.faults = [(fault, False)] * 3
                b.record(parent=widget(f"w{number}"))
                await b.recorder.drain(10)
            b.server.faults.clear()
            assert b.dropped == {reason: 4}
            assert not b.server.events
            b.record(parent=widget("good"))
            await b.recorder.drain(10)
            assert len(b.server.events) == 1
    assert len(lines) == 1


async def test_a_storm_of_one_object_is_cut_and_spares_other_objects():
    async with bench() as b:
        for number in range(200):
            b.record(Note("Normal", "Storm", f"number {number}"))
        b.record(parent=widget("other"))
        await b.recorder.drain(1)
        assert len(b.server.events) == events.BURST + 1
        assert b.dropped == {"spam": 200 - events.BURST}
        await asyncio.sleep(301)
        for number in range(5):
            b.record(Note("Normal", "Storm", f"later {number}"))
        await b.recorder.drain(1)
        assert len(b.server.events) == events.BURST + 2


async def test_a_hanging_server_delays_no_pass_and_bounds_the_queue():
    async with bench() as b:
        b.server.open.clear()
        await asyncio.sleep(0)
        for number in range(events.WAITING + 50):
            b.record(parent=widget(f"w{number}"))
        assert b.dropped == {"queue_full": 50}
        await b.recorder.drain(1)  # ends although nothing was written
        b.server.open.set()
        await b.recorder.drain(1)
        assert len(b.server.events) == events.WAITING


async def test_the_memory_of_events_is_bounded():
    async with bench() as b:
        for number in range(events.REMEMBERED * 2):
            b.record(parent=widget(f"w{number}"))
            if number % 500 == 0:
                await b.recorder.drain(1)
        assert len(b.recorder._series._items) == events.REMEMBERED
        assert len(b.recorder._buckets._items) == events.REMEMBERED


async def test_the_remembered_events_are_small_and_expire():
    async with bench() as b:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(events.REMEMBERED):
                b.record(Note("Normal", "Created", "x" * 900), widget(f"w{number}"))
                if number % 100 == 0:
                    await b.recorder.drain(1)
                    b.server.events.clear()
                    b.server.calls.clear()
            await b.recorder.drain(1)
            b.server.events.clear()
            b.server.calls.clear()
            kept = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert kept < 800 * events.REMEMBERED
        await asyncio.sleep(events.SERIES.total_seconds() + 1)
        b.record()
        assert len(b.recorder._series._items) == 1
        assert len(b.recorder._buckets._items) == 1


async def test_events_yield_to_other_requests_and_all_arrive():
    async with bench() as b:
        b.busy = True
        for number in range(50):
            b.record(parent=widget(f"w{number}"))
        await asyncio.sleep(10 * events.PAUSE_WHILE_BUSY + 0.01)
        assert len(b.server.events) == 10
        b.busy = False
        await b.recorder.drain(1)
        assert len(b.server.events) == 50
        assert not b.dropped


async def test_events_yield_for_a_limited_time():
    async with bench() as b:
        b.busy = True
        for number in range(events.WAITING):
            b.record(parent=widget(f"w{number}"))
        await asyncio.sleep(1)
        assert len(b.server.events) >= events.WAITING // 2


async def test_a_message_is_cut_and_holds_no_secret():
    token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"
    async with bench() as b:
        b.record(Note("Warning", "Refused", f"Bearer {token} was refused: " + "x" * 5000))
        await b.recorder.drain(1)
        message = b.server.only["message"]
        assert len(message) == 1024
        assert "eyJ" not in message
        assert message.startswith("[redacted] was refused")


async def test_a_cluster_scoped_object_has_its_events_in_default():
    async with bench() as b:
        b.record(parent={"metadata": {"name": "w", "uid": "u"}})
        await b.recorder.drain(1)
        assert b.server.only["metadata"]["namespace"] == "default"
        assert b.server.only["involvedObject"]["namespace"] == ""


async def test_the_name_of_the_longest_object_still_makes_a_legal_name():
    async with bench() as b:
        b.record(parent=widget("a" * 199 + "." + "b" * 53))
        await b.recorder.drain(1)
        name = b.server.only["metadata"]["name"]
        assert len(name) <= 253
        assert ".." not in name

"""A store ends up equal to the server's, whatever happened on the way; time is looptime's."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from reconciler.api import Api, ApiError, Listing, Unreachable, WatchEvent
from reconciler.cache import Store
from reconciler.model import Kind, Object, Watch
from reconciler.reflector import INITIAL_EVENTS_END, Reflector, State

pytestmark = pytest.mark.looptime

POD = Kind("", "v1", "Pod", "pods")


class History(Api):
    """A server's side of one kind: what is there, what happened, and how it fails.

    ``failures`` are raised by the next calls, one each; ``watch_list`` and ``bookmarks`` (s)
    are what this server can do; ``window`` seconds end each watch.
    """

    def __init__(self) -> None:
        self.version = 100
        self.oldest = 0
        self.objects: dict[str, Object] = {}
        self.events: list[WatchEvent] = []
        self.failures: list[Exception] = []
        self.calls: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.watch_list = True
        self.bookmarks: float | None = 60.0
        self.window = 300.0
        self.listing = 0
        self.listing_at_once = 0
        self._news = asyncio.Event()

    def write(self, name: str, text: str = "") -> Object:
        self.version += 1
        before = self.objects.get(name)
        uid = before["metadata"]["uid"] if before else f"{name}-{self.version}"
        self.objects[name] = obj = {
            "kind": "Pod",
            "metadata": {
                "namespace": "n",
                "name": name,
                "uid": uid,
                "resourceVersion": str(self.version),
            },
            "text": text,
        }
        self._tell(WatchEvent("MODIFIED" if before else "ADDED", obj))
        return obj

    def erase(self, name: str) -> None:
        self.version += 1
        last = self.objects.pop(name)
        metadata = {**last["metadata"], "resourceVersion": str(self.version)}
        self._tell(WatchEvent("DELETED", {**last, "metadata": metadata}))

    def cut_off(self) -> None:
        """End all watches, as a server that goes away."""
        self._tell(None)

    def _tell(self, event: WatchEvent | None) -> None:
        if event:
            self.events.append(event)
        self.broken = event is None
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _called(self, verb: str, detail: str) -> None:
        self.calls.append((verb, detail))
        self.times.append(asyncio.get_running_loop().time())
        if self.failures:
            failure = self.failures.pop(0)
            raise failure

    async def list(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Listing:
        self._called("list", "")
        self.listing += 1
        self.listing_at_once = max(self.listing, self.listing_at_once)
        await asyncio.sleep(1)
        self.listing -= 1
        return Listing(list(self.objects.values()), str(self.version))

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        initial_events: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        self._called("watch", "initial" if initial_events else resource_version)
        if initial_events and not self.watch_list:
            raise ApiError(422, "Invalid", "sendInitialEvents is forbidden")
        at = int(resource_version or self.version)
        if at < self.oldest:
            raise ApiError(410, "Expired", "too old resource version")
        if initial_events:
            for obj in self.objects.values():
                yield WatchEvent("ADDED", obj)
            yield self._bookmark({INITIAL_EVENTS_END: "true"})
        end = asyncio.get_running_loop().time() + self.window
        while (left := end - asyncio.get_running_loop().time()) > 0:
            for event in self.events:
                if int(event.object["metadata"]["resourceVersion"]) > at:
                    at = int(event.object["metadata"]["resourceVersion"])
                    yield event
            news = self._news
            try:
                async with asyncio.timeout(min(left, self.bookmarks or left)):
                    await news.wait()
                if self.broken:
                    return
            except TimeoutError:
                if self.bookmarks and at <= self.version:
                    at = self.version
                    yield self._bookmark({})

    def _bookmark(self, annotations: dict[str, str]) -> WatchEvent:
        metadata = {"resourceVersion": str(self.version), "annotations": annotations}
        return WatchEvent("BOOKMARK", {"kind": "Pod", "metadata": metadata})


class Bench:
    """A history, a store, and a reflector between them."""

    def __init__(self) -> None:
        self.api = History()
        self.store = Store(Watch(POD))
        self.gone: list[str] = []
        self.store.on_change.append(
            lambda old, new: None if new else self.gone.append((old or {})["metadata"]["name"])
        )
        self.reflector = self.make(self.store)
        self.tasks: list[asyncio.Task[None]] = []

    def make(self, store: Store, **options: Any) -> Reflector:
        return Reflector(self.api, store, rng=random.Random(1), **options)

    def start(self, reflector: Reflector | None = None) -> None:
        self.tasks.append(asyncio.create_task((reflector or self.reflector).run()))

    def held(self) -> dict[str, str]:
        return {obj["metadata"]["name"]: obj["text"] for obj in self.store.all()}

    @property
    def verbs(self) -> list[str]:
        return [" ".join(call).strip() for call in self.api.calls]


@pytest.fixture
async def bench():
    found = Bench()
    yield found
    for task in found.tasks:
        task.cancel()
    await asyncio.gather(*found.tasks, return_exceptions=True)


async def test_fills_in_one_step_and_follows(bench):
    bench.api.write("a")
    bench.api.write("b")
    sizes: list[int] = []
    bench.store.on_change.append(lambda *_: sizes.append(len(bench.store)))
    bench.start()
    await bench.store.wait_synced()
    assert sizes == [2, 2]
    assert bench.reflector.state is State.WATCHING
    bench.api.write("c")
    bench.api.erase("a")
    await asyncio.sleep(0.1)
    assert sorted(bench.held()) == ["b", "c"]
    assert bench.verbs == ["watch initial"]
    assert bench.reflector.resource_version == str(bench.api.version)


async def test_bookmarks_move_the_place_to_resume_from(bench):
    bench.start()
    await asyncio.sleep(1)
    bench.api.version = 500  # other kinds' writes
    await asyncio.sleep(299.5)
    assert bench.verbs == ["watch initial", "watch 500"]
    assert bench.reflector.last_frame_at == pytest.approx(300, abs=1)
    assert bench.reflector.state is State.WATCHING


async def test_a_server_without_watch_list_is_listed(bench):
    bench.api.watch_list = False
    bench.api.write("a")
    bench.start()
    await bench.store.wait_synced()
    bench.api.write("b")
    await asyncio.sleep(1)
    assert bench.verbs == ["watch initial", "list", "watch 101"]
    assert sorted(bench.held()) == ["a", "b"]


async def test_an_end_mark_that_does_not_come_is_not_waited_for(bench, monkeypatch):
    monkeypatch.setattr(History, "_bookmark", lambda *_: WatchEvent("BOOKMARK", {"metadata": {}}))
    bench.api.write("a")
    bench.start()
    await asyncio.sleep(9)
    assert not bench.store.synced
    await asyncio.sleep(3)
    assert bench.store.synced
    assert bench.verbs[:2] == ["watch initial", "list"]


async def test_a_deletion_missed_in_a_gap_is_noticed(bench):
    bench.api.write("a")
    bench.api.write("b")
    bench.start()
    await bench.store.wait_synced()
    bench.api.failures = [Unreachable("gone")] * 3
    bench.api.cut_off()
    await asyncio.sleep(0.01)
    bench.api.erase("a")
    bench.api.oldest = bench.api.version  # compacted: the deletion's frame is lost
    await asyncio.sleep(30)
    assert (sorted(bench.held()), bench.gone) == (["b"], ["a"])


async def test_after_410_the_same_version_is_never_tried_again(bench):
    bench.start()
    await bench.store.wait_synced()
    bench.api.oldest = bench.api.version = 1000
    bench.api.cut_off()
    await asyncio.sleep(60)
    assert bench.verbs == ["watch initial", "watch 100", "watch initial"]
    assert 0.8 <= bench.api.times[2] - bench.api.times[1] <= 1.6


async def test_a_stream_that_breaks_resumes_where_it_was(bench):
    bench.start()
    await bench.store.wait_synced()
    bench.api.failures = [Unreachable("reset"), ApiError(500, "InternalError", "")]
    bench.api.write("a")
    await asyncio.sleep(0.01)
    bench.api.cut_off()
    await asyncio.sleep(0.01)
    bench.api.erase("a")
    await asyncio.sleep(10)
    assert bench.verbs == ["watch initial"] + ["watch 101"] * 3
    assert bench.gone == ["a"]
    assert bench.reflector.reason == ""


async def test_backoff_grows_and_heals(bench):
    bench.api.failures = [Unreachable("down")] * 10
    bench.start()
    await asyncio.sleep(1)
    assert (bench.reflector.state, bench.reflector.reason) == (State.BACKING_OFF, "down")
    assert not bench.reflector.synced
    await bench.store.wait_synced()
    waits = [after - before for before, after in itertools.pairwise(bench.api.times)]
    assert 0.8 <= waits[0] <= 1.6
    assert all(30 <= wait <= 60 for wait in waits[6:])
    assert bench.reflector.state is State.WATCHING
    bench.api.failures = [Unreachable("down")]
    await asyncio.sleep(130)  # two healthy minutes
    bench.api.cut_off()
    await asyncio.sleep(2)
    assert len(bench.api.failures) == 0
    assert bench.reflector.state is State.WATCHING


async def test_retry_after_is_obeyed_within_reason(bench):
    bench.api.failures = [
        ApiError(429, "TooManyRequests", "", retry_after=20),
        ApiError(503, "", "", retry_after=86_400),
    ]
    bench.start()
    await bench.store.wait_synced()
    first, second = (bench.api.times[at + 1] - bench.api.times[at] for at in (0, 1))
    assert 20 <= first <= 24
    assert 60 <= second <= 72


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, "unauthorized: watch pods"),
        (403, "forbidden: watch pods; to mend it: kubectl apply"),
        (404, "not served: pods v1"),
    ],
)
async def test_what_is_missing_is_told_and_waited_for(bench, code, reason):
    reflector = bench.make(bench.store, remedies={403: "kubectl apply"})
    bench.api.failures = [ApiError(code)] * 5
    bench.start(reflector)
    states = set()
    for _ in range(40):
        await asyncio.sleep(1)
        states.add((reflector.state, reflector.reason))
    assert states == {(State.WAITING, reason)}, "also while it is trying again"
    await bench.store.wait_synced()
    assert (reflector.state, reflector.reason) == (State.WATCHING, "")
    waits = [after - before for before, after in itertools.pairwise(bench.api.times)]
    assert 5 <= waits[0] <= 10
    assert all(15 <= wait <= 30 for wait in waits[2:])


async def test_a_kind_that_goes_away_unsyncs_and_its_return_is_diffed(bench):
    bench.api.write("a")
    bench.api.write("b")
    bench.start()
    await bench.store.wait_synced()
    bench.api.failures = [ApiError(404, "NotFound")] * 3
    bench.api.cut_off()
    await asyncio.sleep(1)
    assert not bench.store.synced
    assert not bench.reflector.synced
    assert sorted(bench.held()) == ["a", "b"]
    bench.api.erase("a")
    await bench.store.wait_synced()
    assert bench.gone == ["a"]
    assert bench.verbs[-1] == "watch initial"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_watch_without_any_frame_is_not_trusted(bench, monkeypatch, fails):
    """A restored backup: the version to resume from lies in the future, and nothing ever comes."""
    bench.api.write("a", "before")
    bench.start()
    await bench.store.wait_synced()
    quiet = History.watch

    async def silent(self: History, kind: Kind, *args: Any, **options: Any) -> Any:
        if not options["initial_events"] and int(options["resource_version"]) > self.version:
            self._called("watch", options["resource_version"])
            await asyncio.sleep(90)
            if fails:
                raise Unreachable("no byte in time")
            return
        async for event in quiet(self, kind, *args, **options):
            yield event

    monkeypatch.setattr(History, "watch", silent)
    bench.api.version = 40
    bench.api.objects.clear()
    bench.api.events.clear()
    bench.api.write("b", "after")
    bench.api.cut_off()
    await asyncio.sleep(100)
    assert bench.held() == {"b": "after"}
    assert bench.reflector.resource_version == "41"
    assert "list" in bench.verbs, "one list from the past is confirmed by another"
    bench.api.write("b", "later")
    await asyncio.sleep(1)
    assert bench.held() == {"b": "later"}


async def test_a_watch_that_ends_at_once_is_not_a_hot_loop(bench):
    bench.start()
    await bench.store.wait_synced()
    bench.api.window = 0.0
    bench.api.cut_off()
    await asyncio.sleep(60)
    assert len(bench.api.calls) < 10


async def test_own_writes_race_the_watch(bench):
    bench.start()
    await bench.store.wait_synced()
    seen: list[str] = []
    bench.store.on_change.append(lambda _, new: seen.append(new["text"]))
    bench.api.write("a", "1")
    bench.store.put(bench.api.write("a", "2"))
    await asyncio.sleep(1)
    assert seen == ["2"]


async def test_lists_are_bounded_and_starts_spread(bench):
    bench.api.watch_list = False
    lists = asyncio.Semaphore(2)
    for _ in range(6):
        bench.start(bench.make(Store(Watch(POD)), lists=lists))
    await asyncio.sleep(10)
    assert bench.verbs.count("list") == 6
    assert bench.api.listing_at_once == 2
    spread = bench.make(Store(Watch(POD)), spread=1000.0)
    bench.start(spread)
    await asyncio.sleep(10)
    assert spread.state is State.STARTING


async def test_lasting_server_errors_end_in_a_fresh_list(bench):
    bench.start()
    await bench.store.wait_synced()
    bench.api.failures = [ApiError(500, "InternalError", "")] * 6
    bench.api.cut_off()
    await asyncio.sleep(300)
    assert bench.verbs[1:8] == ["watch 100"] * 6 + ["watch initial"]

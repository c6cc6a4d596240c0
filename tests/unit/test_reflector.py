"""A store ends up equal to the server's after any failure on the way; time is looptime's."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest

from contract.demands import Watch
from contract.model import Kind
from reconciler.cache import Store
from reconciler.client.api import ApiError, Unreachable, WatchEvent
from reconciler.reflector import Reflector, State
from unit.history import POD, History

pytestmark = pytest.mark.looptime


async def filled(store: Store) -> None:
    """Return once the store is synced."""
    while not store.synced:
        changed = asyncio.Event()
        store.on_synced.append(changed.set)
        await changed.wait()
        store.on_synced.remove(changed.set)


def objects(store: Store) -> list[Any]:
    return [store.get(*key) for key in store]


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
        return {obj["metadata"]["name"]: obj["text"] for obj in objects(self.store)}

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


async def test_a_store_is_filled_in_one_step_and_followed(bench):
    bench.api.write("a")
    bench.api.write("b")
    sizes: list[int] = []
    bench.store.on_change.append(lambda *_: sizes.append(len(bench.store)))
    bench.start()
    await filled(bench.store)
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
    await asyncio.sleep(301.5)
    assert bench.verbs == ["watch initial", "watch 500"]
    assert bench.reflector.last_frame_at == pytest.approx(301, abs=1)
    assert bench.reflector.state is State.WATCHING


async def test_a_server_without_watch_list_is_listed(bench):
    bench.api.watch_list = False
    bench.api.write("a")
    bench.start()
    await filled(bench.store)
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
    await asyncio.sleep(5)
    assert bench.store.synced
    assert bench.verbs[:2] == ["watch initial", "list"]


async def test_a_deletion_missed_in_a_gap_is_noticed(bench):
    bench.api.write("a")
    bench.api.write("b")
    bench.start()
    await filled(bench.store)
    bench.api.failures = [Unreachable("gone")] * 3
    bench.api.cut_off()
    await asyncio.sleep(0.01)
    bench.api.erase("a")
    bench.api.oldest = bench.api.version  # compacted: the deletion's frame is lost
    await asyncio.sleep(30)
    assert (sorted(bench.held()), bench.gone) == (["b"], ["a"])


async def test_after_410_the_same_version_is_never_tried_again(bench):
    bench.start()
    await filled(bench.store)
    bench.api.oldest = bench.api.version = 1000
    bench.api.cut_off()
    await asyncio.sleep(60)
    assert bench.verbs == ["watch initial", "watch 100", "watch initial"]
    assert 0 <= bench.api.times[2] - bench.api.times[1] <= 1


async def test_a_410_after_a_failure_is_not_backed_off_as_one(bench):
    bench.start()
    await filled(bench.store)
    for number in range(4):  # a server that restarts again and again, half a minute apart
        bench.api.failures = [Unreachable("down")]
        bench.api.oldest = bench.api.version = 1000 * (number + 1)
        bench.api.cut_off()
        await asyncio.sleep(30)
        assert bench.reflector.state is State.WATCHING
    waits = [after - before for before, after in itertools.pairwise(bench.api.times)]
    assert max(wait for wait in waits if wait < 25) <= 4


async def test_a_watch_cut_each_minute_is_resumed_at_once(bench):
    bench.start()
    await filled(bench.store)
    for number in range(8):
        await asyncio.sleep(50)
        bench.api.write(f"p{number}")
        bench.api.failures = [Unreachable("cut by a load balancer")]
        bench.api.cut_off()
        await asyncio.sleep(5)
        assert bench.reflector.state is State.WATCHING


@pytest.mark.parametrize("code", [401, 403])
async def test_the_first_two_refusals_keep_the_store_synced(bench, code):
    bench.start()
    await filled(bench.store)
    bench.api.failures = [ApiError(code)] * 2
    states = set()
    bench.api.cut_off()
    for _ in range(100):
        await asyncio.sleep(0.1)
        states.add(bench.reflector.state)
        assert bench.store.synced
    assert State.WAITING not in states
    assert bench.reflector.state is State.WATCHING


async def test_a_lost_right_is_reported_after_two_more_refusals(bench):
    bench.start()
    await filled(bench.store)
    bench.api.failures = [ApiError(403)] * 4
    bench.api.cut_off()
    await asyncio.sleep(8)
    assert bench.reflector.state is State.WAITING
    assert not bench.store.synced


async def test_a_stream_that_breaks_resumes_where_it_was(bench):
    bench.start()
    await filled(bench.store)
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


async def test_the_backoff_grows_and_resets(bench):
    bench.api.failures = [Unreachable("down")] * 10
    bench.start()
    await asyncio.sleep(1)
    assert (bench.reflector.state, bench.reflector.reason) == (State.BACKING_OFF, "down")
    assert not bench.reflector.synced
    await filled(bench.store)
    waits = [after - before for before, after in itertools.pairwise(bench.api.times)]
    assert 0.8 <= waits[0] <= 1.6
    assert all(30 <= wait <= 60 for wait in waits[6:])
    assert len({round(wait) for wait in waits[6:]}) > 1, "or all come back at once"
    assert bench.reflector.state is State.WATCHING
    bench.api.failures = [Unreachable("down")]
    await asyncio.sleep(130)  # two healthy minutes
    bench.api.cut_off()
    await asyncio.sleep(2)
    assert len(bench.api.failures) == 0
    assert bench.reflector.state is State.WATCHING


async def test_a_retry_after_is_obeyed_up_to_its_limit(bench):
    bench.api.failures = [
        ApiError(429, "TooManyRequests", "", retry_after=20),
        ApiError(503, "", "", retry_after=86_400),
    ]
    bench.start()
    await filled(bench.store)
    first, second = (bench.api.times[at + 1] - bench.api.times[at] for at in (0, 1))
    assert 20 <= first <= 24
    assert 60 <= second <= 72


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, "unauthorized: watch pods"),
        (403, "forbidden: watch pods; to fix it: kubectl apply"),
        (404, "not served: pods v1"),
    ],
)
async def test_a_missing_kind_is_reported_and_waited_for(bench, code, reason):
    reflector = bench.make(bench.store, remedies={403: "kubectl apply"})
    bench.api.failures = [ApiError(code)] * 5
    bench.start(reflector)
    await asyncio.sleep(1)
    states = set()
    bench.api.asked = lambda: states.add((reflector.state, reflector.reason))
    for _ in range(40):
        states.add((reflector.state, reflector.reason))
        await asyncio.sleep(1)
    assert states == {(State.WAITING, reason)}, "also while it is trying again"
    await filled(bench.store)
    assert (reflector.state, reflector.reason) == (State.WATCHING, "")
    waits = [after - before for before, after in itertools.pairwise(bench.api.times)]
    assert 5 <= waits[0] <= 10
    assert all(15 <= wait <= 30 for wait in waits[2:])


async def test_a_kind_that_goes_away_unsyncs_and_its_return_is_diffed(bench):
    bench.api.write("a")
    bench.api.write("b")
    bench.start()
    await filled(bench.store)
    bench.api.failures = [ApiError(404, "NotFound")] * 3
    bench.api.cut_off()
    await asyncio.sleep(1)
    assert not bench.store.synced
    assert not bench.reflector.synced
    assert sorted(bench.held()) == ["a", "b"]
    bench.api.erase("a")
    await filled(bench.store)
    assert bench.gone == ["a"]
    assert bench.verbs[-1] == "watch initial"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_watch_without_a_frame_lists_again(bench, monkeypatch, fails):
    """A restored backup: the version to resume from lies in the future, and nothing ever comes."""
    bench.api.write("a", "before")
    bench.start()
    await filled(bench.store)
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
    await filled(bench.store)
    bench.api.window = 0.0
    bench.api.cut_off()
    await asyncio.sleep(60)
    assert len(bench.api.calls) < 10


async def test_an_own_write_that_races_the_watch_is_announced_once(bench):
    bench.start()
    await filled(bench.store)
    seen: list[str] = []
    bench.store.on_change.append(lambda _, new: seen.append(new["text"]))
    bench.api.write("a", "1")
    bench.store.put(bench.api.write("a", "2"))
    await asyncio.sleep(1)
    assert seen == ["2"]


@pytest.mark.parametrize("watch_list", [False, True])
async def test_lists_are_bounded(bench, watch_list):
    bench.api.watch_list = watch_list
    lists = asyncio.Semaphore(2)
    stores = [Store(Watch(POD)) for _ in range(6)]
    for store in stores:
        bench.start(bench.make(store, lists=lists))
    await asyncio.sleep(20)
    assert all(store.synced for store in stores)
    assert bench.api.listing_at_once == 2


async def test_a_present_set_that_is_cut_off_is_not_taken_over(bench, monkeypatch):
    async def cut(self: History, *_: Any, **__: Any) -> Any:
        self._called("watch", "cut")
        yield WatchEvent("ADDED", self.objects["a"])

    bench.api.write("a")
    monkeypatch.setattr(History, "watch", cut)
    bench.start()
    await asyncio.sleep(60)
    assert len(bench.store) == 0
    assert 2 < len(bench.api.calls) < 10


async def test_lasting_server_errors_end_in_a_fresh_list(bench):
    bench.start()
    await filled(bench.store)
    bench.api.failures = [ApiError(500, "InternalError", "")] * 6
    bench.api.cut_off()
    await asyncio.sleep(300)
    assert bench.verbs[1:8] == ["watch 100"] * 6 + ["watch initial"]


@pytest.mark.parametrize("watch_list", [False, True])
async def test_names_only_fills_a_store_with_metadata(bench, watch_list):
    bench.api.watch_list = watch_list
    bench.api.write("a", "long")
    bench.start(bench.make(bench.store, names_only=True))
    await filled(bench.store)
    bench.api.write("b", "long")
    await asyncio.sleep(1)
    assert [sorted(obj) for obj in objects(bench.store)] == [["kind", "metadata"]] * 2
    bench.api.erase("a")
    await asyncio.sleep(1)
    assert bench.gone == ["a"]


async def test_a_410_in_a_stream_lists_again_and_misses_no_deletion(bench, monkeypatch):
    bench.api.write("a")
    bench.start()
    await filled(bench.store)
    events = History.watch

    async def expired(self: History, kind: Kind, *args: Any, **options: Any) -> Any:
        async for event in events(self, kind, *args, **options):
            yield event
            if not options["initial_events"]:
                raise ApiError(410, "Expired", "an ERROR frame")

    monkeypatch.setattr(History, "watch", expired)
    bench.api.cut_off()
    await asyncio.sleep(0.01)
    bench.api.write("b")
    bench.api.erase("a")  # its frame is not sent any more
    await asyncio.sleep(5)
    assert bench.verbs == ["watch initial", "watch 101", "watch initial"]
    assert (sorted(bench.held()), bench.gone) == (["b"], ["a"])


@pytest.mark.parametrize(
    ("optional", "code", "absent"),
    [(True, 404, True), (True, 403, True), (True, 401, False), (False, 404, False)],
)
async def test_an_optional_kind_that_cannot_be_read_is_absent(bench, optional, code, absent):
    reflector = bench.make(bench.store, optional=optional)
    bench.api.failures = [ApiError(code)]
    bench.start(reflector)
    await asyncio.sleep(1)
    assert (reflector.state, reflector.absent) == (State.WAITING, absent)
    reflector.retry()
    await asyncio.sleep(2)
    assert (reflector.synced, reflector.absent) == (True, False)


async def test_an_optional_kind_is_present_before_its_store_says_so(bench):
    reflector = bench.make(bench.store, optional=True)
    bench.api.failures = [ApiError(404)]
    bench.start(reflector)
    await asyncio.sleep(1)
    seen: list[tuple[bool, bool]] = []
    bench.store.on_synced.append(lambda: seen.append((bench.store.synced, reflector.absent)))
    reflector.retry()
    await asyncio.sleep(2)
    assert seen == [(True, False)]


async def test_an_optional_kind_is_not_asked_for_before_retry(bench):
    reflector = bench.make(bench.store, optional=True)
    bench.api.failures = [ApiError(404)]
    bench.start(reflector)
    await asyncio.sleep(120)
    assert bench.verbs == ["watch initial"]
    reflector.retry()
    await asyncio.sleep(2)
    assert bench.verbs == ["watch initial"] * 2
    assert bench.store.synced


async def test_an_optional_kind_without_a_right_is_asked_for_again(bench):
    bench.api.failures = [ApiError(403)]
    bench.start(bench.make(bench.store, optional=True))
    await asyncio.sleep(20)
    assert bench.store.synced


async def test_retry_during_an_attempt_ends_the_wait_after_it(bench):
    reflector = bench.make(bench.store, optional=True)
    bench.api.failures = [ApiError(404)]
    bench.api.asked = reflector.retry
    bench.start(reflector)
    await asyncio.sleep(2)
    assert bench.store.synced


async def test_retry_of_a_watch_that_works_changes_nothing(bench):
    bench.start()
    await filled(bench.store)
    bench.reflector.retry()
    await asyncio.sleep(30)
    assert bench.verbs == ["watch initial"]

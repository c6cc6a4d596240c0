"""The work queue's promises, on fake loop time."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.queue import WorkQueue

pytestmark = pytest.mark.looptime


async def test_a_key_added_twice_is_handed_out_once():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_a_key_added_during_its_pass_is_handed_out_after_it():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await queue.get() == "a"


async def test_a_queue_is_idle_without_ready_and_active_keys():
    queue: WorkQueue[int] = WorkQueue()
    assert queue.idle
    queue.add_after(2, 60)
    assert queue.idle
    queue.add(1)
    assert not queue.idle
    key = await queue.get()
    assert not queue.idle
    queue.done(key)
    assert queue.idle
    queue.close()


async def test_two_workers_never_hold_one_key():
    queue: WorkQueue[int] = WorkQueue()
    held: set[int] = set()
    handled = 0

    async def worker() -> None:
        nonlocal handled
        while True:
            key = await queue.get()
            assert key not in held
            held.add(key)
            await asyncio.sleep(0.01)
            held.discard(key)
            handled += 1
            queue.done(key)

    workers = [asyncio.create_task(worker()) for _ in range(4)]
    rng = random.Random(1)
    for _ in range(200):
        queue.add(rng.randrange(6))
        await asyncio.sleep(0.003)
    await asyncio.sleep(1)
    for task in workers:
        task.cancel()
    assert handled >= 6
    assert not held


async def test_the_earliest_of_two_times_counts():
    queue: WorkQueue[str] = WorkQueue()
    loop = asyncio.get_running_loop()
    start = loop.time()
    queue.add_after("a", 60)
    queue.add_after("a", 5)
    queue.add_after("a", 30)
    assert queue.remembered() == 1
    await queue.get()
    assert loop.time() - start == pytest.approx(5)
    queue.done("a")
    assert queue.remembered() == 0


async def test_the_backoff_grows_to_its_limit_and_ends_with_a_success():
    queue: WorkQueue[str] = WorkQueue(base=1, limit=60, rng=random.Random(3))
    delays = []
    for _ in range(10):
        delays.append(queue.retry("a"))
        await queue.get()
        queue.done("a")
    assert all(0.5 * min(2**n, 60) <= delay <= min(2**n, 60) for n, delay in enumerate(delays))
    assert queue.remembered() == 1
    queue.forget("a")
    assert queue.remembered() == 0
    assert queue.retry("a") <= 1


async def test_the_servers_retry_after_is_obeyed():
    queue: WorkQueue[str] = WorkQueue(base=1)
    assert queue.retry("a", at_least=17) >= 17


@pytest.mark.parametrize("when", ["during the pass", "after it"])
async def test_no_change_hands_out_a_key_before_the_retry_after(when: str):
    loop = asyncio.get_running_loop()
    queue: WorkQueue[str] = WorkQueue(base=0.2)
    queue.add("a")
    key = await queue.get()
    if when == "during the pass":
        queue.add(key)
    queue.retry(key, at_least=2.0)
    asked = loop.time()
    queue.done(key)
    queue.add_after(key, 0.5)
    if when == "after it":
        queue.forget(key)  # a user's edit ends the backoff, but not what the server asked for
        queue.add(key)
    assert await queue.get() == "a"
    assert loop.time() - asked >= 2.0 - 1e-6
    queue.done(key)
    queue.add(key)
    before = loop.time()
    assert await queue.get() == "a"
    assert loop.time() == before


async def test_a_dropped_key_is_not_retried():
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 5)
    queue.drop("a")
    await asyncio.sleep(10)
    assert len(queue) == 0


async def test_a_dropped_key_is_not_handed_out_and_not_remembered():
    queue: WorkQueue[str] = WorkQueue()
    worked_on = "a"
    queue.add(worked_on)
    await queue.get()
    queue.add(worked_on)
    queue.add("b")
    queue.add("c")
    queue.drop(worked_on)
    queue.drop("b")
    queue.done(worked_on)
    assert (len(queue), queue._dirty) == (1, {"c"})
    assert await queue.get() == "c"


async def test_a_key_that_was_dropped_and_added_again_is_handed_out():
    queue: WorkQueue[str] = WorkQueue()
    queue.add("waits")
    queue.add("worked on")
    queue.drop("waits")
    assert await queue.get() == "worked on"
    queue.drop("worked on")
    queue.add("worked on")
    queue.add("waits")
    queue.done("worked on")
    assert [await queue.get(), await queue.get()] == ["waits", "worked on"]


async def test_a_drop_takes_no_wake_up_from_another_key():
    queue: WorkQueue[str] = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    queue.drop("a")
    queue.add("b")
    assert await worker == "b"


@given(
    st.lists(
        st.tuples(st.sampled_from(("add", "drop", "get", "done")), st.sampled_from("abc")),
        max_size=40,
    )
)
def test_every_added_key_is_handed_out_once_unless_dropped(steps: list[tuple[str, str]]):
    async def run() -> None:
        queue: WorkQueue[str] = WorkQueue()
        owed: set[str] = set()
        held: set[str] = set()
        for step, key in steps:
            if step == "add":
                queue.add(key)
                owed.add(key)
            elif step == "drop":
                queue.drop(key)
                owed.discard(key)
            elif step == "done" and key in held:
                held.discard(key)
                queue.done(key)
            elif step == "get" and owed - held:
                found = await queue.get()
                assert found in owed - held
                owed.discard(found)
                held.add(found)
            assert (len(queue), queue._dirty) == (len(owed - held), owed)

    asyncio.run(run())


async def test_a_closed_queue_releases_its_workers_and_takes_no_key():
    queue: WorkQueue[str] = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()
    with pytest.raises(asyncio.CancelledError):
        await worker
    queue.add("a")
    queue.add_after("b", 1)
    assert (len(queue), queue.remembered()) == (0, 0)


async def test_a_cancelled_worker_passes_its_wake_up_on():
    queue: WorkQueue[str] = WorkQueue()
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    done, _ = await asyncio.wait({first, second}, timeout=1)
    assert second in done
    assert second.result() == "a"

"""When a status is written, and when what it tells can wait."""

import asyncio
from typing import Any

import pytest

from reconciler.loop import PROGRESS_SECONDS, Reconciler, verdict
from reconciler.model import Kind, Plan

pytestmark = pytest.mark.looptime

KIND = Kind("example.com", "v1", "Widget", "widgets")


class Counting:
    """A controller whose status is what the test says, and an API that takes it."""

    kind = KIND
    watches = ()

    def __init__(self):
        self.status: dict[str, Any] = {}
        self.stored: dict[str, Any] = {}
        self.written: list[float] = []

    def needs(self, parent):
        return ()

    def plan(self, parent, seen, now):
        return Plan(status=self.status)

    async def apply(self, kind, body, **_):
        self.stored = body["status"]
        self.written.append(asyncio.get_running_loop().time())
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "2"}}

    def parent(self):
        return {"metadata": {"name": "w", "namespace": "n", "uid": "u"}, "status": self.stored}


@pytest.fixture
def counting():
    return Counting()


@pytest.fixture
def reconciler(counting):
    class Target:
        def forget(self, uid):
            pass

    return Reconciler(counting, counting, Target(), {}, "tests")


async def test_progress_is_told_once_in_a_second_and_the_last_of_it_always(counting, reconciler):
    started = asyncio.get_running_loop().time()
    for ready in range(30):
        counting.status = {"phase": "Pending", "ready": ready}
        outcome = await reconciler.reconcile(counting.parent(), ())
        await asyncio.sleep(0.1)
    seconds = asyncio.get_running_loop().time() - started
    assert len(counting.written) <= 1 + seconds / PROGRESS_SECONDS
    assert outcome.again == pytest.approx(PROGRESS_SECONDS, abs=1)
    await asyncio.sleep(outcome.again)
    assert (await reconciler.reconcile(counting.parent(), ())).again is None
    assert counting.stored == {"phase": "Pending", "ready": 29}


async def test_news_is_told_at_once(counting, reconciler):
    for phase in ("Pending", "Running", "Failed", "Running"):
        counting.status = {"phase": phase, "ready": 1}
        assert (await reconciler.reconcile(counting.parent(), ())).again is None
        assert counting.stored["phase"] == phase


async def test_nothing_is_kept_of_an_object_that_is_gone(counting, reconciler):
    counting.status = {"phase": "Pending"}
    await reconciler.reconcile(counting.parent(), ())
    reconciler.forget("u")
    assert not reconciler._told_at
    assert not reconciler._unsure


@pytest.mark.parametrize(
    ("changed", "news"),
    [
        ({"ready": 2}, False),
        ({"conditions": [{"type": "Ready", "status": "False", "message": "1 of 2"}]}, False),
        ({"conditions": [{"type": "Ready", "status": "True", "message": "0 of 2"}]}, True),
        ({"conditions": []}, True),
        ({"observedGeneration": 2}, True),
        ({"phase": "Running"}, True),
    ],
)
def test_numbers_and_wording_are_no_news(changed, news):
    status = {
        "observedGeneration": 1,
        "phase": "Pending",
        "ready": 1,
        "conditions": [{"type": "Ready", "status": "False", "message": "0 of 2"}],
    }
    assert (verdict(status) != verdict({**status, **changed})) == news

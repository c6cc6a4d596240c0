"""When a status is written, and which changes of a status can wait."""

import asyncio
from typing import Any

import pytest

from contract.model import Kind
from contract.plan import Plan
from reconciler.apply import KubernetesTarget
from reconciler.client.api import ApiError
from reconciler.loop import Reconciler
from reconciler.parents import PROGRESS_SECONDS, Parents, without_progress
from reconciler.preview import Lists

pytestmark = pytest.mark.looptime

KIND = Kind("example.com", "v1", "Widget", "widgets")


class Counting:
    """A controller with the status that the test sets, and an API that accepts it."""

    kind = KIND
    watches = ()
    rights = ()

    def __init__(self):
        self.status: dict[str, Any] = {}
        self.stored: dict[str, Any] = {}
        self.written: list[float] = []
        self.lost = False
        self.asked = 0

    def read(self, parent):
        return None

    def needs(self, parent, spec, seen, now):
        return ()

    def plan(self, parent, spec, seen, now):
        return Plan(status=self.status)

    async def apply(self, kind, body, **_):
        self.stored = body["status"]
        self.written.append(asyncio.get_running_loop().time())
        if self.lost:
            raise ApiError(504, "Timeout", "committed, perhaps")
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "2"}}

    async def get(self, kind, namespace, name):
        self.asked += 1
        return self.parent()

    def parent(self):
        return {"metadata": {"name": "w", "namespace": "n", "uid": "u"}, "status": self.stored}


@pytest.fixture
def counting():
    return Counting()


@pytest.fixture
def put():
    return []


@pytest.fixture
def reconciler(counting, put):
    parents = Parents(counting, KIND, manager="tests", written=put.append)
    target = KubernetesTarget(counting, manager="tests")
    return Reconciler(counting, counting, target, parents)


async def reconciled(reconciler, parent):
    return await reconciler.reconcile(parent, Lists(), lambda _demands: None)


async def test_progress_is_written_once_a_second_and_its_end_always(counting, reconciler):
    started = asyncio.get_running_loop().time()
    for ready in range(30):
        counting.status = {"phase": "Pending", "ready": ready}
        outcome = await reconciled(reconciler, counting.parent())
        await asyncio.sleep(0.1)
    seconds = asyncio.get_running_loop().time() - started
    assert len(counting.written) <= 1 + seconds / PROGRESS_SECONDS
    assert outcome.again == pytest.approx(PROGRESS_SECONDS, abs=1)
    await asyncio.sleep(outcome.again)
    assert (await reconciled(reconciler, counting.parent())).again is None
    assert counting.stored == {"phase": "Pending", "ready": 29}


async def test_a_new_verdict_is_written_at_once(counting, reconciler):
    for phase in ("Pending", "Running", "Failed", "Running"):
        counting.status = {"phase": phase, "ready": 1}
        assert (await reconciled(reconciler, counting.parent())).again is None
        assert counting.stored["phase"] == phase


async def test_a_lost_answer_is_read_back_before_the_next_status(counting, reconciler, put):
    counting.status, counting.lost = {"phase": "Pending", "since": "12:00:00"}, True
    cached = counting.parent()
    assert "504" in (await reconciled(reconciler, cached)).error
    counting.status, counting.lost = {"phase": "Pending", "since": "12:00:01"}, False
    outcome = await reconciled(reconciler, cached)
    assert (outcome.error, outcome.again) == ("", 0.0)
    assert len(counting.written) == 1
    assert put == [counting.parent()]
    assert put[0]["status"] == {"phase": "Pending", "since": "12:00:00"}
    await reconciled(reconciler, put[0])  # asked once and not for ever
    assert counting.stored["since"] == "12:00:01"


async def test_nothing_is_remembered_of_a_deleted_object(counting, reconciler):
    counting.status = {"phase": "Pending"}
    await reconciled(reconciler, counting.parent())
    reconciler.forget("u")
    assert reconciler.remembered() == 0


async def test_progress_of_a_forgotten_object_is_written_at_once(counting, reconciler):
    for ready in range(2):
        counting.status = {"phase": "Pending", "ready": ready}
        reconciler.forget("u")
        assert (await reconciled(reconciler, counting.parent())).again is None
        assert counting.stored == counting.status


async def test_a_lost_answer_of_a_forgotten_object_is_not_read_back(counting, reconciler):
    counting.status, counting.lost = {"phase": "Pending"}, True
    await reconciled(reconciler, counting.parent())
    reconciler.forget("u")
    counting.status, counting.lost = {"phase": "Running"}, False
    assert (await reconciled(reconciler, counting.parent())).error == ""
    assert (counting.asked, counting.stored) == (0, {"phase": "Running"})


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"ready": 2}, False),
        ({"conditions": [{"type": "Ready", "status": "False", "message": "1 of 2"}]}, False),
        ({"conditions": [{"type": "Ready", "status": "True", "message": "0 of 2"}]}, True),
        ({"conditions": []}, True),
        ({"observedGeneration": 2}, True),
        ({"phase": "Running"}, True),
    ],
)
def test_numbers_and_messages_do_not_change_the_verdict(changed, differs):
    status = {
        "observedGeneration": 1,
        "phase": "Pending",
        "ready": 1,
        "conditions": [{"type": "Ready", "status": "False", "message": "0 of 2"}],
    }
    assert (without_progress(status) != without_progress({**status, **changed})) == differs

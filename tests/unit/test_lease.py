"""The election's rules, with several candidates on one in-memory Lease and fake time.

A candidate's ``Link`` can be cut. What was sent into a cut is delivered when it heals, also
when the sender gave up long before: the worst that a network does.
"""

import asyncio
import contextlib
import copy
import itertools
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from reconciler.client.api import ApiError, NotLeader, Unreachable
from reconciler.process.leader import LeaderThread
from reconciler.process.lease import Elector, Timing, new_identity
from unit.partial_api import PartialApi

OFFSETS = (0, 0.5, 2, 4, 6, 8, 9.9, 10.1, 12, 14, 15.1, 16, 17, 18, 20)


class Server:
    """One Lease, its versions, and the author of each write."""

    def __init__(self):
        self.lease: Any = None
        self.versions = itertools.count(1)
        self.writes = []  # (client, spec)

    def store(self, client, body):
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(next(self.versions))
        self.writes.append((client, copy.deepcopy(body["spec"])))
        return copy.deepcopy(self.lease)

    def edit(self, **fields):
        self.store("hand", {**self.lease, "spec": {**self.lease["spec"], **fields}})

    @property
    def spec(self):
        return self.lease["spec"]


class Link(PartialApi):
    """One candidate's way to the server: an Api for Leases."""

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.open = asyncio.Event()
        self.open.set()
        self.answers: deque[tuple[str, Exception]] = (
            deque()
        )  # scripted: raise this instead of, or after, the next request
        self.late = set()
        self.sent = 0
        self.slow = 0.0  # seconds that each answer is on its way

    async def _send(self, act):
        self.sent += 1

        async def deliver():
            await self.open.wait()
            return act()

        task = asyncio.ensure_future(deliver())
        self.late.add(task)
        # Nobody may be waiting any more when it fails.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        result = await asyncio.shield(task)
        await asyncio.sleep(self.slow)
        return result

    async def get(self, kind, namespace, name):
        if self.answers and self.answers[0][0] == "get":
            raise self.answers.popleft()[1]
        return await self._send(lambda: copy.deepcopy(self.server.lease))

    async def create(self, kind, body):
        return await self._write(self._create, body)

    async def replace(self, kind, body, *, subresource=""):
        return await self._write(self._replace, body)

    async def _write(self, act, body):
        body = copy.deepcopy(body)
        if self.answers and self.answers[0][0] == "refuse":
            raise self.answers.popleft()[1]
        result = await self._send(lambda: act(body))
        if self.answers and self.answers[0][0] == "lose":
            raise self.answers.popleft()[1]
        return result

    def _create(self, body):
        if self.server.lease is not None:
            raise ApiError(409, "AlreadyExists", "exists")
        return self.server.store(self.name, body)

    def _replace(self, body):
        if self.server.lease is None:
            raise ApiError(404, "NotFound", "gone")
        if body["metadata"]["resourceVersion"] != self.server.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "changed")
        return self.server.store(self.name, body)


class Candidate:
    def __init__(self, server, name, **options):
        self.link = Link(server, name)
        self.started: list[float] = []
        self.lost: list[str] = []
        self.skew = 0.0
        loop = asyncio.get_running_loop()
        self.elector = Elector(
            "ns",
            "lease",
            identity=name,
            clock=lambda: loop.time() + self.skew,
            on_started=lambda: self.started.append(loop.time()),
            on_lost=self.lost.append,
            **options,
        )
        self.task = asyncio.create_task(self.elector.run(self.link))

    @property
    def may_write(self):
        try:
            self.elector.guard()
        except NotLeader:
            return False
        return True


@contextlib.asynccontextmanager
async def candidates(*names, server=None, **options):
    server = server or Server()
    made = []
    try:
        for name in names:
            made.append(Candidate(server, name, **options))
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        yield server, *made
    finally:
        for candidate in made:
            candidate.link.open.set()
            candidate.task.cancel()
            await asyncio.gather(candidate.task, *candidate.link.late, return_exceptions=True)


async def watched(seconds, *several):
    """Let time pass; fail at the first moment at which two may write. Who might, when."""
    loop, history = asyncio.get_running_loop(), []
    until = loop.time() + seconds
    while loop.time() < until:
        writers = [candidate for candidate in several if candidate.may_write]
        assert len(writers) <= 1, f"two leaders at {loop.time()}"
        history.append((loop.time(), writers[0] if writers else None))
        await asyncio.sleep(0.05)
    return history


pytestmark = pytest.mark.looptime


async def test_the_first_candidate_creates_the_lease_and_leads():
    async with candidates("a") as (server, a):
        assert a.elector.is_leader
        assert a.elector.holder == "a"
        assert a.started
        assert 13 < a.elector.guard() <= 14
        assert server.spec["leaseTransitions"] == 0
        assert server.spec["leaseDurationSeconds"] == 15


async def test_one_of_two_simultaneous_creators_leads():
    server = Server()
    a, b = Candidate(server, "a"), Candidate(server, "b")
    await watched(60, a, b)
    assert [bool(a.started), bool(b.started)] == [True, False]
    a.task.cancel()
    b.task.cancel()
    await asyncio.gather(a.task, b.task, return_exceptions=True)


async def test_a_leader_stays_the_only_leader_for_300_seconds():
    async with candidates("a", "b", "c") as (_, a, b, c):
        history = await watched(300, a, b, c)
        assert {leader for _, leader in history} == {a}
        assert b.elector.holder == "a"
        assert not a.lost


async def test_a_crashed_leader_is_replaced_after_its_lease_within_24s():
    async with candidates("a", "b") as (server, a, b):
        await asyncio.sleep(20)
        renewed = server.spec["renewTime"]
        a.link.open.clear()
        crashed = asyncio.get_running_loop().time()
        a.task.cancel()
        await asyncio.sleep(24)
        assert b.started
        assert b.started[0] >= crashed + 15 - 2
        assert b.started[0] <= crashed + 24
        assert server.spec["leaseTransitions"] == 1
        assert server.spec["renewTime"] >= renewed


async def test_the_next_leader_starts_within_5_seconds_of_a_release():
    async with candidates("a", "b") as (server, a, b):
        await asyncio.sleep(31)
        a.elector.stop()
        stopped = asyncio.get_running_loop().time()
        assert await a.task == ""
        assert not a.may_write
        assert server.spec["holderIdentity"] == ""
        assert server.spec["leaseDurationSeconds"] == 1
        await asyncio.sleep(5)
        assert b.started[0] - stopped < 5
        assert not a.lost
        assert server.spec["leaseTransitions"] == 1


async def test_nothing_is_written_while_the_release_is_under_way():
    async with candidates("a") as (_, a):
        a.link.open.clear()
        a.elector.stop()
        await asyncio.sleep(0.1)
        assert not a.task.done()
        assert not a.may_write
        a.link.open.set()
        assert await a.task == ""


async def test_a_stopped_leader_does_not_release_the_lease_of_another():
    async with candidates("a") as (server, a):
        server.edit(holderIdentity="b", leaseTransitions=1)
        a.elector.stop()
        await a.task
        assert server.spec["holderIdentity"] == "b"
        assert [client for client, _ in server.writes] == ["a", "hand"]


async def test_a_stopped_leader_does_not_release_its_other_term():
    async with candidates("a") as (server, a):
        server.edit(leaseTransitions=7)
        a.elector.stop()
        await a.task
        assert server.spec["holderIdentity"] == "a"


async def test_a_release_that_meets_a_conflict_reads_again():
    async with candidates("a") as (server, a):
        a.link.answers.append(("refuse", ApiError(409, "Conflict", "changed")))
        a.elector.stop()
        await a.task
        assert server.spec["holderIdentity"] == ""


async def test_a_release_without_an_api_server_ends_at_its_deadline():
    async with candidates("a") as (_, a):
        a.link.open.clear()
        a.elector.stop()
        async with asyncio.timeout(5.1):
            assert await a.task == ""


@pytest.mark.parametrize("heal", OFFSETS)
@pytest.mark.parametrize("cut", [0.0, 1.9])
async def test_cut_and_healed_lease_traffic_never_gives_two_leaders(cut, heal):
    async with candidates("a", "b", "c") as (server, a, b, c):
        await asyncio.sleep(20 + cut)
        a.link.open.clear()
        history = await watched(heal, a, b, c) if heal else []
        a.link.open.set()
        history += await watched(60, a, b, c)

        leaders = [
            leader for leader, _ in itertools.groupby(leader for _, leader in history if leader)
        ]
        taken = [i for i, (_, spec) in enumerate(server.writes) if spec["holderIdentity"] != "a"]
        if a.lost:
            assert heal > 7
            assert len(leaders) == 2, "one takeover, no more"
            assert "a" not in {client for client, _ in server.writes[taken[0] :]}
            assert all(server.writes[i][1]["holderIdentity"] for i in taken), "never wiped"
        else:
            assert heal < 10.1
            assert leaders == [a]


async def test_a_cut_off_leader_stops_before_the_next_one_starts():
    async with candidates("a", "b") as (_, a, b):
        await asyncio.sleep(20)
        a.link.open.clear()
        history = await watched(40, a, b)
        last = max(moment for moment, leader in history if leader is a)
        first = min(moment for moment, leader in history if leader is b)
        assert last <= 20 + 10.2
        assert first - last > 3
        assert a.lost == ["not renewed for 10 s"]
        assert await a.task == "not renewed for 10 s"


async def test_a_stop_after_the_lease_was_lost_releases_nothing():
    async with candidates("a") as (server, a):
        await asyncio.sleep(20)
        a.skew = 11  # no loop turn in between: both are noticed at once
        a.elector.stop()
        assert await a.task
        assert a.lost
        assert server.spec["holderIdentity"] == "a"


@pytest.mark.parametrize("pause", [10.5, 14, 16, 3600])
async def test_a_leader_resumed_after_its_lease_may_not_write(pause):
    async with candidates("a") as (server, a):
        await asyncio.sleep(5)
        assert a.may_write
        a.skew = pause
        assert not a.may_write
        sent = len(server.writes)
        await a.task
        assert len(a.lost) == 1
        assert len(server.writes) == sent


async def test_the_guard_leaves_time_for_a_last_moment_request():
    async with candidates("a") as (_, a):
        a.link.open.clear()
        a.skew = 9.0
        left = a.elector.guard()
        assert 4 <= left < 15 - 9
        a.skew = 10.5
        with pytest.raises(NotLeader, match="last renewed 10"):
            a.elector.guard()


async def test_wall_clocks_do_not_matter():
    jumps = itertools.cycle([timedelta(days=400), timedelta(), timedelta(days=-4000)])

    def wild():
        return datetime(2030, 1, 1, tzinfo=UTC) + next(jumps)

    async with candidates("a", "b", now=wild) as (_, a, b):
        history = await watched(120, a, b)
        assert {leader for _, leader in history} == {a}


async def test_a_candidate_ignores_the_times_in_the_record():
    server = Server()
    old = "2001-01-01T00:00:00.000000Z"
    spec = {"holderIdentity": "x", "leaseDurationSeconds": 30, "renewTime": old}
    server.store("x", {"metadata": {"name": "lease", "namespace": "ns"}, "spec": spec})
    async with candidates("a", server=server) as (_, a):
        await asyncio.sleep(29)
        assert not a.started
        await asyncio.sleep(6)
        assert a.started
        assert server.spec["leaseTransitions"] == 1


async def test_only_its_holder_recreates_a_deleted_lease():
    async with candidates("a", "b") as (server, a, b):
        for _ in range(30):
            server.lease = None
            # Long enough for b to see the new one: of a Lease that is never there when it looks,
            # nobody can know that it is held.
            await watched(7.3, a, b)
        assert not b.started
        assert not a.lost
        assert server.spec["holderIdentity"] == "a"


async def test_a_lease_deleted_and_taken_by_another_is_lost_at_once():
    async with candidates("a") as (server, a):
        server.lease = None
        body = {"metadata": {"name": "lease", "namespace": "ns"}}
        server.store("b", {**body, "spec": {"holderIdentity": "b", "leaseDurationSeconds": 15}})
        await asyncio.sleep(2.2)
        assert a.lost == ["taken by b"]
        assert server.spec["holderIdentity"] == "b"


@pytest.mark.parametrize(("holder", "reason"), [("x", "taken by x"), ("", "emptied by hand")])
async def test_a_lease_edited_by_hand_is_lost_at_the_next_renewal(holder, reason):
    async with candidates("a") as (server, a):
        await asyncio.sleep(10)
        server.edit(holderIdentity=holder)
        await asyncio.sleep(2.2)
        assert a.lost == [reason]
        assert not a.may_write
        assert server.spec["holderIdentity"] == holder


async def test_a_label_set_on_the_lease_by_hand_is_kept():
    async with candidates("a") as (server, a):
        server.lease["metadata"]["labels"] = {"team": "x"}
        server.edit(preferredHolder="z")
        await asyncio.sleep(20)
        assert not a.lost
        assert server.lease["metadata"]["labels"] == {"team": "x"}
        assert server.spec["preferredHolder"] == "z"


async def test_a_renewal_with_a_lost_answer_is_recognized():
    async with candidates("a", "b") as (_, a, b):
        for _ in range(3):
            a.link.answers.append(("lose", Unreachable("reset")))
        await watched(60, a, b)
        assert not a.lost
        assert not b.started
        assert not a.link.answers


async def test_a_lost_answer_does_not_extend_the_lease():
    async with candidates("a") as (_, a):
        before = a.elector.guard()
        a.link.answers.append(("lose", Unreachable("reset")))
        await asyncio.sleep(3)
        assert a.elector.guard() < before - 2.5


async def test_the_lease_runs_from_the_sending_of_its_renewal():
    async with candidates("a") as (_, a):
        a.link.slow = 4
        await asyncio.sleep(7)
        for _ in range(400):
            await asyncio.sleep(0.05)
            assert a.elector.guard() <= 14 - 4
        assert not a.lost


async def test_a_creation_with_a_lost_answer_is_recognized():
    server = Server()
    a = Candidate(server, "a")
    a.link.answers.append(("lose", Unreachable("reset")))
    await asyncio.sleep(6)
    assert a.may_write
    assert server.spec["leaseTransitions"] == 0
    a.task.cancel()


async def test_a_conflict_without_another_holder_is_renewed_at_once():
    async with candidates("a") as (_, a):
        a.link.answers.append(("refuse", ApiError(409, "Conflict", "changed")))
        await asyncio.sleep(2.2)
        assert not a.link.answers
        assert a.elector.guard() > 13


async def test_a_forbidden_lease_is_logged_once_and_retried():
    server = Server()
    with capture_logs() as lines:
        a = Candidate(server, "a")
        a.link.answers.extend([("get", ApiError(403, "Forbidden", "no"))] * 10)
        await asyncio.sleep(60)
    failures = [line for line in lines if line["log_level"] == "error"]
    assert len(failures) == 1
    assert "kubectl auth can-i update leases -n ns" in failures[0]["fix"]
    assert a.may_write
    a.task.cancel()


async def test_a_leader_that_is_not_alive_stops_renewing():
    alive = True
    async with candidates("a", alive=lambda: alive) as (_, a):
        await asyncio.sleep(30)
        alive = False
        sent = a.link.sent
        await asyncio.sleep(12.5)
        assert a.link.sent == sent
        assert a.lost == ["not renewed for 10 s: the main loop does not answer"]


async def test_a_candidate_that_is_not_alive_does_not_campaign():
    async with candidates("a", alive=lambda: False) as (server, a):
        await asyncio.sleep(60)
        assert server.lease is None
        assert a.link.sent == 0


async def test_a_waiting_candidate_stops_without_a_write():
    async with candidates("a", "b") as (server, _, b):
        b.elector.stop()
        assert await b.task == ""
        assert "b" not in {client for client, _ in server.writes}


async def test_a_cancelled_leader_may_not_write():
    async with candidates("a") as (_, a):
        a.task.cancel()
        await asyncio.gather(a.task, return_exceptions=True)
        assert not a.may_write


@pytest.mark.parametrize(
    "times",
    [
        {"lease": 10, "renew": 10},
        {"lease": 15, "renew": 2},
        {"retry": 0},
        {"jitter": 0.5},
        {"lease": 0.5, "renew": 0.2, "retry": 0.01},
    ],
)
def test_times_that_contradict_each_other_are_refused(times):
    with pytest.raises(ValueError, match="must"):
        Timing(**times)


def test_two_processes_of_one_name_have_two_identities():
    assert new_identity() != new_identity()


# The thread: in real time, so it waits for what happens and never for a time to pass.

SHORT = Timing(lease=2, renew=1, retry=0.05)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


class Threaded:
    def __init__(self, server, name):
        self.started: list[asyncio.AbstractEventLoop] = []
        self.lost: list[str] = []

        @contextlib.asynccontextmanager
        async def connect():
            yield Link(server, name)

        self.thread = LeaderThread(
            "ns",
            "lease",
            connect,
            identity=name,
            timing=SHORT,
            on_started=lambda: self.started.append(asyncio.get_running_loop()),
            on_lost=self.lost.append,
        )


@pytest.mark.looptime(False)
async def test_the_thread_leads_notifies_the_main_loop_and_releases():
    server = Server()
    a = Threaded(server, "a")
    a.thread.start()
    await until(lambda: a.started)
    assert a.started == [asyncio.get_running_loop()]
    assert a.thread.guard() > 0
    await a.thread.stop()
    assert server.spec["holderIdentity"] == ""
    assert not a.lost
    with pytest.raises(NotLeader):
        a.thread.guard()


@pytest.mark.looptime(False)
async def test_the_thread_of_a_blocked_main_loop_stops_renewing():
    server = Server()
    a = Threaded(server, "a")
    a.thread.start()
    await until(lambda: a.started)
    blocked = asyncio.get_running_loop()
    deadline = blocked.time() + 30
    while a.thread.elector.is_leader and blocked.time() < deadline:
        pass  # no await: this is the block
    assert not a.thread.elector.is_leader
    await until(lambda: a.lost)
    assert server.spec["holderIdentity"] == "a", "left to run out"
    await a.thread.stop()


@pytest.mark.looptime(False)
async def test_a_thread_that_fails_has_lost_the_lease():
    def broken():
        raise OSError("no certificate")

    lost: list[str] = []
    thread = LeaderThread("ns", "lease", broken, timing=SHORT, on_lost=lost.append)
    thread.start()
    await until(lambda: lost)
    assert "no certificate" in lost[0]
    await thread.stop()

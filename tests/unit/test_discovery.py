"""What is known of the served kinds, through changes and failures; time is looptime's."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from structlog.testing import capture_logs

from contract.model import Kind
from reconciler.client.api import ApiError, Discovery, Unreachable
from reconciler.discovery import BACKOFF_LIMIT, Discovered
from unit.partial_api import PartialApi

pytestmark = pytest.mark.looptime

DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
ROUTE = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
SCALED = Kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
KINDS = (DEPLOYMENT, ROUTE, SCALED)


def seconds() -> float:
    return asyncio.get_running_loop().time()


class Server(PartialApi):
    """A server whose kinds come and go, and whose discovery can fail."""

    def __init__(self) -> None:
        self.kinds = {DEPLOYMENT, ROUTE}
        self.failed: set[str] = set()
        self.error: Exception | None = None
        self.takes = 0.0
        self.moments: list[float] = []

    async def discover(self) -> Discovery:
        self.moments.append(seconds())
        unknown = {kind.api_version for kind in KINDS if kind.group in self.failed}
        answer = Discovery(frozenset(self.kinds), frozenset(unknown))
        await asyncio.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return answer

    def forget(self) -> None:
        self.moments.clear()


class Bench:
    """A server, what is known of it, and when that changed."""

    def __init__(self) -> None:
        self.server = Server()
        self.watched = True
        self.changes: list[float] = []
        self.known = Discovered(self.server, watched=lambda: self.watched, rng=random.Random(1))
        self.discoveries = 0
        self._last = UNKNOWN
        self.known.on_discovery.append(self._discovered)
        self.task: asyncio.Task[None] | None = None

    def _discovered(self) -> None:
        self.discoveries += 1
        if (state := self.state()) != self._last:
            self._last = state
            self.changes.append(seconds())

    async def start(self) -> None:
        self.task = asyncio.create_task(self.known.run())
        await asyncio.sleep(0.01)

    def state(self) -> dict[str, bool | None]:
        return {kind.kind: self.known.serves(kind) for kind in (DEPLOYMENT, ROUTE, SCALED)}


@pytest.fixture
async def bench():
    found = Bench()
    yield found
    if found.task is not None:
        found.task.cancel()
        results = await asyncio.gather(found.task, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)


UNKNOWN: dict[str, bool | None] = {"Deployment": None, "HTTPRoute": None, "ScaledObject": None}
FIRST = {"Deployment": True, "HTTPRoute": True, "ScaledObject": False}


async def test_no_kind_is_known_before_a_successful_discovery(bench):
    assert bench.state() == UNKNOWN
    bench.server.error = Unreachable("refused")
    await bench.start()
    await asyncio.sleep(30)
    assert (bench.state(), bench.changes) == (UNKNOWN, [])
    bench.server.error = None
    await asyncio.sleep(60)
    assert bench.state() == FIRST
    assert len(bench.changes) == 1


async def test_a_kind_can_be_asked_about_at_any_time(bench):
    await bench.start()
    assert bench.known.serves(Kind("example.com", "v1", "Other", "others")) is False
    assert bench.state() == FIRST


async def test_every_discovery_that_worked_is_reported(bench):
    await bench.start()
    assert bench.discoveries == 1
    bench.known.refresh()
    await asyncio.sleep(1.1)
    assert bench.discoveries == 2
    bench.server.error = Unreachable("refused")
    bench.known.refresh()
    await asyncio.sleep(1.1)
    assert bench.discoveries == 2


async def test_a_kind_in_another_version_is_another_kind(bench):
    await bench.start()
    assert bench.known.serves(Kind("apps", "v1beta1", "Deployment", "deployments")) is False


async def test_changes_within_a_second_are_discovered_once(bench):
    await bench.start()
    bench.state()
    bench.server.forget()
    started = seconds()
    for _ in range(10):
        bench.known.refresh()
        await asyncio.sleep(0.09)
    bench.server.kinds.add(SCALED)
    await asyncio.sleep(0.2)
    assert bench.server.moments == [pytest.approx(started + 1, abs=0.01)]
    assert bench.known.serves(SCALED) is True
    assert bench.changes[1:] == bench.server.moments
    await asyncio.sleep(3.5)
    assert len(bench.server.moments) == 1


async def test_a_kind_served_some_seconds_after_its_crd_is_found(bench):
    await bench.start()
    bench.state()
    bench.server.forget()
    started = seconds()
    bench.known.refresh()
    await asyncio.sleep(6)
    bench.server.kinds.add(SCALED)
    await asyncio.sleep(1000)
    moments = [round(moment - started) for moment in bench.server.moments]
    assert moments == [1, 5, 20]
    assert bench.known.serves(SCALED) is True
    assert [round(moment - started) for moment in bench.changes[1:]] == [20]


async def test_a_change_during_a_discovery_is_discovered_too(bench):
    await bench.start()
    bench.state()
    bench.server.takes = 0.5
    bench.server.forget()
    started = seconds()
    bench.known.refresh()
    await asyncio.sleep(1.2)
    bench.server.kinds.add(SCALED)
    bench.known.refresh()
    await asyncio.sleep(1.7)
    assert [round(moment - started, 1) for moment in bench.server.moments] == [1.0, 2.5]
    await asyncio.sleep(0.2)
    assert bench.known.serves(SCALED) is True


async def test_a_kind_that_nobody_asks_about_changes_nothing(bench):
    bench.state()
    await bench.start()
    assert len(bench.changes) == 1
    bench.server.kinds.add(Kind("example.com", "v1", "Other", "others"))
    bench.known.refresh()
    await asyncio.sleep(100)
    assert len(bench.server.moments) == 4
    assert len(bench.changes) == 1
    bench.server.kinds -= {ROUTE}
    bench.known.refresh()
    await asyncio.sleep(100)
    assert bench.known.serves(ROUTE) is False
    assert len(bench.changes) == 2


async def test_only_an_unwatched_server_is_polled(bench):
    bench.state()
    await bench.start()
    await asyncio.sleep(10_000)
    assert len(bench.server.moments) == 1
    bench.watched = False
    bench.server.kinds.add(SCALED)
    await asyncio.sleep(6000)
    pauses = [after - before for before, after in itertools.pairwise(bench.server.moments[1:])]
    assert len(pauses) > 70
    assert all(48 <= pause <= 72 for pause in pauses)
    assert len({round(pause) for pause in pauses}) > 10
    assert bench.known.serves(SCALED) is True
    bench.watched = True
    await asyncio.sleep(100)
    bench.server.forget()
    await asyncio.sleep(10_000)
    assert bench.server.moments == []


async def test_a_group_whose_discovery_fails_stays_as_it_was(bench):
    bench.state()
    await bench.start()
    bench.server.kinds = {DEPLOYMENT}
    bench.server.failed = {ROUTE.group, SCALED.group}
    bench.known.refresh()
    await asyncio.sleep(600)
    assert bench.state() == FIRST
    assert len(bench.changes) == 1
    assert len(bench.server.moments) > 9  # polled though it is watched
    bench.server.failed = set()
    await asyncio.sleep(72)
    assert bench.state() == FIRST | {"HTTPRoute": False}
    assert len(bench.changes) == 2
    bench.server.forget()
    await asyncio.sleep(1000)
    assert bench.server.moments == []


async def test_a_group_that_never_answered_is_unknown(bench):
    bench.server.failed = {SCALED.group}
    bench.state()
    await bench.start()
    assert bench.state() == FIRST | {"ScaledObject": None}
    bench.server.failed = set()
    await asyncio.sleep(72)
    assert bench.state() == FIRST


async def test_a_failed_discovery_keeps_what_was_known(bench):
    bench.state()
    await bench.start()
    bench.server.error = ApiError(503, "ServiceUnavailable")
    bench.server.kinds = set()
    bench.server.forget()
    with capture_logs() as lines:
        bench.known.refresh()
        await asyncio.sleep(1000)
    assert (bench.state(), len(bench.changes)) == (FIRST, 1)
    assert len(lines) == 1
    pauses = [after - before for before, after in itertools.pairwise(bench.server.moments)]
    for number, pause in enumerate(pauses):
        most = min(2.0**number, BACKOFF_LIMIT)
        assert most / 2 <= pause <= most
    assert (
        len({pause / min(2.0**number, BACKOFF_LIMIT) for number, pause in enumerate(pauses)}) > 10
    )
    bench.server.error = None
    bench.server.forget()
    await asyncio.sleep(1000)
    assert bench.state() == {"Deployment": False, "HTTPRoute": False, "ScaledObject": False}
    assert len(bench.server.moments) == 3  # as after a change


async def test_a_failure_that_passed_does_not_count(bench):
    await bench.start()
    for _ in range(6):
        bench.server.error = Unreachable("refused")
        bench.known.refresh()
        await asyncio.sleep(1.1)
        bench.server.error = None
        bench.server.forget()
        await asyncio.sleep(1)
        assert len(bench.server.moments) == 1
        await asyncio.sleep(60)


@pytest.mark.parametrize(("asked", "given"), [(45.0, 45), (100_000.0, 60)])
async def test_the_servers_retry_after_is_obeyed(bench, asked, given):
    bench.server.error = ApiError(429, "TooManyRequests", retry_after=asked)
    await bench.start()
    await asyncio.sleep(given + 1)
    assert bench.server.moments == [0, pytest.approx(given)]


async def test_a_bug_in_a_discovery_is_not_hidden(bench):
    bench.server.error = KeyError("kind")
    task = asyncio.create_task(bench.known.run())
    with pytest.raises(KeyError):
        await task

"""The election on a real API server, with times cut to a fifth.

What another candidate, or a test, does to the Lease is seen through the server only.
"""

import asyncio
import contextlib
import signal
import sys
import textwrap
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from reconciler.client.api import NotLeader
from reconciler.client.client import Client
from reconciler.client.kubeconfig import load
from reconciler.process.lease import Elector, Timing, boot_clock
from reconciler.process.lease_record import LEASE
from unit.partial_api import PartialApi

SHORT = Timing(lease=3, renew=2, retry=0.3)
PATIENCE = 60


class Cut(PartialApi):
    """An Api that hangs while it is cut, and delivers late what was sent meanwhile."""

    def __init__(self, api):
        self._api = api
        self.open = asyncio.Event()
        self.open.set()
        self.late = set()

    async def _send(self, verb, *arguments):
        async def deliver():
            await self.open.wait()
            return await verb(*arguments)

        task = asyncio.ensure_future(deliver())
        self.late.add(task)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def get(self, kind, namespace, name):
        return await self._send(self._api.get, kind, namespace, name)

    async def create(self, kind, body):
        return await self._send(self._api.create, kind, body)

    async def replace(self, kind, body, *, subresource=""):
        return await self._send(self._api.replace, kind, body)


class Candidate:
    def __init__(self, client, namespace, name, timing=SHORT):
        self.link = Cut(client)
        self.started: list[float] = []
        self.elector = Elector(
            namespace,
            "operator",
            identity=name,
            timing=timing,
            on_started=lambda: self.started.append(boot_clock()),
        )
        self.task = asyncio.create_task(self.elector.run(self.link))

    @property
    def may_write(self):
        try:
            self.elector.guard()
        except NotLeader:
            return False
        return True


@pytest.fixture
async def client(cluster):
    async with Client(load(str(cluster.kubeconfig)), user_agent="test-lease") as made:
        yield made


@pytest.fixture
async def join(client, namespace):
    """Adds candidates for this test's Lease; all are gone at its end."""
    made = []

    def join(name, **options):
        made.append(Candidate(options.pop("client", client), namespace, name, **options))
        return made[-1]

    yield join
    for candidate in made:
        candidate.link.open.set()
        candidate.task.cancel()
        await asyncio.gather(candidate.task, *candidate.link.late, return_exceptions=True)


async def until(condition, *several):
    """Wait for it; meanwhile never may two of the candidates write."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            assert sum(candidate.may_write for candidate in several) <= 1, "two leaders"
            await asyncio.sleep(0.01)


async def record(client, namespace):
    lease = await client.get(LEASE, namespace, "operator")
    return lease["spec"]


async def test_one_candidate_leads_and_another_follows_its_crash(join, client, namespace):
    several = [join(name) for name in "abc"]
    await until(lambda: any(each.started for each in several), *several)
    (first,) = (each for each in several if each.started)
    rest = [each for each in several if each is not first]
    await until(lambda: all(each.elector.holder for each in rest), *several)
    first.task.cancel()
    await until(lambda: any(each.started for each in rest), *several)
    (second,) = (each for each in rest if each.started)
    spec = await record(client, namespace)
    assert spec["holderIdentity"] == second.elector.identity
    assert spec["leaseTransitions"] == 1


async def test_a_stopped_leader_hands_over(join, client, namespace):
    a = join("a")
    await until(lambda: a.started)
    a.elector.stop()
    assert await a.task == ""
    spec = await record(client, namespace)
    assert spec["holderIdentity"] == ""
    assert spec["leaseDurationSeconds"] == 1
    b = join("b")
    await until(lambda: b.started, a, b)
    assert (await record(client, namespace))["leaseTransitions"] == 1


@pytest.mark.parametrize("stopped", [False, True], ids=["left_alone", "stopped_as_it_heals"])
async def test_an_old_leader_keeps_off_the_lease_after_a_takeover(join, client, namespace, stopped):
    # One that gives up so late would still be busy releasing when another has taken over.
    a = join("a", timing=Timing(lease=3, renew=2.9, retry=0.3))
    await until(lambda: a.started)
    b, c = join("b"), join("c")
    await until(lambda: "a" == b.elector.holder == c.elector.holder, a, b, c)
    a.link.open.clear()
    await until(lambda: b.started or c.started, a, b, c)
    second, third = (b, c) if b.started else (c, b)
    a.link.open.set()
    if stopped:
        a.elector.stop()
    assert await a.task, "lost"
    versions: set[str] = set()
    async with asyncio.timeout(PATIENCE):
        while len(versions) < 10:  # ten renewals of the second later
            lease = await client.get(LEASE, namespace, "operator")
            assert lease["spec"]["holderIdentity"] == second.elector.identity
            assert not third.started
            assert sum(each.may_write for each in (a, b, c)) <= 1
            versions.add(lease["metadata"]["resourceVersion"])
            await asyncio.sleep(0.05)
    assert not second.task.done()


async def test_a_lease_taken_by_hand_is_lost_and_not_released(join, client, namespace):
    a = join("a")
    await until(lambda: a.started)
    patch = {"spec": {"holderIdentity": "somebody"}}
    await client.patch(
        LEASE, namespace, "operator", patch, content_type="application/merge-patch+json"
    )
    assert await a.task == "taken by somebody"
    assert (await record(client, namespace))["holderIdentity"] == "somebody"


async def test_a_deleted_lease_is_recreated_by_its_holder(join, client, namespace):
    a = join("a")
    await until(lambda: a.started)
    b = join("b")
    await until(lambda: b.elector.holder == "a", a, b)
    uid = ""
    for _ in range(5):
        lease = await client.get(LEASE, namespace, "operator")
        uid = lease["metadata"]["uid"]
        await client.delete(LEASE, namespace, "operator", uid=uid)
        async with asyncio.timeout(PATIENCE):
            while (lease := await client.get(LEASE, namespace, "operator")) is None:
                await asyncio.sleep(0.05)
        assert lease["metadata"]["uid"] != uid
        assert lease["spec"]["holderIdentity"] == "a"
    assert not b.started
    assert not a.task.done()


async def test_a_candidate_without_the_right_waits_and_then_leads(join, cluster, namespace):
    account = load(str(cluster.service_account_kubeconfig(namespace, "default")))
    async with Client(account, user_agent="test-lease") as poor:
        with capture_logs() as lines:
            a = join("a", client=poor)
            await until(lambda: len(a.link.late) >= 3, a)  # as many requests, all refused
            cluster.kubectl(
                "create", "role", "lease", "-n", namespace,
                "--verb=get,create,update", "--resource=leases.coordination.k8s.io",
            )  # fmt: skip
            cluster.kubectl(
                "create", "rolebinding", "lease", "-n", namespace,
                "--role=lease", f"--serviceaccount={namespace}:default",
            )  # fmt: skip
            await until(lambda: a.started)
        (failure,) = (line for line in lines if line["log_level"] == "error")
        assert f"-n {namespace}" in failure["fix"]
        a.elector.stop()
        await a.task


PROCESS = """
    import asyncio, sys
    from reconciler.client.api import NotLeader
    from reconciler.client.client import Client
    from reconciler.client.kubeconfig import load
    from reconciler.process.leader import LeaderThread
    from reconciler.process.lease import Timing, boot_clock
    from reconciler.process.logs import configure

    async def main(kubeconfig, namespace):
        configure()
        cluster, lost = load(kubeconfig), asyncio.Event()
        leader = LeaderThread(
            namespace,
            "operator",
            lambda: Client(cluster, user_agent="test-lease"),
            identity="process",
            timing=Timing(lease=3, renew=2, retry=0.3),
            on_lost=lambda reason: lost.set(),
        )
        leader.start()
        last = None
        while not lost.is_set():
            for _ in range(20000):  # busy: so it runs before the elector when both wake
                sent = boot_clock()
                try:
                    leader.guard()  # what comes next would be the write
                except NotLeader:
                    break
                if last is None:
                    print("leading", flush=True)
                last = sent
            await asyncio.sleep(0)
        await leader.stop()
        print(last)

    asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_process_resumed_after_its_lease_writes_nothing(join, cluster, client, namespace):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(PROCESS), str(cluster.kubeconfig), namespace,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            await process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        b = join("b")
        await until(lambda: b.started)
        taken = b.started[0]
        process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
        assert process.returncode == 0
        assert float(output) < taken
        assert (await record(client, namespace))["holderIdentity"] == "b"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_the_record_has_the_fields_that_other_tools_read(join, client, namespace):
    a = join("a")
    await until(lambda: a.started)
    spec = await record(client, namespace)
    assert datetime.fromisoformat(spec["renewTime"]) <= datetime.now(UTC)
    assert set(spec) == {
        "acquireTime", "holderIdentity", "leaseDurationSeconds", "leaseTransitions", "renewTime",
    }  # fmt: skip

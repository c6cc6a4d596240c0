"""Disturbances: faults of the control plane, of a process or of a clock, not of single requests.

The rule kept here: every action undoes itself. When an action returns, the cause is gone, and the
operator must repair the effects.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Protocol

from chaos.plan import Disturbance
from chaos.proxy.rules import Rule
from chaos.replica import Replica
from devcluster import Cluster, SecondApiServer
from harness.objects import CHILDREN


class Run(Protocol):
    """The part of a run that disturbances use."""

    cluster: Cluster
    replicas: list[Replica]

    def leader(self) -> Replica:
        """Wait for a leader; the replica that holds the Lease, or the only replica."""

    def kill(self, replica: Replica, back_after: float = 0.0) -> None:
        """Send SIGKILL to a replica; it is restarted after ``back_after`` seconds."""

    def terminate(self, replica: Replica, back_after: float = 0.0) -> None:
        """Send SIGTERM to a replica; it is restarted after ``back_after`` seconds."""

    def expect_end(self, replica: Replica) -> None:
        """Accept from now on that the process of this replica ends by itself."""

    def lease_path(self) -> str:
        """The path of the Lease of this run's operators."""

    def new_token(self) -> str:
        """Another token of the operator's account."""

    def second_apiserver(self) -> SecondApiServer:
        """The second API server of this control plane. Raises LookupError where there is none."""


Action = Callable[[Run, Disturbance], None]

DONE_SECONDS = 2.0
"""Long enough for the operator to reconcile a user's change."""
CATCH_UP_SECONDS = 1.0
"""Long enough for the watch cache of a reconnected API server to catch up with etcd."""
CUSTOM = ("gatihandlers", "gatimodules", "gativersions")
"""Custom resources; an API server fills their watch caches at the first request only."""
ALL_BUT_LEASES = (*CUSTOM, *CHILDREN, "pods", "events")
"""Every resource that the operator requests, but for its Lease."""


def kill_apiserver(run: Run, disturbance: Disturbance) -> None:
    """The API server is killed and restarted after ``seconds``: every watch gets a 410."""
    run.cluster.kill_apiserver()
    time.sleep(disturbance.seconds)
    run.cluster.restart_apiserver()


def freeze_etcd(run: Run, disturbance: Disturbance) -> None:
    """The etcd process is stopped by SIGSTOP: writes hang, get a 504 and may still be committed."""
    _frozen(run, "etcd", disturbance)


def freeze_apiserver(run: Run, disturbance: Disturbance) -> None:
    """The API server is stopped by SIGSTOP, with its connections open."""
    _frozen(run, "kube-apiserver", disturbance)


def _frozen(run: Run, component: str, disturbance: Disturbance) -> None:
    run.cluster.freeze(component)
    try:
        time.sleep(disturbance.seconds)
    finally:
        run.cluster.thaw(component)


def compact(run: Run, disturbance: Disturbance) -> None:
    """With the watches disconnected, etcd is compacted and the API server restarted."""
    for replica in run.replicas:
        replica.proxy.refuse()
    run.cluster.compact_etcd()
    run.cluster.restart_apiserver()
    for replica in run.replicas:
        replica.proxy.accept()


def no_controller_manager(run: Run, disturbance: Disturbance) -> None:
    """kube-controller-manager is down for ``seconds``: no rollout, no garbage collection."""
    run.cluster.kill("kube-controller-manager")
    time.sleep(disturbance.seconds)
    run.cluster.restart("kube-controller-manager")


def stale_apiserver(run: Run, disturbance: Disturbance) -> None:
    """The operator restarts, and reads from a second API server that is disconnected from etcd.

    Consistent reads, as all lists of the operator are, wait until the second server is connected
    again. Writes go to the first server. At the end reads go to the first server again.
    """
    second = run.second_apiserver()
    second.freeze_etcd_link()
    try:
        _read_from(run, second)
        for replica in run.replicas:
            run.kill(replica)
        time.sleep(disturbance.lead + disturbance.seconds)
    finally:
        second.thaw_etcd_link()
        _redirect_back(run)


def backward_apiserver(run: Run, disturbance: Disturbance) -> None:
    """After its writes the operator reads from a second API server that does not have them yet.

    The second server is disconnected from etcd before the user's change: its watches send no
    event, its gets and lists wait. Once it is connected again and has caught up, reads go to the
    first server again. Writes go to the first server all the time.
    """
    second = run.second_apiserver()
    second.freeze_etcd_link()
    try:
        time.sleep(disturbance.lead + DONE_SECONDS)
        _read_from(run, second)
        time.sleep(disturbance.seconds)
    finally:
        second.thaw_etcd_link()
        time.sleep(CATCH_UP_SECONDS)
        _redirect_back(run)


def switch_apiserver(run: Run, disturbance: Disturbance) -> None:
    """Connections move to another API server on the same etcd, and back."""
    second = run.second_apiserver()
    for replica in run.replicas:
        replica.proxy.redirect(second.url, run.cluster.ca_file)
    time.sleep(disturbance.lead + disturbance.seconds)
    _redirect_back(run)


def _read_from(run: Run, second: SecondApiServer) -> None:
    for replica in run.replicas:
        replica.proxy.redirect(second.url, run.cluster.ca_file, reads_only=True)


def _redirect_back(run: Run) -> None:
    for replica in run.replicas:
        replica.proxy.redirect(run.cluster.url, run.cluster.ca_file)


def silence(run: Run, disturbance: Disturbance) -> None:
    """Every connection is half-open, without any traffic, then reset."""
    for replica in run.replicas:
        replica.proxy.swallow()
    time.sleep(disturbance.seconds)
    for replica in run.replicas:
        replica.proxy.release()
        replica.proxy.cut()


def refuse(run: Run, disturbance: Disturbance) -> None:
    """New connections are refused and open ones are reset."""
    for replica in run.replicas:
        replica.proxy.refuse()
        replica.proxy.cut()
    time.sleep(disturbance.seconds)
    for replica in run.replicas:
        replica.proxy.accept()


def cut(run: Run, disturbance: Disturbance) -> None:
    """Every connection is reset, every half second."""
    end = time.monotonic() + disturbance.seconds
    while time.monotonic() < end:
        for replica in run.replicas:
            replica.proxy.cut()
        time.sleep(0.5)


def rotate_certificate(run: Run, disturbance: Disturbance) -> None:
    """The server gets a certificate of another CA, and the CA file is replaced."""
    for replica in run.replicas:
        replica.proxy.rotate_certificate()


def rotate_token(run: Run, disturbance: Disturbance) -> None:
    """The token file is replaced, and the old token gets a 401."""
    for replica in run.replicas:
        old = replica.token.read_text("utf-8")
        replica.token.write_text(run.new_token() + "\n", "utf-8")
        replica.proxy.reject_token(old.strip())


def kill_leader(run: Run, disturbance: Disturbance) -> None:
    """The leader gets SIGKILL and is restarted after ``seconds``."""
    run.kill(run.leader(), back_after=disturbance.seconds)


def stop_leader(run: Run, disturbance: Disturbance) -> None:
    """The leader gets SIGTERM and is restarted after ``seconds``."""
    run.terminate(run.leader(), back_after=disturbance.seconds)


def freeze_leader(run: Run, disturbance: Disturbance) -> None:
    """The leader is stopped by SIGSTOP and continued after ``seconds``."""
    leader = run.leader()
    leader.operator.freeze()
    time.sleep(disturbance.seconds)
    leader.operator.thaw()


def cut_lease(run: Run, disturbance: Disturbance) -> None:
    """The leader's Lease requests get no answer; all other requests pass."""
    _hang(run, Rule(resource="leases", phase="before", fault="hang", count=0), disturbance)


def lose_lease_answers(run: Run, disturbance: Disturbance) -> None:
    """The leader's Lease writes are committed, but their answers are lost."""
    rule = Rule(resource="leases", verb="update", phase="committed", fault="drop", count=0)
    _hang(run, rule, disturbance)


def cut_all_but_lease(run: Run, disturbance: Disturbance) -> None:
    """Only the leader's Lease requests pass; all other requests hang."""
    leader = run.leader()
    rules = [
        leader.proxy.add(Rule(resource=each, phase="before", fault="hang", count=0))
        for each in ALL_BUT_LEASES
    ]
    leader.proxy.cut()
    time.sleep(disturbance.seconds)
    for rule in rules:
        leader.proxy.remove(rule)


def _hang(run: Run, rule: Rule, disturbance: Disturbance) -> None:
    leader = run.leader()
    index = leader.proxy.add(rule)
    time.sleep(disturbance.seconds)
    leader.proxy.remove(index)


def delete_lease(run: Run, disturbance: Disturbance) -> None:
    """The Lease is deleted."""
    run.cluster.api.json("DELETE", run.lease_path())


def overwrite_lease(run: Run, disturbance: Disturbance) -> None:
    """A user writes another holder into the Lease."""
    run.expect_end(run.leader())
    patch = {"spec": {"holderIdentity": "somebody", "leaseTransitions": 99}}
    content = "application/merge-patch+json"
    run.cluster.api.json("PATCH", run.lease_path(), patch, content)


def block_loop(run: Run, disturbance: Disturbance) -> None:
    """The leader's event loop is blocked, as by a long computation."""
    leader = run.leader() if len(run.replicas) > 1 else run.replicas[0]
    os.kill(leader.operator.process.pid, signal.SIGUSR1)
    time.sleep(disturbance.seconds)


def jump_clock(run: Run, disturbance: Disturbance) -> None:
    """The wall clock of each replica jumps by an hour: one forward, one backward."""
    for replica in run.replicas:
        os.kill(replica.operator.process.pid, signal.SIGUSR2)


ACTIONS: dict[str, Action] = {
    action.__name__.replace("_", "-"): action
    for action in (
        kill_apiserver,
        freeze_etcd,
        freeze_apiserver,
        compact,
        no_controller_manager,
        stale_apiserver,
        backward_apiserver,
        switch_apiserver,
        silence,
        refuse,
        cut,
        rotate_certificate,
        rotate_token,
        kill_leader,
        stop_leader,
        freeze_leader,
        cut_lease,
        lose_lease_answers,
        cut_all_but_lease,
        delete_lease,
        overwrite_lease,
        block_loop,
        jump_clock,
    )
}
NEED_A_SECOND_APISERVER = frozenset({"stale-apiserver", "backward-apiserver", "switch-apiserver"})
"""Actions that need a second API server; it is started before the scenario."""
IMPAIRING = frozenset({"block-loop", "jump-clock"})
"""Actions that need an operator process of ``chaos.impaired``."""

"""What can go wrong beside single requests: in the control plane, in a process, with a clock.

Every action undoes itself: when it returns, the cause is gone, and what is left is the
operator's to mend.
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
    """What a disturbance asks of the run that it happens in."""

    cluster: Cluster
    replicas: list[Replica]

    def leader(self) -> Replica:
        """The replica that holds the Lease, or the only one; waits for it."""

    def kill(self, replica: Replica, back_after: float = 0.0) -> None:
        """End a replica with SIGKILL; it is started again after ``back_after`` seconds."""

    def terminate(self, replica: Replica, back_after: float = 0.0) -> None:
        """End a replica with SIGTERM; it is started again after ``back_after`` seconds."""

    def expect_end(self, replica: Replica) -> None:
        """The process of this replica may end by itself from now on, and that is right."""

    def lease_path(self) -> str:
        """The path of the Lease of this run's operators."""

    def new_token(self) -> str:
        """Another token of the operator's account."""

    def second_apiserver(self) -> SecondApiServer:
        """The second API server of this control plane. Raises LookupError where there is none."""


Action = Callable[[Run, Disturbance], None]

DONE_SECONDS = 2.0
"""In which the operator carries out a change of its user."""
CATCH_UP_SECONDS = 1.0
"""In which an API server that is no longer cut off hears of what it has missed."""
CUSTOM = ("gatihandlers", "gatimodules", "gativersions")
"""The operator's own kinds, which an API server does not know before it is asked for them."""
ALL_BUT_LEASES = (*CUSTOM, *CHILDREN, "pods", "events")
"""Whatever the operator asks for beside its Lease."""


def kill_apiserver(run: Run, disturbance: Disturbance) -> None:
    """The API server is killed and comes back after ``seconds``: every watch gets a 410."""
    run.cluster.kill_apiserver()
    time.sleep(disturbance.seconds)
    run.cluster.restart_apiserver()


def freeze_etcd(run: Run, disturbance: Disturbance) -> None:
    """The etcd process stands still: writes hang, are answered 504 and may still be committed."""
    _frozen(run, "etcd", disturbance)


def freeze_apiserver(run: Run, disturbance: Disturbance) -> None:
    """The API server stands still, its connections open."""
    _frozen(run, "kube-apiserver", disturbance)


def _frozen(run: Run, component: str, disturbance: Disturbance) -> None:
    run.cluster.freeze(component)
    try:
        time.sleep(disturbance.seconds)
    finally:
        run.cluster.thaw(component)


def compact(run: Run, disturbance: Disturbance) -> None:
    """Etcd forgets its history, and the API server its cache, while the watches are cut."""
    for replica in run.replicas:
        replica.proxy.refuse()
    run.cluster.compact_etcd()
    run.cluster.restart_apiserver()
    for replica in run.replicas:
        replica.proxy.accept()


def no_controller_manager(run: Run, disturbance: Disturbance) -> None:
    """Nobody rolls Deployments or collects garbage for a time."""
    run.cluster.kill("kube-controller-manager")
    time.sleep(disturbance.seconds)
    run.cluster.restart("kube-controller-manager")


def stale_apiserver(run: Run, disturbance: Disturbance) -> None:
    """The operator restarts, and reads from a second API server that is cut off from etcd.

    What asks etcd, as every list of the operator does, waits there until the link is back; what
    it writes goes to the first server. It is then led back.
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
        _lead_back(run)


def backward_apiserver(run: Run, disturbance: Disturbance) -> None:
    """What the operator has done it then watches at a second API server that has not seen it yet.

    That server was cut off from etcd before the user's change. Its watches hear nothing, and its
    gets and lists wait, until the link is back and it catches up; only then is the operator led
    back. It writes to the first server all the time.
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
        _lead_back(run)


def switch_apiserver(run: Run, disturbance: Disturbance) -> None:
    """Connections end and go on at another API server on the same etcd, and back."""
    second = run.second_apiserver()
    for replica in run.replicas:
        replica.proxy.redirect(second.url, run.cluster.ca_file)
    time.sleep(disturbance.lead + disturbance.seconds)
    _lead_back(run)


def _read_from(run: Run, second: SecondApiServer) -> None:
    for replica in run.replicas:
        replica.proxy.redirect(second.url, run.cluster.ca_file, reads_only=True)


def _lead_back(run: Run) -> None:
    for replica in run.replicas:
        replica.proxy.redirect(run.cluster.url, run.cluster.ca_file)


def silence(run: Run, disturbance: Disturbance) -> None:
    """Every connection stays open and nothing comes through, until they are reset."""
    for replica in run.replicas:
        replica.proxy.swallow()
    time.sleep(disturbance.seconds)
    for replica in run.replicas:
        replica.proxy.release()
        replica.proxy.cut()


def refuse(run: Run, disturbance: Disturbance) -> None:
    """No connection is made, and those that were are reset."""
    for replica in run.replicas:
        replica.proxy.refuse()
        replica.proxy.cut()
    time.sleep(disturbance.seconds)
    for replica in run.replicas:
        replica.proxy.accept()


def cut(run: Run, disturbance: Disturbance) -> None:
    """Every connection is reset, each half second."""
    end = time.monotonic() + disturbance.seconds
    while time.monotonic() < end:
        for replica in run.replicas:
            replica.proxy.cut()
        time.sleep(0.5)


def rotate_certificate(run: Run, disturbance: Disturbance) -> None:
    """The server's certificate is another authority's, whose file is replaced."""
    for replica in run.replicas:
        replica.proxy.rotate_certificate()


def rotate_token(run: Run, disturbance: Disturbance) -> None:
    """The token in the file is replaced, and the old one is not accepted any more."""
    for replica in run.replicas:
        old = replica.token.read_text("utf-8")
        replica.token.write_text(run.new_token() + "\n", "utf-8")
        replica.proxy.reject_token(old.strip())


def kill_leader(run: Run, disturbance: Disturbance) -> None:
    """The leader is killed; it is started again after ``seconds``."""
    run.kill(run.leader(), back_after=disturbance.seconds)


def stop_leader(run: Run, disturbance: Disturbance) -> None:
    """The leader is told to stop, and is started again after ``seconds``."""
    run.terminate(run.leader(), back_after=disturbance.seconds)


def freeze_leader(run: Run, disturbance: Disturbance) -> None:
    """The leader's process stands still, then goes on as if nothing had happened."""
    leader = run.leader()
    leader.operator.freeze()
    time.sleep(disturbance.seconds)
    leader.operator.thaw()


def cut_lease(run: Run, disturbance: Disturbance) -> None:
    """The leader's Lease requests get no answer; everything else passes."""
    _hang(run, Rule(resource="leases", phase="before", fault="hang", count=0), disturbance)


def lose_lease_answers(run: Run, disturbance: Disturbance) -> None:
    """The leader's Lease writes are committed and it never learns of it."""
    rule = Rule(resource="leases", verb="update", phase="committed", fault="drop", count=0)
    _hang(run, rule, disturbance)


def cut_all_but_lease(run: Run, disturbance: Disturbance) -> None:
    """The leader renews its Lease and can do nothing else."""
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
    """Somebody deletes the Lease."""
    run.cluster.api.json("DELETE", run.lease_path())


def usurp_lease(run: Run, disturbance: Disturbance) -> None:
    """Somebody writes another holder into the Lease by hand."""
    run.expect_end(run.leader())
    patch = {"spec": {"holderIdentity": "somebody", "leaseTransitions": 99}}
    content = "application/merge-patch+json"
    run.cluster.api.json("PATCH", run.lease_path(), patch, content)


def block_loop(run: Run, disturbance: Disturbance) -> None:
    """The leader's event loop stands still, as under a long computation."""
    leader = run.leader() if len(run.replicas) > 1 else run.replicas[0]
    os.kill(leader.operator.process.pid, signal.SIGUSR1)
    time.sleep(disturbance.seconds)


def jump_clock(run: Run, disturbance: Disturbance) -> None:
    """The wall clock of every replica jumps by an hour, one forward and one backward."""
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
        usurp_lease,
        block_loop,
        jump_clock,
    )
}
NEED_A_SECOND_APISERVER = frozenset({"stale-apiserver", "backward-apiserver", "switch-apiserver"})
"""Actions for which a second API server has to run; it takes longer to start than they last."""
IMPAIRING = frozenset({"block-loop", "jump-clock"})
"""Actions that need the process of ``chaos.impaired``."""

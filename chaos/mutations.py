"""Bugs put into the operator on purpose. The rig must find each, by an oracle named here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaos import bugs
from chaos.catalogue import LATE_APPLY, LATE_DELETE
from chaos.plan import Disturbance, Plan
from chaos.proxy.rules import Fault, Rule
from chaos.replacement import Replacement


@dataclass(frozen=True)
class Mutation:
    """A bug: what it is, what is replaced to make it, the plan that shows it, who must object.

    ``oracles`` are those that catch it, any of them.
    """

    name: str
    what: str
    replaces: tuple[Replacement, ...]
    plan: Plan
    oracles: tuple[str, ...]


def _plan(name: str, scenario: str = "handler-life", **fields: Any) -> Plan:
    return Plan(group="mutation", name=name, scenario=scenario, quiet=3.0, **fields)


def _at(step: str, action: str, seconds: float, lead: float = 0.0) -> tuple[Disturbance, ...]:
    return (Disturbance(at=step, action=action, seconds=seconds, lead=lead),)


def _frame(resource: str, fault: Fault, **fields: Any) -> tuple[Rule, ...]:
    """A fault in the stream of a watch."""
    return (Rule(verb="watch", resource=resource, phase="stream", fault=fault, **fields),)


def _apply(resource: str, fault: Fault, **fields: Any) -> tuple[Rule, ...]:
    """A fault of applies that do not reach the server."""
    return (Rule(verb="apply", resource=resource, phase="before", fault=fault, **fields),)


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "skip-the-relist-diff",
        "what vanished during a gap of the watch stays in the cache",
        (Replacement("reconciler.cache:Store.replace", bugs.keep_what_is_not_listed),),
        _plan(
            "relist",
            "three-handlers",
            at="lose-deployments",
            rules=_frame("deployments", "gone", frame="DELETED"),
            patience=25.0,
        ),
        ("end-state",),
    ),
    Mutation(
        "adopt-foreign-objects",
        "whatever has the name of a child is taken for a child",
        (Replacement("contract.ownership:is_own", bugs.treat_every_object_as_own),),
        _plan("adopt", patience=20.0),
        ("end-state", "foreign"),
    ),
    Mutation(
        "ignore-the-operator-class",
        "handlers of another install are taken care of too",
        (Replacement("reconciler.workers:Workers._is_selected", bugs.select_every_class),),
        _plan("class", patience=20.0),
        ("foreign",),
    ),
    Mutation(
        "apply-without-uid",
        "an apply that comes too late makes a deleted object anew",
        (Replacement("reconciler.client.client:Client.apply", bugs.apply_without_uid),),
        _plan(
            "late apply",
            "edited-and-deleted",
            at="edit-and-delete",
            rules=(LATE_APPLY,),
        ),
        ("object-counts", "end-state"),
    ),
    Mutation(
        "delete-without-uid",
        "a delete that comes too late takes an object of the same name",
        (Replacement("reconciler.client.wire:encode", bugs.delete_without_preconditions),),
        _plan(
            "late delete",
            "autoscaler-taken-over",
            at="replace-autoscaler",
            rules=(LATE_DELETE,),
            patience=25.0,
        ),
        ("object-counts", "end-state"),
    ),
    Mutation(
        "release-a-lost-lease",
        "whoever lost the Lease empties it, whosever it is by then",
        (Replacement("reconciler.process.lease:Elector._renew", bugs.release_a_lost_lease),),
        _plan("release", replicas=2, disturbances=_at("scale", "freeze-leader", 6.0, 5.0)),
        ("single-writer",),
    ),
    Mutation(
        "lead-without-the-lease",
        "a standby writes too",
        (
            Replacement("reconciler.process.lease:Elector.guard", bugs.allow_every_write),
            Replacement("reconciler.process.leader:LeaderThread.start", bugs.lead_before_the_lease),
        ),
        _plan("two leaders", replicas=2, patience=20.0),
        ("single-writer",),
    ),
    Mutation(
        "write-after-the-lease-is-lost",
        "a leader that could not renew goes on",
        (
            Replacement("reconciler.process.lease:Elector.guard", bugs.allow_every_write),
            Replacement(
                "reconciler.process.leader:LeaderThread.__init__", bugs.ignore_the_loss_of_the_lease
            ),
        ),
        _plan(
            "lost lease",
            replicas=2,
            disturbances=_at("scale", "cut-lease", 6.5, 4.0),
            patience=25.0,
        ),
        ("single-writer",),
    ),
    Mutation(
        "recreate-what-left-the-watch",
        "a child that lost its label is deleted and made anew",
        (Replacement("reconciler.apply:KubernetesTarget.get", bugs.delete_what_left_the_watch),),
        _plan("label off", patience=20.0),
        ("end-state", "object-counts"),
    ),
    Mutation(
        "no-hand-over-of-replicas",
        "replicas are dropped, not handed over, when an autoscaler comes",
        (Replacement("reconciler.child_write:ChildWrite._hand_over", bugs.skip_the_hand_over),),
        _plan("no hand-over", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "no-deadline-of-a-watch",
        "a watch that falls silent is waited for as long as TCP likes",
        (Replacement("reconciler.client.transport:Transport.stream", bugs.watch_for_a_day),),
        _plan(
            "silence",
            at="scale",
            rules=_frame("gatihandlers", "silence"),
            patience=130.0,
        ),
        ("end-state",),
    ),
    Mutation(
        "resume-where-it-was-refused",
        "after a 410 the watch is tried again from the same version, for ever",
        (Replacement("reconciler.phases:next_phase", bugs.resume_after_410),),
        _plan(
            "resume",
            disturbances=_at("scale", "compact", 0.0),
            exclusive=True,
            patience=30.0,
        ),
        ("end-state", "bounded-retries"),
    ),
    Mutation(
        "end-on-an-error-frame",
        "an error in the stream ends the process",
        (Replacement("reconciler.client.wire:event_of", bugs.raise_at_an_error_frame),),
        _plan(
            "error frame",
            at="scale",
            rules=_frame("deployments", "gone"),
            patience=20.0,
        ),
        ("health",),
    ),
    Mutation(
        "write-what-is-there",
        "every pass applies every child, whether it differs or not",
        (Replacement("reconciler.converge:decide", bugs.apply_without_a_difference),),
        _plan("no compare", patience=20.0),
        ("quiescence", "end-state", "bounded-writes"),
    ),
    Mutation(
        "a-new-time-in-each-status",
        "conditions get the present time in every pass",
        (Replacement("contract.status:conditions", bugs.renew_transition_times),),
        _plan("clock in status", patience=20.0),
        ("status-rules", "quiescence"),
    ),
    Mutation(
        "observe-what-is-not-there",
        "the status claims a generation that it did not see",
        (Replacement("gati.handler.status.conditions:status", bugs.observe_the_next_generation),),
        _plan("generation", patience=20.0),
        ("status-rules",),
    ),
    Mutation(
        "forget-what-was-wiped",
        "what somebody wipes from a status that is no longer new stays wiped",
        (Replacement("gati.handler.status.conditions:status", bugs.show_only_what_was_stored),),
        _plan("wiped", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "no-backoff",
        "what fails is tried again at once",
        (Replacement("reconciler.queue:WorkQueue.__init__", bugs.back_off_a_millisecond),),
        _plan(
            "hot loop",
            at="scale",
            rules=_apply("deployments", "respond", code=500, count=24),
            patience=60.0,
        ),
        ("bounded-retries",),
    ),
    Mutation(
        "ignore-retry-after",
        "a server that asks for time is not given it",
        (Replacement("reconciler.loop:outcome", bugs.ignore_retry_after),),
        _plan(
            "impatience",
            at="scale",
            rules=_apply("deployments", "respond", code=429, retry_after=4.0),
        ),
        ("bounded-retries",),
    ),
    Mutation(
        "take-a-lost-answer-for-success",
        "a write whose answer is lost is believed to be done",
        (Replacement("reconciler.apply:_trouble", bugs.count_a_failed_write_as_done),),
        _plan(
            "lost answer",
            at="lose-service",  # of which no status tells: nothing else asks for a pass
            # More often than late news of the steps before could ask for a pass by chance.
            rules=_apply("services", "drop", count=6),
            flags=("--resync=0",),
            patience=25.0,
        ),
        ("end-state",),
    ),
    Mutation(
        "repair-without-end",
        "what somebody undoes is done again at once, for ever",
        (Replacement("reconciler.contention:Repairs.wait", bugs.repair_at_once),),
        _plan("contest", "contested", patience=20.0),
        ("bounded-writes",),
    ),
    Mutation(
        "no-owner-reference",
        "children outlive their handler",
        (Replacement("contract.ownership:stamp", bugs.omit_owner_references),),
        _plan("orphans", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "leak-a-task-for-each-pass",
        "every pass leaves a task behind",
        (Replacement("reconciler.loop:Reconciler.reconcile", bugs.leak_a_task),),
        _plan("leak"),
        ("resources",),
    ),
    Mutation(
        "log-the-token",
        "the credentials of a request are logged",
        (Replacement("reconciler.client.transport:Transport._send", bugs.print_the_token),),
        _plan("token", patience=20.0),
        ("no-secret",),
    ),
    Mutation(
        "write-while-suspended",
        "a suspended handler is written like any other",
        (Replacement("gati.handler.controller:HandlerController.read", bugs.ignore_suspend),),
        _plan("suspend", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "replace-in-place-of-change",
        "a Deployment that differs is deleted and made anew",
        (Replacement("reconciler.converge:decide", bugs.recreate_a_deployment),),
        _plan("replace", patience=20.0),
        ("object-counts",),
    ),
)

"""Mutations: bugs put into the operator on purpose. A named oracle must catch each of them."""

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
    """A bug: its description, the replaced functions, the plan that shows it, and the oracles.

    The mutation is caught where any of ``oracles`` reports a finding.
    """

    name: str
    bug: str
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
        "objects deleted during a gap of the watch stay in the cache",
        (Replacement("reconciler.cache:Store.replace", bugs.keep_what_is_not_listed),),
        _plan(
            "relist",
            "three-handlers",
            at="delete-deployments",
            rules=_frame("deployments", "gone", frame="DELETED"),
            patience=25.0,
        ),
        ("end-state",),
    ),
    Mutation(
        "adopt-foreign-objects",
        "a foreign object with the name of a child is written like a child",
        (Replacement("contract.ownership:is_own", bugs.treat_every_object_as_own),),
        _plan("adopt", patience=20.0),
        ("end-state", "foreign"),
    ),
    Mutation(
        "ignore-the-operator-class",
        "handlers of another operator class are reconciled too",
        (Replacement("reconciler.workers:Workers._is_selected", bugs.select_every_class),),
        _plan("class", patience=20.0),
        ("foreign",),
    ),
    Mutation(
        "apply-without-uid",
        "a late apply recreates a deleted object",
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
        "a late delete deletes another object of the same name",
        (Replacement("reconciler.client.wire:encode", bugs.delete_without_preconditions),),
        _plan(
            "late delete",
            "autoscaler-replaced",
            at="replace-autoscaler",
            rules=(LATE_DELETE,),
            patience=25.0,
        ),
        ("object-counts", "end-state"),
    ),
    Mutation(
        "release-a-lost-lease",
        "a replica that lost the Lease clears it, whoever holds it now",
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
        "a leader that could not renew continues to write",
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
        "recreate-an-unlabelled-child",
        "a child that lost its label is deleted and recreated",
        (Replacement("reconciler.apply:KubernetesTarget.get", bugs.delete_what_left_the_watch),),
        _plan("label off", patience=20.0),
        ("end-state", "object-counts"),
    ),
    Mutation(
        "no-hand-over-of-replicas",
        "spec.replicas is dropped, not handed over, when an autoscaler is added",
        (Replacement("reconciler.child_write:ChildWrite._hand_over", bugs.skip_the_hand_over),),
        _plan("no hand-over", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "watch-without-timeout",
        "a half-open watch ends only when TCP ends it",
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
        "resume-after-410",
        "after a 410 the watch resumes from the same resource version, again and again",
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
        "exit-at-an-error-event",
        "an ERROR event of a watch ends the process",
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
        "apply-without-drift",
        "every pass applies every child, also without drift",
        (Replacement("reconciler.converge:decide", bugs.apply_without_a_difference),),
        _plan("no compare", patience=20.0),
        ("quiescence", "end-state", "bounded-writes"),
    ),
    Mutation(
        "renew-transition-times",
        "every pass sets lastTransitionTime of the conditions to now",
        (Replacement("contract.status:conditions", bugs.renew_transition_times),),
        _plan("clock in status", patience=20.0),
        ("status-rules", "quiescence"),
    ),
    Mutation(
        "observe-the-next-generation",
        "observedGeneration is above the observed generation",
        (Replacement("gati.handler.status.conditions:status", bugs.observe_the_next_generation),),
        _plan("generation", patience=20.0),
        ("status-rules",),
    ),
    Mutation(
        "keep-a-wiped-status-empty",
        "status fields that a user wipes are not set again after the first generation",
        (Replacement("gati.handler.status.conditions:status", bugs.show_only_what_was_stored),),
        _plan("wiped", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "no-backoff",
        "a failed reconcile is retried at once",
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
        "a retry comes before the Retry-After of the server",
        (Replacement("reconciler.loop:outcome", bugs.ignore_retry_after),),
        _plan(
            "impatience",
            at="scale",
            rules=_apply("deployments", "respond", code=429, retry_after=4.0),
        ),
        ("bounded-retries",),
    ),
    Mutation(
        "count-a-lost-answer-as-success",
        "a write without an answer counts as done",
        (Replacement("reconciler.apply:_trouble", bugs.count_a_failed_write_as_done),),
        _plan(
            "lost answer",
            at="delete-service",  # not shown in any status: no other event requeues the handler
            # More drops than late events of earlier steps could requeue the handler.
            rules=_apply("services", "drop", count=6),
            flags=("--resync=0",),
            patience=25.0,
        ),
        ("end-state",),
    ),
    Mutation(
        "repair-without-backoff",
        "a contested child is repaired at once, each time",
        (Replacement("reconciler.contention:Repairs.wait", bugs.repair_at_once),),
        _plan("contest", "contested", patience=20.0),
        ("bounded-writes",),
    ),
    Mutation(
        "no-owner-reference",
        "children have no owner reference, so they outlive their handler",
        (Replacement("contract.ownership:stamp", bugs.omit_owner_references),),
        _plan("orphans", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "leak-a-task-per-pass",
        "every pass leaves an asyncio task behind",
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
        "the children of a suspended handler are written",
        (Replacement("gati.handler.controller:HandlerController.read", bugs.ignore_suspend),),
        _plan("suspend", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "recreate-on-update",
        "a Deployment that differs is deleted and recreated",
        (Replacement("reconciler.converge:decide", bugs.recreate_a_deployment),),
        _plan("replace", patience=20.0),
        ("object-counts",),
    ),
)

"""Bugs put into the operator on purpose. The rig must find each, by an oracle named here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaos.catalogue import LATE_APPLY, LATE_DELETE
from chaos.plan import Disturbance, Plan
from chaos.proxy.rules import Rule
from chaos.sources import Edit


@dataclass(frozen=True)
class Mutation:
    """A bug: what it is, the edit that makes it, the plan that shows it and who must object.

    ``oracles`` are those that catch it, any of them.
    """

    name: str
    what: str
    edits: tuple[Edit, ...]
    plan: Plan
    oracles: tuple[str, ...]


def _plan(name: str, scenario: str = "handler-life", **fields: Any) -> Plan:
    return Plan(group="mutation", name=name, scenario=scenario, quiet=3.0, **fields)


def _at(step: str, action: str, seconds: float, lead: float = 0.0) -> tuple[Disturbance, ...]:
    return (Disturbance(at=step, action=action, seconds=seconds, lead=lead),)


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "skip-the-relist-diff",
        "what vanished during a gap of the watch stays in the cache",
        (
            Edit(
                "reconciler/cache.py", "if key not in listed\n", "if key not in listed and False\n"
            ),
        ),
        _plan(
            "relist",
            "three-handlers",
            at="lose-deployments",
            rules=(
                Rule(
                    verb="watch",
                    resource="deployments",
                    phase="stream",
                    fault="gone",
                    frame="DELETED",
                ),
            ),
            patience=25.0,
        ),
        ("end-state",),
    ),
    Mutation(
        "adopt-foreign-objects",
        "whatever has the name of a child is taken for a child",
        (
            Edit(
                "reconciler/apply.py",
                "if not ownership.is_own(live, parent, self._group):",
                "if False:",
            ),
        ),
        _plan("adopt", patience=20.0),
        ("end-state", "foreign"),
    ),
    Mutation(
        "ignore-the-operator-class",
        "handlers of another install are taken care of too",
        (
            Edit(
                "reconciler/runtime.py",
                'return bool(labels.get(f"{group}/operator-class", "") == self._operator_class)',
                "return True",
            ),
        ),
        _plan("class", patience=20.0),
        ("foreign",),
    ),
    Mutation(
        "apply-without-uid",
        "an apply that comes too late makes a deleted object anew",
        (
            Edit(
                "reconciler/apply.py",
                'return {**body, "metadata": {**body["metadata"], "uid": live["metadata"]["uid"]}}',
                "return body",
            ),
        ),
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
        (
            Edit(
                "reconciler/client/client.py",
                'preconditions = {"uid": uid}',
                "preconditions: dict[str, str] = {}",
            ),
            Edit(
                "reconciler/client/client.py",
                "        if resource_version:\n            preconditions",
                "        if False:\n            preconditions",
            ),
        ),
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
        (
            Edit(
                "reconciler/process/lease.py",
                "            self._on_lost(str(lost))\n",
                "            await self._release(api)\n            self._on_lost(str(lost))\n",
            ),
            Edit(
                "reconciler/process/lease.py",
                'if lease is None or not self._ours(lease.get("spec") or {}):',
                "if lease is None:",
            ),
        ),
        _plan("release", replicas=2, disturbances=_at("scale", "freeze-leader", 6.0, 5.0)),
        ("single-writer",),
    ),
    Mutation(
        "lead-without-the-lease",
        "a standby writes too",
        (
            Edit(
                "reconciler/process/app.py", "guard=leader.guard if leader else None", "guard=None"
            ),
            Edit(
                "reconciler/process/app.py",
                "        if leader:\n            leader.start()\n        else:\n            runtime.lead()\n",
                "        runtime.lead()\n        if leader:\n            leader.start()\n",
            ),
        ),
        _plan("two leaders", replicas=2, patience=20.0),
        ("single-writer",),
    ),
    Mutation(
        "write-after-the-lease-is-lost",
        "a leader that could not renew goes on",
        (
            Edit(
                "reconciler/process/app.py", "guard=leader.guard if leader else None", "guard=None"
            ),
            Edit(
                "reconciler/process/app.py",
                "        stopping.set()\n\n    leader",
                "        log.info(reason)\n\n    leader",
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
        (
            Edit(
                "reconciler/loop.py",
                "            if obj is not None:\n                live[child.id] = obj\n",
                "            if obj is not None and is_own(obj, parent, self.controller.kind.group):\n"
                "                await self.target.delete(child.kind, *key_parts(child.body))\n"
                "            elif obj is not None:\n                live[child.id] = obj\n",
            ),
        ),
        _plan("label off", patience=20.0),
        ("end-state", "object-counts"),
    ),
    Mutation(
        "no-hand-over-of-replicas",
        "replicas are dropped, not handed over, when an autoscaler comes",
        (
            Edit(
                "reconciler/apply.py",
                "if not child.yields or mark in ownership.annotations_of(live):",
                "if True:",
            ),
        ),
        _plan("no hand-over", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "no-deadline-of-a-watch",
        "a watch that falls silent is waited for as long as TCP likes",
        (
            Edit(
                "reconciler/client/client.py",
                "seconds=seconds + 10.0, quiet=self._quiet)",
                "seconds=86400.0, quiet=86400.0)",
            ),
        ),
        _plan(
            "silence",
            at="scale",
            rules=(Rule(verb="watch", resource="gatihandlers", phase="stream", fault="silence"),),
            patience=130.0,
        ),
        ("end-state",),
    ),
    Mutation(
        "resume-where-it-was-refused",
        "after a 410 the watch is tried again from the same version, for ever",
        (
            Edit(
                "reconciler/reflector.py",
                "            if (error.code < 500 and error.code != 429) or too_often:\n",
                "            if (error.code < 410 and error.code != 429) or too_often:\n",
            ),
        ),
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
        (
            Edit(
                "reconciler/client/wire.py",
                '        raise error_of_status(frame.get("object") or {})\n',
                '        raise RuntimeError(frame.get("object"))\n',
            ),
        ),
        _plan(
            "error frame",
            at="scale",
            rules=(Rule(verb="watch", resource="deployments", phase="stream", fault="gone"),),
            patience=20.0,
        ),
        ("health",),
    ),
    Mutation(
        "write-what-is-there",
        "every pass applies every child, whether it differs or not",
        (
            Edit(
                "reconciler/apply.py",
                "        if not paths or remembered.agreed == _agreement(body, live):\n"
                "            return self._unchanged(child, live, remembered)\n"
                "        intent = self._intent(body)\n        if intent not",
                "        intent = self._intent(body)\n        if not paths or intent not",
            ),
        ),
        _plan("no compare", patience=20.0),
        ("quiescence", "end-state", "bounded-writes"),
    ),
    Mutation(
        "a-new-time-in-each-status",
        "conditions get the present time in every pass",
        (
            Edit(
                "contract/status.py",
                'previous["lastTransitionTime"] if same else rfc3339(now)',
                "rfc3339(now)",
            ),
        ),
        _plan("clock in status", patience=20.0),
        ("status-rules", "quiescence"),
    ),
    Mutation(
        "observe-what-is-not-there",
        "the status claims a generation that it did not see",
        (
            Edit(
                "gati/handler/status/conditions.py",
                'generation = parent["metadata"].get("generation", 0)',
                'generation = parent["metadata"].get("generation", 0) + 1',
            ),
        ),
        _plan("generation", patience=20.0),
        ("status-rules",),
    ),
    Mutation(
        "forget-what-was-wiped",
        "what somebody wipes from a status that is no longer new stays wiped",
        (
            Edit(
                "gati/handler/status/conditions.py",
                "for name, value in shown.items() if value}",
                "for name, value in shown.items()\n"
                '        if value and (generation == 1 or name in (parent.get("status") or {}))}',
            ),
        ),
        _plan("wiped", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "no-backoff",
        "what fails is tried again at once",
        (
            Edit(
                "reconciler/queue.py",
                "backoff(self._base, self._limit, failures, self._random)",
                "0.001 * self._random.uniform(0.5, 1.0)",
            ),
        ),
        _plan(
            "hot loop",
            at="scale",
            rules=(
                Rule(
                    verb="apply",
                    resource="deployments",
                    phase="before",
                    fault="respond",
                    code=500,
                    count=24,
                ),
            ),
            patience=60.0,
        ),
        ("bounded-retries",),
    ),
    Mutation(
        "ignore-retry-after",
        "a server that asks for time is not given it",
        (
            Edit(
                "reconciler/loop.py",
                "retry_after or 0.0, writes, contested",
                "0.0, writes, contested",
            ),
        ),
        _plan(
            "impatience",
            at="scale",
            rules=(
                Rule(
                    verb="apply",
                    resource="deployments",
                    phase="before",
                    fault="respond",
                    code=429,
                    retry_after=4.0,
                ),
            ),
        ),
        ("bounded-retries",),
    ),
    Mutation(
        "take-a-lost-answer-for-success",
        "a write whose answer is lost is believed to be done",
        (
            Edit(
                "reconciler/apply.py",
                "        return Change(kind, name, Action.FAILED, error=error)\n    refusal",
                "        return Change(kind, name, Action.UNCHANGED)\n    refusal",
            ),
        ),
        _plan(
            "lost answer",
            at="lose-service",  # of which no status tells: nothing else asks for a pass
            # More often than late news of the steps before could ask for a pass by chance.
            rules=(Rule(verb="apply", resource="services", phase="before", fault="drop", count=6),),
            flags=("--resync=0",),
            patience=25.0,
        ),
        ("end-state",),
    ),
    Mutation(
        "repair-without-end",
        "what somebody undoes is done again at once, for ever",
        (Edit("reconciler/apply.py", "wait = repairs.wait(now)", "wait = 0.0"),),
        _plan("contest", "contested", patience=20.0),
        ("bounded-writes",),
    ),
    Mutation(
        "no-owner-reference",
        "children outlive their handler",
        (
            Edit(
                "gati/handler/controller.py",
                '{"ownerReferences": [owner_reference(parent, GATI_HANDLER)]}',
                "{}",
            ),
        ),
        _plan("orphans", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "leak-a-task-for-each-pass",
        "every pass leaves a task behind",
        (
            Edit(
                "reconciler/runtime.py",
                "        started = loop.time()\n",
                "        started = loop.time()\n        loop.create_task(asyncio.sleep(3600))\n",
            ),
        ),
        _plan("leak"),
        ("resources",),
    ),
    Mutation(
        "log-the-token",
        "the credentials of a request are logged",
        (
            Edit(
                "reconciler/client/transport.py",
                '            headers["Authorization"] = proof.authorization\n',
                '            headers["Authorization"] = proof.authorization\n'
                '            print("sending", dict(headers), flush=True)\n',
            ),
        ),
        _plan("token", patience=20.0),
        ("no-secret",),
    ),
    Mutation(
        "write-while-suspended",
        "a suspended handler is written like any other",
        (
            Edit(
                "gati/handler/controller.py",
                "        if handler.spec.suspend:\n",
                "        if False:\n",
            ),
        ),
        _plan("suspend", patience=20.0),
        ("end-state",),
    ),
    Mutation(
        "replace-in-place-of-change",
        "a Deployment that differs is deleted and made anew",
        (
            Edit(
                "reconciler/apply.py",
                "        intent = self._intent(body)\n",
                "        intent = self._intent(body)\n"
                '        if intent != self._intent(live) and child.kind.kind == "Deployment":\n'
                "            await self._remove(child.kind, live)\n"
                "            return Change(child.kind, name, Action.WAITING, wait=0.1)\n",
            ),
        ),
        _plan("replace", patience=20.0),
        ("object-counts",),
    ),
)

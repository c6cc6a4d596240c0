"""Checks that the rig finds bugs: an oracle must catch each mutation.

Every plan is also run without its mutation, as a control: there the oracles must find nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from chaos.evidence import Finding
from chaos.mutations import Mutation
from chaos.plan import Plan
from chaos.pool import Job, Pool, Result
from chaos.suite import Suite


@dataclass(frozen=True)
class Verdict:
    """The result of one mutation; ``control`` is the result of its plan without the mutation."""

    mutation: Mutation
    result: Result
    control: Result

    @property
    def caught(self) -> Finding | None:
        """The finding that catches the mutation; None where the control has findings, too."""
        if self.control.findings:
            return None
        named = (each for each in self.result.findings if each.oracle in self.mutation.oracles)
        return next(named, None)

    def __str__(self) -> str:
        if self.caught is not None:
            return f"caught {self.mutation.name} by {self.caught}"[:200]
        if self.control.findings:
            why = f"the control fails, too: {self.control.findings[0]} {self.control.folder}"
        else:
            others = ", ".join(str(each) for each in self.result.findings) or "no finding"
            why = f"{others} {self.result.folder}"
        return f"MISSED {self.mutation.name}: {why}"[:300]


def prove(
    suite: Suite, mutations: Sequence[Mutation], workers: int, report: Callable[[Result], None]
) -> list[Verdict]:
    """Run each mutation's plan with and without the mutation; equal controls are run once."""
    suite.make_references((each.plan.scenario, each.plan.webhook) for each in mutations)
    controls = {plan.id: plan for plan in map(control, mutations)}
    jobs = [_job(suite, mutation) for mutation in mutations]
    jobs += [suite.job(plan) for plan in controls.values()]
    alone = [job for job in jobs if job.plan.exclusive]
    common = [job for job in jobs if not job.plan.exclusive]
    results = {each.plan.id: each for each in Pool(workers, report).run(common, alone)}
    return [Verdict(each, results[each.plan.id], results[control(each).id]) for each in mutations]


def control(mutation: Mutation) -> Plan:
    """The mutation's plan for the unchanged operator, which must have no findings.

    Plans without faults get the same name, so that many mutations share one control.
    """
    plan = mutation.plan
    undisturbed = f"{plan.scenario}, {plan.patience:g} s"
    name = mutation.name if _disturbs(plan) else undisturbed
    return msgspec.structs.replace(plan, group="control", name=name)


def _disturbs(plan: Plan) -> bool:
    return bool(plan.rules or plan.disturbances or plan.replicas > 1)


def _job(suite: Suite, mutation: Mutation) -> Job:
    return replace(suite.job(mutation.plan, mutation.replaces), keep=True)

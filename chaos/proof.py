"""Shows that the rig finds bugs: each mutation must be caught, and its plan not without it.

Every plan is run without its mutation, too: an alarm that rings always proves nothing.
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
    """What came of one mutation. ``control``: what came of its plan without it."""

    mutation: Mutation
    result: Result
    control: Result

    @property
    def caught(self) -> Finding | None:
        """The finding that gives it away; None where the plan complains without it, too."""
        if self.control.findings:
            return None
        named = (each for each in self.result.findings if each.oracle in self.mutation.oracles)
        return next(named, None)

    def __str__(self) -> str:
        if self.caught is not None:
            return f"caught {self.mutation.name} by {self.caught}"[:200]
        if self.control.findings:
            why = f"without it, too: {self.control.findings[0]} {self.control.folder}"
        else:
            others = ", ".join(str(each) for each in self.result.findings) or "nothing found"
            why = f"{others} {self.result.folder}"
        return f"MISSED {self.mutation.name}: {why}"[:300]


def prove(
    suite: Suite, mutations: Sequence[Mutation], workers: int, told: Callable[[Result], None]
) -> list[Verdict]:
    """Run each mutation's plan with it and without it; equal plans without it are one run."""
    suite.refer((each.plan.scenario, each.plan.webhook) for each in mutations)
    controls = {plan.id: plan for plan in map(control, mutations)}
    jobs = [_job(suite, mutation) for mutation in mutations]
    jobs += [suite.job(plan) for plan in controls.values()]
    alone = [job for job in jobs if job.plan.exclusive]
    common = [job for job in jobs if not job.plan.exclusive]
    results = {each.plan.id: each for each in Pool(workers, told).run(common, alone)}
    return [Verdict(each, results[each.plan.id], results[control(each).id]) for each in mutations]


def control(mutation: Mutation) -> Plan:
    """The mutation's plan for the operator as it is, in which nothing may be found.

    What disturbs nothing has no name of its own, so that many mutations can share it.
    """
    plan = mutation.plan
    undisturbed = f"{plan.scenario}, {plan.patience:g} s"
    name = mutation.name if _disturbs(plan) else undisturbed
    return msgspec.structs.replace(plan, group="control", name=name)


def _disturbs(plan: Plan) -> bool:
    return bool(plan.rules or plan.disturbances or plan.replicas > 1)


def _job(suite: Suite, mutation: Mutation) -> Job:
    return replace(suite.job(mutation.plan, mutation.replaces), keep=True)

"""Shows that the rig finds bugs: each mutation must be caught, and its plan not without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from chaos import sources
from chaos.evidence import Finding
from chaos.mutations import Mutation
from chaos.plan import Plan
from chaos.pool import Job, Pool, Result
from chaos.suite import Suite


@dataclass(frozen=True)
class Verdict:
    """What came of one mutation. ``control``: what came of its plan without it, where that ran."""

    mutation: Mutation
    result: Result
    control: Result | None

    @property
    def caught(self) -> Finding | None:
        """The finding that gives it away; None where the plan complains without it, too."""
        if self.control is not None and self.control.findings:
            return None
        named = (each for each in self.result.findings if each.oracle in self.mutation.oracles)
        return next(named, None)

    def __str__(self) -> str:
        if self.caught is not None:
            return f"caught {self.mutation.name} by {self.caught}"[:200]
        if self.control is not None and self.control.findings:
            why = f"without it, too: {self.control.findings[0]} {self.control.folder}"
        else:
            others = ", ".join(str(each) for each in self.result.findings) or "nothing found"
            why = f"{others} {self.result.folder}"
        return f"MISSED {self.mutation.name}: {why}"[:300]


def prove(
    suite: Suite, mutations: Sequence[Mutation], workers: int, told: Callable[[Result], None]
) -> list[Verdict]:
    """Run each mutation's plan with it and, where the plan disturbs anything, without it.

    Undisturbed plans need no control: the calm runs of the suite are that.
    """
    suite.refer((each.plan.scenario, each.plan.webhook) for each in mutations)
    controls = [suite.job(control(each)) for each in mutations if _disturbs(each.plan)]
    jobs = [_job(suite, mutation) for mutation in mutations] + controls
    alone = [job for job in jobs if job.plan.exclusive]
    common = [job for job in jobs if not job.plan.exclusive]
    results = {each.plan.id: each for each in Pool(workers, told).run(common, alone)}
    return [
        Verdict(each, results[each.plan.id], results.get(control(each).id)) for each in mutations
    ]


def control(mutation: Mutation) -> Plan:
    """The mutation's plan for the operator as it is, in which nothing may be found."""
    return msgspec.structs.replace(mutation.plan, group="control", name=mutation.name)


def _disturbs(plan: Plan) -> bool:
    return bool(plan.rules or plan.disturbances or plan.replicas > 1)


def _job(suite: Suite, mutation: Mutation) -> Job:
    source = sources.edited(mutation.edits, suite.folder / "sources" / mutation.name)
    return replace(suite.job(mutation.plan, source), keep=True)

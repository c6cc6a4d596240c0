"""Bugs put into the operator on purpose. The rig must find each, by an oracle named here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos import sources
from chaos.plan import Plan
from chaos.pool import Job, Pool, Result
from chaos.sources import Edit
from chaos.suite import Suite


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


MUTATIONS: tuple[Mutation, ...] = ()


def run(
    suite: Suite, mutations: Sequence[Mutation], workers: int, told: Callable[[str], None]
) -> tuple[list[str], list[str]]:
    """Run each mutation's plan as a real process; (lines to print, names that nobody caught)."""
    by_plan = {mutation.plan.id: mutation for mutation in mutations}
    results: list[tuple[Mutation, Result]] = []

    def heard(result: Result) -> None:
        mutation = by_plan[result.plan.id]
        results.append((mutation, result))
        told(f"{len(results)} of {len(mutations)} mutations; {_line(mutation, result)}")

    jobs = [_job(suite, mutation) for mutation in mutations]
    alone = [job for job in jobs if job.plan.exclusive]
    Pool(workers, heard).run([job for job in jobs if not job.plan.exclusive], alone)
    ordered = sorted(results, key=lambda each: mutations.index(each[0]))
    missed = [mutation.name for mutation, result in ordered if not _caught(mutation, result)]
    lines = [_line(mutation, result) for mutation, result in ordered]
    return [*lines, f"{len(mutations) - len(missed)} of {len(mutations)} mutations caught"], missed


def _job(suite: Suite, mutation: Mutation) -> Job:
    return Job(
        plan=mutation.plan,
        cluster=suite.cluster(exclusive=mutation.plan.exclusive).name,
        folder=suite.folder / "mutations",
        reference=suite.reference(mutation.plan.scenario, mutation.plan.webhook),
        source=sources.edited(mutation.edits, suite.folder / "sources" / mutation.name),
        keep=True,
    )


def _caught(mutation: Mutation, result: Result) -> set[str]:
    return {finding.oracle for finding in result.findings} & set(mutation.oracles)


def _line(mutation: Mutation, result: Result) -> str:
    caught = _caught(mutation, result)
    if caught:
        first = next(each for each in result.findings if each.oracle in caught)
        return f"caught {mutation.name} by {first}"[:200]
    others = ", ".join(str(each) for each in result.findings) or "nothing found"
    return f"MISSED {mutation.name}: {others} {result.folder}"[:300]

"""Every crash point of a scenario: each write, in each of three phases.

The writes are read from undisturbed runs, so that none is missing. The report prints the number of
writes beside the number of plans.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from chaos.evidence import Reference
from chaos.plan import Plan
from chaos.proxy.rules import Rule

PHASES: tuple[Literal["before", "committed", "answered"], ...] = (
    "before",
    "committed",
    "answered",
)
"""The kill comes before the write is forwarded, after its commit, or after its answer is read."""


def crash_plans(reference: Reference) -> Iterator[Plan]:
    """One plan for each write of the undisturbed runs and each phase.

    A write that only some undisturbed runs have may also be missing in the run of its plan.
    """
    for key in (*reference.writes, *reference.varying):
        for phase in PHASES:
            rule = Rule(
                verb=key.verb,
                resource=key.resource,
                name=key.name,
                subresource=key.subresource,
                dry_run=False,
                first=key.occurrence,
                phase=phase,
                fault="kill",
            )
            yield Plan(
                group=f"crash/{reference.scenario}",
                name=f"{key} {phase}",
                scenario=reference.scenario,
                rules=(rule,),
                at=key.step,
                strikes=key in reference.writes,
            )

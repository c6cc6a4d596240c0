"""Every point at which a crash can meet a scenario: each write, in each of its three phases.

The writes come from an undisturbed run, so none can be forgotten; how many there are is printed
beside how many plans were run.
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
"""Killed before the write is sent on, after it is committed, and after the answer is read."""


def crash_plans(reference: Reference) -> Iterator[Plan]:
    """One plan for each write of the undisturbed runs and each phase.

    A write that not every undisturbed run has may be missing in the plan's run too.
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

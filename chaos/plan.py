"""A plan: the scenario of a run, and its faults.

A plan is complete: the file alone, or the seed alone, reproduces the run. A plan names no machine
and no port, and only objects of its scenario.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Literal

import msgspec

from chaos.proxy.rules import Rule
from chaos.webhook import Behaviour

Webhook = Behaviour | Literal[""]
"""A behaviour of the admission webhook; empty for none."""


class Disturbance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault of the control plane, of a process or of a clock.

    ``at`` is the step of the scenario in which it happens; ``action`` is one of
    ``chaos.disturbances.ACTIONS``; ``seconds`` is its duration. The disturbance begins ``lead``
    seconds before the change of the step, and runs while the step waits for its effect.
    """

    at: str
    action: str
    seconds: float = 0.0
    lead: float = 0.0


class Plan(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One run of a scenario with faults.

    ``group`` is the row of the report. The rules apply to the first replica, and count, from the
    beginning of the step ``at`` (empty: from the start). More than one of ``replicas`` elect a
    leader, with ``timing`` = lease duration, renew deadline and retry period in seconds. ``quiet``
    is the number of seconds without a write after the faults. ``webhook`` is a behaviour of
    ``chaos.webhook``. ``exclusive`` plans break the control plane, so each runs alone on one.
    ``patience`` is the timeout of a step in seconds. ``waived`` names oracles that do not judge
    the plan, with the reason; ``strikes``: every rule must strike.
    """

    group: str
    name: str
    scenario: str
    rules: tuple[Rule, ...] = ()
    at: str = ""
    disturbances: tuple[Disturbance, ...] = ()
    replicas: int = 1
    timing: tuple[float, float, float] | None = None
    flags: tuple[str, ...] = ()
    webhook: Webhook = ""
    quiet: float = 5.0
    exclusive: bool = False
    strikes: bool = True
    patience: float = 60.0
    waived: dict[str, str] = {}
    seed: int = 0

    @property
    def id(self) -> str:
        """A digest of the plan, valid in a namespace's name."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:10]

    def __str__(self) -> str:
        return f"{self.group}/{self.name}"


def save(plan: Plan, path: Path) -> None:
    """Write a plan as indented JSON."""
    text = msgspec.json.format(msgspec.json.encode(plan, order="deterministic"), indent=2)
    path.write_bytes(text + b"\n")


def load(path: Path) -> Plan:
    """Read a plan. Raises ValueError that names the invalid field."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: {error}") from None


RANDOM_FAULTS: tuple[Rule, ...] = (
    Rule(verb="write", phase="before", fault="drop", note="a write does not arrive"),
    Rule(verb="write", phase="committed", fault="drop", note="a write's answer is lost"),
    Rule(verb="write", phase="before", fault="respond", code=429, retry_after=1.0),
    Rule(verb="write", phase="before", fault="respond", code=409),
    Rule(verb="write", phase="before", fault="respond", code=503, text="<html>busy</html>"),
    Rule(verb="write", phase="committed", fault="respond", code=504),
    Rule(verb="write", phase="before", fault="delay", seconds=1.5),
    Rule(verb="write", phase="committed", fault="kill"),
    Rule(verb="write", phase="before", fault="kill"),
    Rule(verb="watch", phase="stream", fault="cut"),
    Rule(verb="watch", phase="stream", fault="reset"),
    Rule(verb="watch", phase="stream", fault="truncate"),
    Rule(verb="watch", phase="stream", fault="duplicate"),
    Rule(verb="watch", phase="stream", fault="replay"),
    Rule(verb="watch", phase="stream", fault="delay", seconds=2.0),
    Rule(verb="watch", phase="stream", fault="gone"),
    Rule(verb="get", phase="before", fault="respond", code=500),
)


def random_plan(seed: int, scenario: str) -> Plan:
    """A plan of two to four faults, drawn by the seed: the same seed gives the same plan."""
    draw = random.Random(f"{scenario}/{seed}")
    rules = []
    for rule in draw.sample(RANDOM_FAULTS, draw.randint(2, 4)):
        occurrence = draw.randint(1, 12 if rule.verb == "write" else 20)
        rules.append(msgspec.structs.replace(rule, first=occurrence))
    return Plan(
        group="random",
        name=f"seed-{seed}",
        scenario=scenario,
        rules=tuple(rules),
        seed=seed,
        strikes=False,
    )

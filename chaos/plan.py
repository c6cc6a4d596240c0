"""A plan: which scenario runs, and what goes wrong meanwhile.

A plan is complete: the file alone, or a seed alone, brings the same run again. It names no
machine, no port and no object that a scenario does not name itself.
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
    """What goes wrong beside the requests: of the control plane, of a process, of a clock.

    ``at`` is the step of the scenario that it happens in; ``action`` one of
    ``chaos.disturbances.ACTIONS``; ``seconds`` how long it lasts. It begins ``lead`` seconds
    before the step's own change, and runs beside the waiting for the step's end.
    """

    at: str
    action: str
    seconds: float = 0.0
    lead: float = 0.0


class Plan(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One run of a scenario with faults.

    ``group`` is the part of the report that it counts in. The rules hold, and count, from the
    beginning of the step ``at`` (empty: from the start), and for the first replica. ``replicas``
    above one elect a leader, with ``timing`` = lease, renew deadline and retry period in seconds.
    ``quiet`` is how many seconds nothing may be written once the faults have passed and the
    scenario has settled. ``webhook`` is a behaviour of ``chaos.webhook``. ``exclusive`` plans break
    the control plane and get one of their own. ``waived`` names oracles that cannot be asked in
    this plan, with the reason; ``strikes`` says whether every rule must have struck.
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
        """A short name that is the same for the same plan: usable in a namespace's name."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:10]

    def __str__(self) -> str:
        return f"{self.group}/{self.name}"


def save(plan: Plan, path: Path) -> None:
    """Write a plan as JSON that people can read and edit."""
    text = msgspec.json.format(msgspec.json.encode(plan, order="deterministic"), indent=2)
    path.write_bytes(text + b"\n")


def load(path: Path) -> Plan:
    """A plan from its file. Raises ValueError that names the field where it is none."""
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
    """Two to four faults at once, drawn by the seed: the same seed is the same plan."""
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

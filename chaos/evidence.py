"""What one run leaves behind for the oracles to judge. Data only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from chaos.plan import Plan
from chaos.proxy.trace import Entry
from chaos.recorder import Frame
from chaos.snapshot import Snapshot

MANAGER = "gati-operator"
"""As whom the operator writes: what its field managers begin with."""


@dataclass(frozen=True)
class WriteKey:
    """One write of the operator, told from all others of a run.

    ``name`` is "*" for objects whose names are new in every run (Events); ``occurrence`` counts
    from 1 in each step.
    """

    step: str
    verb: str
    resource: str
    name: str
    subresource: str
    occurrence: int

    def __str__(self) -> str:
        path = "/".join(part for part in (self.resource, self.name, self.subresource) if part)
        return f"{self.step}: {self.verb} {path} #{self.occurrence}"


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: what every other run of the scenario is compared with."""

    scenario: str
    snapshots: dict[str, Snapshot]
    counts: dict[str, int]
    writes: tuple[WriteKey, ...]
    """Those of every undisturbed run."""
    varying: tuple[WriteKey, ...]
    """Those that some undisturbed runs have and others do not: a status between two states."""
    seconds: float


@dataclass(frozen=True)
class StepEnd:
    """How a step ended: when (monotonic seconds), with what, and what was wrong if anything."""

    name: str
    began: float
    ended: float
    snapshot: Snapshot
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quiet:
    """A window in which nothing was to be written; ``restless`` where silence never came."""

    step: str
    began: float
    ended: float
    restless: bool = False


@dataclass(frozen=True)
class Exit:
    """The end of an operator process; ``planned`` where the run itself wanted it."""

    replica: str
    code: int
    planned: bool
    at: float


@dataclass(frozen=True)
class Sample:
    """What one process used after a step: asyncio tasks (-1: not told) and resident bytes."""

    replica: str
    pid: int
    step: str
    tasks: int
    resident: int


@dataclass
class Evidence:
    """Everything that is known of one run. Times are monotonic seconds."""

    plan: Plan
    reference: Reference | None = None
    steps: list[StepEnd] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    quiets: list[Quiet] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    """Logs, metrics and command lines, by where they come from."""
    secrets: dict[str, str] = field(default_factory=dict)
    """What must not be in any output, by what it is."""
    foreign_before: dict[str, str] = field(default_factory=dict)
    foreign_after: dict[str, str] = field(default_factory=dict)
    hits: list[int] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    """Disturbances that could not be carried out, and why."""
    lease_seconds: float = 0.0
    renew_seconds: float = 0.0

    def writes(self) -> list[Entry]:
        """The operator's writes that reached the proxy, its Lease's left out."""
        return [each for each in self.entries if each.is_write and each.resource != "leases"]

    def write_keys(self) -> tuple[WriteKey, ...]:
        """Every write as a key that another run of the scenario has too."""
        seen: Counter[tuple[str, ...]] = Counter()
        keys = []
        for entry in sorted(self.writes(), key=lambda each: each.at):
            name = "*" if entry.resource == "events" else entry.name
            step = next((each.name for each in reversed(self.steps) if each.began <= entry.at), "")
            of = (step, entry.verb, entry.resource, name, entry.subresource)
            seen[of] += 1
            keys.append(WriteKey(*of, seen[of]))
        return tuple(keys)


class Finding(msgspec.Struct, frozen=True):
    """What an oracle objects to."""

    oracle: str
    text: str

    def __str__(self) -> str:
        return f"{self.oracle}: {self.text}"

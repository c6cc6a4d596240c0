"""The evidence of one run, which the oracles judge. Data only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from chaos.plan import Plan
from chaos.proxy.trace import Entry
from chaos.recorder import Frame
from chaos.snapshot import Snapshot

MANAGER = "gati-operator"
"""The prefix of the operator's field managers."""


@dataclass(frozen=True)
class WriteKey:
    """Identifies one write of the operator within a run, and the same write in other runs.

    ``name`` is "*" for Events, which have new names in every run; ``occurrence`` counts from 1 in
    each step.
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
    """The common result of two undisturbed runs, with which every other run is compared."""

    scenario: str
    snapshots: dict[str, Snapshot]
    counts: dict[str, int]
    writes: tuple[WriteKey, ...]
    """The writes of both undisturbed runs."""
    varying: tuple[WriteKey, ...]
    """The writes of one undisturbed run only, as a status between two states."""
    seconds: float


@dataclass(frozen=True)
class StepEnd:
    """The end of a step: times (monotonic seconds), snapshot, and problems if any."""

    name: str
    began: float
    ended: float
    snapshot: Snapshot
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quiet:
    """A window in which no write is allowed; ``restless``: the operator did not become idle."""

    step: str
    began: float
    ended: float
    restless: bool = False


@dataclass(frozen=True)
class Exit:
    """The end of an operator process; ``planned``: the run itself ended it."""

    replica: str
    code: int
    planned: bool
    at: float


@dataclass(frozen=True)
class Sample:
    """The usage of one process after a step: asyncio tasks (-1: unknown) and resident bytes."""

    replica: str
    pid: int
    step: str
    tasks: int
    resident: int


@dataclass
class Evidence:
    """The evidence of one run. Times are monotonic seconds."""

    plan: Plan
    reference: Reference | None = None
    steps: list[StepEnd] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    quiets: list[Quiet] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    """Logs, metrics and command lines, by source."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Values that no output may contain, by description."""
    foreign_before: dict[str, str] = field(default_factory=dict)
    foreign_after: dict[str, str] = field(default_factory=dict)
    hits: list[int] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    """Disturbances that failed, with the error."""
    lease_seconds: float = 0.0
    renew_seconds: float = 0.0

    def writes(self) -> list[Entry]:
        """The operator's writes that reached the proxy, but for those of its Lease."""
        return [each for each in self.entries if each.is_write and each.resource != "leases"]

    def write_keys(self) -> tuple[WriteKey, ...]:
        """The key of every write, in order."""
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
    """One violation that an oracle found."""

    oracle: str
    text: str

    def __str__(self) -> str:
        return f"{self.oracle}: {self.text}"

"""The whole rig: control planes, references, and all plans.

This module decides which plans run; ``chaos.runner`` runs one plan.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import devcluster
from chaos import catalogue, references
from chaos.crash_points import crash_plans
from chaos.evidence import Reference
from chaos.plan import Plan, Webhook
from chaos.pool import Job, Pool, Result
from chaos.replacement import Replacement
from chaos.scenarios import CRASHED
from devcluster import Cluster
from harness.operator_process import install

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "build" / "chaos"


Undisturbed = tuple[str, Webhook]
"""A scenario and its webhook: each pair has a reference of its own."""


@dataclass(frozen=True)
class Scale:
    """The size of a run: seconds without writes in ``quiet``, runs without a fault, seeds."""

    silence: float = 120.0
    calm: int = 20
    seeds: int = 24


@dataclass
class Suite:
    """Control planes and references, made on demand and kept until the end of the ``with`` block.

    ``report`` is called with a line for each stage. ``folder`` is emptied at the beginning.
    """

    folder: Path = OUTPUT
    report: Callable[[str], None] = lambda _line: None
    scale: Scale = Scale()
    references: dict[Undisturbed, Reference] = field(default_factory=dict)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _clusters: dict[bool, Cluster] = field(default_factory=dict)

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def cluster(self, *, exclusive: bool = False) -> Cluster:
        """The control plane that most plans share, or that of the exclusive plans."""
        if exclusive not in self._clusters:
            kind = " for exclusive plans" if exclusive else ""
            self.report(f"starting a control plane{kind}")
            cluster = self._stack.enter_context(devcluster.start())
            install(cluster)
            # The garbage collector discovers new kinds twice a minute, and at its start.
            cluster.restart("kube-controller-manager")
            self._clusters[exclusive] = cluster
        return self._clusters[exclusive]

    def reference(self, scenario: str, webhook: Webhook = "") -> Reference:
        """The undisturbed runs of a scenario; run at the first call. Raises NoReference."""
        key: Undisturbed = (scenario, webhook)
        self.make_references([key])
        return self.references[key]

    def make_references(self, keys: Iterable[Undisturbed]) -> None:
        """Make the missing references, two scenarios at a time. Raises NoReference."""
        missing = [key for key in dict.fromkeys(keys) if key not in self.references]
        cluster = self.cluster()

        def make(key: Undisturbed) -> Reference:
            scenario, webhook = key
            self.report(f"undisturbed: {scenario} {webhook}".rstrip())
            return references.make(cluster, scenario, self.folder / "undisturbed", webhook)

        with ThreadPoolExecutor(2) as threads:
            self.references |= zip(missing, threads.map(make, missing), strict=True)

    def plans(self, groups: Sequence[str] = ()) -> Iterator[Plan]:
        """All plans, or those of groups that begin with one of the given prefixes."""
        for plan in self._all(groups):
            if not groups or plan.group.startswith(tuple(groups)):
                yield plan

    def _all(self, groups: Sequence[str]) -> Iterator[Plan]:
        yield from catalogue.undisturbed(CRASHED, self.scale.silence)
        if not groups or any(group.startswith("crash") for group in groups):
            self.make_references((scenario, "") for scenario in CRASHED)
            # Interleaved, so that all scenarios advance at the same rate.
            each = [crash_plans(self.reference(scenario)) for scenario in CRASHED]
            for row in itertools.zip_longest(*each):
                yield from (plan for plan in row if plan is not None)
        for subject in catalogue.SUBJECTS:
            yield from catalogue.half_open(subject)
            yield from catalogue.control_plane_faults(subject)
            yield from catalogue.leader_faults(subject)
            yield from catalogue.request_faults(subject)
            yield from catalogue.watch_faults(subject)
            yield from catalogue.connection_faults(subject)
            yield from catalogue.process_faults(subject)
        yield from catalogue.races()
        yield from catalogue.others()
        yield from catalogue.random_faults(CRASHED, self.scale.seeds)
        yield from catalogue.calm(CRASHED, self.scale.calm)

    def run(self, plans: Sequence[Plan], pool: Pool, *, keep: bool = False) -> list[Result]:
        """Run plans; the exclusive ones run at the same time on the second control plane.

        ``keep``: keep the files of each run, also without findings.
        """
        self.make_references((plan.scenario, plan.webhook) for plan in plans)
        jobs = [replace(self.job(plan), keep=keep) for plan in plans]
        alone = [job for job in jobs if job.plan.exclusive]
        return pool.run([job for job in jobs if not job.plan.exclusive], alone)

    def job(self, plan: Plan, replaces: tuple[Replacement, ...] = ()) -> Job:
        """The job of a plan; makes its control plane and reference where missing."""
        return Job(
            plan=plan,
            cluster=self.cluster(exclusive=plan.exclusive).name,
            folder=self.folder / "runs",
            reference=self.reference(plan.scenario, plan.webhook),
            replaces=replaces,
        )

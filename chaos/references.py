"""References: the common result of two undisturbed runs of a scenario.

A difference between their snapshots is an error: it is noise that needs a mask. Their writes may
differ; only the writes of both runs are certain crash points.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chaos.evidence import Evidence, Reference
from chaos.oracles import COUNTED, judge
from chaos.plan import Plan, Webhook
from chaos.recorder import counts
from chaos.runner import Run
from chaos.snapshot import difference
from devcluster import Cluster


class NoReference(Exception):
    """The undisturbed runs have findings or differ; the text names the first problem."""


def undisturbed(scenario: str, seed: int, webhook: Webhook = "") -> Plan:
    """A plan without faults."""
    return Plan(
        group="undisturbed", name=scenario, scenario=scenario, webhook=webhook, quiet=1.0, seed=seed
    )


def reference(first: Evidence, second: Evidence) -> Reference:
    """The common result of two undisturbed runs. Raises NoReference where they differ."""
    for evidence in (first, second):
        findings = judge(evidence)
        if findings:
            raise NoReference(f"an undisturbed run has a finding: {findings[0]}")
    snapshots = {step.name: step.snapshot for step in first.steps}
    for step in second.steps:
        differences = difference(snapshots[step.name], step.snapshot)
        if differences:
            raise NoReference(f"two undisturbed runs differ after {step.name}: {differences[0]}")
    counted = [
        {"/".join(key): number for key, number in counts(each.frames, COUNTED).items()}
        for each in (first, second)
    ]
    if counted[0] != counted[1]:
        raise NoReference("two undisturbed runs differ in creates and deletes")
    keys = [each.write_keys() for each in (first, second)]
    common = set(keys[0]) & set(keys[1])
    varying = dict.fromkeys(key for each in keys for key in each if key not in common)
    return Reference(
        scenario=first.plan.scenario,
        snapshots=snapshots,
        counts=counted[0],
        writes=tuple(key for key in keys[0] if key in common),
        varying=tuple(varying),
        seconds=first.steps[-1].ended - first.steps[0].began,
    )


def make(cluster: Cluster, scenario: str, folder: Path, webhook: Webhook = "") -> Reference:
    """Run a scenario undisturbed, twice in parallel. Raises NoReference."""
    runs = [
        Run(cluster, undisturbed(scenario, seed, webhook), folder / f"{scenario}-{seed}")
        for seed in (1, 2)
    ]
    with ThreadPoolExecutor(2) as threads:
        return reference(*threads.map(Run.execute, runs))

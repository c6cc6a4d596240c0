"""Undisturbed runs, and what all others are compared with.

Two runs make a reference. Where they differ in what is compared, the difference is noise that
nobody has named yet, and an error; where they differ in the writes that led there, only those
of both are points at which every run can be hit.
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
    """An undisturbed run is not as it should be; the text says how."""


def undisturbed(scenario: str, seed: int, webhook: Webhook = "") -> Plan:
    """A plan in which nothing goes wrong."""
    return Plan(
        group="undisturbed", name=scenario, scenario=scenario, webhook=webhook, quiet=1.0, seed=seed
    )


def reference(first: Evidence, second: Evidence) -> Reference:
    """What two undisturbed runs have in common. Raises NoReference where they do not agree."""
    for evidence in (first, second):
        findings = judge(evidence)
        if findings:
            raise NoReference(f"undisturbed, and yet {findings[0]}")
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
        raise NoReference("two undisturbed runs make and delete objects differently")
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
    """Run a scenario undisturbed, twice at once. Raises NoReference."""
    runs = [
        Run(cluster, undisturbed(scenario, seed, webhook), folder / f"{scenario}-{seed}")
        for seed in (1, 2)
    ]
    with ThreadPoolExecutor(2) as threads:
        return reference(*threads.map(Run.execute, runs))

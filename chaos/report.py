"""The report of many results: a table of the groups, the crash points, and each failure."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from chaos.crash_points import PHASES
from chaos.evidence import Reference
from chaos.pool import Result

SHOWN = 8
"""Printed findings of a plan at most; the plan's folder has all of them."""


def summary(results: Sequence[Result], references: Iterable[Reference]) -> Iterator[str]:
    """The table of groups, the crash points, and the failures."""
    groups: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[result.plan.group].append(result)
    counts = f"{'plans':>6} {'struck':>7} {'failed':>7}"
    yield f"{'group':26} {counts} {'recovery p50':>13} {'p95':>6} {'max':>6}"
    for group, members in groups.items():
        struck = sum(result.struck for result in members)
        failed = sum(bool(result.findings) for result in members)
        row = f"{group:26} {len(members):6} {struck:7} {failed:7}"
        yield row + _recovery([each.recovery for each in members if each.recovery is not None])
    yield ""
    yield from crash_points(groups, references)
    yield from failures(results)


def _recovery(seconds: list[float]) -> str:
    if not seconds:
        return ""
    ordered = sorted(seconds)
    p95 = ordered[math.ceil(len(ordered) * 0.95) - 1]
    return f" {statistics.median(ordered):11.1f} s {p95:4.1f} s {ordered[-1]:4.1f} s"


def crash_points(groups: dict[str, list[Result]], references: Iterable[Reference]) -> Iterator[str]:
    """Writes x phases compared with the plans run; a line that begins with FEWER is a failure."""
    for reference in references:
        members = groups.get(f"crash/{reference.scenario}")
        if members is None:
            continue
        wanted = len(reference.writes) * len(PHASES)
        firm = [each for each in members if each.plan.strikes]
        struck = sum(each.struck for each in firm)
        varying = [each for each in members if not each.plan.strikes]
        yield (
            f"{'' if struck == wanted == len(firm) else 'FEWER: '}"
            f"{reference.scenario}: {len(reference.writes)} writes x {len(PHASES)} phases = "
            f"{wanted} plans; {len(firm)} run, {struck} struck; of {len(reference.varying)} writes "
            f"of only some undisturbed runs, {len(varying)} plans run, "
            f"{sum(each.struck for each in varying)} struck"
        )


def failures(results: Iterable[Result]) -> Iterator[str]:
    """Each plan with findings, and how to run it again."""
    for result in results:
        if result.findings:
            yield ""
            yield f"FAILED {result.plan}"
            for finding in result.findings[:SHOWN]:
                yield f"  {finding}"
            if len(result.findings) > SHOWN:
                yield f"  and {len(result.findings) - SHOWN} more in {result.folder}/findings.txt"
            yield f"  replay: make chaos REPLAY={result.folder}/plan.json"

"""The command of the fault rig: run all plans, some groups, saved plans, or the mutations."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from chaos import plan as plans
from chaos.mutations import MUTATIONS, Mutation
from chaos.pool import Pool, Result
from chaos.proof import Verdict, prove
from chaos.references import NoReference
from chaos.report import failures, summary
from chaos.scenarios import SCENARIOS
from chaos.suite import Scale, Suite
from devcluster.errors import DevclusterError

WORKERS = 3 * (os.cpu_count() or 2)
"""A plan mostly waits; three for each core keep the cores busy and the machine usable."""


class Progress:
    """Prints a line for each stage, and how many plans are done."""

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self.done = 0
        self.failed = 0
        self.began = time.monotonic()
        self.printed_at = 0.0

    def line(self, text: str) -> None:
        """Print a line."""
        print(f"{self._elapsed()}  {text}", flush=True)

    def result(self, result: Result) -> None:
        """Count a result; print failures at once, and the counts every five seconds."""
        self.done += 1
        if result.findings:
            self.failed += 1
            self.line(f"FAILED {result.plan}: {result.findings[0]}"[:300])
        now = time.monotonic()
        if now - self.printed_at > 5 or self.done == self.total:
            self.printed_at = now
            self.line(f"{self.done} of {self.total} plans, {self.failed} failed; {result.plan}")

    def _elapsed(self) -> str:
        seconds = int(time.monotonic() - self.began)
        return f"{seconds // 60:3}m{seconds % 60:02}s"


@click.group()
def main() -> None:
    """Inject faults around the operator, and check that it recovers from each."""


@main.command()
@click.option("--only", multiple=True, metavar="PREFIX", help="groups with this prefix")
@click.option("--workers", default=WORKERS, show_default=True, help="plans in parallel")
@click.option(
    "--silence", default=Scale.silence, show_default=True, help="seconds without writes in `quiet`"
)
@click.option("--seeds", default=Scale.seeds, show_default=True, help="random plans")
@click.option("--calm", default=Scale.calm, show_default=True, help="runs without a fault")
@click.option(
    "--mutations/--no-mutations", default=None, help="run the mutations too; default without --only"
)
def run(
    only: Sequence[str],
    workers: int,
    silence: float,
    seeds: int,
    calm: int,
    mutations: bool | None,
) -> None:
    """Run every plan (or some groups), then the mutations; exit code 1 where anything failed."""
    progress = Progress()
    with Suite(report=progress.line, scale=Scale(silence, calm, seeds)) as suite:
        chosen = list(suite.plans(only))
        progress.total = len(chosen)
        progress.line(f"{len(chosen)} plans, {workers} in parallel")
        results = suite.run(chosen, Pool(workers, progress.result))
        text = list(summary(results, suite.references.values()))
        wrong = any(result.findings for result in results)
        wrong |= any(line.startswith("FEWER") for line in text)
        if mutations if mutations is not None else not only:
            verdicts = _prove(suite, MUTATIONS, workers, progress)
            text += ["", *_verdict_lines(verdicts)]
            wrong |= not all(each.caught for each in verdicts)
        text.append(f"\n{len(results)} plans in {progress._elapsed().strip()}")  # noqa: SLF001
        report = "\n".join(text)
        (suite.folder / "summary.txt").write_text(report + "\n", "utf-8")
    print(f"\n{report}")
    sys.exit(1 if wrong else 0)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def replay(files: Sequence[Path]) -> None:
    """Run saved plans again, and keep their logs and traces."""
    try:
        chosen = [plans.load(file) for file in files]
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    progress = Progress(len(chosen))
    with Suite(folder=Suite.folder.with_name("chaos-replay"), report=progress.line) as suite:
        results = suite.run(chosen, Pool(1, progress.result), keep=True)
    for line in failures(results):
        print(line)
    for result in results:
        print(f"log and trace of {result.plan}: {result.folder}")
    sys.exit(1 if any(result.findings for result in results) else 0)


@main.command()
@click.argument("names", nargs=-1)
@click.option("--workers", default=WORKERS, show_default=True, help="plans in parallel")
def mutations(names: Sequence[str], workers: int) -> None:
    """Check that the rig finds bugs: an oracle must catch each mutation of the operator."""
    unknown = set(names) - {each.name for each in MUTATIONS}
    if unknown:
        raise click.ClickException(f"no such mutations: {', '.join(sorted(unknown))}")
    progress = Progress()
    chosen = [each for each in MUTATIONS if not names or each.name in names]
    with Suite(folder=Suite.folder.with_name("chaos-mutations"), report=progress.line) as suite:
        verdicts = _prove(suite, chosen, workers, progress)
    print("\n" + "\n".join(_verdict_lines(verdicts)))
    sys.exit(0 if all(each.caught for each in verdicts) else 1)


def _prove(
    suite: Suite, chosen: Sequence[Mutation], workers: int, progress: Progress
) -> list[Verdict]:
    def report(result: Result) -> None:
        found = str(result.findings[0])[:120] if result.findings else "no finding"
        progress.line(f"{result.plan}: {found}")

    return prove(suite, chosen, workers, report)


def _verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    caught = sum(each.caught is not None for each in verdicts)
    return [*map(str, verdicts), f"{caught} of {len(verdicts)} mutations caught"]


@main.command("list")
def list_() -> None:
    """Print the scenarios with their steps, and the mutations."""
    for scenario in SCENARIOS.values():
        print(f"{scenario.name}: {', '.join(step.name for step in scenario.steps)}")
    for mutation in MUTATIONS:
        print(f"mutation {mutation.name}: {mutation.bug}")


if __name__ == "__main__":
    try:
        main()
    except (NoReference, DevclusterError) as error:
        sys.exit(f"error: {error}")

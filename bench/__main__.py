"""``python -m bench``: the command line.

The rule kept here: every started process is stopped, also after a Ctrl-C, and finished
measurements are kept. Exit code 0 when every measurement succeeded, whatever the verdicts; 1 when
one failed, 130 after a Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bench import machine, plots, records, report
from bench.laboratory import Laboratory
from bench.measurements import ALL
from bench.measurements.shape import Measurement
from bench.settings import FULL, QUICK, Settings

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
INTERRUPTED = 130
BY_NAME = {measurement.name: measurement for measurement in ALL}

FOLDER = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=RESULTS,
    show_default="build/bench",
    help="The folder of the raw samples and the saved clusters.",
)


class Counts(click.ParamType[tuple[int, ...]]):
    """Integers separated by commas."""

    name = "N,N,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """``100,500`` as (100, 500)."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(sorted({int(part) for part in value.split(",")}))
        except ValueError:
            self.fail(f"{value!r} is not a list as 100,500,1000", param, ctx)


def setting(flag: str, kind: Any, text: str) -> Callable[[Any], Any]:
    """An option of ``run`` that overrides one setting."""
    default = getattr(FULL, flag.removeprefix("--").replace("-", "_"))
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else f"{default:g}"
    return click.option(flag, type=kind, help=f"{text}  [default: {shown}]")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Measure the Gati operator on control planes of its own, and report the results."""


@cli.command("list")
def list_() -> None:
    """Print the measurements and the question that each answers."""
    for measurement in ALL:
        click.echo(f"{measurement.name:12} {measurement.question}")


@cli.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BY_NAME)))
@FOLDER
@click.option("--quick", is_flag=True, help="Small counts, a few minutes: a smoke test.")
@setting("--rounds", click.IntRange(1), "Rounds of measurements that take seconds.")
@setting("--long-rounds", click.IntRange(1), "Rounds of measurements that take minutes.")
@setting("--in-flight", click.IntRange(1), "Requests in flight, of the floor and when filling.")
@setting("--cold-counts", Counts(), "convergence: numbers of handlers.")
@setting("--cold-rounds", click.IntRange(1), "convergence: pairs of runs for each number.")
@setting("--at-rest", click.IntRange(1), "latency, rest, poison: converged handlers.")
@setting("--edits", click.IntRange(2), "latency: changes in a round, of each kind.")
@setting("--rest-seconds", click.FloatRange(1), "rest: seconds of a round.")
@setting("--restart-counts", Counts(), "restart: numbers of handlers.")
@setting("--memory-counts", Counts(), "memory: numbers of handlers.")
@setting("--poison-pairs", click.IntRange(1), "poison: pairs of rounds.")
@setting("--poison-edits", click.IntRange(2), "poison: edits in a round.")
@setting("--churn-handlers", click.IntRange(2), "churn: handlers created and deleted in all.")
@setting("--churn-batch", click.IntRange(1), "churn: handlers of a batch.")
@setting("--ready-count", click.IntRange(1), "writes: numbers of handlers.")
def run(names: tuple[str, ...], results: Path, quick: bool, **given: Any) -> None:
    """Measure NAMES, or everything.

    \b
    Examples:
      python -m bench run
      python -m bench run --quick
      python -m bench run latency restart --rounds 5
    """  # noqa: D301 - click wants a real backspace before a paragraph that it must not wrap
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    changed = {name: value for name, value in given.items() if value is not None}
    settings = replace(QUICK if quick else FULL, **changed)
    chosen = [BY_NAME[name] for name in dict.fromkeys(names)] or list(ALL)
    folder = Path(tempfile.mkdtemp(prefix="gati-bench-"))
    try:
        failed = [each.name for each in chosen if not run_one(each, settings, folder, results)]
    except KeyboardInterrupt:
        say("interrupted: all processes are stopped")
        failed = []
        sys.exit(INTERRUPTED)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if failed:
        say(f"failed measurements: {', '.join(failed)}")
        sys.exit(1)


@cli.command("report")
@FOLDER
@click.option("--output", type=click.Path(path_type=Path), default=PAGE,
              show_default="docs/benchmarks.md", help="The page to write.")  # fmt: skip
def report_(results: Path, output: Path) -> None:
    """Write the page of all results with its plots, and print the verdicts."""
    now, before = records.load(results), records.load(results, ".before.json")
    try:
        pictures = plots.draw(now, output.with_suffix(""))
    except ImportError:
        pictures = {}
        say("no plots: matplotlib is not installed (make bench installs it)")
    sections = []
    for each in ALL:
        record, earlier = now.get(each.name), before.get(each.name)
        section = report.Section(
            each.name,
            each.question,
            each.method,
            record,
            each.judge(record.samples) if record else (),
            each.judge(earlier.samples) if earlier else (),
            f"{output.stem}/{pictures[each.name].name}" if each.name in pictures else "",
        )
        sections.append(section)
        if record:
            click.echo(report.summary(each.name, section.rows) + "\n")
        else:
            say(f"not measured: python -m bench run {each.name}")
    output.write_text(report.page(sections), "utf-8")
    say(f"wrote {output.name}")


def run_one(measurement: Measurement, settings: Settings, folder: Path, results: Path) -> bool:
    """Run, store and show one measurement; whether it succeeded."""

    def progress(text: str) -> None:
        say(f"{measurement.name}: {text}")

    record = records.Record(
        name=measurement.name,
        began=now(),
        ended="",
        settings=asdict(settings),
        machine=machine.describe(),
        load=machine.load(),
        beside=machine.others(),
        samples=[],
    )
    progress(f"load {record.load:.2f}, other busy programs: {', '.join(record.beside) or 'none'}")
    began = time.monotonic()
    laboratory = Laboratory(settings, folder, results / "seeds", progress)
    try:
        for sample in measurement.measure(laboratory):
            record.samples.append(sample)
    except Exception as error:  # noqa: BLE001 - the other measurements must still run
        progress(f"failed: {error!r}")
        return False
    record.ended = now()
    progress(f"done in {time.monotonic() - began:.0f} s, {records.store(results, record).name}")
    click.echo("\n" + report.summary(measurement.name, measurement.judge(record.samples)) + "\n")
    return True


def say(text: str) -> None:
    """Print one line of progress, with the time."""
    click.echo(f"{datetime.now(UTC).astimezone():%H:%M:%S} {text}")


def now() -> str:
    """The present time, UTC, to the minute."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M}"


if __name__ == "__main__":
    cli(prog_name="python -m bench")

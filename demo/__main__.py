"""``python -m demo``: the command line. Every process that a run starts is stopped by the run.

Exit code 0 only when every step was seen; 1 when a step was not, 2 for wrong usage, 130 after a
Ctrl-C (or SIGTERM). In each case the operator is stopped and every object of the run is removed,
unless ``--keep`` was given.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from demo.cluster import Cluster, ExistingCluster, OwnCluster, remove_with_retries, shown
from demo.kubectl import KubectlError
from demo.operator import Operator, shipped_command
from demo.runner import run
from demo.screen import LineScreen
from demo.steps import Demo, Images, all_steps

INTERRUPTED = 130
NEXT = (
    "make demo KEEP=1",
    f"{shown('gati-operator')} plan -f examples/gati-v1.yaml --default-image my-app:v1.0.0",
    f"{shown('gati-operator')} run --help",
)


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    keep: bool
    context: str | None
    yes: bool
    update_crds: bool
    image: str | None
    new_image: str | None
    step_seconds: float
    operator: str | None

    @property
    def images(self) -> Images:
        """The images of the run."""
        chosen = Images()
        return Images(
            self.image or chosen.sample, self.image or chosen.default,
            self.new_image or chosen.changed,
        )  # fmt: skip

    @property
    def operator_command(self) -> tuple[str, ...]:
        """The operator's command, with the absolute path of the program."""
        if not self.operator:
            return shipped_command()
        program, *arguments = shlex.split(self.operator)
        return (shutil.which(program) or program, *arguments)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--keep", is_flag=True, help="Leave the cluster up and print how to use it.")
@click.option("--context", help="Use the existing cluster of this kubeconfig context, in a new "
              "namespace.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Run in the existing cluster; without --yes only print "
              "what a run would do.")  # fmt: skip
@click.option("--update-crds", is_flag=True, help="Also update the CRDs that exist.")
@click.option("--image", help="The image to run. An existing cluster must be able to pull the "
              "image, and its pods must answer GET /health.")  # fmt: skip
@click.option("--new-image", help="The image of the update.")
@click.option("--step-seconds", type=click.FloatRange(min=1), default=60.0, show_default=True,
              envvar="DEMO_STEP_SECONDS", help="How long a step may take.")  # fmt: skip
@click.option("--operator", envvar="DEMO_OPERATOR", hidden=True)
def main(**given: object) -> None:
    """Show the Gati operator at work on a real control plane, then stop everything.

    \b
    Examples:
      python -m demo
      python -m demo --keep
      python -m demo --context kind-dev --yes --image my-app:1 --new-image my-app:2
    """  # noqa: D301 - click wants a real backspace before a paragraph that it must not wrap
    options = Options(**given)  # type: ignore[arg-type]  # click passes every option by its name
    if options.context is None and (options.yes or options.update_crds):
        raise click.UsageError("--yes and --update-crds need --context")
    folder = Path(tempfile.mkdtemp(prefix="gati-demo-"))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    identity = secrets.token_hex(4)
    try:
        cluster = choose_cluster(options, identity, folder)
    except KubectlError as error:
        shutil.rmtree(folder)
        raise click.ClickException(str(error)) from None
    code = Run(options, cluster, folder).go()
    sys.exit(code)


def choose_cluster(options: Options, identity: str, folder: Path) -> Cluster:
    """The cluster to run in. Without --yes, prints what a run would do and exits with 2."""
    if options.context is None:
        return OwnCluster(f"gati-demo-{identity}", options.keep, folder / "cache")
    existing = ExistingCluster(
        options.context, identity, folder, options.update_crds, options.image
    )
    intent = existing.intent()
    if not options.yes:
        shutil.rmtree(folder)
        click.echo("\n".join([*intent, "nothing was changed: add --yes to run"]), err=True)
        sys.exit(2)
    return existing


class Run:
    """One run from the first line to the last."""

    def __init__(self, options: Options, cluster: Cluster, folder: Path) -> None:
        self._options = options
        self._cluster = cluster
        self._folder = folder
        self._operator = Operator(options.operator_command, folder / "operator.log")
        self._screen = LineScreen()

    def go(self) -> int:
        """Run the steps, show the results, remove everything; the exit code."""
        seen = interrupted = False
        try:
            seen = self._show()
        except KeyboardInterrupt:
            interrupted = True
            self._screen.rest()
            self._screen.say("interrupted: stopping everything", "bold red")
        finally:
            keep = self._options.keep and not interrupted
            left = self._end(keep=keep)
            self._tidy(keep=keep, log=not (seen or interrupted))
        if left:
            self._screen.say(f"could not be removed: {left}", "bold red")
        if interrupted:
            return INTERRUPTED
        self._show_commands(seen=seen)
        return 0 if seen and not left else 1

    def _show(self) -> bool:
        """Run the steps and print their table; whether every step was seen."""
        demo = Demo(self._cluster, self._operator, self._options.images)
        steps = all_steps(demo, keep=self._options.keep)
        rows = run(demo, steps, self._screen, self._options.step_seconds)
        self._screen.table(steps, rows)
        seen = len(rows) == len(steps) and rows[-1].passed
        if seen:
            self._screen.say(f"all {len(rows)} steps seen", "bold green")
        else:
            self._show_failure(rows[-1].step.name)
        return seen

    def _end(self, *, keep: bool) -> str:
        """Stop the operator and remove the objects of the run; what could not be removed."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not end the removal
        self._screen.rest()
        self._operator.end()
        return "" if keep else remove_with_retries(self._cluster, self._options.step_seconds)

    def _show_failure(self, step: str) -> None:
        """Print the step that failed and the operator's last log lines."""
        self._screen.say(f"failed at the step: {step}", "bold red")
        lines = self._operator.last_lines()
        if lines:
            self._screen.say(f"the operator's last log lines (whole log: {self._operator.log}):")
        for line in lines:
            self._screen.say(f"  {line}")

    def _show_commands(self, *, seen: bool) -> None:
        """Print three commands to try next, and how to remove a cluster that was kept."""
        usage = self._cluster.usage(self._options.images.default) if self._options.keep else None
        commands = usage.commands if usage else NEXT
        self._screen.say()
        self._screen.say("next:" if seen else "to investigate:")
        for command in commands:
            self._screen.say(f"  {command}")
        if usage:
            self._screen.say(f"to stop and remove it: {usage.stop}")

    def _tidy(self, *, keep: bool, log: bool) -> None:
        """Remove the run's folder, but for the token of a cluster that was kept and the log of an
        operator that failed.
        """
        shutil.rmtree(self._folder / "cache", ignore_errors=True)
        if not keep:
            (self._folder / "operator.kubeconfig").unlink(missing_ok=True)
            if not log:
                shutil.rmtree(self._folder, ignore_errors=True)


if __name__ == "__main__":
    main()

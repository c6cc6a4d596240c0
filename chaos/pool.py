"""Runs many plans at once, each in a process of its own, and never more than were asked for.

Plans that leave the control plane alone share one, each in its own namespace; those that break
it come one after another on another one. A plan whose fault did not strike is run again, because
the write that it waits for may have come in another step; whatever else is found is reported at
once, a disturbance that could not be carried out too.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import devcluster
from chaos.evidence import Evidence, Finding, Reference
from chaos.oracles import judge
from chaos.plan import Plan, save
from chaos.replacement import Replacement
from chaos.runner import Run

ROOT = Path(__file__).parents[1]
TRIES = 4
"""How often a plan is run until its fault strikes."""


@dataclass(frozen=True)
class Job:
    """A plan, where it runs (the name of a control plane), with what, and where its files go."""

    plan: Plan
    cluster: str
    folder: Path
    reference: Reference
    replaces: tuple[Replacement, ...] = ()
    keep: bool = False


@dataclass(frozen=True)
class Result:
    """What came of a plan: what the oracles found, and how long all of it took in seconds.

    ``recovery`` is the time from the last fault to the end of its step, None where nothing
    struck. ``folder`` holds plan, log and trace of a run in which something was found.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    seconds: float
    tries: int = 1
    struck: bool = True
    recovery: float | None = None
    folder: Path | None = None


def run(job: Job) -> Result:
    """Run one plan and judge it; again while nothing is wrong but that its fault did not strike."""
    began = time.monotonic()
    findings: list[Finding] = []
    evidence = Evidence(job.plan)
    folder = job.folder
    tries = 0
    while tries < TRIES:
        tries += 1
        folder = job.folder / f"{job.plan.id}-{tries}"
        evidence, findings = _once(job, folder)
        missed = {each.oracle for each in findings} == {"strikes"}
        if not missed or evidence.misses:
            break
        shutil.rmtree(folder, ignore_errors=True)
    if findings or job.keep:
        folder.mkdir(parents=True, exist_ok=True)
        save(job.plan, folder / "plan.json")
        (folder / "findings.txt").write_text("".join(f"{each}\n" for each in findings), "utf-8")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return Result(
        plan=job.plan,
        findings=tuple(findings),
        seconds=time.monotonic() - began,
        tries=tries,
        struck=all(evidence.hits) and not evidence.misses,
        recovery=_recovery(evidence),
        folder=folder if findings or job.keep else None,
    )


def _once(job: Job, folder: Path) -> tuple[Evidence, list[Finding]]:
    cluster = devcluster.find(job.cluster)
    made = Run(cluster, job.plan, folder, reference=job.reference, replaces=job.replaces)
    try:
        evidence = made.execute()
    except Exception as error:  # noqa: BLE001 - the rig's own failure is a finding of this plan
        return made.evidence, [Finding("rig", _account(error, made.evidence))]
    return evidence, judge(evidence)


def _account(error: BaseException, evidence: Evidence) -> str:
    """What went wrong in the rig, by way of which of its lines, and what went wrong before it."""
    chain = [error]
    while (before := chain[-1].__context__) is not None:
        chain.append(before)
    lines = [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for each in reversed(chain)
        for frame in traceback.extract_tb(each.__traceback__)
        if Path(frame.filename).is_relative_to(ROOT)
    ]
    return "; ".join([repr(error), " > ".join(lines), *evidence.misses])


def _recovery(evidence: Evidence) -> float | None:
    struck = [entry.ended or entry.at for entry in evidence.entries if entry.fault]
    ends = [step.ended for step in evidence.steps if struck and step.ended >= max(struck)]
    return min(ends) - max(struck) if struck and ends else None


def _ignore_interrupts() -> None:
    """A Ctrl-C is for the process that started all of them; it ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass
class Pool:
    """Workers for plans. ``told`` is called with each result, in the order in which they come."""

    workers: int
    told: Callable[[Result], None] = lambda _result: None
    results: list[Result] = field(default_factory=list)

    def run(self, jobs: Iterable[Job], alone: Sequence[Job] = ()) -> list[Result]:
        """Run ``jobs`` at once, as many as there are workers, and ``alone`` one by one beside."""
        context = multiprocessing.get_context("spawn")
        common = ProcessPoolExecutor(self.workers, context, initializer=_ignore_interrupts)
        single = ProcessPoolExecutor(1, context, initializer=_ignore_interrupts)
        results: list[Result] = []
        try:
            waiting: set[Future[Result]] = {common.submit(run, job) for job in jobs}
            waiting |= {single.submit(run, job) for job in alone}
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    results.append(future.result())
                    self.told(results[-1])
        except BaseException:
            for executor in (common, single):
                for process in list((executor._processes or {}).values()):  # noqa: SLF001
                    process.terminate()
            raise
        finally:
            for executor in (common, single):
                executor.shutdown(wait=False, cancel_futures=True)
        self.results += results
        return results

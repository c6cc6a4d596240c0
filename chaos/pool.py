"""Runs plans in parallel, each in a process of its own, with a limited number of workers.

Most plans share a control plane, each in its own namespace; exclusive plans run one after another
on a second control plane. A plan with a fault that did not strike is run again, because the
matching write may have come in another step. Every other finding is reported without a retry.
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
"""How often a plan is run at most until its faults strike."""


@dataclass(frozen=True)
class Job:
    """A plan, the name of its control plane, its reference, and the folder for its files."""

    plan: Plan
    cluster: str
    folder: Path
    reference: Reference
    replaces: tuple[Replacement, ...] = ()
    keep: bool = False


@dataclass(frozen=True)
class Result:
    """The result of a plan: the findings of the oracles, and the duration in seconds.

    ``recovery`` is the time from the last fault to the end of its step, None where no fault
    struck. ``folder`` holds plan, log and trace of a run with findings.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    seconds: float
    tries: int = 1
    struck: bool = True
    recovery: float | None = None
    folder: Path | None = None


def run(job: Job) -> Result:
    """Run one plan and judge it; run it again while the only finding is that no fault struck."""
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
    """An error of the rig with its chain of lines, and the disturbances that failed before it."""
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
    """Let only the parent process handle a Ctrl-C; the parent ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass
class Pool:
    """Workers for plans. ``report`` is called with each result, in the order of completion."""

    workers: int
    report: Callable[[Result], None] = lambda _result: None
    results: list[Result] = field(default_factory=list)

    def run(self, jobs: Iterable[Job], alone: Sequence[Job] = ()) -> list[Result]:
        """Run ``jobs`` in parallel and, at the same time, ``alone`` one after another."""
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
                    self.report(results[-1])
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

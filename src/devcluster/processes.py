"""Starts, finds and ends the processes of one cluster, and never anybody else's.

Every process of a cluster carries the cluster's folder in its environment. That mark, and not a
process id written down somewhere, decides which processes belong to a cluster: it is there from the
first moment, it cannot get lost with a file, and a recycled process id does not have it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from .errors import DevclusterError
from .layout import Layout
from .leash import leashed_environment

FOLDER_MARK = "DEVCLUSTER_PROCESS_OF"
COMPONENT_MARK = "DEVCLUSTER_PROCESS"
KEEPER = "keeper"
END_TIMEOUT_SECONDS = 10.0

# Children that this process started itself and must wait for, else they stay as zombies.
_children: dict[int, subprocess.Popen[bytes]] = {}


def spawn(component: str, command: list[str], layout: Layout) -> subprocess.Popen[bytes]:
    """Starts one process in a session of its own (a Ctrl-C is not for it); output to its log."""
    marks = {FOLDER_MARK: str(layout.folder), COMPONENT_MARK: component}
    with layout.log(component).open("ab") as log:
        return _adopt(
            subprocess.Popen(
                command,
                env={**os.environ, **marks},
                cwd=layout.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )


def _adopt(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    _children[process.pid] = process
    return process


def _reap(pid: int) -> None:
    """Waits for a killed process if it is a child of this one."""
    child = _children.pop(pid, None)
    if child:
        child.wait(END_TIMEOUT_SECONDS)


def spawn_keeper(layout: Layout, owner: int) -> subprocess.Popen[bytes]:
    """Starts the watcher that ends the cluster when the process `owner` is gone."""
    command = [sys.executable, "-m", "devcluster.keeper", str(layout.folder), str(owner)]
    marks = {FOLDER_MARK: str(layout.folder), COMPONENT_MARK: KEEPER}
    return _adopt(
        subprocess.Popen(
            command,
            env={**leashed_environment(dict(os.environ)), **marks},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    )


def mark_of(process: psutil.Process) -> tuple[str, str] | None:
    """The folder and the component of a process, None when it is dead or belongs to no cluster."""
    try:
        environment = process.environ()
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
    except (psutil.Error, OSError):
        return None
    folder = environment.get(FOLDER_MARK)
    return (folder, environment.get(COMPONENT_MARK, "")) if folder else None


def living(folder: Path) -> dict[str, list[psutil.Process]]:
    """The living processes of the cluster in `folder`, by component (normally one each)."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        mark = mark_of(process)
        if mark and mark[0] == str(folder) and process.pid != os.getpid():
            found.setdefault(mark[1], []).append(process)
    return found


def end(processes: Iterable[psutil.Process]) -> None:
    """Kills `processes` and waits until they are gone.

    Raises DevclusterError for one that is still there after ten seconds.
    """
    processes = list(processes)
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    for process in processes:
        _reap(process.pid)
    deadline = time.monotonic() + END_TIMEOUT_SECONDS
    while remaining := [process for process in processes if is_alive(process)]:
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in remaining)
            raise DevclusterError(f"processes that cannot be ended: {pids}")
        time.sleep(0.01)


def only(component: str, folder: Path) -> list[psutil.Process]:
    """The living processes of one component. Raises DevclusterError when there is none."""
    found = living(folder).get(component, [])
    if not found:
        raise DevclusterError(f"{component} of cluster {folder.name} does not run")
    return found


def freeze(processes: Iterable[psutil.Process]) -> None:
    """Stops `processes` from running (SIGSTOP) and waits until they have stopped. Their
    connections stay open. Raises DevclusterError for one that ends or does not stop.
    """
    processes = list(processes)
    deadline = time.monotonic() + END_TIMEOUT_SECONDS
    try:
        for process in processes:
            process.suspend()
        while any(process.status() != psutil.STATUS_STOPPED for process in processes):
            if time.monotonic() > deadline:
                raise DevclusterError(f"processes that cannot be frozen: {processes}")
            time.sleep(0.01)
    except psutil.NoSuchProcess as error:
        raise DevclusterError(f"a process ended while it was being frozen: {error}") from error


def thaw(processes: Iterable[psutil.Process]) -> None:
    """Lets frozen processes run on (SIGCONT); does nothing to others."""
    for process in processes:
        try:
            process.resume()
        except psutil.NoSuchProcess:
            continue


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs; one that nobody has waited for (a zombie) does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_all(folder: Path) -> None:
    """Kills every process of the cluster in `folder`, the keeper first, until none is found."""
    deadline = time.monotonic() + END_TIMEOUT_SECONDS
    while found := living(folder):
        # The keeper first: it must not meet a half-ended cluster and do the same work.
        end(found.pop(KEEPER, []))
        end(process for processes in found.values() for process in processes)
        if time.monotonic() > deadline:
            raise DevclusterError(f"processes of {folder} come back again and again")

"""The conditions of a measurement: machine, versions, load, other busy programs.

The rule kept here: only names of programs and numbers; no paths, arguments or host names.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from devcluster.binaries import CONTROL_PLANE, find_all
from devcluster.pins import KUBERNETES_VERSION

BUSY_PERCENT = 5.0


def describe() -> dict[str, Any]:
    """Cores, memory, kernel, processor, and the versions of all programs."""
    return {
        "cores": os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "processor": processor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Kubernetes": KUBERNETES_VERSION,
        "etcd": etcd_version(),
        "operator": f"gati-operator {version('gati-catalyst')}, commit {commit()}",
    }


def processor() -> str:
    """The processor's name in /proc/cpuinfo, or the architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.machine()


def etcd_version() -> str:
    """The version that the pinned etcd prints."""
    program = find_all(CONTROL_PLANE, None)["etcd"]
    run = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    return run.stdout.partition("\n")[0].rpartition(" ")[2]


def commit() -> str:
    """The commit of this working tree; with a plus where operator or benchmark have changes."""
    root = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    head = git("rev-parse", "--short=12", "HEAD") or "unknown"
    changed = git("status", "--porcelain", "--", "src/gati", "src/reconciler", "bench")
    return f"{head}+" if changed else head


def load() -> float:
    """The average number of runnable processes over the last minute."""
    return round(os.getloadavg()[0], 2)


def others(seconds: float = 1.0) -> list[str]:
    """The programs, not started by this process, that use more than 5 % of a core now."""
    own = {os.getpid()} | {child.pid for child in psutil.Process().children(recursive=True)}
    found = [each for each in psutil.process_iter(["name"]) if each.pid not in own]
    for process in found:
        _percent(process)
    time.sleep(seconds)
    busy = [(process, _percent(process)) for process in found]
    return sorted(
        f"{process.info['name']} {percent:.0f} %"
        for process, percent in busy
        if percent > BUSY_PERCENT
    )


def _percent(process: psutil.Process) -> float:
    try:
        return float(process.cpu_percent())
    except psutil.Error:
        return 0.0


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident(pid: int) -> int:
    """The resident memory of a process in bytes."""
    return int(psutil.Process(pid).memory_info().rss)


def peak_resident(pid: int) -> int:
    """The peak of a process's resident memory, in bytes; the present value without /proc."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return resident(pid)
    found = re.search(r"^VmHWM:\s*(\d+) kB$", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else resident(pid)

"""Runs one program that dies with its parent: `python leash.py PROGRAM ARGUMENT...`.

For a child that its parent waits for (a build). On Linux the kernel sends the signal; elsewhere
the program simply runs. A cluster's processes are watched by `keeper` instead, because the signal
follows the *thread* that started the child and a cluster may be started from any thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def leashed(command: list[str]) -> list[str]:
    """The argv that runs `command` so that it dies with the process that starts it."""
    # As a file, isolated: it needs nothing of the package, whose import takes longer than its work.
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), *command]


def leashed_environment(environment: dict[str, str]) -> dict[str, str]:
    """`environment` in which this package can be found, also when it runs from a source tree."""
    source = str(Path(__file__).resolve().parent.parent)
    path = environment.get("PYTHONPATH")
    return {**environment, "PYTHONPATH": f"{source}{os.pathsep}{path}" if path else source}


def main() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()

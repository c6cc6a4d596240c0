"""Ends a cluster when the process that owns it is gone, however that one died.

`python -m devcluster.keeper FOLDER OWNER`: a process of its own that watches a process id. It
needs no request; where it is killed, `devcluster down` ends the cluster by hand.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

import psutil

from .processes import end_all, is_alive

POLL_SECONDS = 0.2


def watch(owner: int) -> None:
    """Returns when the process with the id `owner` is gone. psutil recognizes a recycled id."""
    try:
        process = psutil.Process(owner)
    except psutil.NoSuchProcess:
        return
    while is_alive(process):
        time.sleep(POLL_SECONDS)


def main() -> None:
    folder, owner = Path(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(owner)
    end_all(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

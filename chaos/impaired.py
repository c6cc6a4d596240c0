"""The operator's command in a process that can be disturbed, or has functions replaced.

SIGUSR1 blocks the main thread, and with it the event loop, for IMPAIRED_SECONDS; SIGUSR2 lets
the wall clock jump by as many. Nothing of the operator is changed by that: the first is what a
long computation does, the second is the clock that the lease and the status are written with.
IMPAIRED_REPLACEMENTS names functions to replace, see ``chaos.replacement``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

import commands.gati
from chaos.replacement import VARIABLE, decode, install

_jump = timedelta()


class _Clock(datetime):
    """A datetime whose ``now`` can be wrong."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + _jump


def _block(*_: object) -> None:
    time.sleep(float(os.environ["IMPAIRED_SECONDS"]))


def _leap(*_: object) -> None:
    global _jump  # noqa: PLW0603 - a handler of signals has nowhere else to put it
    _jump += timedelta(seconds=float(os.environ["IMPAIRED_SECONDS"]))


def _put_the_clock_in() -> None:
    """Every module of the runtime that reads the wall clock reads one that can jump."""
    for name, module in list(sys.modules.items()):
        if name.startswith("reconciler.") and vars(module).get("datetime") is datetime:
            module.datetime = _Clock  # type: ignore[attr-defined]


def main() -> None:
    """Run the operator's command with the two signals handled."""
    install(decode(os.environ.get(VARIABLE, "")))
    _put_the_clock_in()
    signal.signal(signal.SIGUSR1, _block)
    signal.signal(signal.SIGUSR2, _leap)
    commands.gati.main()


if __name__ == "__main__":
    main()

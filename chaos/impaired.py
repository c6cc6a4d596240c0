"""The operator's command in a process that signals disturb, or with functions replaced.

SIGUSR1 blocks the main thread, and with it the event loop, for IMPAIRED_SECONDS, as a long
computation does. SIGUSR2 moves the wall clock, with which Lease and status are written, by
IMPAIRED_SECONDS. IMPAIRED_REPLACEMENTS names functions to replace, see ``chaos.replacement``.
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
    """A datetime with a ``now`` that can jump."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + _jump


def _block(*_: object) -> None:
    time.sleep(float(os.environ["IMPAIRED_SECONDS"]))


def _jump_clock(*_: object) -> None:
    global _jump  # noqa: PLW0603 - a signal handler has no other place for state
    _jump += timedelta(seconds=float(os.environ["IMPAIRED_SECONDS"]))


def _install_clock() -> None:
    """Replace ``datetime`` by ``_Clock`` in every module of the runtime."""
    for name, module in list(sys.modules.items()):
        if name.startswith("reconciler.") and vars(module).get("datetime") is datetime:
            module.datetime = _Clock  # type: ignore[attr-defined]


def main() -> None:
    """Run the operator's command with handlers for the two signals."""
    install(decode(os.environ.get(VARIABLE, "")))
    _install_clock()
    signal.signal(signal.SIGUSR1, _block)
    signal.signal(signal.SIGUSR2, _jump_clock)
    commands.gati.main()


if __name__ == "__main__":
    main()

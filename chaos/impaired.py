"""The operator's command in a process whose main thread, or whose clock, can be disturbed.

SIGUSR1 blocks the main thread, and with it the event loop, for IMPAIRED_SECONDS; SIGUSR2 lets
the wall clock jump by as many. Nothing of the operator is changed: the first is what a long
computation does, the second is the clock that the lease and the status are written with.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

import commands.gati
import reconciler.loop
import reconciler.process.events
import reconciler.process.lease
import reconciler.runtime

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


def main() -> None:
    """Run the operator's command with the two signals handled."""
    for module in (
        reconciler.process.events,
        reconciler.process.lease,
        reconciler.loop,
        reconciler.runtime,
    ):
        module.datetime = _Clock  # type: ignore[attr-defined]
    signal.signal(signal.SIGUSR1, _block)
    signal.signal(signal.SIGUSR2, _leap)
    commands.gati.main()


if __name__ == "__main__":
    main()

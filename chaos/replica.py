"""One operator of a run, with its proxy and what the run knows of its process."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from chaos.proxy.server import FaultProxy
from harness.operator_process import OperatorProcess


@dataclass
class Replica:
    """One operator with its proxy.

    ``expected``: its process may end now. ``recorded``: its end is written down.
    ``down_until``: it is not started again before that time (monotonic seconds).
    """

    name: str
    proxy: FaultProxy
    operator: OperatorProcess
    token: Path
    expected: bool = False
    recorded: bool = False
    down_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

"""One operator of a run, with its proxy and the state of its process."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from chaos.proxy.server import FaultProxy
from harness.operator_process import OperatorProcess


@dataclass
class Replica:
    """One operator with its proxy.

    ``expected``: the process may end by itself. ``recorded``: the end of the process is in the
    evidence. ``down_until``: the process is not restarted before that time (monotonic seconds).
    """

    name: str
    proxy: FaultProxy
    operator: OperatorProcess
    token: Path
    expected: bool = False
    recorded: bool = False
    down_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

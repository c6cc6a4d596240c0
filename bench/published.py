"""Figures of other operator frameworks, measured on another day.

The rule kept here: these figures are quoted, not judged. They were measured on a machine of the
same size (two cores, 24 GB), with the same kind of floor, and are not part of any verdict.
"""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    """One program's figures, as text, as they were published."""

    program: str
    times_floor: str
    cpu_seconds: str
    peak_memory: str


TAKEN = "21 November 2026, two cores, 24 GB, nothing else running, three interleaved rounds"
SHAPE = "500 GatiHandlers, each with Deployment, Service and status by server-side apply"

PEERS = (
    Peer("the floor of that day", "1.00", "1.3 to 1.7", "49 MB"),
    Peer("a 60-line informer and queue on aiohttp", "1.10 to 1.23", "1.7 to 2.2", "65 MB"),
    Peer("kopf 1.45 (`on.event`, posting off)", "1.26 to 1.39", "5.0 to 5.2", "137 MB"),
    Peer("controller-runtime 0.25 (Go), QPS unlimited", "1.32 to 1.76", "1.7 to 1.9", "54 MB"),
)

"""The measurements: one module for each question.

The rule kept here: a measurement is two functions. ``measure`` runs programs and yields plain
samples; ``judge`` is pure and turns samples into rows. A new measurement is a module and a line in
``ALL``.
"""

from __future__ import annotations

from bench.measurements import (
    churn,
    convergence,
    latency,
    memory,
    poison,
    rest,
    restart,
    writes,
)
from bench.measurements.shape import Measurement

ALL: tuple[Measurement, ...] = (
    convergence.MEASUREMENT,
    latency.MEASUREMENT,
    rest.MEASUREMENT,
    restart.MEASUREMENT,
    memory.MEASUREMENT,
    poison.MEASUREMENT,
    churn.MEASUREMENT,
    writes.MEASUREMENT,
)

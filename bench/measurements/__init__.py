"""What is measured: one module for each question, all of one shape.

The rule kept here: a measurement is two functions. ``measure`` does all that takes time and yields
plain samples; ``judge`` is pure and makes rows of them. A new one is a module and a line in
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

"""The settings of a run, with their defaults.

The rule kept here: a quick run measures the same things in the same way, only fewer of them. Its
figures show that the benchmark works; they are not results.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Counts are objects, times are seconds.

    ``rounds`` repeats measurements of seconds, ``long_rounds`` those of minutes; ``cold_rounds``
    is higher, as a ratio of two runs on shared cores varies by a tenth. ``at_rest`` is the number
    of converged handlers besides those that a measurement changes.
    """

    rounds: int = 3
    long_rounds: int = 1
    in_flight: int = 32
    cold_counts: tuple[int, ...] = (100, 500, 1000)
    cold_rounds: int = 7
    at_rest: int = 1000
    edits: int = 200
    rest_seconds: float = 120.0
    restart_counts: tuple[int, ...] = (1000, 5000)
    memory_counts: tuple[int, ...] = (0, 1000, 5000, 10000)
    poison_pairs: int = 6
    poison_edits: int = 100
    churn_handlers: int = 2000
    churn_batch: int = 100
    ready_count: int = 200
    quick: bool = False


FULL = Settings()
QUICK = Settings(
    rounds=2,
    cold_counts=(50,),
    cold_rounds=2,
    at_rest=100,
    edits=30,
    rest_seconds=10.0,
    restart_counts=(100,),
    memory_counts=(0, 100, 200),
    poison_pairs=2,
    poison_edits=20,
    churn_handlers=160,
    churn_batch=20,
    ready_count=20,
    quick=True,
)

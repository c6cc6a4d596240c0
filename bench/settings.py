"""How much is measured. Everything that a run can be told stands here, with its default.

The rule kept here: a quick run measures the same things in the same way, only fewer of them. Its
figures show that the machinery works; they are no results.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Counts are objects, times are seconds.

    ``rounds`` repeats what takes seconds, ``long_rounds`` what takes minutes; ``cold_rounds`` is
    more, as one ratio of two runs on shared cores scatters by a tenth. ``at_rest`` is how
    many converged handlers there are beside those that a measurement touches.
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

"""How long to wait after a failure: longer with each one in a row, and scattered."""

from __future__ import annotations

import random


def backoff(first: float, limit: float, failures: int, rng: random.Random) -> float:
    """Seconds to wait after a failure that ``failures`` others came before, without a success.

    ``first`` doubles with each of them up to ``limit``; a random factor in [0.5, 1] keeps those
    that failed together from trying again together.
    """
    longest: float = min(first * 2.0 ** min(failures, 32), limit)
    return longest * rng.uniform(0.5, 1.0)

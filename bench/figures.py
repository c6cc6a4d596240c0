"""Figures from samples, and verdicts from figures. Pure.

The rule kept here: a verdict is about the median over the rounds, never about one value. For two
contestants it is the median of the rounds' ratios, so that a slow round slows both.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

TIMES = "\N{MULTIPLICATION SIGN}"
"""The unit of a ratio."""

Sample = dict[str, Any]
"""The stored values of one round of one case: plain JSON."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, the least and the greatest of some values, and their number."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a measurement. ``limit`` is the target, an upper bound; None: no target."""

    figure: str
    unit: str
    spread: Spread
    limit: float | None = None

    @property
    def met(self) -> bool | None:
        """Does the median meet the target? None where there is no target."""
        return None if self.limit is None else self.spread.median <= self.limit

    @property
    def verdict(self) -> str:
        """The verdict as text: met or missed, by how much, and whether every round agrees."""
        if self.limit is None:
            return ""
        text = "met" if self.met else "missed"
        distance = self.spread.median - self.limit
        if self.limit:
            share = abs(distance) / self.limit * 100
            side = "below" if distance < 0 else "above"
            text += f", {share:.0f} % {side}" if distance else " exactly"
        elif distance > 0:
            text += f" by {number(distance)}"
        split = self.spread.low <= self.limit < self.spread.high
        return f"{text} (not in every round)" if split else text


def spread(values: Iterable[float]) -> Spread:
    """Median, least and greatest of at least one value."""
    found = sorted(values)
    return Spread(statistics.median(found), found[0], found[-1], len(found))


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the values do not exceed."""
    found = sorted(values)
    rank = -(-share * len(found) // 1)  # rounded up
    return found[max(0, int(rank) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the regression line through (x, y) points; 0 for only one x."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def growth(values: Sequence[float]) -> float:
    """The growth of a series over its last half, in per cent of the mean of that half.

    It is the growth of the regression line, so that one high value at the end hardly counts.
    """
    half = values[len(values) // 2 :]
    if len(half) < 2:
        return 0.0
    line = slope([(float(x), y) for x, y in enumerate(half)])
    return line * (len(half) - 1) / statistics.fmean(half) * 100


def ratios(
    samples: Iterable[Sample], figure: str, case: str, over: str, contestant: str = "contestant"
) -> list[float]:
    """A figure of ``case`` divided by that of ``over``, for each round that has both.

    ``contestant`` is the field of a sample with the name of the case.
    """
    rounds: dict[int, dict[str, float]] = {}
    for sample in samples:
        rounds.setdefault(sample["round"], {})[sample[contestant]] = sample[figure]
    return [both[case] / both[over] for both in rounds.values() if case in both and over in both]


def number(value: float) -> str:
    """A number with three significant digits; without decimals from 100 on."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    if float(value).is_integer():
        return f"{value:.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"

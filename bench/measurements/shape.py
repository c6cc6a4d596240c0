"""The type of all measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.figures import Row, Sample
from bench.laboratory import Laboratory


@dataclass(frozen=True)
class Measurement:
    """One question, the method of answering it, and the two functions.

    The report contains ``method`` unchanged. ``measure`` yields a sample for each round of each
    case; ``judge`` turns all samples into rows, those with a target first.
    """

    name: str
    question: str
    method: str
    measure: Callable[[Laboratory], Iterator[Sample]]
    judge: Callable[[Sequence[Sample]], list[Row]]


def cases(samples: Sequence[Sample], field: str) -> list[int]:
    """The distinct values of an integer field, ascending."""
    return sorted({int(sample[field]) for sample in samples})

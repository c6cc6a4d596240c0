"""The shape that all measurements have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.figures import Row, Sample
from bench.laboratory import Laboratory


@dataclass(frozen=True)
class Measurement:
    """One question, how it is answered, and the two functions that answer it.

    ``method`` goes into the report as it is. ``measure`` yields a sample for each round of each
    case; ``judge`` makes figures of all samples, those with a target first.
    """

    name: str
    question: str
    method: str
    measure: Callable[[Laboratory], Iterator[Sample]]
    judge: Callable[[Sequence[Sample]], list[Row]]


def cases(samples: Sequence[Sample], field: str) -> list[int]:
    """The different values of a whole-number field, ascending."""
    return sorted({int(sample[field]) for sample in samples})

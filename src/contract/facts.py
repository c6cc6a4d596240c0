"""Questions to sources outside the API, and what is known of their answers.

A plan never waits for a source: it asks, and is made again when there is an answer. An answer
that did not come is unknown, never "none".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a source. Equal questions are one question, asked once.

    ``about`` is canonical JSON; ``within`` is how many seconds an answer stays good (None: always).
    """

    source: str
    about: str
    within: float | None = None

    @classmethod
    def of(cls, source: str, about: Any, within: float | None = None) -> Ask:
        """The question about any JSON value; the order of its keys does not matter."""
        text = json.dumps(about, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return cls(source, text, within)


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of the answer to one question. ``at`` None and no trouble: not answered yet.

    ``value`` is the last good answer (JSON), kept when a later try fails. ``at`` is the time when
    the source began to look for it: nothing older is in it. ``trouble`` is why there is no newer
    answer, ``final`` that the question is not asked again.
    """

    value: Any = None
    at: datetime | None = None
    trouble: str = ""
    final: bool = False


class Refused(Exception):
    """The source cannot answer this question, however often it is asked. The text is the reason."""


class Unavailable(Exception):
    """The source has no answer now. The question is asked again; the text is the reason."""


class Source(Protocol):
    """What answers questions from outside the API. It only reads: a lost answer does no harm.

    At most ``at_once`` questions are put to it at a time, each for ``seconds`` at most; then the
    call is cancelled, and has to end.
    """

    @property
    def name(self) -> str:
        """What ``Ask.source`` calls it."""

    @property
    def at_once(self) -> int:
        """How many questions it is asked at a time; 1 or more."""

    @property
    def seconds(self) -> float:
        """How long it has for one answer."""

    async def answer(self, about: Any) -> Any:
        """The answer, as JSON. Raises Refused or Unavailable; their texts are shown to users."""

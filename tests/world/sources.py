"""A source outside the API whose answers, faults and death are scripted.

An answer has two points where a process can die: before the source begins, and when it has
answered but nobody used the answer. Sources only read, so there are no others.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from contract.facts import Refused
from memoryserver import CrashPoint

When = Literal["before", "after"]


class Point(NamedTuple):
    """One moment at which the operator can die: before or after a write, or an answer of a source.

    ``source`` is empty for writes; ``number`` counts the calls of that sort from the beginning.
    """

    source: str
    number: int
    when: When


class ScriptedSource:
    """Answers from a table or by a function (async ones too, which may raise).

    The table's keys are the questions: text as it is, other values as canonical JSON. A question
    that is not in the table is refused. Each answer takes ``takes`` seconds.

    ``calls`` are the questions in the order in which they were put, through all lives of the
    operator; ``running`` and ``most`` count the calls under way, now and at most.
    """

    def __init__(
        self,
        name: str,
        answers: Callable[[Any], Any] | Mapping[str, Any],
        *,
        at_once: int = 4,
        seconds: float = 10.0,
        takes: float = 0.0,
    ) -> None:
        self.name = name
        self.at_once = at_once
        self.seconds = seconds
        self.takes = takes
        self.calls: list[Any] = []
        self.running = 0
        self.most = 0
        self._answers = answers
        self._errors: list[Exception] = []
        self._held: Callable[[Any], bool] | None = None
        self._released = asyncio.Event()
        self._crash_in = 0
        self._crash_when: When = "before"
        self._dead = False
        self._on_crash: Callable[[], None] = lambda: None

    def connect(self, on_crash: Callable[[], None]) -> None:
        """A new process asks from now on. ``on_crash`` ends it, and may raise CrashPoint."""
        self._dead, self._on_crash = False, on_crash

    # ---- what a test scripts -------------------------------------------------------------------

    def fail_next(self, *errors: Exception) -> None:
        """Raise these in the next answers, one in each."""
        self._errors += errors

    def hold(self, about: Callable[[Any], bool] = lambda _: True) -> None:
        """Answer no question for which ``about`` holds until ``release``."""
        self._held = about
        self._released.clear()

    def release(self) -> None:
        """Answer what was held, and all that comes."""
        self._held = None
        self._released.set()

    def crash_at(self, call: int, when: When = "before") -> None:
        """Let the process die at the call of that number, counted from now."""
        self._crash_in, self._crash_when = call, when

    # ---- what the operator sees ----------------------------------------------------------------

    async def answer(self, about: Any) -> Any:
        """See ``contract.facts.Source``."""
        self.calls.append(about)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self._answer(about)
        finally:
            self.running -= 1

    async def _answer(self, about: Any) -> Any:
        self._crash_in -= 1
        dies = self._crash_in == 0
        if self._dead or (dies and self._crash_when == "before"):
            await self._die()
        await asyncio.sleep(self.takes)
        if self._held is not None and self._held(about):
            await self._released.wait()
        if self._errors:
            raise self._errors.pop(0)
        answer = await self._look_up(about)
        if dies or self._dead:
            await self._die()
        return answer

    async def _look_up(self, about: Any) -> Any:
        if callable(self._answers):
            answer = self._answers(about)
            return await answer if inspect.isawaitable(answer) else answer
        key = about if isinstance(about, str) else json.dumps(about, sort_keys=True)
        if key not in self._answers:
            raise Refused(f"{self.name} has no answer for {key}")
        return self._answers[key]

    async def _die(self) -> None:
        """End the process. Nothing goes on in a process that died: this never returns."""
        if not self._dead:
            self._dead = True
            with contextlib.suppress(CrashPoint):
                self._on_crash()
        await asyncio.get_running_loop().create_future()

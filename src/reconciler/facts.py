"""Puts the questions of plans to sources outside the API, and keeps the answers.

The rule: a pass never waits for an answer. Equal questions of many parents are put to their source
once, in the background, within the limits of the source. A question that failed is put again, with
a backoff, until it is released; a released question is forgotten, and an answer that is still on
its way is discarded. Questions and answers may hold secrets: a log line has the source's name and
a digest of the question.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import structlog

from contract.facts import Ask, Fact, Refused, Source, Unavailable
from contract.metadata import digest
from contract.status import MESSAGE_LIMIT
from reconciler.backoff import backoff

PAUSE_FIRST = 1.0
"""Seconds before a question is put to its source again; doubled with each failure."""

PAUSE_LIMIT = 300.0

CLOSE_SECONDS = 5.0
"""How long ``close`` waits for sources to end what was cancelled."""

log = structlog.stdlib.get_logger(__name__)


class _Trouble(NamedTuple):
    """Why a call of a source failed."""

    text: str
    final: bool = False


_NO_TROUBLE = _Trouble("")


@dataclass(slots=True)
class _Asked:
    """The state of one question that is not released."""

    at: datetime | None = None
    trouble: _Trouble = _NO_TROUBLE
    failures: int = 0
    evictions: int = 0
    not_before: float = 0.0  # loop time
    task: asyncio.Task[None] | None = None  # None once there is an answer


class _Turns:
    """Allows ``at_once`` concurrent calls of a source, in the order of their requests.

    Questions that failed before leave one of two or more turns free: however many of them hang at
    each call, a new question does not wait for them.
    """

    def __init__(self, source: Source) -> None:
        if source.at_once < 1:
            raise ValueError(f"source {source.name}: at_once is {source.at_once}, not 1 or more")
        self.source = source
        self._all = asyncio.Semaphore(source.at_once)
        self._again = asyncio.Semaphore(max(1, source.at_once - 1))

    @contextlib.asynccontextmanager
    async def one(self, *, again: bool) -> AsyncIterator[None]:
        """Wait for a turn, and hold it."""
        async with self._again if again else contextlib.nullcontext(), self._all:
            yield


class Facts:
    """The answers to the questions of plans.

    ``changed`` is called, outside of any pass, when a question has an answer or fails for another
    reason than before; it must not raise. ``limit`` is how many bytes of answers are kept: the
    least recently read ones above that are dropped, and asked for again at the next read.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        *,
        changed: Callable[[Ask], None],
        limit: int = 64 << 20,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self._turns = {source.name: _Turns(source) for source in sources}
        self._changed = changed
        self._limit = limit
        self._clock = clock
        self._random = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._asked: dict[Ask, _Asked] = {}
        self._answers: OrderedDict[Ask, bytes] = OrderedDict()
        """Encoded: as Python objects they take ten times the room, and could be changed."""
        self._size = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._reported: set[str] = set()
        self._closed = False

    def look(self, ask: Ask, now: datetime) -> Fact:
        """The fact of a question, at once; asks the source where there is no fresh answer.

        The caller has to ``release`` the question later, whatever the answer is.
        """
        if ask.source not in self._turns:
            return Fact(trouble=f"no source {ask.source!r} is configured", final=True)
        if self._closed:
            return Fact()
        asked = self._asked.get(ask)
        if asked is None:
            asked = self._asked[ask] = _Asked()
        content = self._answers.get(ask)
        if content is not None:
            self._answers.move_to_end(ask)
        fresh = content is not None and _is_fresh(asked.at, ask.within, now)
        if asked.task is None and not asked.trouble.final and not fresh:
            self._start(ask, asked)
        if content is None:
            return Fact(None, None, *asked.trouble)
        return Fact(msgspec.json.decode(content), asked.at, *asked.trouble)

    def release(self, ask: Ask) -> None:
        """Cancel and forget a question that no parent asks any more. Others are ignored."""
        asked = self._asked.pop(ask, None)
        self._drop(ask)
        if asked is not None and asked.task is not None:
            asked.task.cancel()

    def remembered(self) -> int:
        """How many questions are not released."""
        return len(self._asked)

    async def close(self) -> None:
        """Cancel and forget all questions, and ask no more."""
        self._closed = True
        for ask in tuple(self._asked):
            self.release(ask)
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
            if left:
                log.warning("sources do not end when they are cancelled", questions=len(left))

    # Asking

    def _start(self, ask: Ask, asked: _Asked) -> None:
        # Not in the context of the calling pass: the answer belongs to all parents that ask, and
        # a trigger in this context would count as an effect of the pass's own write.
        loop, context = asyncio.get_running_loop(), contextvars.Context()
        asked.task = loop.create_task(self._find_out(ask, asked), context=context)
        self._tasks.add(asked.task)
        asked.task.add_done_callback(self._tasks.discard)

    async def _find_out(self, ask: Ask, asked: _Asked) -> None:
        """Ask until there is an answer or a refusal, or until the question is released."""
        turns, loop = self._turns[ask.source], asyncio.get_running_loop()
        while True:
            await asyncio.sleep(asked.not_before - loop.time())
            async with turns.one(again=asked.failures > 0):
                at = self._clock()
                found = await self._try(turns.source, ask)
            if self._asked.get(ask) is not asked:
                return  # released meanwhile, and the source did not end at the cancellation
            if isinstance(found, bytes):
                self._answered(ask, asked, found, at)
                return
            self._failed(ask, asked, found)
            if found.final:
                return

    async def _try(self, source: Source, ask: Ask) -> bytes | _Trouble:
        """Call the source once: the encoded answer, or why it failed."""
        deadline = asyncio.timeout(source.seconds)
        try:
            async with deadline:
                answer = await source.answer(msgspec.json.decode(ask.about))
            content = msgspec.json.encode(answer)
        except (Refused, Unavailable) as error:
            text = str(error) or type(error).__name__.lower()
            return _Trouble(text[:MESSAGE_LIMIT], final=isinstance(error, Refused))
        except (Exception, asyncio.CancelledError) as error:
            # A source may raise CancelledError by itself: only a cancelled task ends by it.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise
            if isinstance(error, TimeoutError) and deadline.expired():
                return _Trouble(f"no answer within {source.seconds:g} s")
            self._report_bug(source, ask, error)
            return _Trouble(f"a bug: {type(error).__name__} in source {source.name!r}")
        if len(content) > self._limit:
            return _Trouble(
                f"the answer has {len(content)} bytes, and {self._limit} are kept at most"
            )
        return bytes(memoryview(content))  # a copy: the bytes of encode keep spare memory

    def _answered(self, ask: Ask, asked: _Asked, content: bytes, at: datetime) -> None:
        asked.at, asked.trouble, asked.failures, asked.task = at, _NO_TROUBLE, 0, None
        # An answer that is stale when it arrives must not keep its source and the passes busy.
        asked.not_before = asyncio.get_running_loop().time() + PAUSE_FIRST
        self._keep(ask, content)
        self._changed(ask)

    def _failed(self, ask: Ask, asked: _Asked, trouble: _Trouble) -> None:
        is_new, asked.trouble = trouble != asked.trouble, trouble
        pause = self._pause(asked.failures)
        asked.failures += 1
        asked.not_before = asyncio.get_running_loop().time() + pause
        if is_new:
            log.info(
                "a source does not answer",
                source=ask.source,
                question=_digest(ask),
                again_in=None if trouble.final else round(pause, 1),
            )
            self._changed(ask)

    def _pause(self, failures: int) -> float:
        return backoff(PAUSE_FIRST, PAUSE_LIMIT, failures, self._random)

    def _report_bug(self, source: Source, ask: Ask, error: BaseException) -> None:
        """Log each bug once, by type and place: its text and variables may hold the answer."""
        bug, place = type(error).__name__, _place(error)
        if self._is_first(f"{source.name} {bug} {place}"):
            question = _digest(ask)
            log.error(
                "a bug in a source", source=source.name, question=question, error=bug, place=place
            )

    def _is_first(self, report: str) -> bool:
        first = report not in self._reported
        self._reported.add(report)
        return first

    # Keeping

    def _keep(self, ask: Ask, content: bytes) -> None:
        """Keep an answer, and drop others while all together exceed the limit."""
        self._drop(ask)
        self._answers[ask] = content
        self._size += len(content)
        while self._size > self._limit:
            self._evict(next(iter(self._answers)))

    def _evict(self, ask: Ask) -> None:
        """Drop an answer to a question that is not released.

        Answers that exceed the limit together drop each other without end, each with a pass: the
        backoff of a question grows with each drop.
        """
        self._drop(ask)
        asked = self._asked[ask]
        pause = self._pause(asked.evictions)
        asked.evictions += 1
        asked.not_before = asyncio.get_running_loop().time() + pause
        if self._is_first("eviction"):
            log.warning("not all answers of sources can be kept", bytes=self._limit)

    def _drop(self, ask: Ask) -> None:
        self._size -= len(self._answers.pop(ask, b""))


def _is_fresh(at: datetime | None, within: float | None, now: datetime) -> bool:
    return at is not None and (within is None or (now - at).total_seconds() <= within)


def _digest(ask: Ask) -> str:
    return digest(ask.about, 12)


def _place(error: BaseException) -> str:
    """File and line where the error was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"

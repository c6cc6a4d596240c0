"""Questions to sources are asked in the background, within bounds; time is looptime's."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import looptime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from contract.facts import Ask, Fact, Refused, Source, Unavailable
from memoryserver import MemoryApi
from reconciler.facts import CLOSE_SECONDS, PAUSE_LIMIT, Facts
from world.sources import ScriptedSource

pytestmark = pytest.mark.looptime

BEGINNING = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECRET = "hunter2"
NOT_YET = Fact()


def seconds() -> float:
    return asyncio.get_running_loop().time()


def now() -> datetime:
    return BEGINNING + timedelta(seconds=seconds())


def echo(about: Any) -> Any:
    return {"of": about}


def at(moment: float) -> datetime:
    return BEGINNING + timedelta(seconds=moment)


class Bench:
    """Facts, and what they announced: (seconds, question)."""

    def __init__(self, *sources: Source, **options: Any) -> None:
        self.announced: list[tuple[float, Ask]] = []
        self.on_change: Callable[[Ask], object] = lambda _: None
        self.facts = Facts(
            sources, changed=self._changed, clock=now, rng=random.Random(1), **options
        )

    def _changed(self, ask: Ask) -> None:
        self.announced.append((seconds(), ask))
        self.on_change(ask)

    def look(self, ask: Ask) -> Fact:
        return self.facts.look(ask, now())

    async def learn(self, *asks: Ask) -> list[Fact]:
        """What is known one second after looking."""
        for ask in asks:
            self.look(ask)
        await asyncio.sleep(1)
        return [self.look(ask) for ask in asks]


@pytest.fixture
async def make():
    """Makes benches; a task of theirs that ends in an exception fails the test."""
    benches: list[Bench] = []
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

    def made(*sources: Source, **options: Any) -> Bench:
        benches.append(Bench(*sources, **options))
        return benches[-1]

    yield made
    for bench in benches:
        await bench.facts.close()
        assert bench.facts.remembered() == 0
    assert errors == []


def asks(source: str, count: int) -> list[Ask]:
    return [Ask.of(source, number) for number in range(count)]


# ---- asking ----------------------------------------------------------------------------------------


def test_questions_of_equal_json_are_equal():
    left = Ask.of("git", {"url": "a", "ref": {"b": 1, "a": [None, True]}})
    right = Ask.of("git", {"ref": {"a": [None, True], "b": 1}, "url": "a"})
    assert left == right
    assert left.about == '{"ref":{"a":[null,true],"b":1},"url":"a"}'
    with pytest.raises(ValueError):
        Ask.of("git", float("nan"))


async def test_a_look_does_not_wait_for_the_answer(make):
    bench = make(ScriptedSource("git", echo, takes=3))
    ask = Ask.of("git", {"ref": "main"})
    assert bench.look(ask) == NOT_YET
    await asyncio.sleep(2)
    assert bench.look(ask) == NOT_YET
    await asyncio.sleep(2)
    assert bench.look(ask) == Fact({"of": {"ref": "main"}}, at(0))
    assert bench.announced == [(3, ask)]


async def test_equal_questions_are_put_once(make):
    source = ScriptedSource("git", echo, takes=1)
    bench = make(source)
    for _ in range(3):
        bench.look(Ask.of("git", {"a": 1, "b": 2}))
        bench.look(Ask.of("git", {"b": 2, "a": 1}))
        await asyncio.sleep(0.7)
    assert (source.calls, bench.facts.remembered()) == ([{"a": 1, "b": 2}], 1)


async def test_an_answer_without_an_end_is_not_asked_for_again(make):
    source = ScriptedSource("git", echo)
    bench = make(source)
    await bench.learn(Ask.of("git", "sha"))
    await asyncio.sleep(10_000_000)
    assert bench.look(Ask.of("git", "sha")).value == {"of": "sha"}
    await asyncio.sleep(1)
    assert source.calls == ["sha"]


async def test_null_is_an_answer(make):
    bench = make(ScriptedSource("git", lambda _: None))
    assert await bench.learn(Ask.of("git", "a")) == [Fact(None, at(0))]


async def test_an_answer_may_be_changed_by_its_reader(make):
    bench = make(ScriptedSource("git", echo))
    ask = Ask.of("git", "a")
    (fact,) = await bench.learn(ask)
    fact.value["of"] = "changed"
    assert bench.look(ask).value == {"of": "a"}


async def test_a_source_that_is_not_configured_is_a_final_trouble(make):
    bench = make(ScriptedSource("git", echo))
    fact = bench.look(Ask.of("prometheus", "up"))
    assert fact == Fact(trouble="no source 'prometheus' is configured", final=True)
    assert bench.facts.remembered() == 0


async def test_a_source_with_at_once_0_is_refused():
    with pytest.raises(ValueError, match="git"):
        Bench(ScriptedSource("git", echo, at_once=0))


async def test_an_answer_comes_outside_the_pass_that_asked(make):
    """A pass is not woken by what it wrote: an answer must not be taken for that."""
    current = contextvars.ContextVar("current", default="no pass")
    found: list[str] = []
    bench = make(ScriptedSource("git", echo))
    bench.on_change = lambda _: found.append(current.get())
    current.set("a pass")
    await bench.learn(Ask.of("git", "a"))
    assert found == ["no pass"]


# ---- bounds ----------------------------------------------------------------------------------------


async def test_a_source_that_hangs_delays_no_other_source(make):
    """Fifty sources answer at the same moments with and without one that never answers."""
    moments = []
    for hangs in (False, True):
        others = [ScriptedSource(f"s{number}", echo, takes=number / 10) for number in range(50)]
        hanging = ScriptedSource("hangs", echo)
        hanging.hold()
        bench = make(hanging, *others)
        started = seconds()
        for number in range(20):
            if hangs:
                bench.look(Ask.of("hangs", number))
            for other in others:
                bench.look(Ask.of(other.name, number))
        await asyncio.sleep(100)
        answered = [(moment - started, ask) for moment, ask in bench.announced]
        moments.append(sorted(moment for moment, ask in answered if ask.source != "hangs"))
    assert len(moments[0]) == 50 * 20
    assert moments[0] == pytest.approx(moments[1])


async def test_a_question_that_hangs_takes_one_turn_only(make):
    source = ScriptedSource("git", echo, at_once=4, takes=1)
    source.hold(lambda about: about == "hangs")
    bench = make(source)
    for ask in (Ask.of("git", "hangs"), *asks("git", 51)):
        bench.look(ask)
    await asyncio.sleep(9.5)
    assert len(bench.announced) == 9 * 3
    await asyncio.sleep(9)
    assert {ask.about for _, ask in bench.announced} == {'"hangs"', *map(str, range(51))}
    assert bench.look(Ask.of("git", "hangs")) == Fact(trouble="no answer within 10 s")


async def test_many_questions_that_hang_leave_a_turn_to_new_ones(make):
    source = ScriptedSource("git", echo, at_once=4, takes=1)
    source.hold(lambda about: about != "new")
    bench = make(source)
    for ask in asks("git", 50):
        bench.look(ask)
    await asyncio.sleep(50 / 4 * 10 + 30)
    assert len(bench.announced) == 50
    for _ in range(50):
        started = seconds()
        bench.look(Ask.of("git", "new"))
        await asyncio.sleep(random.Random(started).uniform(1.5, 20))
        moment, ask = bench.announced.pop()
        assert (ask.about, moment - started) == ('"new"', pytest.approx(1))
        bench.facts.release(ask)


async def test_a_thousand_questions_are_put_four_at_a_time(make):
    source = ScriptedSource("git", echo, at_once=4, takes=1)
    bench = make(source)
    many = asks("git", 1000)
    for ask in many:
        bench.look(ask)
    await asyncio.sleep(100.5)
    assert (source.most, source.running, len(source.calls)) == (4, 4, 404)
    await asyncio.sleep(150)
    assert source.calls == list(range(1000))
    assert {ask for _, ask in bench.announced} == set(many)
    assert [bench.look(ask).value["of"] for ask in many] == list(range(1000))


async def test_a_call_is_cancelled_at_its_deadline(make):
    source = ScriptedSource("git", echo, seconds=5)
    source.hold()
    bench = make(source)
    bench.look(Ask.of("git", "a"))
    await asyncio.sleep(4.9)
    assert (source.running, bench.announced) == (1, [])
    await asyncio.sleep(0.2)
    assert source.running == 0
    assert bench.look(Ask.of("git", "a")) == Fact(trouble="no answer within 5 s")
    source.release()
    await asyncio.sleep(5)
    assert bench.look(Ask.of("git", "a")).trouble == ""
    assert bench.look(Ask.of("git", "a")).value == {"of": "a"}


# ---- age -------------------------------------------------------------------------------------------


async def test_an_old_answer_is_shown_while_a_new_one_is_asked_for(make):
    count = itertools.count()
    source = ScriptedSource("prometheus", lambda _: next(count), takes=2)
    bench = make(source)
    ask = Ask.of("prometheus", "up", within=30)
    bench.look(ask)
    await asyncio.sleep(29.5)
    assert bench.look(ask) == Fact(0, at(0))
    await asyncio.sleep(1.5)
    assert len(source.calls) == 1
    assert bench.look(ask) == Fact(0, at(0))  # 31 s old
    await asyncio.sleep(1)
    assert bench.look(ask) == Fact(0, at(0))
    await asyncio.sleep(2)
    assert bench.look(ask) == Fact(1, at(31))
    assert [moment for moment, _ in bench.announced] == [2, 33]


async def test_an_old_answer_that_nobody_looks_at_is_not_renewed(make):
    source = ScriptedSource("prometheus", echo)
    bench = make(source)
    await bench.learn(Ask.of("prometheus", "up", within=1))
    await asyncio.sleep(3600)
    assert len(source.calls) == 1


async def test_an_answer_that_is_old_at_once_makes_no_hot_loop(make):
    """Each answer makes a pass, and each pass looks again."""
    source = ScriptedSource("prometheus", echo, takes=0.5)
    bench = make(source)
    bench.on_change = bench.look
    bench.look(Ask.of("prometheus", "up", within=0))
    await asyncio.sleep(59.9)
    assert len(source.calls) == 40


# ---- failing ---------------------------------------------------------------------------------------


async def test_the_last_good_answer_stays_while_newer_tries_fail(make):
    source = ScriptedSource("prometheus", echo)
    bench = make(source)
    ask = Ask.of("prometheus", "up", within=30)
    await bench.learn(ask)
    source.fail_next(*[Unavailable("connection refused")] * 3)
    await asyncio.sleep(60)
    bench.look(ask)
    await asyncio.sleep(0.1)
    assert bench.look(ask) == Fact({"of": "up"}, at(0), "connection refused")
    await asyncio.sleep(30)
    fact = bench.look(ask)
    assert (fact.value, fact.trouble) == ({"of": "up"}, "")
    assert fact.at is not None
    assert at(61) < fact.at < at(70)


async def test_a_question_is_put_again_later_each_time(make):
    source = ScriptedSource("git", echo)
    moments: list[float] = []

    def fails(_: Any) -> Any:
        moments.append(seconds())
        raise Unavailable("connection refused")

    source._answers = fails
    bench = make(source)
    bench.look(Ask.of("git", "a"))
    await asyncio.sleep(4000)
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    for number, pause in enumerate(pauses):
        most = min(2.0**number, PAUSE_LIMIT)
        assert most / 2 <= pause <= most
    assert len(pauses) > 15
    assert len({pause / min(2.0**number, PAUSE_LIMIT) for number, pause in enumerate(pauses)}) > 10


async def test_an_answer_ends_the_backoff(make):
    source = ScriptedSource("git", echo)
    source.fail_next(*[Unavailable("down")] * 8)
    bench = make(source)
    ask = Ask.of("git", "a", within=10)
    bench.look(ask)
    await asyncio.sleep(1000)
    source.fail_next(Unavailable("down"))
    bench.look(ask)
    await asyncio.sleep(1.1)
    assert bench.look(ask).trouble == ""
    assert len(source.calls) == 11


async def test_a_trouble_is_announced_once_and_so_is_its_end(make):
    source = ScriptedSource("git", echo)
    refused, timeout = Unavailable("connection refused"), Unavailable("timed out")
    source.fail_next(refused, refused, timeout, timeout, refused)
    bench = make(source)
    ask = Ask.of("git", "a")
    troubles: list[str] = []
    bench.on_change = lambda ask: troubles.append(bench.look(ask).trouble)
    bench.look(ask)
    await asyncio.sleep(100)
    assert len(source.calls) == 6
    assert troubles == ["connection refused", "timed out", "connection refused", ""]


async def test_a_second_look_does_not_make_a_question_earlier(make):
    source = ScriptedSource("git", echo)
    source.fail_next(*[Unavailable("down")] * 100)
    bench = make(source)
    for _ in range(1000):
        bench.look(Ask.of("git", "a"))
        await asyncio.sleep(0.1)
    assert len(source.calls) < 11


async def test_a_refused_question_is_not_put_again(make):
    source = ScriptedSource("git", {})
    bench = make(source)
    ask = Ask.of("git", "a", within=10)
    refusal = Fact(trouble="git has no answer for a", final=True)
    assert await bench.learn(ask) == [refusal]
    for _ in range(100):
        await asyncio.sleep(100)
        assert bench.look(ask) == refusal
    assert (len(source.calls), len(bench.announced)) == (1, 1)
    bench.facts.release(ask)
    assert await bench.learn(ask) == [refusal]
    assert len(source.calls) == 2


@pytest.mark.parametrize("error", [Refused(), Unavailable()], ids=repr)
async def test_a_failure_without_a_text_is_named_by_its_type(make, error):
    source = ScriptedSource("git", echo)
    source.fail_next(error)
    bench = make(source)
    bench.look(Ask.of("git", "a"))
    await asyncio.sleep(0.1)
    assert bench.look(Ask.of("git", "a")).trouble == type(error).__name__.lower()


async def test_a_trouble_has_a_sane_length(make):
    source = ScriptedSource("git", echo)
    source.fail_next(Refused("x" * 100_000))
    (fact,) = await make(source).learn(Ask.of("git", "a"))
    assert len(fact.trouble) == 1024


def _cancelled(_: Any) -> Any:
    raise asyncio.CancelledError(SECRET)


def _raises(error: Exception) -> Callable[[Any], Any]:
    def answers(_: Any) -> Any:
        raise error

    return answers


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        (_raises(KeyError(SECRET)), "KeyError"),
        (_raises(TimeoutError(SECRET)), "TimeoutError"),
        (_cancelled, "CancelledError"),
        (lambda _: {SECRET: object()}, "TypeError"),
    ],
)
async def test_a_bug_in_a_source_is_logged_once_and_backed_off(make, answers, name):
    source = ScriptedSource("git", answers)
    bench = make(source)
    with capture_logs() as lines:
        bench.look(Ask.of("git", {"password": SECRET}))
        bench.look(Ask.of("git", {"password": SECRET + "3"}))
        await asyncio.sleep(100)
    fact = bench.look(Ask.of("git", {"password": SECRET}))
    assert fact == Fact(trouble=f"a bug: {name} in source 'git'")
    assert 8 < len(source.calls) < 20
    assert len(bench.announced) == 2
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [(line["source"], line["error"]) for line in errors] == [("git", name)]
    assert SECRET not in repr(lines)


async def test_questions_answers_and_troubles_are_not_logged(make):
    source = ScriptedSource("git", lambda about: about)
    source.fail_next(Unavailable(SECRET), Refused(SECRET))
    bench = make(source, limit=60)
    with capture_logs() as lines:
        for number in range(6):
            await bench.learn(Ask.of("git", [SECRET, "x" * 30, number]))
    assert {line["event"] for line in lines} == {
        "a source does not answer",
        "not all answers of sources can be kept",
    }
    assert SECRET not in repr(lines)


# ---- releasing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 0.5, 1.5, 5, 30, 500])
async def test_a_released_question_is_forgotten_at_any_stage(make, after):
    """In the order of ``after``: not begun, waits for its turn, is asked, answered, is backed off."""
    source = ScriptedSource("git", echo, at_once=1, takes=1)
    source.fail_next(*[Unavailable("down")] * 3 if after >= 30 else [])
    bench = make(source)
    for ask in asks("git", 2):
        bench.look(ask)
    await asyncio.sleep(after)
    calls, announced = list(source.calls), list(bench.announced)
    for ask in asks("git", 2):
        bench.facts.release(ask)
        bench.facts.release(ask)
    assert bench.facts.remembered() == 0
    await asyncio.sleep(1000)
    assert (source.calls, bench.announced, source.running) == (calls, announced, 0)
    started = seconds()
    bench.look(Ask.of("git", "next"))
    await asyncio.sleep(5)
    assert bench.announced[len(announced) :] == [(started + 1, Ask.of("git", "next"))]


async def test_a_question_can_be_released_by_its_own_change(make):
    source = ScriptedSource("git", echo)
    source.fail_next(Unavailable("down"), Refused("no"))
    bench = make(source)
    bench.on_change = bench.facts.release
    for ask in asks("git", 3):
        bench.look(ask)
        await asyncio.sleep(10)
    assert (len(bench.announced), bench.facts.remembered(), len(source.calls)) == (3, 0, 3)


class Stubborn(ScriptedSource):
    """Does not end when it is cancelled, but ``ends_after`` seconds later, with an answer."""

    ends_after = 2.0

    async def answer(self, about: Any) -> Any:
        try:
            return await super().answer(about)
        except asyncio.CancelledError:
            self.running += 1
            try:
                await asyncio.sleep(self.ends_after)
            finally:
                self.running -= 1
            return "late"


async def test_an_answer_that_comes_after_the_release_is_dropped(make):
    source = Stubborn("git", echo)
    source.hold()
    bench = make(source)
    await bench.learn(Ask.of("git", "a"))
    bench.facts.release(Ask.of("git", "a"))
    await asyncio.sleep(10)
    assert (bench.announced, bench.facts.remembered(), source.running) == ([], 0, 0)


async def test_a_late_answer_does_not_answer_a_question_asked_anew(make):
    source = Stubborn("git", echo, takes=5)
    bench = make(source)
    ask = Ask.of("git", "a")
    await bench.learn(ask)
    bench.facts.release(ask)
    bench.look(ask)
    await asyncio.sleep(3)
    assert (bench.look(ask), len(source.calls)) == (NOT_YET, 2)
    await asyncio.sleep(3)
    assert bench.look(ask) == Fact({"of": "a"}, at(1))
    assert len(bench.announced) == 1


async def test_a_source_that_goes_on_when_cancelled_keeps_its_turn(make):
    source = Stubborn("git", echo, at_once=1)
    source.hold(lambda about: about == "a")
    bench = make(source)
    await bench.learn(Ask.of("git", "a"))
    bench.facts.release(Ask.of("git", "a"))
    bench.look(Ask.of("git", "b"))
    await asyncio.sleep(1.5)
    assert (source.calls, source.running) == (["a"], 1)
    await asyncio.sleep(1.5)
    assert source.calls == ["a", "b"]
    assert bench.announced == [(3, Ask.of("git", "b"))]


# ---- keeping ---------------------------------------------------------------------------------------


async def test_the_answer_looked_at_longest_ago_is_evicted_first(make):
    source = ScriptedSource("render", lambda _: "x" * 40)  # 42 bytes encoded
    bench = make(source, limit=42 * 3)
    first, second, third, fourth = asks("render", 4)
    await bench.learn(first, second, third)
    bench.look(first)
    await bench.learn(fourth)
    known = [bench.look(ask).at is not None for ask in (first, third, fourth)]
    assert known == [True, True, True]
    assert bench.look(second) == NOT_YET
    await asyncio.sleep(2)
    assert source.calls == [0, 1, 2, 3, 1]
    assert bench.look(second).value == "x" * 40
    assert bench.look(first) == NOT_YET


async def test_released_and_replaced_answers_take_no_room(make):
    count = itertools.count()
    bench = make(ScriptedSource("render", lambda _: f"{next(count):040}"), limit=42 * 2)
    kept = Ask.of("render", "kept", within=5)
    for ask in asks("render", 100):
        await asyncio.sleep(5)
        assert [fact.at is not None for fact in await bench.learn(kept, ask)] == [True, True]
        bench.facts.release(ask)


async def test_answers_above_the_limit_together_make_no_hot_loop(make):
    """Each answer drops the other, and makes a pass that asks for both."""
    source = ScriptedSource("render", lambda _: "x" * 40)
    bench = make(source, limit=50)
    pair = asks("render", 2)
    bench.on_change = lambda _: [bench.look(ask) for ask in pair]
    with capture_logs() as lines:
        bench.look(pair[0])
        bench.look(pair[1])
        await asyncio.sleep(3600)
    assert len(source.calls) < 60
    assert [line["event"] for line in lines] == ["not all answers of sources can be kept"]
    for ask in pair:
        bench.facts.release(ask)
    assert [fact.at is not None for fact in await bench.learn(pair[0])] == [True]


async def test_an_answer_larger_than_the_limit_is_a_trouble(make):
    sizes = iter([40, 10_000, 50])
    source = ScriptedSource("render", lambda _: "x" * next(sizes))
    bench = make(source, limit=60)
    other, ask = Ask.of("render", "other"), Ask.of("render", "large", within=3)
    await bench.learn(other)
    bench.look(ask)
    await asyncio.sleep(0.1)
    text = "the answer has 10002 bytes, and 60 are kept at most"
    assert bench.look(ask) == Fact(trouble=text)
    assert bench.look(other).value == "x" * 40
    await asyncio.sleep(1)
    assert bench.look(ask).value == "x" * 50


# ---- the end of the process ------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3])
async def test_a_process_that_dies_at_a_question_asks_it_again(make, call, when):
    source = ScriptedSource("git", echo, at_once=1, takes=1)
    api = MemoryApi(now)
    died: list[float] = []
    api.faults.on_crash = lambda: died.append(seconds())
    source.connect(api.faults.crash)
    source.crash_at(call, when)
    first = make(source)
    for ask in asks("git", 3):
        first.look(ask)
    await asyncio.sleep(5)
    assert died == [call - 1 if when == "before" else call]
    assert api.faults.crashed
    assert [ask for _, ask in first.announced] == asks("git", 3)[: call - 1]
    await first.facts.close()
    source.connect(lambda: None)
    second = make(source)
    assert [second.look(ask) for ask in asks("git", 3)] == [NOT_YET] * 3
    await asyncio.sleep(50)
    assert [second.look(ask).value["of"] for ask in asks("git", 3)] == [0, 1, 2]
    assert source.calls == [*range(call), *range(3)]


async def test_a_process_that_died_gets_no_answer_any_more(make):
    source = ScriptedSource("git", echo, at_once=4, takes=1)
    source.crash_at(2)
    bench = make(source)
    for ask in asks("git", 3):
        bench.look(ask)
    await asyncio.sleep(5)
    source.fail_next(Refused("not used up by a process that died"))
    bench.look(Ask.of("git", "later"))
    await asyncio.sleep(4)
    assert (len(source.calls), bench.announced) == (4, [])


async def test_a_close_ends_hanging_questions_and_asks_no_more(make):
    source = ScriptedSource("git", echo, at_once=4)
    source.hold()
    bench = make(source)
    for ask in asks("git", 100):
        bench.look(ask)
    await asyncio.sleep(1)
    started = seconds()
    await bench.facts.close()
    assert (seconds(), source.running, bench.facts.remembered()) == (started, 0, 0)
    assert bench.look(asks("git", 1)[0]) == NOT_YET
    source.release()
    await asyncio.sleep(100)
    assert (len(source.calls), bench.announced, bench.facts.remembered()) == (4, [], 0)


async def test_a_close_does_not_wait_for_ever_for_a_source(make):
    source = Stubborn("git", echo, seconds=5000)
    source.ends_after = 1000
    source.hold()
    bench = make(source)
    await bench.learn(Ask.of("git", "a"))
    started = seconds()
    with capture_logs() as lines:
        await bench.facts.close()
    assert seconds() - started == CLOSE_SECONDS
    assert [line["questions"] for line in lines] == [1]
    await asyncio.sleep(1001)
    assert (source.running, bench.announced) == (0, [])


async def test_a_close_waits_for_a_question_that_was_released_before(make):
    source = Stubborn("git", echo)
    source.hold()
    bench = make(source)
    await bench.learn(Ask.of("git", "a"))
    bench.facts.release(Ask.of("git", "a"))
    await bench.facts.close()
    assert source.running == 0


# ---- any interleaving ------------------------------------------------------------------------------

QUESTIONS = range(5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("look"), st.sampled_from(QUESTIONS)),
        st.tuples(st.just("release"), st.sampled_from(QUESTIONS)),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.3, 1.0, 7.0, 40.0])),
    ),
    max_size=40,
)
BEHAVIOURS = [
    "answers",
    "is slow",
    "is down",
    "refuses",
    "hangs",
    "is stubborn",
    "breaks",
    "is big",
]


async def behave(behaviour: str) -> str:
    """The answer of a source that behaves like this."""
    if behaviour == "is slow":
        await asyncio.sleep(2)
    elif behaviour == "is down":
        raise Unavailable("down")
    elif behaviour == "refuses":
        raise Refused("no")
    elif behaviour == "hangs":
        await asyncio.sleep(1_000_000)
    elif behaviour == "is stubborn":
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1_000_000)
        await asyncio.sleep(1.5)
    elif behaviour == "breaks":
        raise RuntimeError
    return "x" * (1000 if behaviour == "is big" else 30)


@given(
    steps=STEPS,
    behaviours=st.lists(st.sampled_from(BEHAVIOURS), min_size=1, max_size=12),
    at_once=st.integers(1, 3),
    within=st.sampled_from([None, 0.0, 5.0]),
)
def test_bounds_hold_and_nothing_leaks_in_any_interleaving(steps, behaviours, at_once, within):
    script = itertools.cycle(behaviours)

    async def run() -> None:
        source = ScriptedSource("git", lambda _: behave(next(script)), at_once=at_once, seconds=5)
        bench = Bench(source, limit=100)
        asked: set[Ask] = set()

        def changed(ask: Ask) -> None:
            assert ask in asked
            bench.look(ask)

        bench.on_change = changed
        for step, value in steps:
            ask = Ask.of("git", value, within)
            if step == "look":
                asked.add(ask)
                fact = bench.look(ask)
                assert fact.value in (None, "x" * 30)
                assert (fact.value is None) == (fact.at is None)
            elif step == "release":
                asked.discard(ask)
                bench.facts.release(ask)
            else:
                await asyncio.sleep(value)
            assert bench.facts.remembered() == len(asked)
            assert source.most <= at_once
        for ask in tuple(asked):
            asked.discard(ask)
            bench.facts.release(ask)
        assert bench.facts.remembered() == 0
        calls = len(source.calls)
        await asyncio.sleep(2)
        assert (source.running, len(source.calls), bench.facts.remembered()) == (0, calls, 0)
        source._answers, bench.on_change = echo, bench.look
        assert (await bench.learn(Ask.of("git", "next")))[0].value == {"of": "next"}
        await bench.facts.close()

    with capture_logs():
        in_fake_time(run())


def in_fake_time(coroutine: Any) -> None:
    """Run it to its end in a looptime loop of its own; an exception in any task fails."""
    errors: list[dict[str, Any]] = []
    loop = looptime.make_event_loop_class(asyncio.SelectorEventLoop)(start=0)
    loop.setup_looptime(_enabled=True, start=0)
    loop.set_exception_handler(lambda _, context: errors.append(context))
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()
    assert errors == []

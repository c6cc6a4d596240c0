"""A step's change is tried again where its answer is lost."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chaos.recorder import Recorder
from chaos.scenario import Stage
from harness.objects import Objects


@pytest.fixture
def stage() -> Stage:
    return Stage(cast("Objects", None), cast("Recorder", None))


def test_a_step_that_is_tried_again_keeps_what_it_read_first(stage: Stage):
    answers = iter(["before", "after"])
    stage.begin()
    assert [stage.remember("uid", lambda: next(answers)) for _ in range(2)] == ["before"] * 2
    assert stage.memory == {"uid": "before"}


def test_a_step_whose_first_read_failed_reads_again(stage: Stage):
    def fails() -> Any:
        raise ConnectionRefusedError

    stage.begin()
    with pytest.raises(ConnectionRefusedError):
        stage.remember("uid", fails)
    assert stage.remember("uid", lambda: "x") == "x"


def test_another_step_reads_anew(stage: Stage):
    answers = iter(["first", "second"])
    for value in ("first", "second"):
        stage.begin()
        assert stage.remember("uid", lambda: next(answers)) == value

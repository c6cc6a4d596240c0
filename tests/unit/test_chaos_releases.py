"""Which program the rig starts: the installed command, or one that has something replaced."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chaos import impaired
from chaos.releases import PREVIOUS, ROOT, program
from chaos.replacement import VARIABLE, decode
from reconciler.process import lease


def test_the_current_release_is_the_installed_command():
    argv, environment = program()
    assert [Path(each).name for each in argv] == ["gati-operator"]
    assert decode(environment[VARIABLE]) == ()


@pytest.mark.parametrize("path", ["", "/src"])
def test_the_previous_release_runs_the_source_of_the_rig(
    path: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", path)
    argv, environment = program(PREVIOUS)
    assert argv[-1] == "chaos.impaired"
    assert environment["PYTHONPATH"].split(":") == [str(ROOT), path][: 1 + bool(path)]
    assert decode(environment[VARIABLE]) == PREVIOUS


def test_every_release_sets_the_same_environment():
    assert set(program()[1]) == set(program(PREVIOUS)[1]) == set(program(impaired=True)[1])


def test_a_process_to_impair_has_nothing_replaced():
    argv, environment = program(impaired=True)
    assert (argv[-1], environment[VARIABLE]) == ("chaos.impaired", "")


def test_a_clock_that_jumps_does_so_for_the_whole_runtime(monkeypatch: pytest.MonkeyPatch):
    readers = [
        module
        for name, module in sys.modules.items()
        if name.startswith("reconciler.") and vars(module).get("datetime") is datetime
    ]
    assert lease in readers
    for module in readers:
        monkeypatch.setattr(module, "datetime", datetime)  # so that it is put back
    monkeypatch.setattr(impaired, "_jump", timedelta())
    monkeypatch.setenv("IMPAIRED_SECONDS", "3600")

    impaired._install_clock()
    impaired._jump_clock()

    for module in readers:
        ahead = module.datetime.now(UTC) - datetime.now(UTC)
        assert timedelta(minutes=59) < ahead < timedelta(minutes=61)

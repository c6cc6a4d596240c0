"""The benchmark's pure parts: statistics, verdicts, bodies, the audit log, the page."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from bench import audit, bodies, figures, floor, plots, records, report
from bench.__main__ import cli
from bench.figures import Row, growth, number, percentile, ratios, slope, spread
from bench.measurements import ALL, churn, convergence, latency, memory, poison, rest, restart
from bench.measurements import writes as writes_measurement
from bench.settings import FULL, QUICK
from contract import ownership
from contract.demands import Seen
from contract.model import Key
from gati.kinds import GATI_HANDLER
from harness.operator_process import USER
from objects.kinds import DEPLOYMENT
from objects.matching import differences

PARENT = bodies.handler("h00001")
PARENT["metadata"] |= {"uid": "u-1", "generation": 1}


# Statistics.


def test_a_spread_is_the_median_and_the_ends() -> None:
    assert spread([3.0, 1.0, 2.0]) == figures.Spread(2.0, 1.0, 3.0, 3)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1), (0.0, 1)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_the_slope_ignores_what_every_point_has_in_common() -> None:
    assert slope([(0, 50), (1000, 60), (2000, 70)]) == pytest.approx(0.01)
    assert slope([(1000, 60), (1000, 61)]) == 0.0


def test_growth_is_measured_on_the_last_half_only() -> None:
    assert growth([10, 50, 90, 100, 100, 100, 100]) == pytest.approx(0.0)
    assert growth([0, 0, 99, 101]) == pytest.approx(2.0)
    assert growth([5]) == 0.0


def test_ratios_pair_the_contestants_of_complete_rounds() -> None:
    samples = [
        {"round": 0, "contestant": "a", "s": 2.0},
        {"round": 1, "contestant": "b", "s": 10.0},
        {"round": 0, "contestant": "b", "s": 1.0},
        {"round": 1, "contestant": "a", "s": 30.0},
        {"round": 2, "contestant": "a", "s": 99.0},
    ]
    assert ratios(samples, "s", "a", "b") == [2.0, 3.0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3.0, "3"), (1.254, "1.25"), (12.34, "12.3"), (1234.5, "1,234"), (0.0312, "0.031")],
)
def test_a_number_has_the_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


# Verdicts.


def judged(*values: float, limit: float) -> str:
    return Row("x", "", spread(values), limit).verdict


def test_a_verdict_rests_on_the_median_and_shows_the_margin() -> None:
    assert judged(1.0, 1.0, 1.0, limit=1.25) == "met, 20 % below"
    assert judged(2.0, 2.0, 2.0, limit=1.0) == "missed, 100 % above"
    assert judged(2.0, limit=2.0) == "met exactly"
    assert judged(0.0, limit=0.0) == "met"
    assert judged(5.0, limit=0.0) == "missed by 5"


def test_a_verdict_shows_that_the_rounds_disagree() -> None:
    assert judged(0.5, 0.9, 1.5, limit=1.0) == "met, 10 % below (not in every round)"
    assert judged(0.5, 1.1, 1.5, limit=1.0) == "missed, 10 % above (not in every round)"


def test_a_figure_without_a_target_has_no_verdict() -> None:
    row = Row("x", "s", spread([1.0]))
    assert (row.met, row.verdict) == (None, "")


# Bodies.


def test_the_floor_writes_the_children_first_and_then_one_status() -> None:
    writes = bodies.first_writes(PARENT)
    kinds = [write.body["kind"] for write in writes]
    assert kinds == ["Deployment", "Service", "GatiHandler"]
    assert all(write.method == "PATCH" and "force=true" in write.path for write in writes)
    assert "/gatihandlers/h00001/status?" in writes[-1].path
    assert writes[-1].body["status"]["observedGeneration"] == 1
    assert writes[-1].body["metadata"]["uid"] == "u-1"


def test_a_child_of_the_floor_is_owned_and_holds_its_intent() -> None:
    for child in bodies.children(PARENT):
        body = bodies.create_child(PARENT, child).body
        owner = ownership.Owner.of(GATI_HANDLER, PARENT)
        assert ownership.is_own(body, owner)
        assert differences(ownership.stamp(child, owner, PARENT), body) == []
        assert body["metadata"]["resourceVersion"] == "1"


def test_a_filled_handler_is_ready_and_has_nothing_to_write() -> None:
    deployment = next(each.body for each in bodies.children(PARENT) if each.kind == DEPLOYMENT)
    live = {**deployment, "metadata": {**deployment["metadata"], "generation": 1}}
    live["status"] = bodies.roll_out(live).body["status"]
    status = bodies.write_status(PARENT, live).body["status"]
    assert status["phase"] == "Running"

    filled = {**PARENT, "status": status}
    seen = Seen(bodies.NAMESPACE, children={Key.of(DEPLOYMENT, live): live})
    assert bodies.write_status(filled, live).body["status"] == status
    assert bodies._plan(filled, datetime(2030, 1, 1, tzinfo=UTC), seen).status == status


def test_a_running_pod_is_not_kept_in_memory() -> None:
    deployment = next(each.body for each in bodies.children(PARENT) if each.kind == DEPLOYMENT)
    pod = bodies.create_pod(deployment).body | bodies.run_pod(deployment).body
    watch = next(each for each in bodies.watched_kinds() if each.kind.kind == "Pod")
    assert bodies.cached(watch, pod) is None


def test_saved_clusters_of_other_versions_are_not_used() -> None:
    assert bodies.fingerprint("v1") == bodies.fingerprint("v1")
    assert bodies.fingerprint("v1") != bodies.fingerprint("v2")


def test_the_floor_sends_bytes_that_are_the_bodies() -> None:
    write = bodies.first_writes(PARENT)[0]
    assert msgspec.json.decode(floor.encoded(write).body) == write.body


# The audit log.


def event(verb: str, resource: str, **more: Any) -> bytes:
    reference = {"resource": resource, "name": more.get("name", "h00001")}
    reference |= {"subresource": more["subresource"]} if "subresource" in more else {}
    return (
        json.dumps(
            {
                "kind": "Event",
                "stage": "ResponseComplete",
                "verb": verb,
                "requestURI": more.get("uri", "/x"),
                "user": {"username": more.get("user", USER), "groups": ["a"]},
                "objectRef": reference,
                "responseStatus": {"metadata": {}, "code": more.get("code", 200)},
                "requestReceivedTimestamp": f"2026-01-01T00:00:{more.get('at', 0):09.6f}Z",
                "stageTimestamp": f"2026-01-01T00:00:{more.get('at', 0) + 0.5:09.6f}Z",
            }
        ).encode()
        + b"\n"
    )


def test_only_whole_lines_of_the_one_user_count() -> None:
    lines = [
        event("patch", "services"),
        event("patch", "services", user="somebody"),
        event("patch", "services")[:-1],
    ]
    found = list(audit.parse(lines))
    assert len(found) == 1
    assert found[0].answered - found[0].received == pytest.approx(0.5)


def test_reads_dry_runs_and_leases_are_not_writes() -> None:
    lines = [
        event("list", "services"),
        event("patch", "services", uri="/x?dryRun=All"),
        event("update", "leases"),
        event("patch", "services"),
    ]
    found = list(audit.parse(lines))
    assert [each.is_write for each in found] == [False, False, False, True]
    assert audit.by_verb(found) == {"dry run": 1, "lease": 1, "list": 1, "patch": 1}


def test_a_handler_with_a_status_is_counted_once(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    status = {"subresource": "status"}
    log.write_bytes(event("patch", "gatihandlers", name="early", **status))
    follower = audit.Follower(log, log.stat().st_size)
    whole = event("patch", "gatihandlers", name="a", **status)
    with log.open("ab") as file:
        file.write(whole + whole + event("patch", "gatihandlers", name="b", **status)[:-9])
    assert follower.handlers() == 1
    with log.open("ab") as file:
        file.write(event("patch", "gatihandlers", name="b", **status)[-9:])
        file.write(event("patch", "gatihandlers", name="c", code=409, **status))
    assert follower.handlers() == 2


def test_convergence_ends_with_the_last_child_or_status() -> None:
    lines = [
        event("list", "services", at=1),
        event("patch", "deployments", at=2),
        event("patch", "gatihandlers", subresource="status", at=3),
        event("create", "events", at=9),
    ]
    sample = convergence.timed(list(audit.parse(lines)))
    assert sample["seconds"] == pytest.approx(2.5)
    assert sample["seconds_from_first_write"] == pytest.approx(1.5)
    assert sample["writes"] == 3


def test_writes_are_counted_by_the_handler_they_are_for() -> None:
    lines = [
        event("patch", "deployments", name="handler-a"),
        event("patch", "services", name="handler-a", code=409),
        event("patch", "gatihandlers", name="a", subresource="status"),
        event("create", "events", name="a.0123456789abcdef"),
        event("patch", "configmaps", name="somebody-elses"),
        event("get", "gatihandlers", name="a"),
    ]
    sample = writes_measurement.count(list(audit.parse(lines)), ["a", "b"])
    assert sample == {
        "children": [2, 0],
        "status": [1, 0],
        "events": [1, 0],
        "other": 1,
        "refused": 1,
    }


# Judging.


def of_convergence(round_: int, contestant: str, seconds: float) -> dict[str, Any]:
    return {
        "round": round_,
        "handlers": 100,
        "contestant": contestant,
        "seconds": seconds,
        "seconds_from_first_write": seconds,
        "seconds_with_start": seconds + 1,
        "cpu_seconds": 1.0,
        "peak_rss": 50e6,
        "writes": 300,
        "load": 0.5,
    }


def test_convergence_judges_the_median_of_the_rounds_ratios() -> None:
    pairs = [(1.2, 1.0), (3.0, 2.5), (9.0, 5.0)]
    samples = [
        of_convergence(number, side, seconds)
        for number, pair in enumerate(pairs)
        for side, seconds in zip((convergence.OURS, convergence.FLOOR), pair, strict=True)
    ]
    rows = convergence.judge(samples)
    assert rows[0].spread.median == pytest.approx(1.2)
    assert rows[0].met
    assert all(row.limit is None for row in rows[1:])


def test_latency_judges_the_99th_percentile_of_each_round() -> None:
    series = [10.0] * 98 + [90.0, 500.0]
    samples = [{"round": 0, "change": change, "ms": series} for change in latency.CHANGES]
    targets = [row for row in latency.judge(samples) if row.limit]
    assert [row.spread.median for row in targets] == [90.0, 90.0]


def test_rest_fails_at_a_single_write() -> None:
    sample = {
        "round": 0,
        "seconds": 60.0,
        "cpu_percent": 0.2,
        "writes": 1,
        "requests": {"lease": 30},
    }
    rows = rest.judge([sample])
    assert [row.met for row in rows[:2]] == [False, True]


def test_restart_has_a_time_limit_for_a_thousand_only() -> None:
    samples = [
        {
            "round": 0,
            "handlers": handlers,
            "ready_seconds": 1.0,
            "passed_seconds": 6.0,
            "cpu_seconds": 1.0,
            "writes": 0,
            "requests": {"list": 1},
        }
        for handlers in (1000, 5000)
    ]
    rows = restart.judge(samples)
    assert [row.met for row in rows[:4]] == [False, True, None, True]


def test_memory_is_judged_by_the_slope_of_each_round() -> None:
    samples = [
        {
            "round": round_,
            "handlers": handlers,
            "rss": 50e6 + round_ * 1e6 + handlers * 10 * 1024,
            "peak_rss": 90e6,
            "cached": {"GatiHandler": 500},
        }
        for round_ in range(3)
        for handlers in (0, 1000, 5000)
    ]
    base, price, *_ = memory.judge(samples)
    assert (base.spread.median, base.met) == (51.0, True)
    assert [price.spread.low, price.spread.high] == pytest.approx([10, 10])


def test_the_poisoned_handler_is_judged_pair_by_pair() -> None:
    samples = [
        {"round": pair, "case": case, "median_ms": median, "refused": 7}
        for pair, medians in enumerate([(10.0, 10.5), (20.0, 21.0)])
        for case, median in zip((poison.WITHOUT, poison.WITH), medians, strict=True)
    ]
    assert poison.judge(samples)[0].spread.median == pytest.approx(1.05)


def test_churn_without_task_counts_does_not_judge_tasks() -> None:
    def samples(tasks: float | None) -> list[dict[str, Any]]:
        return [
            {"round": 0, "batch": batch, "handlers": batch * 10, "rss": 60e6, "tasks": tasks}
            for batch in range(6)
        ]

    assert [row.limit for row in churn.judge(samples(None)) if row.limit is not None] == [
        churn.GROWTH_LIMIT_PERCENT
    ]
    assert [row.met for row in churn.judge(samples(20.0)) if row.limit is not None] == [True, True]


# Records and the page.


def a_record(**more: Any) -> records.Record:
    record = records.Record(
        name="rest",
        began="2026-01-01 10:00",
        ended="2026-01-01 10:03",
        settings={"quick": False},
        machine={"cores": 2},
        load=0.1,
        beside=[],
        samples=[
            {
                "round": 0,
                "load": 0.2,
                "seconds": 60.0,
                "cpu_percent": 0.2,
                "writes": 0,
                "requests": {"lease": 30},
            }
        ],
    )
    return msgspec.structs.replace(record, **more)


def test_a_stored_record_keeps_the_one_before(tmp_path: Path) -> None:
    first, second = a_record(), a_record(load=3.0)
    records.store(tmp_path, first)
    records.store(tmp_path, second)
    assert records.load(tmp_path) == {"rest": second}
    assert records.load(tmp_path, ".before.json") == {"rest": first}


def test_the_page_shows_verdicts_machine_load_and_earlier_runs() -> None:
    record = a_record(beside=["builder 50 %"])
    rows = rest.judge(record.samples)
    other = [replace(row, spread=spread([9.0])) for row in rows]
    text = report.page([report.Section("rest", "question?", "method.", record, rows, other)])
    assert text.startswith(report.HEADER)
    assert "| [rest](#rest) | writes | 0 | one round | ≤ 0 | met | **other** (9) |" in text
    assert "builder 50 %" in text
    assert "| cores | 2 |" in text
    assert "Measured on another day" in text
    assert "--quick" not in text


def test_the_page_of_a_quick_run_states_that_it_is_not_a_result() -> None:
    record = a_record(settings={"quick": True})
    text = report.page([report.Section("rest", "q", "m", record, rest.judge(record.samples))])
    assert "`--quick` runs" in text


def test_the_command_line_writes_the_page_from_stored_records(tmp_path: Path) -> None:
    records.store(tmp_path, a_record())
    page = tmp_path / "page.md"
    done = CliRunner().invoke(cli, ["report", "--results", str(tmp_path), "--output", str(page)])
    assert done.exit_code == 0, done.output
    assert page.read_text("utf-8").startswith(report.HEADER)


def test_a_picture_of_other_samples_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = tmp_path / "page" / "rest.svg"
    stale.parent.mkdir()
    stale.write_text("of other samples")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    records.store(tmp_path, a_record())
    page = tmp_path / "page.md"
    done = CliRunner().invoke(cli, ["report", "--results", str(tmp_path), "--output", str(page)])
    assert done.exit_code == 0, done.output
    assert "matplotlib is not installed" in done.output
    assert not stale.exists()
    assert ".svg" not in page.read_text("utf-8")


@pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None,
    reason="the dependency group 'plots' is not installed (make bench does)",
)
@pytest.mark.filterwarnings("default")
def test_pictures_are_drawn_and_shown(tmp_path: Path) -> None:
    samples = {
        "latency": [{"round": 0, "change": "edit", "ms": [20.0, 30.0, 90.0]}],
        "memory": [{"round": 0, "handlers": n, "rss": 5e7, "peak_rss": 6e7} for n in (0, 1000)],
        "churn": [{"round": 0, "handlers": n, "rss": 5e7, "tasks": 30} for n in (0, 100)],
    }
    found = {
        name: msgspec.structs.replace(a_record(), name=name, samples=each)
        for name, each in samples.items()
    }
    drawn = plots.draw(found, tmp_path)
    assert set(drawn) == set(plots.PICTURES) == set(samples)
    before = {name: path.read_bytes() for name, path in drawn.items()}
    assert {name: path.read_bytes() for name, path in plots.draw(found, tmp_path).items()} == before


def test_the_page_shows_a_picture() -> None:
    section = report.Section("rest", "Why?", "m", a_record(), (), picture="benchmarks/rest.svg")
    assert "![Why?](benchmarks/rest.svg)" in report.page([section])


def test_an_empty_page_shows_the_command_of_each_measurement(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = CliRunner().invoke(cli, ["report", "--results", str(tmp_path), "--output", str(page)])
    assert done.exit_code == 0, done.output
    text = page.read_text("utf-8")
    assert all(f"`python -m bench run {each.name}`" in text for each in ALL)
    assert "| met" not in text


def test_every_measurement_has_a_name_of_its_own_and_is_listed() -> None:
    assert len({each.name for each in ALL}) == len(ALL) == 8
    listed = CliRunner().invoke(cli, ["list"]).output
    assert all(each.name in listed and each.question in listed for each in ALL)


def test_a_quick_run_measures_no_more_than_a_full_one() -> None:
    assert max(QUICK.cold_counts) < max(FULL.cold_counts)
    assert max(QUICK.memory_counts) < max(FULL.memory_counts)
    assert QUICK.churn_handlers < FULL.churn_handlers

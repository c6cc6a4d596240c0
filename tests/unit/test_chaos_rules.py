"""Rules of the fault proxy: what a request means, which rule is due, what a frame becomes."""

from __future__ import annotations

import itertools
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.proxy import frames
from chaos.proxy.frames import Frame, Splitter, frame_of, step
from chaos.proxy.requests import VERBS, Request, holder_of, named, request_of
from chaos.proxy.rules import FAULTS, Rule, Rules
from chaos.proxy.statuses import status
from chaos.proxy.trace import Trace

# Requests

APPLY = "application/apply-patch+yaml"
PODS = "/api/v1/namespaces/n/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/n/deployments"


@pytest.mark.parametrize(
    ("method", "target", "content_type", "body", "expected"),
    [
        ("GET", "/version", "", b"", Request("other")),
        ("GET", "/", "", b"", Request("other")),
        ("GET", "/api/v1", "", b"", Request("other")),
        ("GET", "/apis/apps/v1", "", b"", Request("other")),
        ("GET", "/apis", "", b"", Request("other")),
        ("GET", PODS, "", b"", Request("list", "", "pods", "n")),
        ("GET", "/api/v1/pods?limit=5", "", b"", Request("list", "", "pods")),
        ("GET", f"{PODS}/a", "", b"", Request("get", "", "pods", "n", "a")),
        ("GET", f"{PODS}/a%3Ab", "", b"", Request("get", "", "pods", "n", "a:b")),
        ("GET", f"{PODS}/a/log", "", b"", Request("get", "", "pods", "n", "a", "log")),
        ("GET", f"{PODS}?watch=1", "", b"", Request("watch", "", "pods", "n")),
        ("GET", f"{PODS}?watch=false", "", b"", Request("list", "", "pods", "n")),
        (
            "GET",
            f"{PODS}?watch=true&sendInitialEvents=true&fieldSelector=metadata.name%3Da",
            "",
            b"",
            Request("watch", "", "pods", "n", "a", initial=True),
        ),
        ("GET", "/api/v1/namespaces", "", b"", Request("list", "", "namespaces")),
        ("GET", "/api/v1/namespaces/n", "", b"", Request("get", "", "namespaces", "", "n")),
        (
            "PUT",
            "/api/v1/namespaces/n/finalize",
            "",
            b"{}",
            Request("update", "", "namespaces", "", "n", "finalize"),
        ),
        (
            "POST",
            DEPLOYMENTS,
            "application/json",
            b'{"metadata":{"name":"a"}}',
            Request("create", "apps", "deployments", "n", "a"),
        ),
        ("POST", DEPLOYMENTS, "", b"\xff not json", Request("create", "apps", "deployments", "n")),
        (
            "POST",
            f"{PODS}/a/eviction",
            "",
            b'{"metadata":{"name":"other"}}',
            Request("create", "", "pods", "n", "a", "eviction"),
        ),
        (
            "PATCH",
            f"{DEPLOYMENTS}/a/status?fieldManager=m&force=true",
            f"{APPLY}; charset=utf-8",
            b"{}",
            Request("apply", "apps", "deployments", "n", "a", "status"),
        ),
        (
            "PATCH",
            f"{DEPLOYMENTS}/a?dryRun=All",
            "application/json-patch+json",
            b"[]",
            Request("patch", "apps", "deployments", "n", "a", dry_run=True),
        ),
        ("DELETE", f"{PODS}/a", "", b"", Request("delete", "", "pods", "n", "a")),
        (
            "DELETE",
            PODS,
            "",
            b'{"dryRun":["All"]}',
            Request("deletecollection", "", "pods", "n", dry_run=True),
        ),
    ],
)
def test_a_request_is_read_as_the_api_server_reads_it(method, target, content_type, body, expected):
    assert request_of(method, target, content_type, body) == expected


def test_a_dry_run_is_not_a_write():
    assert {verb for verb in VERBS if Request(verb).is_write} == {
        *("create", "update", "patch", "apply", "delete", "deletecollection"),
    }
    assert not any(Request(verb, dry_run=True).is_write for verb in VERBS)


def test_a_body_gives_its_name_and_a_lease_its_holder():
    body = b'{"metadata":{"name":"a","resourceVersion":"7"},"spec":{"holderIdentity":"me"}}'
    assert (named(body).name, named(body).resource_version, holder_of(body)) == ("a", "7", "me")
    for nothing in (b"", b"[]", b"\xff", b'{"metadata":null,"spec":null}', b'{"spec":[]}'):
        assert (named(nothing).name, holder_of(nothing)) == ("", "")


# Rules

CREATE = Request("create", "apps", "deployments", "n", "a")
WATCH = Request("watch", "", "pods", "n")


def drop(**match):
    return Rule(phase="before", fault="drop", **match)


def swallow(**match):
    return Rule(phase="stream", fault="swallow", **match)


@pytest.mark.parametrize(
    ("rule", "request_", "expected"),
    [
        (drop(), CREATE, True),
        (drop(), Request("other"), True),
        (drop(verb="create"), CREATE, True),
        (drop(verb="update"), CREATE, False),
        (drop(verb="write"), CREATE, True),
        (drop(verb="write"), CREATE._replace(dry_run=True), False),
        (drop(verb="create"), CREATE._replace(dry_run=True), True),
        (drop(verb="write"), Request("get", resource="pods"), False),
        (drop(verb="read"), Request("get", resource="pods"), True),
        (drop(verb="read"), Request("list", resource="pods"), True),
        (drop(verb="read"), WATCH, False),
        (drop(resource="pods"), CREATE, False),
        (drop(resource="deployments", namespace="n", name="a", subresource=""), CREATE, True),
        (drop(namespace="m"), CREATE, False),
        (drop(name="b"), CREATE, False),
        (drop(subresource=""), CREATE._replace(subresource="status"), False),
        (drop(subresource="status"), CREATE._replace(subresource="status"), True),
        (drop(dry_run=True), CREATE, False),
        (drop(dry_run=False), CREATE, True),
        (Rule(phase="committed", fault="drop"), CREATE, True),
        (Rule(phase="committed", fault="drop"), WATCH, False),
        (Rule(phase="answered", fault="kill"), WATCH, False),
        (Rule(phase="before", fault="stale"), CREATE, False),
        (Rule(phase="before", fault="stale"), Request("list"), True),
        (swallow(name="x"), WATCH, True),
        (swallow(), CREATE, False),
        (swallow(namespace="m"), WATCH, False),
        (swallow(namespace="m"), WATCH._replace(namespace=""), True),
    ],
)
def test_a_rule_matches_what_it_names(rule, request_, expected):
    assert rule.matches(request_) is expected


@pytest.mark.parametrize(
    ("rule", "frame", "expected"),
    [
        (swallow(), Frame("ADDED", "a"), True),
        (swallow(), Frame("ERROR"), True),
        (swallow(frame="ADDED"), Frame("ADDED", "a"), True),
        (swallow(frame="ADDED"), Frame("MODIFIED", "a"), False),
        (swallow(name="a"), Frame("ADDED", "a"), True),
        (swallow(name="a"), Frame("ADDED", "b"), False),
        (swallow(frame="BOOKMARK"), Frame("BOOKMARK"), True),
        (swallow(frame="BOOKMARK"), Frame("BOOKMARK", initial_end=True), True),
        (swallow(frame="INITIAL-END"), Frame("BOOKMARK"), False),
        (swallow(frame="INITIAL-END"), Frame("BOOKMARK", initial_end=True), True),
        (swallow(frame="INITIAL-END"), Frame("ADDED", initial_end=True), False),
    ],
)
def test_a_rule_of_streams_matches_frames(rule, frame, expected):
    assert rule.matches_frame(WATCH, frame) is expected


def test_a_namespace_is_the_objects_in_a_watch_of_all_namespaces():
    everywhere = WATCH._replace(namespace="")
    rule = swallow(namespace="m")
    assert rule.matches_frame(everywhere, Frame("ADDED", "a", "m"))
    assert not rule.matches_frame(everywhere, Frame("ADDED", "a", "n"))
    assert not rule.matches_frame(WATCH, Frame("ADDED", "a", "m"))


@pytest.mark.parametrize(
    ("first", "count", "acts"),
    [(1, 1, "x...."), (3, 1, "..x.."), (2, 2, ".xx.."), (4, 0, "...xx"), (1, 0, "xxxxx")],
)
def test_a_rule_acts_from_its_first_occurrence_on_for_its_count(first, count, acts):
    rules = Rules([drop(verb="create", first=first, count=count)])
    found = ""
    for _ in acts:
        assert rules.due("before", WATCH) is None
        assert rules.due("committed", CREATE) is None
        found += "." if rules.due("before", CREATE) is None else "x"
    assert found == acts


def test_every_rule_counts_and_the_first_that_is_due_acts():
    rules = Rules([drop(first=2), drop(count=3), drop(first=3)])
    assert [rules.due("before", CREATE) for _ in range(4)] == [1, 0, 1, None]
    rules.remove(1)
    assert rules.add(drop()) == 3
    assert rules.due("before", CREATE) == 3
    with pytest.raises(IndexError):
        rules.remove(4)


def test_frames_are_counted_over_all_streams():
    rules = Rules([swallow(frame="ADDED", first=2)])
    assert rules.streams(WATCH)
    assert not rules.streams(CREATE)
    seen = [Frame("ADDED", "a"), Frame("MODIFIED", "a"), Frame("ADDED", "b"), Frame("ADDED", "c")]
    assert [rules.due_frame(WATCH, frame) for frame in seen] == [None, None, 0, None]


@pytest.mark.parametrize(
    ("problem", "fields"),
    [
        ("cut is no fault of before", {"phase": "before", "fault": "cut"}),
        ("late is no fault of committed", {"phase": "committed", "fault": "late"}),
        ("drop is no fault of answered", {"phase": "answered", "fault": "drop"}),
        ("drop is no fault of stream", {"phase": "stream", "fault": "drop"}),
        ("no verb: post", {"phase": "before", "fault": "drop", "verb": "post"}),
        ("first is 1", {"phase": "before", "fault": "drop", "first": 0}),
        ("count is 0", {"phase": "before", "fault": "drop", "count": -1}),
        ("a delay needs", {"phase": "before", "fault": "delay"}),
        ("not negative", {"phase": "before", "fault": "delay", "seconds": -1.0}),
        ("finite", {"phase": "before", "fault": "delay", "seconds": float("inf")}),
        ("finite", {"phase": "before", "fault": "delay", "seconds": float("nan")}),
        ("drop takes no seconds", {"phase": "before", "fault": "drop", "seconds": 1.0}),
        ("respond needs a code", {"phase": "before", "fault": "respond"}),
        ("respond needs a code", {"phase": "before", "fault": "respond", "code": 600}),
        ("error needs a code", {"phase": "stream", "fault": "error", "code": 200}),
        ("drop takes no code", {"phase": "before", "fault": "drop", "code": 500}),
        ("drop takes no text", {"phase": "before", "fault": "drop", "text": "x"}),
        ("drop takes no retry", {"phase": "before", "fault": "drop", "retry_after": 1.0}),
        (
            "retry_after is finite",
            {"phase": "before", "fault": "respond", "code": 429, "retry_after": -1.0},
        ),
        ("has frames", {"phase": "before", "fault": "drop", "frame": "ADDED"}),
        ("has a phase stream", {"phase": "stream", "fault": "cut", "verb": "list"}),
        ("no phase committed", {"phase": "committed", "fault": "drop", "verb": "watch"}),
        ("can be stale", {"phase": "before", "fault": "stale", "verb": "create"}),
    ],
)
def test_an_invalid_rule_is_refused_with_its_reason(problem, fields):
    with pytest.raises(ValueError, match=problem):
        Rule(**fields)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(json.dumps(fields), type=Rule)


def test_a_plan_with_a_field_too_many_is_refused():
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"phase":"before","fault":"drop","nth":1}', type=Rule)


TIMED = {"delay", "hang", "late", "silence"}


@st.composite
def rules_(draw):
    phase = draw(st.sampled_from(sorted(FAULTS)))
    fault = draw(st.sampled_from(sorted(FAULTS[phase])))
    fields = {
        "phase": phase,
        "fault": fault,
        "verb": "*" if phase == "stream" or fault == "stale" else draw(st.sampled_from(["write"])),
        "first": draw(st.integers(1, 99)),
        "count": draw(st.integers(0, 99)),
        "dry_run": draw(st.none() | st.booleans()),
        "note": draw(st.text()),
    }
    for field in ("resource", "namespace", "name", "subresource"):
        fields[field] = draw(st.just("*") | st.text(max_size=5))
    if fault in TIMED:
        fields["seconds"] = draw(st.floats(0.001, 1e6))
    if fault in {"respond", "error"}:
        fields["code"] = draw(st.integers(400, 599))
    if fault == "respond":
        fields["text"] = draw(st.text())
        fields["retry_after"] = draw(st.none() | st.floats(0, 1e6))
    if phase == "stream":
        fields["frame"] = draw(st.sampled_from(["*", "ADDED", "INITIAL-END"]))
    return Rule(**fields)


@given(rules_())
def test_a_rule_is_the_same_after_a_plan_file(rule):
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


# Frames

LINES = [b'{"type":"ADDED"}\r\n', b"\n", '{"é":"\U0001f600"}\n'.encode(), b"tail"]


@given(st.lists(st.integers(0, sum(map(len, LINES)))))
def test_lines_are_the_same_wherever_chunks_are_cut(cuts):
    whole = b"".join(LINES)
    borders = [0, *sorted(cuts), len(whole)]
    splitter = Splitter()
    lines = []
    for start, end in itertools.pairwise(borders):
        lines += splitter.feed(whole[start:end])
    assert [*lines, splitter.rest()] == LINES
    assert splitter.size == len(b"tail")


def test_a_frame_gives_its_type_and_object():
    line = b'{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"n","x":1},"spec":{}}}\n'
    assert frame_of(line) == Frame("ADDED", "a", "n")
    end = {"metadata": {"annotations": {"k8s.io/initial-events-end": "true"}}}
    line = json.dumps({"type": "BOOKMARK", "object": end}).encode()
    assert frame_of(line) == Frame("BOOKMARK", initial_end=True)
    for nothing in (b"\xff\n", b"{", b"[]", b'{"type":1}'):
        assert frame_of(nothing) == Frame()
    assert frame_of(b'{"type":"ERROR","object":{"kind":"Status"}}') == Frame("ERROR")


@pytest.mark.parametrize(
    ("fault", "written", "then"),
    [
        ("", [b"frame\n"], "go on"),
        ("cut", [b"frame\n"], "end"),
        ("reset", [], "reset"),
        ("truncate", [b"fra"], "close"),
        ("duplicate", [b"frame\n", b"frame\n"], "go on"),
        ("replay", [b"1\n", b"2\n", b"frame\n"], "go on"),
        ("swallow", [], "go on"),
        ("delay", [b"frame\n"], "go on"),
        ("silence", [], "silence"),
        ("gone", [frames.error_frame(410)], "end"),
        ("error", [frames.error_frame(500)], "end"),
        ("kill", [], "kill"),
    ],
)
def test_each_fault_changes_a_frame_in_its_way(fault, written, then):
    found = step(fault, b"frame\n", [b"1\n", b"2\n"], 2.0, 500)
    assert (list(found.written), found.then) == (written, then)
    assert found.seconds == (2.0 if fault == "delay" else 0.0)


def test_every_fault_of_streams_has_a_step():
    unchanged = step("", b"frame\n", [b"1\n"], 2.0, 500)
    for fault in FAULTS["stream"]:
        assert step(fault, b"frame\n", [b"1\n"], 2.0, 500) != unchanged


# Statuses


@pytest.mark.parametrize(
    ("code", "verb", "reason"),
    [
        (401, "get", "Unauthorized"),
        (403, "get", "Forbidden"),
        (404, "get", "NotFound"),
        (409, "update", "Conflict"),
        (409, "create", "AlreadyExists"),
        (410, "list", "Expired"),
        (422, "create", "Invalid"),
        (429, "get", "TooManyRequests"),
        (500, "get", "InternalError"),
        (503, "get", "ServiceUnavailable"),
        (504, "get", "Timeout"),
        (502, "get", ""),
    ],
)
def test_a_status_gives_the_reason_of_its_code(code, verb, reason):
    found = status(code, verb)
    assert (found["kind"], found["code"], found["reason"]) == ("Status", code, reason)
    assert "details" not in found
    assert status(code, verb, 3)["details"] == {"retryAfterSeconds": 3}


# Traces


def test_a_trace_gives_copies_in_order_and_writes_lines(tmp_path):
    trace = Trace("one")
    entry = trace.begin(CREATE, 1.5, "me")
    trace.begin(WATCH, 1.0)
    before = trace.entries()
    entry.code = 201
    trace.end(entry)
    assert [(found.seq, found.verb, found.at) for found in before] == [
        (0, "create", 1.5),
        (1, "watch", 1.0),
    ]
    assert (before[0].code, before[0].ended, before[0].is_write) == (0, 0.0, True)
    assert not before[1].is_write
    trace.write(tmp_path / "trace.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert [(line["replica"], line["verb"], line.get("code")) for line in lines] == [
        ("one", "create", 201),
        ("one", "watch", None),
    ]
    assert lines[0]["holder"] == "me"

"""What the process shows of itself: metrics, logs, and the health endpoints."""

import asyncio
import io
import json
import logging
import socket

import aiohttp
import pytest
import structlog

from reconciler.process import logs
from reconciler.process.endpoints import HealthAddressError, HealthServer
from reconciler.process.telemetry import Telemetry, Watched

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"


# Metrics


def sample(telemetry, name, **labels):
    return telemetry.registry.get_sample_value(f"reconciler_{name}", labels)


def test_reconciles_and_their_errors_are_counted():
    telemetry = Telemetry("1.2.3")
    telemetry.reconciled("Widget", "success", 0.1)
    telemetry.reconciled("Widget", "error", 0.2)
    assert sample(telemetry, "reconcile_total", controller="Widget", result="success") == 1
    assert sample(telemetry, "reconcile_errors_total", controller="Widget") == 1
    assert sample(telemetry, "reconcile_duration_seconds_count", controller="Widget") == 2
    assert sample(telemetry, "build_info", version="1.2.3") == 1


def test_requests_without_an_answer_are_counted_apart():
    telemetry = Telemetry()
    telemetry.api_request("get", "pods", 200, 0.1)
    telemetry.api_request("get", "pods", 0, 30)
    assert sample(telemetry, "api_requests_total", verb="get", resource="pods", code="200") == 1
    assert (
        sample(telemetry, "api_requests_total", verb="get", resource="pods", code="unreachable")
        == 1
    )


def test_the_leader_and_the_queue_are_read_at_the_scrape():
    leads = False
    telemetry = Telemetry()
    telemetry.observe_leader(lambda: leads)
    telemetry.observe_queue(lambda: 3, lambda: 7.5)
    assert sample(telemetry, "leader") == 0
    leads = True
    assert sample(telemetry, "leader") == 1
    assert sample(telemetry, "queue_depth") == 3
    assert sample(telemetry, "queue_oldest_retry_seconds") == 7.5


def test_a_kind_has_the_sample_of_its_worst_watch():
    telemetry = Telemetry()
    watched = [
        Watched("Pod", synced=True, frame_age=3.0),
        Watched("Pod", synced=False, frame_age=30.0),
        Watched("Pod", synced=True, frame_age=4.0),
        Watched("Pod", synced=True, frame_age=None),
        Watched("Secret", synced=True, frame_age=None),
    ]
    telemetry.observe_watches(lambda: watched)
    assert sample(telemetry, "watch_last_frame_age_seconds", kind="Pod") == 30
    assert sample(telemetry, "watch_last_frame_age_seconds", kind="Secret") is None
    assert sample(telemetry, "watch_synced", kind="Pod") == 0
    assert sample(telemetry, "watch_synced", kind="Secret") == 1


def test_a_watch_that_ended_has_no_sample():
    telemetry = Telemetry()
    watched = [Watched("Pod", synced=True, frame_age=3.0)]
    telemetry.observe_watches(lambda: watched)
    assert sample(telemetry, "watch_synced", kind="Pod") == 1
    watched.clear()
    assert sample(telemetry, "watch_synced", kind="Pod") is None
    assert sample(telemetry, "watch_last_frame_age_seconds", kind="Pod") is None


def test_no_metric_can_name_an_object():
    """The labels there are; one more needs a reason why its values are few."""
    telemetry = Telemetry()
    telemetry.reconciled("Widget", "success", 0.1)
    telemetry.api_request("get", "pods", 200, 0.1)
    telemetry.written("Pod", "create")
    telemetry.contested("Pod")
    telemetry.event_dropped("spam")
    telemetry.observe_watches(lambda: [Watched("Pod", True, 1.0)])
    labels = {
        label
        for metric in telemetry.registry.collect()
        for line in metric.samples
        for label in line.labels
    }
    assert labels == {
        "controller", "result", "verb", "resource", "code", "kind", "operation", "reason",
        "version", "le",
    }  # fmt: skip


def test_two_processes_in_one_test_do_not_share_a_registry():
    one, two = Telemetry(), Telemetry()
    one.written("Pod", "create")
    assert sample(two, "writes_total", kind="Pod", operation="create") is None


@pytest.mark.looptime
async def test_the_probe_measures_how_late_the_loop_is():
    telemetry = Telemetry()
    task = asyncio.create_task(telemetry.probe_loop(0.5))
    await asyncio.sleep(10.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sample(telemetry, "loop_lag_seconds_count") == 20


async def test_tasks_are_counted_at_the_scrape():
    telemetry = Telemetry()
    probe = asyncio.create_task(telemetry.probe_loop())
    await asyncio.sleep(0)
    before = sample(telemetry, "tasks")
    more = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
    assert sample(telemetry, "tasks") == before + 3
    for task in (probe, *more):
        task.cancel()
    await asyncio.gather(probe, *more, return_exceptions=True)
    assert sample(telemetry, "tasks") == before - 1


# Logs


@pytest.fixture(autouse=True)
def _restore_logging():
    root, asyncio_log = logging.getLogger(), logging.getLogger("asyncio")
    before = root.handlers[:], root.level, asyncio_log.level
    yield
    root.handlers[:], level, asyncio_level = before
    root.setLevel(level)
    asyncio_log.setLevel(asyncio_level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_has_the_fields_bound_inside_a_reconcile():
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    with structlog.contextvars.bound_contextvars(reconcile_id=7, key="Widget/ns/w"):
        structlog.stdlib.get_logger("mine").info("applied", child="Deployment")
    structlog.stdlib.get_logger("mine").info("outside")
    inside, outside = lines(stream)
    assert list(inside) == ["ts", "level", "logger", "event", "key", "reconcile_id", "child"]
    assert (inside["level"], inside["logger"], inside["event"]) == ("info", "mine", "applied")
    assert (inside["key"], inside["reconcile_id"]) == ("Widget/ns/w", 7)
    assert inside["ts"].endswith("Z")
    assert "key" not in outside


def test_the_standard_librarys_logs_go_the_same_way():
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    logging.getLogger("aiohttp.client").warning("slow %s", "server")
    (line,) = lines(stream)
    assert (line["logger"], line["level"], line["event"]) == (
        "aiohttp.client",
        "warning",
        "slow server",
    )


async def test_an_exception_that_nobody_retrieved_is_logged_once():
    stream = io.StringIO()
    logs.configure("json", stream=stream)

    async def fail():
        raise RuntimeError(f"refused: Bearer {JWT}")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task  # the last reference
    (line,) = lines(stream)
    assert line["logger"] == "asyncio"
    assert "RuntimeError" in line["exception"]
    assert "eyJ" not in stream.getvalue()


@pytest.mark.parametrize(
    "secret",
    [
        {"token": "hunter2"},
        {"Authorization": "hunter2"},
        {"headers": {"authorization": "Token hunter2"}},
        {"client_secret": "hunter2"},
        {"accessToken": "hunter2"},
        {"db": [{"password": "hunter2"}]},
        {"text": "GET / HTTP/1.1 Authorization: Bearer hunter2hunter2"},
        {"text": "https://me:hunter2@git.example.com/x.git"},
        {"text": "failed: --password=hunter2 --verbose"},
        {"text": '{"token": "hunter2"}'},
        {"text": "Basic aHVudGVyMjpodW50ZXIy.hunter2"},
        {"text": "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----"},
        {"object": {"kind": "Secret", "data": {"x": "hunter2"}, "stringData": {"y": "hunter2"}}},
        {"error": ValueError("password='hunter2'")},
        {"user": {"client-key-data": "hunter2"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("style", ["json", "console"])
def test_no_credential_is_logged(secret, style):
    stream = io.StringIO()
    logs.configure(style, stream=stream)
    structlog.stdlib.get_logger("mine").info("request", **secret)
    structlog.stdlib.get_logger("mine").info(str(secret))
    logging.getLogger("other").info("request %s", secret)
    first = stream.getvalue().splitlines()[0]
    assert "[redacted]" in first
    assert "hunter2" not in first
    if "text" in secret:
        assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("style", ["json", "console"])
def test_tracebacks_hold_no_credential_and_no_local_variables(style):
    stream = io.StringIO()
    logs.configure(style, stream=stream)
    held = "local" + "value"
    try:
        raise ValueError(f"Bearer {JWT}")
    except ValueError:
        structlog.stdlib.get_logger("mine").exception("failed")
    assert "ValueError" in stream.getvalue()
    assert "eyJ" not in stream.getvalue()
    assert held not in stream.getvalue()


def test_a_text_without_a_credential_stays():
    plain = {
        "key": "Widget/ns/w",
        "secretName": "web-tls",
        "text": "secret web-tls not found in https://example.com/a",
        "count": 3,
        "object": {"kind": "ConfigMap", "data": {"x": "y"}},
        "token": "",
    }
    assert logs.redact(plain) == plain


def test_redaction_changes_nothing_in_place():
    given = {"headers": {"authorization": "x"}}
    logs.redact(given)
    assert given == {"headers": {"authorization": "x"}}


def test_logs_are_json_or_coloured_on_a_terminal_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    outputs = []
    for stream, no_color in ((io.StringIO(), ""), (Terminal(), ""), (Terminal(), "1")):
        monkeypatch.setenv("NO_COLOR", no_color)
        logs.configure(stream=stream)
        structlog.stdlib.get_logger("mine").info("hello")
        outputs.append(stream.getvalue())
    assert json.loads(outputs[0])["event"] == "hello"
    assert "\x1b[" in outputs[1]
    assert "\x1b[" not in outputs[2]
    assert "hello" in outputs[2]


def test_lines_below_the_level_are_not_written():
    stream = io.StringIO()
    logs.configure("json", "warning", stream)
    structlog.stdlib.get_logger("mine").info("no")
    logging.getLogger("other").info("no")
    assert not stream.getvalue()
    with pytest.raises(ValueError, match="unknown log level"):
        logs.configure("json", "loud", stream)


# Health


class Process:
    def __init__(self):
        self.alive = {"loop": "", "watches": ""}
        self.ready = {"caches": "", "rights": ""}

    def serve(self, address="127.0.0.1:0"):
        return HealthServer(
            address,
            alive=lambda: self.alive,
            ready=lambda: self.ready,
            metrics=Telemetry("1.2.3").render,
        )


async def get(server, path):
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_a_healthy_and_ready_process_answers_ok():
    async with Process().serve() as server:
        assert await get(server, "/healthz") == (200, "ok\n")
        assert await get(server, "/readyz") == (200, "ok\n")
        assert await get(server, "/readyz?verbose") == (200, "[+]caches ok\n[+]rights ok\n")
        assert (await get(server, "/other"))[0] == 404


async def test_readiness_names_each_reason_apart_from_health():
    process = Process()
    process.ready = {"caches": "Deployment: listing", "rights": "", "crds": "kubectl apply -f x"}
    async with process.serve() as server:
        assert await get(server, "/readyz") == (
            503,
            "caches: Deployment: listing\ncrds: kubectl apply -f x\n",
        )
        assert "[+]rights ok" in (await get(server, "/readyz?verbose"))[1]
        assert (await get(server, "/healthz"))[0] == 200
        process.alive = {"watches": "no frame for 600 s"}
        assert await get(server, "/healthz") == (503, "watches: no frame for 600 s\n")
        process.ready = {}
        assert await get(server, "/readyz") == (200, "ok\n")


async def test_metrics_are_in_prometheus_text_format():
    async with Process().serve() as server:
        status, text = await get(server, "/metrics")
        assert status == 200
        assert 'reconciler_build_info{version="1.2.3"} 1.0' in text
        assert "_created" not in text


async def test_a_taken_port_is_one_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HealthAddressError, match=rf"127\.0\.0\.1:{port} .*--health-address"):
            await Process().serve(f"127.0.0.1:{port}").start()


@pytest.mark.parametrize("address", ["", "localhost", "localhost:http", "localhost:70000"])
def test_an_invalid_address_is_refused(address):
    with pytest.raises(HealthAddressError, match="host:port"):
        Process().serve(address)


async def test_a_stopped_server_frees_its_port():
    server = Process().serve()
    await server.start()
    port = server.port
    await server.stop()
    with socket.create_server(("127.0.0.1", port)):
        pass

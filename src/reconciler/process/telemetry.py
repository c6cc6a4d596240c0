"""Metrics, named as controller-runtime names them, in a registry of the process's own.

The rule: a label holds values of a small fixed set (controller, kind, verb, HTTP code, result),
and never an object's name, a namespace or a message. So the number of series does not grow with
the number of objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from reconciler.workers import Result

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LAG = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)


class Watched(NamedTuple):
    """One watch at one moment; ``frame_age`` is in seconds, None before the first frame."""

    kind: str
    synced: bool
    frame_age: float | None


class Telemetry:
    """All metrics of one process. Methods may be called from any thread and never fail."""

    def __init__(self, version: str = "unknown") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # unused, and half the series
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._reconciles = self._counter("reconcile_total", "Reconciles", "controller", "result")
        self._errors = self._counter("reconcile_errors_total", "Failed reconciles", "controller")
        self._duration = self._histogram(
            "reconcile_duration_seconds", "Duration of one reconcile", _SECONDS, "controller"
        )
        self._requests = self._counter(
            "api_requests_total", "Answers of the API server", "verb", "resource", "code"
        )
        self._latency = self._histogram(
            "api_request_duration_seconds", "Duration of one request", _SECONDS, "verb"
        )
        self._writes = self._counter("writes_total", "Objects written", "kind", "operation")
        self._contested = self._counter("contested_total", "Repairs undone by others", "kind")
        self._dropped = self._counter("events_dropped_total", "Events not sent", "reason")
        self._depth = self._gauge("queue_depth", "Keys that wait for a worker")
        self._oldest_retry = self._gauge(
            "queue_oldest_retry_seconds", "How long the longest failing key has been failing"
        )
        self._leader = self._gauge("leader", "1 while this process holds the lease")
        self._tasks = self._gauge("tasks", "Tasks of the event loop")
        self._lag = self._histogram("loop_lag_seconds", "Lateness of the event loop", _LAG)
        self._gauge("build_info", "Always 1", "version").labels(version).set(1)

    def reconciled(self, controller: str, result: Result, seconds: float) -> None:
        """One reconcile ended. ``controller`` is the kind of its parents."""
        self._reconciles.labels(controller, result).inc()
        self._duration.labels(controller).observe(seconds)
        if result == "error":
            self._errors.labels(controller).inc()

    def api_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """One request ended; code 0 means without an answer. ``resource`` is Kind.resource."""
        self._requests.labels(verb, resource, str(code) if code else "unreachable").inc()
        self._latency.labels(verb).observe(seconds)

    def written(self, kind: str, operation: str) -> None:
        """One object was created, updated, deleted, or had its status written."""
        self._writes.labels(kind, operation).inc()

    def contested(self, kind: str) -> None:
        """Another field manager reverted an applied field."""
        self._contested.labels(kind).inc()

    def event_dropped(self, reason: str) -> None:
        """One Event was dropped; ``events.Recorder`` lists the reasons."""
        self._dropped.labels(reason).inc()

    def observe_watches(self, watched: Callable[[], Iterable[Watched]]) -> None:
        """Read the watches with this function at each scrape. Call it once.

        A kind with several watches has one sample, that of its worst watch.
        """
        self.registry.register(_Watches(watched))

    def observe_queue(self, depth: Callable[[], float], oldest_retry: Callable[[], float]) -> None:
        """Read the queue's depth and the age of its oldest retry with these at each scrape."""
        self._depth.set_function(depth)
        self._oldest_retry.set_function(oldest_retry)

    def observe_leader(self, is_leader: Callable[[], bool]) -> None:
        """Read whether this process leads with this function at each scrape."""
        self._leader.set_function(lambda: float(is_leader()))

    async def probe_loop(self, period: float = 0.5) -> None:
        """Measure without end how late the running loop wakes a sleeping task; run it as a task.

        Each scrape counts the tasks of the same loop.
        """
        loop = asyncio.get_running_loop()
        self._tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        while True:
            due = loop.time() + period
            await asyncio.sleep(period)
            self._lag.observe(max(0.0, loop.time() - due))

    def render(self) -> tuple[bytes, str]:
        """All metrics in Prometheus' text format, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"reconciler_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"reconciler_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"reconciler_{name}", text, labels, buckets=buckets, registry=self.registry
        )


class _Watches(Collector):
    """Reads the watches at each scrape, so that a watch that ended has no sample."""

    def __init__(self, watched: Callable[[], Iterable[Watched]]) -> None:
        self._watched = watched

    def collect(self) -> Iterator[GaugeMetricFamily]:
        synced: dict[str, bool] = {}
        ages: dict[str, float] = {}
        for kind, is_synced, age in self._watched():
            synced[kind] = is_synced and synced.get(kind, True)
            if age is not None:
                ages[kind] = max(age, ages.get(kind, 0.0))
        yield _family("watch_synced", "1 while the cache of a kind is synced", synced)
        yield _family("watch_last_frame_age_seconds", "Since the last frame of a watch", ages)


def _family(name: str, text: str, by_kind: dict[str, bool] | dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"reconciler_{name}", text, labels=["kind"])
    for kind, value in by_kind.items():
        family.add_metric([kind], float(value))
    return family

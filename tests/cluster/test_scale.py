"""A thousand handlers: all become ready, then nothing is written, not after a restart either.

`make test` looks for a few seconds after the operator has come to rest; `make soak` looks until
every watch has ended and was opened again, which takes up to ten minutes, before the restart and
after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from devcluster import Cluster
from harness.objects import Objects, eventually, is_ready
from harness.operator_process import OperatorProcess, install
from reconciler.client.client import WATCH_SECONDS

HANDLERS = 1000
REST_SECONDS = 5.0
SOAK_SECONDS = WATCH_SECONDS[1] + 60.0


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_thousand_ready_handlers_cost_no_write_at_rest(
    own_cluster: Callable[..., Cluster], operators: Callable[..., OperatorProcess]
) -> None:
    operator, objects = a_thousand_ready(own_cluster(), operators)
    check_no_write(operator, objects, lambda: time.sleep(REST_SECONDS))


@pytest.mark.soak
@pytest.mark.timeout(2 * SOAK_SECONDS + 900)
def test_watches_of_a_thousand_handlers_that_end_cost_no_write(
    own_cluster: Callable[..., Cluster], operators: Callable[..., OperatorProcess]
) -> None:
    operator, objects = a_thousand_ready(own_cluster(), operators)
    check_no_write(operator, objects, lambda: wait_for_new_watches(operator))


def a_thousand_ready(
    cluster: Cluster, operators: Callable[..., OperatorProcess]
) -> tuple[OperatorProcess, Objects]:
    """An operator for all namespaces that has a thousand ready handlers and is at rest."""
    install(cluster)
    cluster.create_namespace("many")
    objects = Objects(cluster, "many")
    operator = operators(cluster, "", flags=("--resync=0",))
    operator.run()
    names = [f"h{number:04}" for number in range(HANDLERS)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: objects.handler(name, replicas=1), names))
    eventually(lambda: not not_ready(objects), 600)
    assert len(objects.list("deployments")) == HANDLERS
    operator.settle(3)
    return operator, objects


def check_no_write(operator: OperatorProcess, objects: Objects, rest: Callable[[], None]) -> None:
    """``rest`` costs no write, before a restart of the operator and after it; drift does."""
    mark = operator.audit_mark()
    rest()
    assert operator.writes(mark) == []

    assert operator.terminate() == 0
    mark = operator.audit_mark()
    operator.run()
    eventually(lambda: operator.reconciles() >= HANDLERS, 120)
    rest()
    assert operator.writes(mark) == []

    objects.merge("deployments", "handler-h0500", {"spec": {"replicas": 7}})
    eventually(
        lambda: objects.existing("deployments", "handler-h0500")["spec"]["replicas"] == 1, 60
    )
    repairs = [write for write in operator.writes(mark) if write.resource == "deployments"]
    assert [write.name for write in repairs if not write.dry_run] == ["handler-h0500"]


def wait_for_new_watches(operator: OperatorProcess) -> None:
    """Until each watch that is open now has ended and another is open in its place."""
    before = watches(operator)
    assert before

    def again() -> bool:
        now = watches(operator)
        return all(now.get(series, 0) > count for series, count in before.items())

    eventually(again, SOAK_SECONDS)


def watches(operator: OperatorProcess) -> dict[str, float]:
    """How often each kind's watch was opened, by the metric's series."""
    return {
        series: count
        for series, count in operator.metrics().items()
        if series.startswith("reconciler_api_requests_total")
        and 'verb="watch"' in series
        and 'code="200"' in series
    }


def not_ready(objects: Objects) -> list[str]:
    """The names of the handlers that are not ready, some seconds from now: a list of all of them
    takes the server's time, which those that become ready need.
    """
    time.sleep(5)
    handlers = objects.list("gatihandlers")
    return [each["metadata"]["name"] for each in handlers if not is_ready(each)]

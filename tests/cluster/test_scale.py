"""A thousand handlers: all become ready, then nothing is written, not after a restart either."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from devcluster import Cluster
from harness.objects import Objects, eventually, is_ready
from harness.operator_process import OperatorProcess, install

HANDLERS = 1000
QUIET_SECONDS = 120.0


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_thousand_ready_handlers_cost_no_write_at_rest_nor_after_a_restart(
    own_cluster: Callable[..., Cluster], operators: Callable[..., OperatorProcess]
) -> None:
    cluster = own_cluster()
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

    mark = operator.audit_mark()
    time.sleep(QUIET_SECONDS)
    assert operator.writes(mark) == []

    assert operator.terminate() == 0
    mark = operator.audit_mark()
    operator.run()
    eventually(lambda: operator.reconciles() >= HANDLERS, 120)
    time.sleep(QUIET_SECONDS)
    assert operator.reconciles() >= HANDLERS
    assert operator.writes(mark) == []

    objects.merge("deployments", "handler-h0500", {"spec": {"replicas": 7}})
    eventually(lambda: objects.there("deployments", "handler-h0500")["spec"]["replicas"] == 1, 60)
    repairs = [write for write in operator.writes(mark) if write.resource == "deployments"]
    assert [write.name for write in repairs if not write.dry_run] == ["handler-h0500"]


def not_ready(objects: Objects) -> list[str]:
    """The names of the handlers that are not ready; slow, as it lists them all."""
    time.sleep(1)
    handlers = objects.list("gatihandlers")
    return [each["metadata"]["name"] for each in handlers if not is_ready(each)]

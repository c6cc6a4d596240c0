"""An API server that is killed and comes back, and one whose watches end.

The tests share one control plane of their own, because they break it.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator

import pytest

import devcluster
from cluster.faults import service_gone_and_back
from devcluster import Cluster
from devcluster.api import ApiError
from harness.objects import Objects, eventually
from harness.operator_process import OperatorProcess, install

pytestmark = pytest.mark.xdist_group("killed-api-server")


@pytest.fixture(scope="module")
def breakable_cluster() -> Iterator[Cluster]:
    """A control plane of this module's own, with the CRDs and the rights that Gati ships."""
    with devcluster.start() as cluster:
        install(cluster)
        yield cluster


@pytest.fixture
def objects(breakable_cluster: Cluster) -> Objects:
    """The objects of a namespace of this test's own."""
    namespace = f"shop-{secrets.token_hex(3)}"
    breakable_cluster.create_namespace(namespace)
    return Objects(breakable_cluster, namespace)


@pytest.fixture
def operator(operators: Callable[..., OperatorProcess], objects: Objects) -> OperatorProcess:
    """The operator, at rest beside the ready handlers stays, goes and changes."""
    made = operators(objects.cluster, objects.namespace)
    made.run()
    for name in ("stays", "goes", "changes"):
        objects.handler(name)
    for name in ("stays", "goes", "changes"):
        objects.ready(name)
    made.settle()
    return made


def test_a_killed_api_server_costs_no_write(operator: OperatorProcess, objects: Objects) -> None:
    mark = operator.audit_mark()
    objects.cluster.kill_apiserver()
    eventually(lambda: operator.logged("watch interrupted"))
    objects.cluster.restart_apiserver()
    service_gone_and_back(objects, "stays")
    operator.settle()
    written = operator.writes(mark)
    assert {write.name for write in written if write.resource != "events"} <= {"handler-stays"}


def test_changes_missing_from_the_watch_history_are_applied(
    operator: OperatorProcess, objects: Objects
) -> None:
    # The operator cannot look while they happen, nor afterwards: the server that comes back
    # knows no history (410).
    operator.freeze()
    objects.cluster.kill_apiserver()
    objects.cluster.restart_apiserver()
    objects.delete("gatihandlers", "goes")
    objects.handler("changes", image="web:v2")
    objects.handler("new")
    objects.delete("services", "handler-stays")
    operator.thaw()
    eventually(lambda: objects.get("services", "handler-stays"))
    for name in ("stays", "changes", "new"):
        objects.ready(name)
    assert objects.ready("changes")["status"]["image"] == "web:v2"
    assert operator.logged("410")
    # The garbage collector may or may not have been here already.
    with contextlib.suppress(ApiError):
        objects.delete("services", "handler-goes")
    operator.settle()
    assert objects.get("services", "handler-goes") is None


def test_a_change_of_the_crd_loses_no_edit(operator: OperatorProcess, objects: Objects) -> None:
    # The API server ends the watches of the kind in order.
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gatihandlers.gati.dev"
    patch = {"spec": {"names": {"shortNames": ["gh", "ghandler"]}}}
    objects.cluster.api.json("PATCH", path, patch, "application/merge-patch+json")
    objects.handler("stays", image="web:v3")
    assert objects.ready("stays")["status"]["image"] == "web:v3"
    assert operator.running

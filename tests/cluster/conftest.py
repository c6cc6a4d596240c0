"""One control plane for each test run, one namespace for each test.

Tests use `cluster` for what they read and write and keep to their `namespace`; whatever breaks a
control plane asks `own_cluster` for one of its own. With `--context` the cluster is one that is
there already: what holds then is in `cluster.existing`.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import devcluster
from cluster import existing, scenario_checks
from cluster.existing import ExistingCluster
from devcluster import Cluster
from devcluster.api import ApiError
from harness.objects import Objects
from harness.operator_process import OperatorProcess, install


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share, and no other run."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def run_owner() -> int:
    """The process that the whole run ends with: with xdist the one that started the workers."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


@pytest.fixture(scope="session")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Cluster | ExistingCluster]:
    """The control plane of this run, shared between the workers; the last one stops it."""
    if pytestconfig.option.context:
        with ExistingCluster(existing.place_of(pytestconfig)) as found:
            yield found
        return
    folder = run_folder(tmp_path_factory)
    users = folder / "devcluster-users"
    name = f"test-{hashlib.sha256(str(folder).encode()).hexdigest()[:10]}"
    me = users / str(os.getpid())
    with FileLock(folder / "devcluster.lock"):
        users.mkdir(exist_ok=True)
        running = any(users.iterdir())
        shared = devcluster.find(name) if running else devcluster.start(name, owner=run_owner())
        me.touch()
    yield shared
    with FileLock(folder / "devcluster.lock"):
        me.unlink()
        if not any(users.iterdir()):
            shared.stop()


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of this test's own, with its default ServiceAccount; deleted afterwards."""
    slug = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    name = f"{slug}-{secrets.token_hex(3)}"
    cluster.create_namespace(name)
    yield name
    try:
        cluster.api.json("DELETE", f"/api/v1/namespaces/{name}")
    except ApiError as error:
        if error.status not in (404, 409):  # the test deleted it itself
            raise


@pytest.fixture
def own_cluster(pytestconfig: pytest.Config) -> Iterator[Callable[..., Cluster]]:
    """Starts control planes of this test's own, with the arguments of `devcluster.start`."""
    if pytestconfig.option.context:
        existing.lacking("it starts one")
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(devcluster.start(**options))


@pytest.fixture(scope="session")
def gati_cluster(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The control plane of this run with the CRDs and the rights that Gati ships."""
    folder = run_folder(tmp_path_factory)
    done = folder / "gati-installed"
    with FileLock(folder / "gati.lock"):
        if not done.exists():
            cluster.install() if isinstance(cluster, ExistingCluster) else install(cluster)
            done.touch()
    return cluster


@pytest.fixture
def objects(gati_cluster: Cluster, namespace: str) -> Objects:
    """The objects of this test's namespace."""
    if isinstance(gati_cluster, ExistingCluster):
        return gati_cluster.objects(namespace)
    return Objects(gati_cluster, namespace)


@pytest.fixture
def operators(tmp_path: Path) -> Iterator[Callable[..., OperatorProcess]]:
    """Makes operators, with the arguments of `OperatorProcess` but the log.

    At the end each must stop in order, and no log may hold a token or a bug's traceback.
    """
    made: list[OperatorProcess] = []

    def make(cluster: Cluster, namespace: str, **options: Any) -> OperatorProcess:
        log = tmp_path / f"operator-{len(made)}.log"
        if isinstance(cluster, ExistingCluster):
            options.setdefault("account", cluster.operator_account(namespace))
        made.append(OperatorProcess(cluster, namespace, log, **options))
        return made[-1]

    yield make
    ends = [operator.terminate() for operator in made if operator.running]
    for operator in made:
        text = operator.log.read_text("utf-8") if operator.log.exists() else ""
        assert operator.token not in text
        assert "Bearer" not in text
        assert "Traceback" not in text, text
    assert ends == [0] * len(ends)


@pytest.fixture
def operator(
    operators: Callable[..., OperatorProcess], gati_cluster: Cluster, namespace: str
) -> OperatorProcess:
    """The operator, ready and at work in this test's namespace."""
    made = operators(gati_cluster, namespace)
    made.run()
    return made


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A scenario without a test stops the run before it begins."""
    if config.option.context:
        existing.skip_others(items)
    found = scenario_checks.problems()
    if found:
        raise pytest.UsageError("the table of scenarios is not complete:\n" + "\n".join(found))

"""Clusters with many handlers: filled once, saved, and restored for each measurement.

The rule kept here: a filled cluster is as the operator leaves it, field managers and statuses
included, so that an operator that starts on it writes nothing; the measurements check this. Saved
data is named after a digest of everything that shapes it.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench import bodies
from bench.client import Access, Client
from devcluster import Cluster
from devcluster.pins import KUBERNETES_VERSION
from harness.operator_process import DEPLOY, install
from objects.kinds import DEPLOYMENT

STEP = 500

Say = Callable[[str], None]
StartCluster = Callable[[Path | None], AbstractContextManager[Cluster]]


class Seeds:
    """Saved etcd data by state and number of handlers, in ``folder``, which outlives the run.

    ``start`` starts a bare control plane, from saved data or empty.
    """

    def __init__(self, folder: Path, start: StartCluster, say: Say, in_flight: int) -> None:
        shipped = [path.read_text("utf-8") for path in sorted(DEPLOY.rglob("*.yaml"))]
        self._folder = folder / bodies.fingerprint(KUBERNETES_VERSION, *shipped)
        self._start = start
        self._say = say
        self._in_flight = in_flight

    def created(self, count: int) -> Path:
        """``count`` new handlers, without children or status."""
        return self._saved("created", count)

    def converged(self, count: int) -> Path:
        """``count`` handlers that are Ready, each with Deployment, Service and a running pod."""
        return self._saved("converged", count)

    def _saved(self, state: str, count: int) -> Path:
        path = self._folder / f"{state}-{count}"
        if path.exists():
            return path
        smaller = max(self._counts(state, count), default=0)
        base = self._folder / f"{state}-{smaller}" if smaller else None
        with self._start(base) as cluster:
            if base is None:
                prepare(cluster)
            self._fill(cluster, state, smaller, count)
            return self._save(cluster, path)

    def _counts(self, state: str, below: int) -> list[int]:
        found = [path.name.rpartition("-") for path in self._folder.glob(f"{state}-*")]
        return [int(count) for _, _, count in found if count.isdigit() and int(count) < below]

    def _fill(self, cluster: Cluster, state: str, first: int, end: int) -> None:
        for start in range(first, end, STEP):
            stop = min(start + STEP, end)
            asyncio.run(self._add(access_of(cluster), state, range(start, stop)))
            self._say(f"filling a cluster once, {state}: {stop} of {end} handlers")

    async def _add(self, access: Access, state: str, numbers: range) -> None:
        async with Client(access, self._in_flight) as client:

            async def one(number: int) -> None:
                name = bodies.handler_name(number)
                parent = await client.json(bodies.create_handler(name))
                if state == "converged":
                    await converge(client, parent)

            await client.each(numbers, one)

    def _save(self, cluster: Cluster, path: Path) -> Path:
        """Save atomically, also while another run saves the same data."""
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            cluster.save_etcd(part)
            part.rename(path)
        except OSError:
            if not path.exists():
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return path


def prepare(cluster: Cluster) -> None:
    """Install CRDs and RBAC rules, and create a namespace that accepts pods."""
    install(cluster)
    cluster.create_namespace(bodies.NAMESPACE)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    cluster.api.apply(f"/api/v1/namespaces/{bodies.NAMESPACE}/serviceaccounts/default", account)


def access_of(cluster: Cluster) -> Access:
    """The administrator's access."""
    return Access(cluster.url, str(cluster.ca_file), cluster.token)


async def converge(client: Client, parent: dict[str, Any]) -> None:
    """Write the children, pod and statuses of a handler as operator and control plane do."""
    deployment: dict[str, Any] = {}
    for child in bodies.children(parent):
        made = await client.json(bodies.create_child(parent, child))
        if child.kind == DEPLOYMENT:
            deployment = made
    await client.send(bodies.create_pod(deployment))
    await client.send(bodies.run_pod(deployment))
    rolled_out = await client.json(bodies.roll_out(deployment))
    await client.send(bodies.write_status(parent, rolled_out))

"""A server on the loopback for the client's tests, and clients of it."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.client.client import Client
from reconciler.client.credentials import Fixed
from reconciler.client.kubeconfig import Cluster
from unit.loopback import SECRET, Server


@pytest.fixture
async def server():
    found = Server()
    runner = await found.start()
    yield found
    await runner.cleanup()


@pytest.fixture
async def connect(server):
    """Makes clients of the server, with a token, that are closed at the end."""
    clients = []

    def make(cluster: Cluster | None = None, **options: Any) -> Client:
        fixed = Fixed.bearer(SECRET)
        cluster = cluster or Cluster(server.url, credentials=lambda: fixed)
        clients.append(Client(cluster, user_agent="test/1", **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()

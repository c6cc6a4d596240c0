"""Records the objects of one namespace, directly from the API server and not through a proxy.

One thread for each resource follows a watch, keeps every event and the present objects. After a
gap (a restarted API server) the thread compares a new list with the known objects, so that each
create and delete is counted once.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from contract.model import Object
from devcluster import Cluster
from harness.objects import GROUPS

RESOURCES = (
    "gatihandlers",
    "deployments",
    "services",
    "configmaps",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "events",
    "leases",
)
_PATHS = {**GROUPS, "leases": "/apis/coordination.k8s.io/v1"}


@dataclass(frozen=True, slots=True)
class Frame:
    """One watch event: time (monotonic seconds), type (ADDED, ...), resource and object."""

    at: float
    type: str
    resource: str
    object: Object

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.object["metadata"]["name"])


class Recorder:
    """The history of one namespace from ``start`` to ``stop``. Readable from any thread."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._frames: list[Frame] = []
        self._now: dict[str, dict[str, Object]] = {resource: {} for resource in RESOURCES}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._connections: dict[str, http.client.HTTPSConnection] = {}
        self._threads = [
            threading.Thread(target=self._follow, args=(resource,), daemon=True)
            for resource in RESOURCES
        ]
        self._listed = {resource: threading.Event() for resource in RESOURCES}
        self._tls = ssl.create_default_context(cafile=str(cluster.ca_file))

    def start(self) -> None:
        """Start the watches; returns after the initial lists."""
        for thread in self._threads:
            thread.start()
        for resource, listed in self._listed.items():
            if not listed.wait(30):
                raise TimeoutError(f"{resource} could not be listed in {self._namespace}")

    def stop(self) -> None:
        """End the watches."""
        self._stopping.set()
        for connection in list(self._connections.values()):
            if connection.sock:
                try:
                    connection.sock.shutdown(2)
                except OSError:
                    continue
        for thread in self._threads:
            thread.join(5)
        for connection in self._connections.values():
            connection.close()

    def get(self, resource: str, name: str) -> Object | None:
        """The object as it is now, or None."""
        with self._lock:
            return self._now[resource].get(name)

    def all(self, resource: str) -> list[Object]:
        """All objects of a resource as they are now, by name."""
        with self._lock:
            return [obj for _, obj in sorted(self._now[resource].items())]

    def frames(self) -> list[Frame]:
        """All frames, in the order of arrival."""
        with self._lock:
            return list(self._frames)

    def _path(self, resource: str, query: str = "") -> str:
        return f"{_PATHS[resource]}/namespaces/{self._namespace}/{resource}{query}"

    def _follow(self, resource: str) -> None:
        version = ""
        while not self._stopping.is_set():
            try:
                if not version:
                    version = self._list(resource)
                    self._listed[resource].set()
                for frame in self._watch(resource, version):
                    if frame["type"] == "ERROR":
                        version = ""
                        break
                    version = frame["object"]["metadata"]["resourceVersion"]
                    if frame["type"] != "BOOKMARK":
                        self._take(frame["type"], resource, frame["object"])
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                version = ""  # a truncated frame, or the server is down: relist
                self._stopping.wait(0.3)

    def _list(self, resource: str) -> str:
        listing = json.loads(self._ask(resource, self._path(resource)).read())
        present = {obj["metadata"]["name"]: obj for obj in listing["items"]}
        known = dict(self._now[resource])
        for name, obj in known.items():
            uid = present.get(name, {}).get("metadata", {}).get("uid")
            if uid != obj["metadata"]["uid"]:
                self._take("DELETED", resource, obj)
        for name, obj in present.items():
            old = self._now[resource].get(name)
            if old is None:
                self._take("ADDED", resource, obj)
            elif old["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                self._take("MODIFIED", resource, obj)
        return str(listing["metadata"]["resourceVersion"])

    def _watch(self, resource: str, version: str) -> Iterator[Any]:
        query = f"?watch=1&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=600"
        response = self._ask(resource, self._path(resource, query))
        while line := response.readline():
            yield json.loads(line)

    def _ask(self, resource: str, path: str) -> http.client.HTTPResponse:
        if old := self._connections.pop(resource, None):
            old.close()
        address = urlsplit(self._cluster.url)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=120, context=self._tls
        )
        self._connections[resource] = connection
        connection.request("GET", path, headers={"Authorization": f"Bearer {self._cluster.token}"})
        response = connection.getresponse()
        if response.status != 200:
            response.read()
            raise OSError(f"status {response.status}")
        return response

    def _take(self, kind: str, resource: str, obj: Object) -> None:
        frame = Frame(time.monotonic(), kind, resource, obj)
        name = frame.name
        with self._lock:
            self._frames.append(frame)
            if kind == "DELETED":
                self._now[resource].pop(name, None)
            else:
                self._now[resource][name] = obj


def holder_of(lease: Object) -> str:
    """The holder of a Lease; empty where there is none."""
    return (lease.get("spec") or {}).get("holderIdentity") or ""


def counts(frames: list[Frame], resources: tuple[str, ...]) -> Counter[tuple[str, str, str]]:
    """How often each object was created and deleted, by (resource, name, ADDED or DELETED)."""
    return Counter(
        (frame.resource, frame.name, frame.type)
        for frame in frames
        if frame.resource in resources and frame.type != "MODIFIED"
    )

"""The requests with which a test acts on the objects of one namespace, and looks at them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from contract.model import Object
from devcluster import Cluster
from devcluster.api import ApiError

GROUPS = {
    "gatihandlers": "/apis/gati.dev/v1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "poddisruptionbudgets": "/apis/policy/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "configmaps": "/api/v1",
    "events": "/api/v1",
    "pods": "/api/v1",
    "resourcequotas": "/api/v1",
    "services": "/api/v1",
}
CHILDREN = (
    "configmaps",
    "deployments",
    "services",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
)

T = TypeVar("T")

Listed = list[Object]
"""Objects in a list; inside ``Objects`` the word list is a method."""


def eventually(check: Callable[[], T | None], seconds: float = 60.0) -> T:
    """The first true answer of ``check``; fails with its last answer when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:g} s; last seen: {answer!r}"
        time.sleep(0.1)


def condition(obj: Object | None, kind: str) -> Object:
    """A condition of an object's status; empty where it has none of that type."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})


def is_ready(handler: Object | None) -> bool:
    """Does the status say Ready, and mean the present generation?"""
    ready = condition(handler, "Ready")
    return (
        handler is not None
        and ready.get("status") == "True"
        and handler["status"].get("observedGeneration") == handler["metadata"]["generation"]
    )


@dataclass(frozen=True)
class Objects:
    """The objects of one namespace, as an administrator reads and writes them."""

    cluster: Cluster
    namespace: str

    def path(self, resource: str, name: str = "", subresource: str = "") -> str:
        """The path of a resource, an object or a subresource."""
        base = f"{GROUPS[resource]}/namespaces/{self.namespace}/{resource}"
        return "/".join(part for part in (base, name, subresource) if part)

    def get(self, resource: str, name: str) -> Object | None:
        """The object of that name, or None."""
        try:
            return self.cluster.api.json("GET", self.path(resource, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def there(self, resource: str, name: str) -> Object:
        """The object of that name, which must exist."""
        return self.cluster.api.json("GET", self.path(resource, name))

    def list(self, resource: str, labels: str = "") -> Listed:
        """The objects of a resource, those with the labels where some are given."""
        query = f"?labelSelector={labels}" if labels else ""
        items: Listed = self.cluster.api.json("GET", self.path(resource) + query)["items"]
        return items

    def create(self, resource: str, body: Object) -> Object:
        """Create an object; raises ApiError where the server refuses."""
        return self.cluster.api.json("POST", self.path(resource), body)

    def apply(self, resource: str, body: Object) -> Object:
        """Server-side apply as a user's own field manager."""
        path = f"{self.path(resource, body['metadata']['name'])}?fieldManager=a-user&force=true"
        return self.cluster.api.json("PATCH", path, body, "application/apply-patch+yaml")

    def merge(self, resource: str, name: str, patch: Object, subresource: str = "") -> Object:
        """Change some fields of an object; null removes one."""
        path = self.path(resource, name, subresource)
        return self.cluster.api.json("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, resource: str, name: str, uid: str = "") -> None:
        """Delete an object; what it owns goes in the background.

        With a ``uid`` only that one: where the name is nobody's or another's, it is gone already.
        """
        options = {"preconditions": {"uid": uid}} if uid else None
        try:
            self.cluster.api.json("DELETE", self.path(resource, name), options)
        except ApiError as error:
            if not uid or error.status not in (404, 409):
                raise

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints in this namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def handler(self, name: str, **spec: Any) -> Object:
        """Apply a GatiHandler; path, image and version are given where a test does not care."""
        wanted = {"path": f"/{name}", "image": "web:v1.0.0", "version": "v1.0.0"} | spec
        return self.apply(
            "gatihandlers",
            {
                "apiVersion": "gati.dev/v1",
                "kind": "GatiHandler",
                "metadata": {"name": name},
                "spec": {field: value for field, value in wanted.items() if value is not None},
            },
        )

    def ready(self, name: str, seconds: float = 60.0) -> Object:
        """The handler, once it is Ready in its present generation."""

        def look() -> Object | None:
            found.append(self.there("gatihandlers", name))
            return found[-1] if is_ready(found[-1]) else None

        found: list[Object] = []
        try:
            return eventually(look, seconds)
        except AssertionError:
            raise AssertionError(f"{name} is not ready: {found[-1].get('status')}") from None

    def told(self, name: str, reason: str, kind: str = "Ready", seconds: float = 60.0) -> Object:
        """The handler's condition, once it has that reason for the present generation."""

        def look() -> Object | None:
            found = self.there("gatihandlers", name)
            seen.append(condition(found, kind))
            current = seen[-1].get("observedGeneration") == found["metadata"]["generation"]
            return seen[-1] if current and seen[-1].get("reason") == reason else None

        seen: list[Object] = []
        try:
            return eventually(look, seconds)
        except AssertionError:
            raise AssertionError(f"{name} never told {kind}/{reason} but {seen[-1]}") from None

    def children(self, handler: str) -> dict[tuple[str, str], Object]:
        """What exists for a handler now, by (resource, name)."""
        return {
            (resource, each["metadata"]["name"]): each
            for resource in CHILDREN
            for each in self.list(resource, f"gati.dev/handler={handler}")
        }

    def history(self, resource: str, name: str, version: str) -> Listed:
        """Every state of an object that was stored since a resource version, the first included."""
        query = f"?watch=1&resourceVersion={version}&timeoutSeconds=1"
        lines = self.cluster.api.raw("GET", self.path(resource) + query).splitlines()
        frames = [json.loads(line) for line in lines]
        assert all(frame["type"] != "ERROR" for frame in frames), frames[-1]
        objects = [frame["object"] for frame in frames if frame["type"] != "DELETED"]
        return [obj for obj in objects if obj["metadata"]["name"] == name]

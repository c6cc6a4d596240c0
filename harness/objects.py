"""The requests with which a test reads and writes the objects of one namespace."""

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

ObjectList = list[Object]
"""A list of objects; inside ``Objects`` the name ``list`` is a method."""


def eventually(check: Callable[[], T | None], seconds: float = 60.0) -> T:
    """The first true result of ``check``; fails after ``seconds`` and shows the last result."""
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds:g} s; last result: {result!r}"
        time.sleep(0.1)


def condition(obj: Object | None, kind: str) -> Object:
    """The condition of a type in an object's status; empty where there is none."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})


def is_ready(handler: Object | None) -> bool:
    """Is the condition Ready True, and the present generation observed?"""
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

    def existing(self, resource: str, name: str) -> Object:
        """The object of that name. Raises ApiError where it does not exist."""
        return self.cluster.api.json("GET", self.path(resource, name))

    def list(self, resource: str, labels: str = "") -> ObjectList:
        """The objects of a resource that a label selector selects; all where it is empty."""
        query = f"?labelSelector={labels}" if labels else ""
        items: ObjectList = self.cluster.api.json("GET", self.path(resource) + query)["items"]
        return items

    def create(self, resource: str, body: Object) -> Object:
        """Create an object. Raises ApiError where the server refuses the request."""
        return self.cluster.api.json("POST", self.path(resource), body)

    def apply(self, resource: str, body: Object) -> Object:
        """Server-side apply as a user's own field manager."""
        path = f"{self.path(resource, body['metadata']['name'])}?fieldManager=a-user&force=true"
        return self.cluster.api.json("PATCH", path, body, "application/apply-patch+yaml")

    def merge(self, resource: str, name: str, patch: Object, subresource: str = "") -> Object:
        """Change some fields of an object by a merge patch; null removes a field."""
        path = self.path(resource, name, subresource)
        return self.cluster.api.json("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, resource: str, name: str, uid: str = "") -> None:
        """Delete an object, with background propagation.

        With a ``uid`` only the object of that uid; it may be gone already.
        """
        options = {"preconditions": {"uid": uid}} if uid else None
        try:
            self.cluster.api.json("DELETE", self.path(resource, name), options)
        except ApiError as error:
            if not uid or error.status not in (404, 409):
                raise

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in this namespace; what it prints."""
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def handler(self, name: str, **spec: Any) -> Object:
        """Apply a GatiHandler; path, image and version have defaults, None leaves a field out."""
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
        """Wait until the handler is Ready in its present generation; the handler."""

        def read() -> Object | None:
            found.append(self.existing("gatihandlers", name))
            return found[-1] if is_ready(found[-1]) else None

        found: list[Object] = []
        try:
            return eventually(read, seconds)
        except AssertionError:
            raise AssertionError(f"{name} is not ready: {found[-1].get('status')}") from None

    def wait_for_reason(
        self, name: str, reason: str, kind: str = "Ready", seconds: float = 60.0
    ) -> Object:
        """Wait until a condition of the handler has a reason, for the present generation.

        Returns the condition.
        """

        def read() -> Object | None:
            found = self.existing("gatihandlers", name)
            seen.append(condition(found, kind))
            current = seen[-1].get("observedGeneration") == found["metadata"]["generation"]
            return seen[-1] if current and seen[-1].get("reason") == reason else None

        seen: list[Object] = []
        try:
            return eventually(read, seconds)
        except AssertionError:
            raise AssertionError(f"{name}: {kind} is not {reason} but {seen[-1]}") from None

    def children(self, handler: str) -> dict[tuple[str, str], Object]:
        """The children of a handler, by (resource, name)."""
        return {
            (resource, each["metadata"]["name"]): each
            for resource in CHILDREN
            for each in self.list(resource, f"gati.dev/handler={handler}")
        }

    def history(self, resource: str, name: str, version: str) -> ObjectList:
        """Every state of an object that was stored after a resource version."""
        query = f"?watch=1&resourceVersion={version}&timeoutSeconds=1"
        lines = self.cluster.api.raw("GET", self.path(resource) + query).splitlines()
        frames = [json.loads(line) for line in lines]
        assert all(frame["type"] != "ERROR" for frame in frames), frames[-1]
        objects = [frame["object"] for frame in frames if frame["type"] != "DELETED"]
        return [obj for obj in objects if obj["metadata"]["name"] == name]

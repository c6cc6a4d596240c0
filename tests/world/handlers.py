"""The handler of the world's tests, its world, and the ways to scale it."""

from typing import Any

from contract.model import Object
from crds.documents import crd_documents
from gati import operator
from gati.resources import API
from objects.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)
from reconciler.client.api import MERGE_PATCH
from world.world import World

CHILDREN = (CONFIG_MAP, DEPLOYMENT, SERVICE, HORIZONTAL_POD_AUTOSCALER, POD_DISRUPTION_BUDGET)


def handler(name: str = "users", **spec: Any) -> Object:
    """A GatiHandler of two replicas, with what of its spec a test cares for."""
    return {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": {"name": name},
        "spec": {"path": "/users", "version": "1.0.0", "image": "users:1", "replicas": 2, **spec},
    }


def options(**more: Any) -> dict[str, Any]:
    """A World's arguments: the shipped controllers and definitions, and ``more``."""
    controllers = operator.controllers(operator.Settings())
    return {"controllers": controllers, "crds": crd_documents(API), **more}


def scale(world: World, replicas: int) -> None:
    """An autoscaler gives the handler's Deployment so many replicas."""
    patch = {"spec": {"replicas": replicas}}
    where = (DEPLOYMENT, "default", "handler-users", patch, "autoscaler")
    world.server.patch(*where, content_type=MERGE_PATCH, subresource="scale")

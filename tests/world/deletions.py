"""What a DELETE leaves, by kind: one table for the in-memory API server and for a real one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contract.model import Kind, Object
from memoryserver.patches import clone
from reconciler.client.api import Api
from world.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, SERVICE, WIDGET, body, deployment

SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
_FINALIZERS = {"finalizers": ["deletions.test/stays"]}
_CONTAINER = {"name": "main", "image": "app:1"}


@dataclass(frozen=True)
class Deletion:
    """One object and what a DELETE answers and leaves of it: None, or its finalizers and grace."""

    name: str
    kind: Kind
    obj: Object
    left: tuple[list[str], int | None] | None = None


def _pod(**spec: Any) -> Object:
    return body(POD, "x", {"containers": [_CONTAINER], **spec})


DELETIONS = (
    Deletion("config-map", CONFIG_MAP, body(CONFIG_MAP, "x")),
    Deletion("service", SERVICE, body(SERVICE, "x", {"ports": [{"port": 80}]})),
    Deletion("service-account", SERVICE_ACCOUNT, body(SERVICE_ACCOUNT, "x")),
    Deletion("deployment", DEPLOYMENT, deployment("x", replicas=0)),
    Deletion("custom", WIDGET, body(WIDGET, "x", {})),
    Deletion("pod-on-no-node", POD, _pod(schedulerName="none")),
    Deletion("pod-without-grace", POD, _pod(nodeName="none", terminationGracePeriodSeconds=0)),
    Deletion("pod-on-a-node", POD, _pod(nodeName="none"), ([], 30)),
    Deletion(
        "config-map-with-finalizer",
        CONFIG_MAP,
        body(CONFIG_MAP, "x", metadata=_FINALIZERS),
        (_FINALIZERS["finalizers"], 0),
    ),
    Deletion(
        "custom-with-finalizer",
        WIDGET,
        body(WIDGET, "x", {}, metadata=_FINALIZERS),
        (_FINALIZERS["finalizers"], 0),
    ),
    Deletion("namespace", NAMESPACE, body(NAMESPACE, "x"), (["kubernetes"], None)),
)


async def what_is_left(api: Api, deletion: Deletion, namespace: str) -> tuple[Any, Any]:
    """What the DELETE answers and what is there at once after it, as ``Deletion.left``."""
    kind, obj = deletion.kind, clone(deletion.obj)
    if kind.namespaced:
        obj["metadata"]["namespace"] = namespace
    else:
        obj["metadata"]["name"] = f"{namespace}-x"
    if kind == POD and await api.get(SERVICE_ACCOUNT, namespace, "default") is None:
        # The server's admission wants it, and its controller may be late.
        account = body(SERVICE_ACCOUNT, "default", metadata={"namespace": namespace})
        await api.apply(SERVICE_ACCOUNT, account, manager="kube-controller-manager")
    made = await api.create(kind, obj)
    where = (kind, made["metadata"].get("namespace", ""), made["metadata"]["name"])
    answer = await api.delete(*where, uid=made["metadata"]["uid"])
    return _shown(answer), _shown(await api.get(*where))


def _shown(obj: Object | None) -> tuple[list[str], int | None] | None:
    if obj is None:
        return None
    metadata = obj["metadata"]
    assert metadata["deletionTimestamp"]
    finalizers = metadata.get("finalizers") or obj.get("spec", {}).get("finalizers") or []
    return finalizers, metadata.get("deletionGracePeriodSeconds")

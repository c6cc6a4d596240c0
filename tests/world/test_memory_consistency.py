"""The checker rejects each inconsistent world, and no consistent one."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.model import Object
from world.consistency import ImpossibleWorld, check

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def thing(name: str, uid: str, **more: Any) -> Object:
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": uid,
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T11:00:00Z",
        "generation": 2,
        **more.pop("metadata", {}),
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, **more}


def owner(**more: Any) -> Object:
    return {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "o", "controller": True, **more}


def owned(*owners: Object, **metadata: Any) -> Object:
    return thing("b", "b", metadata={"ownerReferences": list(owners), **metadata})


POSSIBLE: list[Object] = [
    thing("o", "o", kind="X", metadata={"namespace": "default"}),
    owned(owner()),
]


def test_a_consistent_world_passes() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T11:59:00Z"}
    counts = {"observedGeneration": 2, "replicas": 3, "readyReplicas": 2, "availableReplicas": 1}
    check([*POSSIBLE, thing("c", "c", status={**counts, "conditions": [ready]})], NOW)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([thing("a", "")], "has no metadata.uid"),
        ([thing("a", "a"), thing("b", "a")], "belongs to two objects"),
        ([thing("a", "a"), thing("a", "b")], "exists twice"),
        ([owned(owner(uid=""))], "owner reference without uid"),
        ([owned(owner(), owner(uid="p"))], "has two controllers"),
        ([owned(owner(), owner(controller=False))], "names one owner twice"),
        ([owned(owner(uid="b"))], "owns itself"),
        (
            [thing("o", "o", metadata={"namespace": "other"}), owned(owner())],
            "an owner in another namespace (other)",
        ),
        ([thing("a", "a", status={"observedGeneration": 3})], "observed generation 3, and has 2"),
        (
            [thing("a", "a", status={"conditions": [{"type": "Ready", "status": "Maybe"}]})],
            "is 'Maybe'",
        ),
        (
            [thing("a", "a", status={"conditions": [{"type": "Ready", "status": "True"}] * 2})],
            "has a condition twice",
        ),
        (
            [thing("a", "a", status={"replicas": 1, "readyReplicas": 2})],
            "2 ready of 1 replicas",
        ),
        (
            [thing("a", "a", metadata={"creationTimestamp": "2026-01-01T13:00:00Z"})],
            "created in the future",
        ),
        (
            [thing("a", "a", metadata={"deletionTimestamp": "2026-01-01T11:30:00Z"})],
            "it would be gone",
        ),
        (
            [thing(n, n, spec={"selector": {"matchLabels": {"a": "b"}}}) for n in ("a", "b")],
            "fight over the pods",
        ),
        (
            [
                thing(
                    name,
                    name,
                    kind="HorizontalPodAutoscaler",
                    spec={"scaleTargetRef": {"kind": "Deployment", "name": "d"}},
                )
                for name in ("a", "b")
            ],
            "two autoscalers fight over it",
        ),
    ],
)
def test_an_inconsistent_world_is_rejected(objects: list[Object], message: str) -> None:
    with pytest.raises(ImpossibleWorld) as raised:
        check(deepcopy(objects), NOW)
    assert message in str(raised.value)

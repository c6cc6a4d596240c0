"""The rig's admission webhook changes the writes of one namespace only, and leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.webhook import CONFIGURATIONS, DENIAL, MIRROR, MutatingWebhook, changes
from devcluster import Cluster
from devcluster.api import ApiError

DEADLINE = 600


def deployment(image: str = "web:v1") -> dict[str, Any]:
    labels = {"app": "web"}
    pod = {
        "initContainers": [{"name": "first", "image": MIRROR + "first:v1"}],
        "containers": [{"name": "web", "image": image}, {"name": "side", "image": "side:v1"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "progressDeadlineSeconds": DEADLINE,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def apply(
    cluster: Cluster, namespace: str, body: dict[str, Any], *, dry_run: bool = False
) -> dict[str, Any]:
    """Server-side apply as one field manager."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web?fieldManager=test&force=true"
    query = "&dryRun=All" if dry_run else ""
    return cluster.api.json("PATCH", path + query, body, "application/apply-patch+yaml")


def images(obj: dict[str, Any]) -> list[str]:
    pod = obj["spec"]["template"]["spec"]
    return [each["image"] for each in (*pod["initContainers"], *pod["containers"])]


def version(obj: dict[str, Any]) -> str:
    return obj["metadata"]["resourceVersion"]


def test_images_are_rewritten_once(cluster: Cluster, namespace: str) -> None:
    rewritten = [MIRROR + "first:v1", MIRROR + "web:v1", MIRROR + "side:v1"]
    with MutatingWebhook(cluster, namespace, "rewrite-image") as webhook:
        tried = apply(cluster, namespace, deployment(), dry_run=True)
        assert images(tried) == rewritten
        assert (webhook.calls, webhook.dry_runs) == (1, 1)
        assert images(apply(cluster, namespace, deployment())) == rewritten
        # The same again is no change: what is stored and what would be stored are equal.
        again = apply(cluster, namespace, deployment(), dry_run=True)
        assert images(again) == rewritten
        assert webhook.calls > webhook.dry_runs > 1
        changed = apply(cluster, namespace, deployment("web:v2"))
        assert images(changed)[1] == MIRROR + "web:v2"
    assert images(apply(cluster, namespace, deployment()))[1] == "web:v1"


def test_a_webhook_changes_only_its_own_namespace(cluster: Cluster, namespace: str) -> None:
    other = f"{namespace}-b"
    cluster.create_namespace(other)
    try:
        with MutatingWebhook(cluster, namespace, "deny") as webhook:
            assert images(apply(cluster, other, deployment()))[1] == "web:v1"
            assert webhook.calls == 0
    finally:
        cluster.api.json("DELETE", f"/api/v1/namespaces/{other}")


def test_an_unstable_webhook_makes_every_apply_a_change(cluster: Cluster, namespace: str) -> None:
    def deadline(obj: dict[str, Any]) -> int:
        return obj["spec"]["progressDeadlineSeconds"]

    with MutatingWebhook(cluster, namespace, "never-agrees") as webhook:
        created = apply(cluster, namespace, deployment())
        tried = [apply(cluster, namespace, deployment(), dry_run=True) for _ in range(2)]
        stored = [apply(cluster, namespace, deployment()) for _ in range(2)]
        deadlines = [deadline(obj) for obj in (created, *tried, *stored)]
        assert len({*deadlines, DEADLINE}) == 6
        assert len({version(obj) for obj in (created, *stored)}) == 3
        assert webhook.dry_runs == 2
    settled = apply(cluster, namespace, deployment())
    assert deadline(settled) == DEADLINE
    assert deadline(apply(cluster, namespace, deployment(), dry_run=True)) == DEADLINE


def test_a_refusal_carries_its_message(cluster: Cluster, namespace: str) -> None:
    with MutatingWebhook(cluster, namespace, "deny") as webhook:
        for dry_run in (True, False):
            with pytest.raises(ApiError, match=f"denied the request: {DENIAL}") as refused:
                apply(cluster, namespace, deployment(), dry_run=dry_run)
            assert refused.value.status == 403
        assert webhook.calls == 2
    apply(cluster, namespace, deployment())


@pytest.mark.parametrize("policy", ["Ignore", "Fail"])
def test_a_slow_webhook_is_waited_for_until_its_timeout(
    cluster: Cluster, namespace: str, policy: Any
) -> None:
    with MutatingWebhook(cluster, namespace, "slow", seconds=0.5) as webhook:
        apply(cluster, namespace, deployment())
        assert webhook.calls >= 1
    with MutatingWebhook(cluster, namespace, "slow", seconds=600, failure_policy=policy) as webhook:
        if policy == "Ignore":
            apply(cluster, namespace, deployment("web:v2"))
        else:
            with pytest.raises(ApiError, match="failed calling webhook"):
                apply(cluster, namespace, deployment("web:v2"))
        assert webhook.calls >= 1


def test_a_removed_webhook_leaves_nothing_registered(cluster: Cluster, namespace: str) -> None:
    def registered() -> set[str]:
        found = cluster.api.json("GET", CONFIGURATIONS)["items"]
        return {item["metadata"]["name"] for item in found}

    with pytest.raises(KeyError), MutatingWebhook(cluster, namespace, "deny") as webhook:
        assert webhook.name in registered()
        raise KeyError
    assert webhook.name not in registered()
    with pytest.raises(ApiError), MutatingWebhook(cluster, "Not a name", "deny") as webhook:
        pass
    assert webhook.name not in registered()
    with pytest.raises(ValueError, match="not a behaviour: 'sulk'"):
        MutatingWebhook(cluster, namespace, "sulk")  # type: ignore[arg-type]


def test_an_object_without_the_field_is_not_changed() -> None:
    pod = {"kind": "Pod", "spec": {"containers": [{"name": "web", "image": "web"}]}}
    [change] = changes("rewrite-image", pod, 1)
    assert change["path"] == "/spec/containers/0/image"
    assert changes("rewrite-image", {"kind": "ConfigMap", "data": {}}, 1) == []
    assert changes("never-agrees", pod, 1) == []

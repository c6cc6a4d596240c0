"""A cluster that begins with another cluster's saved data is a cluster of its own.

The tests share the cluster that is saved and the one that begins with its data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

import devcluster
from devcluster import Cluster, DevclusterError
from devcluster.api import Api, ApiError
from devcluster.layout import Ports
from harness.objects import eventually

pytestmark = pytest.mark.xdist_group("saved-cluster")


@dataclass(frozen=True)
class Saved:
    """A cluster's data, and what else it had and no other cluster is to have."""

    folder: Path
    token: str
    ports: Ports
    authority: str


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    """Two namespaces, each with a ConfigMap `owned` by a ConfigMap `owner`; the cluster is gone."""
    folder = tmp_path_factory.mktemp("saved") / "data"
    with devcluster.start(nodes=0) as seed:
        for namespace in ("kept", "collected"):
            seed.create_namespace(namespace)
            owner = post(seed, namespace, "owner")
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"}
            uid = owner["metadata"]["uid"]
            post(seed, namespace, "owned", ownerReferences=[{**reference, "uid": uid}])
        seed.save_etcd(folder)
        # Once saved, the cluster goes on as before, and its data is not overwritten.
        post(seed, "kept", "later")
        with pytest.raises(DevclusterError, match="exists already"):
            seed.save_etcd(folder)
        assert seed.dead_components() == []
        found = Saved(folder, seed.token, seed.record.ports, seed.ca_file.read_text())
    yield found
    assert (folder / "member").is_dir()


@pytest.fixture(scope="module")
def restored(saved: Saved) -> Iterator[Cluster]:
    """The cluster that begins with the data."""
    with devcluster.start(etcd_data=saved.folder) as cluster:
        yield cluster


def config_maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def post(cluster: Cluster, namespace: str, name: str, **metadata: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name, **metadata}}
    return cluster.api.json("POST", config_maps(namespace), body)


def names(cluster: Cluster, namespace: str) -> set[str]:
    items = cluster.api.json("GET", config_maps(namespace))["items"]
    return {item["metadata"]["name"] for item in items}


def test_a_new_cluster_has_the_saved_objects(restored: Cluster) -> None:
    assert names(restored, "kept") == {"owner", "owned", "kube-root-ca.crt"}


def test_a_new_cluster_has_ports_and_a_token_of_its_own(saved: Saved, restored: Cluster) -> None:
    ports = [set(asdict(each).values()) for each in (saved.ports, restored.record.ports)]
    assert not ports[0] & ports[1]
    with pytest.raises(ApiError) as refused:
        Api(restored.url, restored.ca_file, saved.token).json("GET", config_maps("kept"))
    assert refused.value.status == 401


def test_a_new_cluster_publishes_an_authority_of_its_own(saved: Saved, restored: Cluster) -> None:
    def published() -> str:
        path = f"{config_maps('kept')}/kube-root-ca.crt"
        return str(restored.api.json("GET", path)["data"]["ca.crt"])

    eventually(lambda: published() == restored.ca_file.read_text())
    assert published() != saved.authority
    kubeconfig = restored.service_account_kubeconfig("kept", "default")
    output = restored.kubectl("auth", "whoami", f"--kubeconfig={kubeconfig}")
    assert "system:serviceaccount:kept:default" in output


def test_the_garbage_collector_acts_on_saved_objects(restored: Cluster) -> None:
    path = config_maps("collected")
    listed = restored.api.json("GET", path)["metadata"]["resourceVersion"]
    restored.api.json("DELETE", f"{path}/owner")
    eventually(lambda: "owned" not in names(restored, "collected"))
    watch = f"{path}?watch=1&resourceVersion={listed}&timeoutSeconds=1"
    frames = [json.loads(line) for line in restored.api.raw("GET", watch).splitlines()]
    deleted = [each["object"]["metadata"]["name"] for each in frames if each["type"] == "DELETED"]
    assert deleted == ["owner", "owned"]


def test_a_deployment_rolls_out_in_a_new_cluster(restored: Cluster) -> None:
    restored.kubectl("-n", "kept", "create", "deployment", "web", "--image=web")
    restored.kubectl("-n", "kept", "rollout", "status", "deploy/web", "--timeout=60s")


def test_a_running_cluster_does_not_take_saved_data(saved: Saved, restored: Cluster) -> None:
    with pytest.raises(DevclusterError, match="data of its own"):
        devcluster.start(restored.name, etcd_data=saved.folder)

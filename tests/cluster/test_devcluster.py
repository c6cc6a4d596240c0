"""The control plane that devcluster starts is a real one, and it never outlives its owner."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

import devcluster
from devcluster import Cluster, DevclusterError, etcd
from devcluster.api import Api
from devcluster.binaries import kubectl
from devcluster.components import COMPONENTS
from devcluster.kwok import BEHAVIOUR_LABEL
from devcluster.layout import OPTIONAL
from devcluster.processes import living

SOURCE = str(Path(devcluster.__file__).parent.parent)


def eventually(check: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true answer of `check`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"never: {check}"
        time.sleep(0.1)
    return answer


def pods(cluster: Cluster, namespace: str, selector: str = "") -> list[dict[str, Any]]:
    listed = cluster.kubectl("-n", namespace, "get", "pods", "-o", "json", "-l", selector)
    return json.loads(listed)["items"]


def command(*arguments: str, state: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs `devcluster ARGUMENTS` with its clusters in `state`."""
    return subprocess.run(
        [sys.executable, "-m", "devcluster", *arguments],
        env=environment(state),
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def environment(state: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": SOURCE, "DEVCLUSTER_STATE": str(state)}


def test_version_is_stamped(cluster: Cluster) -> None:
    version = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]
    assert version["gitVersion"] == "v1.36.3"
    assert (version["major"], version["minor"]) == ("1", "36")


def test_deployment_becomes_ready(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "deployment", "web", "--image=web", "--replicas=3")
    output = cluster.kubectl("-n", namespace, "rollout", "status", "deploy/web", "--timeout=60s")
    assert "successfully rolled out" in output
    assert len({pod["status"]["podIP"] for pod in pods(cluster, namespace)}) == 3


def test_job_completes(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "job", "once", "--image=once")
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Complete", "job/once")


def test_a_deleted_pod_is_removed(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "run", "pod", "--image=web")
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/pod")
    cluster.kubectl("-n", namespace, "delete", "pod", "pod", "--timeout=20s")
    assert pods(cluster, namespace) == []


def test_rights_are_enforced(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "serviceaccount", "reader")
    cluster.kubectl(
        *("-n", namespace, "create", "rolebinding", "reader", "--clusterrole=view"),
        f"--serviceaccount={namespace}:reader",
    )
    kubeconfig = cluster.service_account_kubeconfig(namespace, "reader")
    assert kubeconfig.stat().st_mode & 0o077 == 0

    def ask(verb: str) -> str:
        asked = ["auth", "can-i", verb, "pods", f"--kubeconfig={kubeconfig}"]
        run = subprocess.run([str(kubectl()), *asked], capture_output=True, text=True, check=False)
        return run.stdout.strip()

    assert ask("list") == "yes"
    assert ask("delete") == "no"
    with pytest.raises(DevclusterError, match="not found"):
        cluster.service_account_kubeconfig(namespace, "nobody")


def test_the_audit_log_names_user_verb_and_object(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "configmap", "noted", "--from-literal=a=b")
    lines = cluster.audit_log.read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    assert {event["stage"] for event in events} == {"ResponseComplete"}
    [created] = [
        event
        for event in events
        if event["verb"] == "create"
        and event.get("objectRef", {}).get("resource") == "configmaps"
        and event["objectRef"].get("name") == "noted"
        and event["objectRef"]["namespace"] == namespace
    ]
    assert created["user"]["username"] == "admin"
    assert created["responseStatus"]["code"] == 201


@pytest.mark.parametrize(
    ("behaviour", "phase", "reason"),
    [
        ("never-ready", "Running", None),
        ("crash-loop", "Running", "CrashLoopBackOff"),
        ("image-pull-backoff", "Pending", "ImagePullBackOff"),
        ("config-error", "Pending", "CreateContainerConfigError"),
        ("fail", "Failed", None),
    ],
)
def test_chosen_pods_misbehave_and_recover(
    cluster: Cluster, namespace: str, behaviour: str, phase: str, reason: str | None
) -> None:
    label = f"{BEHAVIOUR_LABEL}={behaviour}"
    cluster.kubectl("-n", namespace, "run", "bad", "--image=web", f"--labels={label}")

    def status() -> dict[str, Any]:
        [pod] = pods(cluster, namespace)
        return pod["status"]

    seen = eventually(lambda: (now := status()).get("containerStatuses") and now)
    assert seen["phase"] == phase
    assert not seen["containerStatuses"][0]["ready"]
    waiting = seen["containerStatuses"][0]["state"].get("waiting", {})
    assert waiting.get("reason") == reason
    ready = [item for item in seen["conditions"] if item["type"] == "Ready"]
    assert [item["status"] for item in ready] == ["False"]
    eventually(lambda: "Warning" in cluster.kubectl("-n", namespace, "get", "events"))

    if behaviour != "fail":  # a failed pod stays failed
        cluster.kubectl("-n", namespace, "label", "pod", "bad", f"{BEHAVIOUR_LABEL}-")
        cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/bad")
        cluster.kubectl("-n", namespace, "label", "pod", "bad", label)
        cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready=false", "pod/bad")


def test_autoscaler_follows_the_metrics_that_are_set(cluster: Cluster, namespace: str) -> None:
    def kubectl(*arguments: str) -> str:
        return cluster.kubectl("-n", namespace, *arguments)

    kubectl("create", "deployment", "web", "--image=web", "--replicas=2")
    kubectl("set", "resources", "deployment", "web", "--requests=cpu=100m")
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    kubectl("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu=50%")

    def scaled_to(replicas: int, millicores: int) -> bool:
        cluster.set_selected_pod_metrics(namespace, "app=web", millicores)
        ready = kubectl("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}")
        return ready == str(replicas)

    eventually(lambda: scaled_to(5, 150))
    eventually(lambda: scaled_to(2, 5), 90)


def test_the_metrics_of_one_pod_are_served(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "run", "busy", "--image=web")
    cluster.set_pod_metrics(namespace, {"busy": 250})
    assert "250m" in cluster.kubectl("-n", namespace, "top", "pods")
    with pytest.raises(DevclusterError, match="not found"):
        cluster.set_pod_metrics(namespace, {"nobody": 1})


def test_killed_api_server_comes_back_with_its_data(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(apiserver_flags=["--min-request-timeout=5"])
    cluster.create_namespace("kept")
    cluster.kill_apiserver()
    assert cluster.dead_components() == ["kube-apiserver"]
    with pytest.raises(DevclusterError):
        cluster.kubectl("get", "ns", "kept")
    cluster.restart_apiserver()
    assert cluster.dead_components() == []
    assert "kept" in cluster.kubectl("get", "ns", "kept")
    [process] = living(cluster.layout.folder)["kube-apiserver"]
    assert "--min-request-timeout=5" in process.cmdline()


def names(api: Api, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in api.json("GET", path)["items"]}


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}}


def test_a_frozen_component_answers_again_after_the_thaw(
    own_cluster: Callable[..., Cluster],
) -> None:
    cluster = own_cluster(nodes=0)
    cluster.freeze("etcd")
    assert cluster.dead_components() == []
    assert not cluster.is_serving()
    cluster.thaw("etcd")
    eventually(cluster.is_serving)

    # What a killed one would do stays undone until it is restarted.
    cluster.kill("kube-controller-manager")
    cluster.kubectl("create", "deployment", "web", "--image=web")
    eventually(lambda: cluster.dead_components() == ["kube-controller-manager"])
    assert names(cluster.api, "/apis/apps/v1/namespaces/default/replicasets") == set()
    with pytest.raises(DevclusterError, match="does not run"):
        cluster.freeze("kube-controller-manager")
    cluster.restart("kube-controller-manager")
    eventually(lambda: names(cluster.api, "/apis/apps/v1/namespaces/default/replicasets"))
    assert cluster.dead_components() == []

    for component in ("etcd", "kube-apiserver"):
        cluster.freeze(component)
    cluster.stop()
    assert living(cluster.layout.folder) == {}


def test_a_second_api_server_is_stale_while_its_link_is_frozen(
    own_cluster: Callable[..., Cluster],
) -> None:
    cluster = own_cluster(nodes=0)
    second = cluster.start_second_apiserver(["--min-request-timeout=5"])
    assert second.url != cluster.url
    with pytest.raises(DevclusterError, match="already"):
        cluster.start_second_apiserver()

    # The same accounts: a token of one is good for both.
    kubeconfig = cluster.service_account_kubeconfig("default", "default", url=second.url)
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    for url in (cluster.url, second.url):
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        answer = Api(url, cluster.ca_file, token).json("POST", path, review)
        assert answer["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"

    path = "/api/v1/namespaces/default/configmaps"
    cached = f"{path}?resourceVersion=0"
    created = second.api.json("POST", path, config_map("before"))
    eventually(lambda: "before" in names(second.api, cached))
    version = created["metadata"]["resourceVersion"]
    watch = f"{path}?watch=1&resourceVersion={version}&timeoutSeconds=1"

    second.freeze_etcd_link()
    cluster.api.json("POST", path, config_map("after"))
    eventually(lambda: "after" in names(cluster.api, cached))
    assert "before" in names(second.api, cached)
    assert "after" not in names(second.api, cached)
    assert second.api.raw("GET", watch) == b""
    assert not second.is_serving()
    second.thaw_etcd_link()
    eventually(lambda: "after" in names(second.api, cached))
    eventually(second.is_serving)

    events = [json.loads(line) for line in second.audit_log.read_text("utf-8").splitlines()]
    assert "/api/v1/namespaces/default/configmaps" in {event["requestURI"] for event in events}
    second.freeze_etcd_link()
    cluster.stop()
    assert living(cluster.layout.folder) == {}


def test_compacted_history_is_gone(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(without=OPTIONAL)
    path = "/api/v1/namespaces/default/configmaps"
    before = int(cluster.api.json("POST", path, config_map("a"))["metadata"]["resourceVersion"])
    after = int(cluster.api.json("POST", path, config_map("b"))["metadata"]["resourceVersion"])

    def read_at(revision: int) -> dict[str, Any]:
        body = {"key": etcd.ANY_KEY, "revision": str(revision)}
        return etcd.call(cluster.layout, cluster.record, "/v3/kv/range", body)

    read_at(before)
    compacted = cluster.compact_etcd()
    assert compacted >= after
    read_at(compacted)
    with pytest.raises(DevclusterError, match="compacted"):
        read_at(before)
    assert {"a", "b"} <= names(cluster.api, path)


def test_a_cluster_can_be_without_its_optional_components(
    own_cluster: Callable[..., Cluster],
) -> None:
    cluster = own_cluster(without=OPTIONAL)
    assert set(living(cluster.layout.folder)) == {"etcd", "kube-apiserver", "keeper"}
    assert cluster.dead_components() == []
    cluster.create_namespace("bare")
    assert names(cluster.api, "/api/v1/nodes") == set()
    assert names(cluster.api, "/api/v1/namespaces/bare/serviceaccounts") == set()
    with pytest.raises(DevclusterError, match="without kwok"):
        cluster.restart("kwok")
    assert devcluster.find(cluster.name).record == cluster.record


def test_chaos_breaks_and_repairs_pods(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(node_profile="chaos", nodes=2)
    assert len(json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]) == 2
    cluster.kubectl("create", "deployment", "web", "--image=web", "--replicas=6")

    def crashed_and_back() -> bool:
        return any(
            item["ready"] and item["restartCount"]
            for pod in pods(cluster, "default")
            for item in pod["status"].get("containerStatuses", [])
        )

    eventually(crashed_and_back, 90)


def test_a_stop_leaves_nothing_and_can_be_repeated() -> None:
    with devcluster.start(nodes=0) as cluster:
        folder = cluster.layout.folder
        assert set(living(folder)) == {*COMPONENTS, "keeper"}
        with pytest.raises(DevclusterError, match="runs already"):
            devcluster.start(cluster.name)
    assert living(folder) == {}
    assert not folder.exists()
    cluster.stop()


def test_a_killed_owner_leaves_no_process(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import time, devcluster
        print(devcluster.start("orphan").layout.folder, flush=True)
        time.sleep(600)
    """)
    owner = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout
        folder = Path(owner.stdout.readline().strip())
        assert set(living(folder)) == {*COMPONENTS, "keeper"}
        owner.kill()
        # Not waited for yet: a zombie owner is a dead owner.
        eventually(lambda: not living(folder))
        eventually(lambda: not folder.exists())


def test_an_interrupted_start_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "clusters" / "early"
    starting = subprocess.Popen(
        [sys.executable, "-m", "devcluster", "up", "--name", "early"],
        env=environment(tmp_path),
        stderr=subprocess.DEVNULL,
    )
    with starting:
        eventually(lambda: "etcd" in living(folder))
        starting.send_signal(signal.SIGINT)
        assert starting.wait(60) == 1
    assert living(folder) == {}
    assert not folder.exists()


def test_the_command_line_starts_and_ends_a_cluster(tmp_path: Path) -> None:
    up = command("up", "--name", "cli", state=tmp_path)
    try:
        assert up.returncode == 0, up.stderr
        assert command("status", "--name", "cli", state=tmp_path).returncode == 0
        assert "runs already" in command("up", "--name", "cli", state=tmp_path).stderr
        path = command("kubeconfig", "--name", "cli", state=tmp_path).stdout.strip()
        assert Path(path).is_file()
        nodes = command("kubectl", "--name", "cli", "get", "nodes", "-o", "name", state=tmp_path)
        assert nodes.stdout.strip() == "node/node-1"
        listed = command("list", state=tmp_path).stdout
        assert "cli" in listed
        assert "running" in listed

        folder = Path(path).parent
        for component in ("kube-scheduler", "kube-apiserver"):
            [process] = living(folder)[component]
            process.kill()
            psutil.wait_procs([process], timeout=10)
        status = command("status", "--name", "cli", state=tmp_path)
        assert status.returncode == 1
        assert status.stdout.count("dead") == 2
        again = command("up", "--name", "cli", state=tmp_path)
        assert again.returncode == 0, again.stderr
        assert command("status", "--name", "cli", state=tmp_path).returncode == 0

        # A crash may also take the files: down still finds what runs.
        shutil.rmtree(folder)
    finally:
        down = command("down", "--name", "cli", state=tmp_path)
    assert down.returncode == 0
    assert living(folder) == {}
    assert not folder.exists()
    missing = command("status", "--name", "cli", state=tmp_path)
    assert missing.returncode == 1
    assert missing.stderr == "devcluster: no cluster 'cli'; there are: none\n"


def test_prune_spares_a_running_cluster(tmp_path: Path) -> None:
    root = tmp_path / "clusters"
    (root / "leftover" / "logs").mkdir(parents=True)
    (root / "leftover" / "logs" / "etcd.log").write_text("x" * 10_000)
    up = command("up", "--name", "alive", "--nodes", "0", state=tmp_path)
    try:
        assert up.returncode == 0, up.stderr
        pruned = command("prune", state=tmp_path)
        assert pruned.returncode == 0
        assert "leftover" in pruned.stdout
        assert not (root / "leftover").exists()
        assert command("status", "--name", "alive", state=tmp_path).returncode == 0
    finally:
        command("down", "--name", "alive", state=tmp_path)


def test_failed_start_names_its_log(tmp_path: Path) -> None:
    failed = command("up", "--name", "bad", "--apiserver-flag=--no-such-flag", state=tmp_path)
    assert failed.returncode == 1
    assert "unknown flag: --no-such-flag" in failed.stderr
    assert "Traceback" not in failed.stderr
    log = Path(failed.stderr.strip().rsplit(" ", 1)[1])
    assert log.is_file()
    assert living(log.parent.parent) == {}

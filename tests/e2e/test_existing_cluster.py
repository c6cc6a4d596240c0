"""Tests in a cluster that is there already leave it as it was: its definitions and what is not
theirs, whether the tests passed or not.

What is run against it are a few of the other tests, as a user runs them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import devcluster
from harness.objects import eventually

pytestmark = [pytest.mark.xdist_group("existing"), pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    "tests/cluster/test_handler_lifecycle.py",
    "tests/cluster/test_handler_writes.py",
    "-k children_with_owner_status or edit_of_the_handlers_metadata",
)
CLUSTER_SCOPED = "namespaces,clusterroles,clusterrolebindings,priorityclasses,persistentvolumes"
GATI = ("gatihandlers.gati.dev", "gatimodules.gati.dev", "gativersions.gati.dev")
FOREIGN = {
    "apiVersion": "gati.dev/v1",
    "kind": "GatiHandler",
    "metadata": {"name": "foreign", "namespace": "foreign"},
    "spec": {"path": "/foreign", "image": "foreign:v1", "version": "v1.0.0"},
}


def started(cluster: devcluster.Cluster, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A run of a few tests in the cluster, which leaves its files in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *TESTS),
            *(f"--context={cluster.name}", *arguments),
        ],
        cwd=ROOT,
        env={**kept, "KUBECONFIG": str(cluster.kubeconfig), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(run: subprocess.Popen[str]) -> str:
    """What a run printed until its end."""
    try:
        return run.communicate(timeout=100)[0]
    finally:
        run.kill()


def has_begun(cluster: devcluster.Cluster) -> bool:
    """Has a run made its definitions and a namespace?"""
    return "gati.dev/run" in cluster.kubectl("get", "namespaces", "--show-labels")


def everything(cluster: devcluster.Cluster) -> list[str]:
    """What could be left or changed outside the namespaces of a run, in full where it is written
    by nobody but its owner.
    """
    definitions = json.loads(cluster.kubectl("get", "customresourcedefinitions", "-o", "json"))
    kinds = [name for name in GATI if name in str(definitions)]
    foreign = ",".join(["all,configmaps,serviceaccounts,roles,rolebindings", *kinds])
    return [
        cluster.kubectl("get", CLUSTER_SCOPED, "-o", "name"),
        cluster.kubectl("get", foreign, "-n", "foreign", "-o", "json"),
        *(json.dumps([each["metadata"], each["spec"]]) for each in definitions["items"]),
    ]


def test_a_run_leaves_an_existing_cluster_as_it_was(tmp_path: Path) -> None:
    with devcluster.start() as cluster:
        cluster.create_namespace("foreign")
        cluster.kubectl("-n", "foreign", "create", "deployment", "web", "--image=web")
        cluster.kubectl("-n", "foreign", "rollout", "status", "deployment/web")
        before = everything(cluster)

        refusal = finished(started(cluster, tmp_path))
        assert f"would use context {cluster.name} ({cluster.url})" in refusal
        assert "add --yes" in refusal
        assert everything(cluster) == before

        # There are no definitions yet, and the run is ended in the middle of a test.
        run = started(cluster, tmp_path, "--yes")
        eventually(lambda: has_begun(cluster) or run.poll() is not None)
        run.terminate()
        output = finished(run)
        assert "KeyboardInterrupt" in output
        assert run.returncode != 0
        assert everything(cluster) == before

        # Definitions that differ from ours, and an object that waits for its own operator.
        cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "deploy/gati/crds"))
        cluster.kubectl("wait", "--for=condition=Established", "--all", "crd")
        names = '{"spec": {"names": {"shortNames": ["gh", "foreign"]}}}'
        cluster.kubectl("patch", "crd", GATI[0], "--type=merge", "-p", names)
        eventually(lambda: "foreign" in cluster.kubectl("api-resources", "--api-group=gati.dev"))
        cluster.kubectl("create", "-f", "-", input=json.dumps(FOREIGN))
        before = everything(cluster)

        run = started(cluster, tmp_path, "--yes")
        output = finished(run)
        assert run.returncode == 0, output
        assert "1 passed, 1 skipped" in output
        assert "needs a control plane of its own: it uses audit_log" in output
        assert everything(cluster) == before
        assert list(tmp_path.glob("gati-test-*")) == []

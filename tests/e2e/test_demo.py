"""The demo itself: it reports success only when every step was seen, and stops its processes.

Each run is a process, as a user starts it. Those of an existing cluster share one, one after
another; the others start a control plane and must stop it. Where the operator is broken in one
way, the run must end with the step that shows it, and name it.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import devcluster
from devcluster.layout import layout_of

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
BROKEN = Path(__file__).parent / "broken_operators"
CRDS = ROOT / "deploy" / "gati" / "crds"
DEFINITIONS = "customresourcedefinitions"
RUN_SECONDS = 200


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a run that leaves its files in `folder`."""
    return {**os.environ, "TMPDIR": str(folder), **more}


def demo(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """One whole run of the demo, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        cwd=ROOT,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def broken(name: str) -> str:
    """The command of one of the broken operators."""
    return f"{sys.executable} {BROKEN / name}.py"


def running_in(folder: Path) -> list[str]:
    """The processes whose environment names `folder`: the demo's, its operator's, its cluster's."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder):
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A run of the demo that is going on."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "demo", *arguments],
        cwd=ROOT,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def cluster() -> Iterator[devcluster.Cluster]:
    """The existing cluster of the runs that are given one; each must leave it as it was."""
    with devcluster.start() as made:
        yield made


def existing(cluster: devcluster.Cluster) -> tuple[tuple[str, ...], dict[str, str]]:
    """The arguments and the environment that make the demo use a cluster."""
    return ("--context", cluster.name), {"KUBECONFIG": str(cluster.kubeconfig)}


def have_definitions(cluster: devcluster.Cluster, *, wanted: bool) -> None:
    """Let the cluster serve the kinds of gati.dev, or not."""
    there = "gatihandlers.gati.dev" in cluster.kubectl("get", DEFINITIONS, "-o", "name")
    if wanted and not there:
        cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
        cluster.restart("kube-controller-manager")  # its garbage collector knows them at once
    if there and not wanted:
        cluster.kubectl("delete", "-f", str(CRDS), "--wait")


def test_a_run_shows_every_step_and_leaves_nothing(tmp_path: Path) -> None:
    run = demo(tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    steps = re.findall(r"^all (\d+) steps seen$", run.stdout, re.MULTILINE)
    assert steps == [str(run.stdout.count("  seen: "))]
    assert "not reached" not in run.stdout
    assert "FAILED" not in run.stdout
    assert "\x1b" not in run.stdout, "no escape sequences without a terminal"
    assert run.stderr == ""
    assert running_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_failed_run_stops_its_control_plane(tmp_path: Path) -> None:
    run = demo(tmp_path, "--step-seconds", "15", DEMO_OPERATOR=broken("exits_at_start"))
    check_failed(run, "operator starts", "the operator ended with exit code 1")
    assert running_in(tmp_path) == []


@pytest.mark.parametrize(
    ("operator", "step", "seen"),
    [
        ("ignores_updates", "update user-handler", "my-app:v1.0.0"),
        ("leaks_a_child", "delete users-api", "1 object left: ConfigMap handler-users-api-leaked"),
    ],
)
def test_a_broken_operator_fails_the_step_that_shows_it(
    tmp_path: Path, cluster: devcluster.Cluster, operator: str, step: str, seen: str
) -> None:
    have_definitions(cluster, wanted=True)
    before = everything(cluster)
    context, kubeconfig = existing(cluster)
    arguments = ("--step-seconds", "15", *context, "--yes")
    run = demo(tmp_path, *arguments, DEMO_OPERATOR=broken(operator), **kubeconfig)
    check_failed(run, step, seen)
    assert running_in(tmp_path) == []
    assert everything(cluster) == before


def check_failed(run: subprocess.CompletedProcess[str], step: str, seen: str) -> None:
    """The run failed at that step, shows what it saw there, and left the operator's log."""
    assert run.returncode == 1, run.stdout + run.stderr
    assert f"failed at the step: {step}\n" in run.stdout
    failed = re.search(r"FAILED: (.*)", run.stdout)
    assert failed is not None
    assert seen in failed[1]
    log = re.search(r"whole log: (.*operator\.log)", run.stdout)
    assert log is not None
    assert Path(log[1]).read_text()


def test_a_ctrl_c_stops_every_process(tmp_path: Path) -> None:
    with started(tmp_path, "--keep") as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("update user-handler"):
                break
        assert any("gati-operator" in command for command in running_in(tmp_path))
        run.send_signal(signal.SIGINT)
        rest = run.stdout.read()
        assert run.wait() == 130, rest
    assert "interrupted" in rest
    assert running_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_kept_cluster_is_up_until_it_is_taken_down(tmp_path: Path) -> None:
    run = demo(tmp_path, "--keep")
    name = re.search(r"down --name (\S+)", run.stdout)
    assert name is not None, run.stdout + run.stderr
    cluster = devcluster.find(name[1])
    try:
        assert run.returncode == 0
        assert f"export KUBECONFIG={cluster.kubeconfig}" in run.stdout
        assert "user-handler" in cluster.kubectl("get", "gatihandlers")
        assert cluster.dead_components() == []
    finally:
        cluster.stop()
    assert not layout_of(name[1]).folder.exists()


@pytest.mark.parametrize("has_definitions", [False, True])
def test_an_existing_cluster_keeps_what_it_had(
    tmp_path: Path, cluster: devcluster.Cluster, has_definitions: bool
) -> None:
    have_definitions(cluster, wanted=has_definitions)
    context, kubeconfig = existing(cluster)
    before = everything(cluster)

    refused = demo(tmp_path, *context, **kubeconfig)
    assert refused.returncode == 2
    assert "create the namespace gati-demo-" in refused.stderr
    assert ("create the CRDs" in refused.stderr) is not has_definitions
    assert "add --yes" in refused.stderr
    assert everything(cluster) == before

    run = demo(tmp_path, *context, "--yes", **kubeconfig)
    assert run.returncode == 0, run.stdout + run.stderr
    assert everything(cluster) == before


def everything(cluster: devcluster.Cluster) -> set[str]:
    """What could be left behind outside a namespace, and the definitions as they are."""
    kinds = "namespaces,clusterroles,clusterrolebindings,priorityclasses"
    names = cluster.kubectl("get", kinds, "-o", "name").splitlines()
    path = '{range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.generation}{"\\n"}{end}'
    definitions = cluster.kubectl("get", DEFINITIONS, "-o", f"jsonpath={path}")
    return {*names, *definitions.splitlines()}

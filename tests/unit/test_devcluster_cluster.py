"""What devcluster decides before a process runs: files, flags, ports, process owners."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from cryptography import x509
from filelock import FileLock

from devcluster import (
    bootstrap,
    certificates,
    components,
    kubeconfig,
    layout,
    metrics,
    ports,
    processes,
    prune,
)
from devcluster.binaries import binaries_folder, binaries_root
from devcluster.errors import DevclusterError
from devcluster.kubelet_status import BEHAVIOURS
from devcluster.kwok import BEHAVIOUR_LABEL, configuration, configuration_text
from devcluster.layout import Layout, Options, Ports, Record
from devcluster.leash import leashed_environment

RECORD = Record(
    name="demo",
    ports=Ports(apiserver=18001, etcd=18002, etcd_peer=18003),
    options=Options(nodes=2, apiserver_flags=("--min-request-timeout=5",)),
    token="admin-token",
    programs={name: f"/bin/{name}" for name in components.COMPONENTS},
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("DEVCLUSTER_STATE", str(tmp_path))
    made = layout.layout_of("demo")
    made.make_folders()
    return made


# --- ports


def test_free_ports_differ_and_avoid_ports_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        used = listener.getsockname()[1]
        assert not ports.is_free(used)
        monkeypatch.setattr(ports, "FIRST", used - 3)
        monkeypatch.setattr(ports, "LAST", used + 4)
        for _ in range(20):
            found = ports.free_ports(2, taken=[used + 1])
            assert len(set(found)) == 2
            assert not {used, used + 1} & set(found)


def test_too_few_ports_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LAST", ports.FIRST + 2)
    with pytest.raises(OSError, match="no 3 free ports"):
        ports.free_ports(3)


# --- names, options, records


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 64, "a_b"])
def test_an_invalid_cluster_name_is_refused(name: str) -> None:
    with pytest.raises(DevclusterError, match="is no name"):
        layout.layout_of(name)


@pytest.mark.parametrize(
    "options", [{"nodes": -1}, {"node_profile": "slow"}, {"apiserver_flags": ("v=4",)}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DevclusterError):
        Options(**options)


def test_a_record_is_read_as_it_was_written(place: Layout) -> None:
    assert layout.read_record(place) is None
    layout.write_record(place, RECORD)
    assert layout.read_record(place) == RECORD
    place.record.write_text("{")
    with pytest.raises(DevclusterError, match="devcluster down --name demo"):
        layout.read_record(place)


def test_reserved_ports_are_not_chosen_again(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "FIRST", 18_000)
    monkeypatch.setattr(ports, "LAST", 18_006)
    monkeypatch.setattr(ports, "is_free", lambda _: True)
    layout.write_ports(place, Ports(18_000, 18_002, 18_004))
    chosen = bootstrap.choose_ports()
    assert {chosen.apiserver, chosen.etcd, chosen.etcd_peer} == {18_001, 18_003, 18_005}


# --- command lines


def test_nothing_listens_beyond_loopback(place: Layout) -> None:
    def flags(component: str) -> list[str]:
        return components.command(component, place, RECORD)

    assert "--bind-address=127.0.0.1" in flags("kube-apiserver")
    assert "--secure-port=18001" in flags("kube-apiserver")
    urls = [flag for flag in flags("etcd") if "://" in flag]
    assert urls
    assert all("https://127.0.0.1:1800" in url for url in urls)
    assert "--secure-port=0" in flags("kube-controller-manager")
    assert "--secure-port=0" in flags("kube-scheduler")


def test_a_users_flags_come_last_and_so_win(place: Layout) -> None:
    command = components.command("kube-apiserver", place, RECORD)
    assert command[0] == "/bin/kube-apiserver"
    assert command[-1] == "--min-request-timeout=5"
    assert "--authorization-mode=RBAC" in command


def test_client_limits_are_raised(place: Layout) -> None:
    for component in ("kube-controller-manager", "kube-scheduler"):
        command = components.command(component, place, RECORD)
        assert {"--kube-api-qps=500", "--kube-api-burst=1000"} <= set(command)


def test_unknown_components_are_refused(place: Layout) -> None:
    with pytest.raises(ValueError, match="kubelet"):
        components.command("kubelet", place, replace(RECORD, programs={}))


# --- keys and kubeconfigs


def test_each_authority_signs_its_own_certificates_only(place: Layout) -> None:
    certificates.write_certificates(place.pki)

    def read(name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((place.pki / f"{name}.crt").read_bytes())

    issued = {
        "cluster-ca": ["apiserver"],
        "etcd-ca": ["etcd", "etcd-client"],
        "front-proxy-ca": ["front-proxy"],
    }
    for authority in issued:
        for other, leaves in issued.items():
            for leaf in leaves:
                if authority == other:
                    read(leaf).verify_directly_issued_by(read(authority))
                else:
                    with pytest.raises(ValueError):
                        read(leaf).verify_directly_issued_by(read(authority))
    assert all(path.stat().st_mode & 0o077 == 0 for path in place.pki.iterdir())


def test_a_kubeconfig_is_whole_and_private(place: Layout) -> None:
    place.ca_file.write_text("certificate")
    kubeconfig.write_kubeconfig(
        place.kubeconfig,
        cluster="demo",
        url=RECORD.url,
        ca_file=place.ca_file,
        user="admin",
        token="secret",
        namespace="shop",
    )
    document = yaml.safe_load(place.kubeconfig.read_text())
    assert document["current-context"] == "demo"
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:18001"
    assert document["contexts"][0]["context"]["namespace"] == "shop"
    assert place.kubeconfig.stat().st_mode & 0o077 == 0
    assert place.folder.stat().st_mode & 0o077 == 0


# --- the processes of a cluster


@pytest.fixture
def sleeper(tmp_path: Path):
    started: list[subprocess.Popen[bytes]] = []

    def start(**marks: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
        process = subprocess.Popen(
            command, env={**os.environ, **marks}, stdout=subprocess.PIPE, cwd=tmp_path
        )
        assert process.stdout
        process.stdout.readline()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def marks(folder: Path, component: str = "etcd") -> dict[str, str]:
    return {processes.FOLDER_MARK: str(folder), processes.COMPONENT_MARK: component}


def test_only_the_processes_of_one_cluster_are_ended(sleeper: Any, tmp_path: Path) -> None:
    mine, other = tmp_path / "a", tmp_path / "ab"
    ours = [sleeper(**marks(mine)), sleeper(**marks(mine, processes.KEEPER))]
    neighbour, stranger = sleeper(**marks(other)), sleeper()
    assert {
        component: [process.pid for process in found]
        for component, found in processes.living(mine).items()
    } == {"etcd": [ours[0].pid], "keeper": [ours[1].pid]}
    processes.end_all(mine)
    assert processes.living(mine) == {}
    assert all(not psutil.pid_exists(p.pid) or p.poll() is not None for p in ours)
    assert neighbour.poll() is None
    assert stranger.poll() is None


def test_a_zombie_is_dead(sleeper: Any, tmp_path: Path) -> None:
    process = sleeper(**marks(tmp_path))
    watched = psutil.Process(process.pid)
    assert processes.is_alive(watched)
    watched.kill()
    while watched.status() != psutil.STATUS_ZOMBIE:
        pass
    assert not processes.is_alive(watched)
    assert processes.living(tmp_path) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a parent's death")
def test_a_leashed_program_dies_with_its_parent() -> None:
    program = (
        "import subprocess, time; from devcluster.leash import leashed\n"
        "child = subprocess.Popen(leashed(['/bin/sleep', '600']))\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        env=leashed_environment(dict(os.environ)),
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        while child.name() != "sleep":
            assert child.is_running()
        parent.kill()
    # In a container nobody may wait for an orphan: a zombie is dead, too.
    deadline = time.monotonic() + 30
    while processes.is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_prune_keeps_what_is_in_use(
    sleeper: Any, place: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVCLUSTER_CACHE", str(tmp_path / "cache"))
    sets = {name: binaries_root() / name for name in ("old", "used", "building")}
    for folder in [*sets.values(), binaries_folder()]:
        folder.mkdir(parents=True)
    (tmp_path / "cache" / "toolchain").mkdir()
    programs = {name: str(sets["used"] / name) for name in components.COMPONENTS}
    layout.write_record(place, replace(RECORD, programs=programs))
    (tmp_path / "clusters" / "stopped").mkdir()
    sleeper(**marks(place.folder))

    with FileLock(sets["building"].with_suffix(".lock")):
        found = set(prune.candidates(everything=False))
        everything = set(prune.candidates(everything=True))
    stopped = tmp_path / "clusters" / "stopped"
    assert found == {stopped, sets["old"]}
    assert everything - found == {binaries_folder(), tmp_path / "cache" / "toolchain"}


# --- kwok's configuration


def documents(profile: str = "fast") -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in configuration(profile, "v1")}


def test_kwok_gets_its_required_options_and_stages() -> None:
    options = documents()["devcluster"]["options"]
    for name in ("podPlayStageParallelism", "nodePlayStageParallelism", "nodeLeaseParallelism"):
        assert options[name] > 0
    kinds = {
        document["spec"]["resourceRef"]["kind"]
        for document in documents().values()
        if document["kind"] == "Stage"
    }
    assert kinds == {"Pod", "Node"}


def test_the_kwok_configuration_holds_all_documents() -> None:
    for profile in ("fast", "chaos"):
        read = list(yaml.safe_load_all(configuration_text(profile, "v1")))
        assert read == configuration(profile, "v1")
        names = [document["metadata"]["name"] for document in read]
        assert len(set(names)) == len(names)


def test_chosen_pods_are_left_alone_by_the_ordinary_stages() -> None:
    def about_behaviour(name: str) -> list[dict[str, Any]]:
        expressions = documents("chaos")[name]["spec"]["selector"]["matchExpressions"]
        return [item["jq"] for item in expressions if BEHAVIOUR_LABEL in item["jq"]["key"]]

    for name in ("pod-ready", "pod-complete", "pod-chaos-crash"):
        [expression] = about_behaviour(name)
        assert expression["operator"] == "NotIn"
        assert set(expression["values"]) == set(BEHAVIOURS)
    for behaviour in BEHAVIOURS:
        [expression] = about_behaviour(f"pod-{behaviour}")
        assert (expression["operator"], expression["values"]) == ("In", [behaviour])


def test_chaos_only_adds_stages() -> None:
    fast, chaos = documents(), documents("chaos")
    assert fast.items() <= chaos.items()
    assert set(chaos) - set(fast) == {"pod-chaos-crash", "pod-chaos-recover"}


# --- metrics


def test_a_figure_is_spread_over_the_containers_without_loss() -> None:
    pod = {
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}, "uid": "u"},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
    }
    now = datetime(2026, 1, 1, tzinfo=UTC)
    figure = metrics.pod_metrics(pod, 151, now)
    assert figure["metadata"]["labels"] == {"app": "web"}
    assert figure["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert [item["usage"]["cpu"] for item in figure["containers"]] == ["75500000n", "75500000n"]
    assert figure["timestamp"] > "2026-01-01T00:00:00Z"

"""What devcluster's ways to break a cluster rest on: freezing, the relay, saved data, options."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import devcluster
from devcluster import etcd, ports, processes
from devcluster.errors import DevclusterError
from devcluster.layout import OPTIONAL, Options
from devcluster.relay import relay_command


@pytest.mark.parametrize("component", ["etcd", "kube-apiserver", "keeper", "nonsense"])
def test_a_required_component_cannot_be_left_out(component: str) -> None:
    assert Options(without=OPTIONAL).without == OPTIONAL
    with pytest.raises(DevclusterError, match=f"cannot be without '{component}'"):
        Options(without=(component,))


def test_a_frozen_process_is_stopped_until_the_thaw() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        try:
            processes.freeze([process])
            assert process.status() == psutil.STATUS_STOPPED
            processes.freeze([process])
            processes.thaw([process])
            processes.thaw([process])
            child.communicate(b"\n", timeout=30)
        finally:
            child.kill()
    assert child.returncode == 0
    with pytest.raises(DevclusterError, match="ended"):
        processes.freeze([process])
    processes.thaw([process])


def test_a_stopped_component_cannot_be_frozen(tmp_path: Path) -> None:
    with pytest.raises(DevclusterError, match=f"etcd of cluster {tmp_path.name} does not run"):
        processes.only("etcd", tmp_path)


@pytest.fixture
def relayed() -> Iterator[tuple[psutil.Process, socket.socket, socket.socket]]:
    """A relay's process and both ends of a connection through it."""
    port = ports.free_ports(1)[0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = server.getsockname()[1]
        with subprocess.Popen(relay_command(port, target)) as relay:
            try:
                deadline = time.monotonic() + 30
                while True:
                    try:
                        near = socket.create_connection(("127.0.0.1", port), timeout=30)
                        break
                    except ConnectionRefusedError:
                        assert time.monotonic() < deadline
                        time.sleep(0.02)
                with near, server.accept()[0] as far:
                    far.settimeout(30)
                    yield psutil.Process(relay.pid), near, far
            finally:
                relay.kill()


def test_a_relay_passes_on_both_ways_and_ends_both(relayed: Any) -> None:
    _, near, far = relayed
    near.sendall(b"question")
    assert far.recv(100) == b"question"
    far.sendall(b"answer")
    assert near.recv(100) == b"answer"
    far.close()
    assert near.recv(100) == b""


def test_a_frozen_relay_delays_and_loses_nothing(relayed: Any) -> None:
    relay, near, far = relayed
    processes.freeze([relay])
    near.sendall(b"late")
    far.settimeout(0.2)
    with pytest.raises(TimeoutError):
        far.recv(100)
    processes.thaw([relay])
    far.settimeout(30)
    assert far.recv(100) == b"late"


def test_a_copy_of_etcds_data_is_whole_and_replaces_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "etcd", tmp_path / "saved"
    (source / "member" / "wal").mkdir(parents=True)
    (source / "member" / "wal" / "0.wal").write_text("log")
    (source / "member" / "wal" / "0.tmp").write_text("spare")
    etcd.copy_data(source, target)
    etcd.check_saved(target)
    found = [path.name for path in target.rglob("*") if path.is_file()]
    assert found == ["0.wal"]
    with pytest.raises(DevclusterError, match="exists already"):
        etcd.copy_data(source, target)


def test_a_cluster_cannot_start_from_invalid_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVCLUSTER_STATE", str(tmp_path / "state"))
    with pytest.raises(DevclusterError, match="holds no data of an etcd"):
        devcluster.start(etcd_data=tmp_path)
    assert not (tmp_path / "state").exists()

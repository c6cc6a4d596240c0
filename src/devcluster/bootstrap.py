"""From nothing to a control plane that is ready: first its files, then its processes.

Files come before processes and the record comes last of the files; a step that waits watches the
processes it waits for and gives up with the last line of the log of one that has died.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from . import etcd, metrics
from .api import Api, ApiError
from .binaries import CONTROL_PLANE, find_all, last_line
from .certificates import write_certificates, write_private
from .components import AUDIT_POLICY, USERS, command, component_kubeconfig
from .errors import DevclusterError
from .kubeconfig import write_kubeconfig
from .kwok import configuration_text, node
from .layout import OPTIONAL, Layout, Options, Ports, Record, known_ports, read_ports, write_record
from .pins import KUBERNETES_VERSION
from .ports import free_ports
from .processes import living, spawn
from .progress import Progress

POLL_SECONDS = 0.05
READY_TIMEOUT_SECONDS = 120.0

Processes = Mapping[str, "subprocess.Popen[bytes]"]


def prepare(
    layout: Layout,
    options: Options,
    owned: bool,
    progress: Progress | None,
    etcd_data: Path | None,
) -> Record:
    """Writes all files of a new cluster, builds the binaries if need be, and records it.

    `etcd_data`: saved data to begin with. Raises DevclusterError when the binaries cannot be built.
    """
    wanted = tuple(name for name in CONTROL_PLANE if name not in options.without)
    programs = find_all(wanted, progress)
    if layout.etcd_data.exists():  # the leftover of a start that failed
        shutil.rmtree(layout.etcd_data)
    if etcd_data:
        etcd.copy_data(etcd_data, layout.etcd_data)
    ports = read_ports(layout)
    if ports is None:
        raise DevclusterError(f"{layout.folder} vanished while the cluster was being started")
    tokens = {component: secrets.token_urlsafe(24) for component in USERS}
    record = Record(
        name=layout.folder.name,
        ports=ports,
        options=options,
        token=tokens["admin"],
        programs={name: str(path) for name, path in programs.items()},
        owned=owned,
    )
    write_certificates(layout.pki)
    lines = [f'{tokens[name]},{user},{user},"{groups}"\n' for name, (user, groups) in USERS.items()]
    write_private(layout.tokens, "".join(lines).encode())
    layout.audit_policy.write_text(yaml.safe_dump(AUDIT_POLICY), encoding="utf-8")
    layout.kwok_configuration.write_text(
        configuration_text(options.node_profile, KUBERNETES_VERSION), encoding="utf-8"
    )
    for name, token in tokens.items():
        write_kubeconfig(
            layout.kubeconfig if name == "admin" else component_kubeconfig(layout, name),
            cluster=record.name,
            url=record.url,
            ca_file=layout.ca_file,
            user=name,
            token=token,
            namespace="default",
        )
    write_record(layout, record)
    return record


def choose_ports() -> Ports:
    """Free ports that no other cluster uses; one that is stopped now keeps its own. To be called
    while no other cluster is being claimed.
    """
    return Ports(*free_ports(3, known_ports()))


def start_component(component: str, layout: Layout, record: Record) -> subprocess.Popen[bytes]:
    """Starts one process of the control plane and does not wait for it."""
    return spawn(component, command(component, layout, record), layout)


def start_missing(layout: Layout, record: Record, api: Api) -> None:
    """Starts the processes that do not run and waits until the cluster is ready for use.

    Raises DevclusterError when a process ends or when it takes more than two minutes.
    """
    running = living(layout.folder)
    started: dict[str, subprocess.Popen[bytes]] = {}

    def start(component: str) -> None:
        if component not in running:
            started[component] = start_component(component, layout, record)

    start("etcd")
    # The API server's first try must succeed: it waits a second before the next one.
    wait_for("etcd", lambda: listens(record.ports.etcd), layout, started)
    start("kube-apiserver")
    wait_for("the API server", lambda: api.answers("/readyz"), layout, started)
    for component in OPTIONAL:
        if component in record.programs:
            start(component)
    metrics.install(api)
    for number in range(1, record.options.nodes + 1):
        document = node(number)
        api.apply(f"/api/v1/nodes/{document['metadata']['name']}", document)
    wait_for("the control plane", lambda: is_usable(api, record), layout, started)


def is_usable(api: Api, record: Record) -> bool:
    """Whether pods can be made and run: all nodes are ready, and namespaces get their account
    and the certificate of this cluster. Without a controller manager nobody does these things.
    """
    if not api.answers(f"/apis/{metrics.GROUP}/{metrics.VERSION}/nodes"):
        return False
    if "kube-controller-manager" not in record.programs:
        return True
    nodes = api.json("GET", "/api/v1/nodes")["items"]
    ready = [node for node in nodes if is_ready(node) and not node["spec"].get("taints")]
    return (
        len(ready) >= record.options.nodes
        and api.answers("/api/v1/namespaces/default/serviceaccounts/default")
        and trusts_this_cluster(api)
    )


def trusts_this_cluster(api: Api) -> bool:
    """Whether the default namespace has this cluster's certificate for its pods. Restored data
    has an earlier cluster's first.
    """
    try:
        published = api.json("GET", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
    except (ApiError, OSError):
        return False
    certificate: str = published["data"]["ca.crt"]
    return certificate == api.ca_file.read_text(encoding="utf-8")


def is_ready(document: dict[str, object]) -> bool:
    """Whether an object's condition `Ready` is true."""
    status = document.get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def listens(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(what: str, ready: Callable[[], bool], layout: Layout, processes: Processes) -> None:
    """Waits until `ready()`; raises DevclusterError when one of `processes` ends before that, or
    after two minutes.
    """
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while not ready():
        for component, process in processes.items():
            if process.poll() is not None:
                log = layout.log(component)
                raise DevclusterError(
                    f"{component} ended with status {process.returncode}: {last_line(log)}; "
                    f"the whole log: {log}"
                )
        if time.monotonic() > deadline:
            raise DevclusterError(f"{what} did not become ready; logs: {layout.log('*').parent}")
        time.sleep(POLL_SECONDS)

"""One control plane: start or find it, use it, break it, stop it.

A cluster is *owned* when it belongs to a process (a test run, a demo): it ends with its owner,
however that one ends. Otherwise it runs until `devcluster down`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from . import etcd, metrics, second_apiserver
from .api import Api, ApiError
from .binaries import kubectl as kubectl_program
from .bootstrap import choose_ports, listens, prepare, start_component, start_missing, wait_for
from .errors import DevclusterError
from .kubeconfig import write_kubeconfig
from .layout import Layout, Options, Record, layout_of, layouts, read_record, write_ports
from .paths import state_root
from .processes import KEEPER, end, end_all, freeze, living, only, spawn_keeper, thaw
from .progress import Progress
from .second_apiserver import SecondApiServer

TOKEN_SECONDS = 86_400


class Cluster:
    """A running control plane. As a context manager it is stopped at the end of the block."""

    def __init__(self, layout: Layout, record: Record) -> None:
        self.layout = layout
        self.record = record
        self.api = Api(record.url, layout.ca_file, record.token)

    @property
    def name(self) -> str:
        """The cluster's name, also that of its kubeconfig context."""
        return self.record.name

    @property
    def url(self) -> str:
        """The API server's address, `https://127.0.0.1:<port>`."""
        return self.record.url

    @property
    def token(self) -> str:
        """A bearer token of the administrator."""
        return self.record.token

    @property
    def ca_file(self) -> Path:
        """The certificate to check the API server against (PEM)."""
        return self.layout.ca_file

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of the administrator."""
        return self.layout.kubeconfig

    @property
    def audit_log(self) -> Path:
        """The audit log: one JSON event a line, one for each finished request."""
        return self.layout.audit_log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002
        """What `kubectl ARGUMENTS` prints, run as the administrator; `input` goes to its stdin.

        Raises DevclusterError with kubectl's own message when it fails.
        """
        run = subprocess.run(
            kubectl_command(self.kubeconfig, *arguments),
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise DevclusterError(f"kubectl {' '.join(arguments)}: {run.stderr.strip()}")
        return run.stdout

    def create_namespace(self, name: str) -> None:
        """Creates a namespace and waits until pods can be made there, that is, until it has its
        default ServiceAccount (not in a cluster without a controller manager: nobody makes one).
        Raises DevclusterError when it exists already.
        """
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            self.api.json("POST", "/api/v1/namespaces", document)
        except ApiError as error:
            raise DevclusterError(f"namespace {name}: {error}") from error
        if "kube-controller-manager" not in self.record.programs:
            return
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for(f"namespace {name}", lambda: self.api.answers(account), self.layout, {})

    def service_account_kubeconfig(
        self, namespace: str, name: str, *, url: str | None = None
    ) -> Path:
        """A kubeconfig with a new token (one day) of a ServiceAccount that exists. `url`: the
        address that stands in it, for example that of a second API server.

        Raises DevclusterError when the server refuses, for example because there is none.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        spec = {"expirationSeconds": TOKEN_SECONDS}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            token = self.api.json("POST", path, request)["status"]["token"]
        except ApiError as error:
            raise DevclusterError(f"no token for {namespace}/{name}: {error}") from error
        target = self.layout.kubeconfigs / f"{namespace}.{name}.{secrets.token_hex(4)}"
        write_kubeconfig(
            target,
            cluster=self.name,
            url=url or self.url,
            ca_file=self.ca_file,
            user=f"system:serviceaccount:{namespace}:{name}",
            token=token,
            namespace=namespace,
        )
        return target

    def set_pod_metrics(self, namespace: str, cpu_millicores: dict[str, int]) -> None:
        """Sets what `metrics.k8s.io` reports of the named pods (pod name -> millicores of CPU).

        Raises DevclusterError when one of the pods does not exist.
        """
        try:
            metrics.set_pods(self.api, namespace, cpu_millicores)
        except ApiError as error:
            raise DevclusterError(f"metrics of {namespace}: {error}") from error

    def set_selected_pod_metrics(self, namespace: str, selector: str, cpu_millicores: int) -> int:
        """Like `set_pod_metrics` for all pods that a label selector finds now; how many they
        were. Pods that come later have no figure until the next call.
        """
        return metrics.set_selected(self.api, namespace, selector, cpu_millicores)

    def kill(self, component: str) -> None:
        """Kills one process of the control plane (SIGKILL), for example `kube-scheduler`. It
        stays away until it is restarted.
        """
        end(living(self.layout.folder).get(component, []))

    def restart(self, component: str) -> None:
        """Kills one process if it runs, and starts it again with the same ports and data.

        Raises DevclusterError for a component that the cluster was started without.
        """
        if component not in self.record.programs:
            raise DevclusterError(f"cluster {self.name} was started without {component}")
        self.kill(component)
        start_component(component, self.layout, self.record)

    def freeze(self, component: str) -> None:
        """Stops one process from running (SIGSTOP), for example `etcd`: its connections stay
        open and nothing answers. Raises DevclusterError when it does not run.
        """
        freeze(only(component, self.layout.folder))

    def thaw(self, component: str) -> None:
        """Lets a frozen process run on (SIGCONT); harmless when it is not frozen.

        Raises DevclusterError when it does not run.
        """
        thaw(only(component, self.layout.folder))

    def kill_apiserver(self) -> None:
        """Kills the API server (SIGKILL): open connections break, new ones are refused."""
        self.kill("kube-apiserver")

    def restart_apiserver(self) -> None:
        """Starts the API server again, on the same port, and waits until it is ready.

        Raises DevclusterError when it does not become ready.
        """
        self.kill_apiserver()
        process = start_component("kube-apiserver", self.layout, self.record)
        processes = {"kube-apiserver": process}
        wait_for("the API server", self.is_serving, self.layout, processes)

    def start_second_apiserver(
        self, apiserver_flags: tuple[str, ...] | list[str] = ()
    ) -> SecondApiServer:
        """Starts a second API server on the same etcd, waits until it is ready and returns it.

        `apiserver_flags`: further flags of that one alone, each as `--flag=value`. It takes the
        same tokens and certificates, has a port and an audit log of its own, ends with the
        cluster, and its link to etcd can be frozen. Raises DevclusterError when there is one
        already or when it does not become ready.
        """
        return second_apiserver.start(self.layout, self.record, tuple(apiserver_flags))

    def compact_etcd(self) -> int:
        """Lets etcd forget all but the present state; the revision up to which it did.

        A watch from an older resource version is still served by an API server that has it in its
        cache: only a restart of that one makes it answer 410. Raises DevclusterError when etcd
        does not answer within 30 seconds.
        """
        return etcd.compact(self.layout, self.record)

    def save_etcd(self, path: Path) -> None:
        """Copies etcd's data into the new folder `path`, for `start(etcd_data=path)`.

        etcd is killed for the moment: requests fail or wait meanwhile, watches stay. When this
        returns it is back. Raises DevclusterError when `path` exists or etcd does not come back.
        """
        self.kill("etcd")
        try:
            etcd.copy_data(self.layout.etcd_data, path)
        finally:
            processes = {"etcd": start_component("etcd", self.layout, self.record)}
            port = self.record.ports.etcd
            wait_for("etcd", lambda: listens(port), self.layout, processes)
            wait_for("the API server", self.is_serving, self.layout, processes)

    def is_serving(self) -> bool:
        """Whether the API server is reached and reports that it is ready."""
        return self.api.answers("/readyz")

    def dead_components(self) -> list[str]:
        """The processes that should run and do not; empty for a healthy cluster."""
        alive = living(self.layout.folder)
        return [component for component in self.record.programs if component not in alive]

    def stop(self) -> None:
        """Ends all processes and removes the cluster's folder; does no harm when repeated."""
        remove(self.layout)


def kubectl_command(kubeconfig: Path, *arguments: str) -> list[str]:
    """The argv of the pinned kubectl for a kubeconfig."""
    return [str(kubectl_program()), f"--kubeconfig={kubeconfig}", *arguments]


def start(
    name: str | None = None,
    *,
    nodes: int = 1,
    node_profile: str = "fast",
    apiserver_flags: tuple[str, ...] | list[str] = (),
    without: tuple[str, ...] | list[str] = (),
    etcd_data: Path | None = None,
    owned: bool = True,
    owner: int | None = None,
    progress: Progress | None = None,
) -> Cluster:
    """Starts a control plane and returns it when it is ready for use.

    `name`: generated when not given. `nodes`: fake nodes, 0 for none. `node_profile`: `fast` or
    `chaos`. `apiserver_flags`: further flags, each as `--flag=value`. `without`: components to
    leave out, of `kube-controller-manager`, `kube-scheduler` and `kwok`; without kwok there are no
    nodes. `etcd_data`: what `Cluster.save_etcd` wrote, which a new cluster begins with under ports,
    certificates and tokens of its own; the folder stays as it is. `owned`: whether the cluster ends
    with a process, `owner` (a process id; the caller's own when not given). A cluster of that name
    which has stopped is started again with its data.

    Raises DevclusterError when something is wrong with the arguments, when the binaries cannot be
    built, or when a process does not start; nothing is left running then.
    """
    options = Options(
        nodes if "kwok" not in without else 0, node_profile, tuple(apiserver_flags), tuple(without)
    )
    layout = layout_of(name or f"temporary-{secrets.token_hex(4)}")
    if etcd_data:
        etcd.check_saved(etcd_data)
        if read_record(layout):
            raise DevclusterError(f"cluster {name} has data of its own: devcluster down first")
    claim(layout, owner or os.getpid())
    return complete(layout, options, owned=owned, progress=progress, etcd_data=etcd_data)


def claim(layout: Layout, owner: int) -> None:
    """Makes the cluster's folder, chooses its ports and starts its keeper, so that from here on
    the name is taken and nothing outlives `owner`.

    Raises DevclusterError when the cluster runs or when somebody else is starting it.
    """
    state_root().mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(state_root().with_suffix(".lock")):
        alive = living(layout.folder)
        record = read_record(layout)
        if record and all(component in alive for component in record.programs):
            raise DevclusterError(f"cluster {layout.folder.name} runs already")
        if KEEPER in alive:
            raise DevclusterError(f"cluster {layout.folder.name} belongs to another process")
        layout.make_folders()
        if record is None:
            write_ports(layout, choose_ports())
        spawn_keeper(layout, owner)


def complete(
    layout: Layout,
    options: Options,
    *,
    owned: bool,
    progress: Progress | None,
    etcd_data: Path | None = None,
) -> Cluster:
    """The slow part of `start`, for a cluster that was claimed: its files and its processes."""
    record = read_record(layout)
    new = record is None
    try:
        record = record or prepare(layout, options, owned, progress, etcd_data)
        cluster = Cluster(layout, record)
        start_missing(layout, record, cluster.api)
    except BaseException as error:
        end_all(layout.folder)
        if new:
            layout.record.unlink(missing_ok=True)
        if new and not isinstance(error, DevclusterError):
            remove(layout)  # an error names a log, which must stay; a Ctrl-C does not
        raise
    if not owned:
        # Until now the cluster belonged to whoever started it.
        cluster.kill(KEEPER)
    return cluster


def find(name: str) -> Cluster:
    """The cluster `name`, running or not. Raises DevclusterError when there is none."""
    layout = layout_of(name)
    record = read_record(layout)
    if record is None:
        known = ", ".join(other.folder.name for other in layouts()) or "none"
        raise DevclusterError(f"no cluster {name!r}; there are: {known}")
    return Cluster(layout, record)


def remove(layout: Layout) -> None:
    """Ends whatever runs of a cluster and removes its folder, however broken it is."""
    end_all(layout.folder)
    for _ in range(50):
        shutil.rmtree(layout.folder, ignore_errors=True)
        if not layout.folder.exists():
            return
        time.sleep(0.02)
    raise DevclusterError(f"{layout.folder} cannot be removed")

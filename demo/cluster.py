"""Where the demo runs: on a control plane of its own, or in one namespace of an existing cluster.

A control plane of its own ends with the demo, also after a failure. In an existing cluster the
demo writes only to a namespace made for the run, except for missing CRDs, and removes only objects
that are labelled with the run's id.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import devcluster
from contract.model import Object
from demo import documents
from demo.documents import RUN_LABEL
from demo.kubectl import Kubectl, KubectlError
from devcluster import binaries

ACCOUNT = "gati-operator"
TOKEN_DURATION = "24h"  # noqa: S105 - a duration, not a token
REMOVAL_SECONDS = 120.0
GATI_RESOURCES = "gatihandlers.gati.dev,gatimodules.gati.dev,gativersions.gati.dev"


def shown(program: str) -> str:
    """The path of an installed command, relative where it lies below the current directory."""
    path = Path(sys.executable).parent / program
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


@dataclass(frozen=True)
class Usage:
    """Commands to use a cluster that was kept, and the command that removes it."""

    commands: tuple[str, str, str]
    stop: str


class Cluster(Protocol):
    """A place to run the demo in. ``start`` comes first and ``remove`` last."""

    namespace: str
    operator_namespace: str
    operator_flags: tuple[str, ...]

    @property
    def kubectl(self) -> Kubectl:
        """The kubectl of the user who runs the demo."""

    @property
    def has_settable_load(self) -> bool:
        """Whether ``set_load`` can be used."""

    def set_load(self, selector: str, millicores: int) -> None:
        """Set the CPU that the metrics API reports for each pod that the selector finds now."""

    def start(self) -> None:
        """Start the cluster, or create the namespace."""

    def install_crds(self) -> None:
        """Install the CRDs of gati.dev."""

    def install_rights(self) -> None:
        """Install the operator's ServiceAccount and RBAC rules."""

    def operator_kubeconfig(self) -> Path:
        """A kubeconfig with a token of the operator's account."""

    def samples(self) -> list[Object]:
        """The sample objects as they are applied in this cluster."""

    def remove(self) -> None:
        """Remove the objects of this run; may be repeated."""

    def left(self) -> str:
        """The objects of this run that still exist, as text; empty where there are none."""

    def usage(self, default_image: str) -> Usage:
        """How to use the cluster after a run with ``--keep``."""


@dataclass
class OwnCluster:
    """A control plane that this process starts, and stops unless ``keep`` is set."""

    name: str
    keep: bool
    cache: Path
    namespace: str = "default"
    operator_namespace: str = "gati-system"
    operator_flags: tuple[str, ...] = ()
    _running: devcluster.Cluster | None = field(default=None, init=False)

    @property
    def running(self) -> devcluster.Cluster:
        """The control plane, which must have been started."""
        if self._running is None:
            raise devcluster.DevclusterError(f"cluster {self.name} has not been started")
        return self._running

    @property
    def kubectl(self) -> Kubectl:
        """See ``Cluster.kubectl``."""
        flags = (f"--kubeconfig={self.running.kubeconfig}", f"--cache-dir={self.cache}")
        return Kubectl((str(binaries.kubectl()), *flags))

    @property
    def has_settable_load(self) -> bool:
        """See ``Cluster.has_settable_load``."""
        return True

    def set_load(self, selector: str, millicores: int) -> None:
        """See ``Cluster.set_load``."""
        self.running.set_selected_pod_metrics(self.namespace, selector, millicores)

    def start(self) -> None:
        """See ``Cluster.start``."""
        self._running = devcluster.start(self.name, owned=not self.keep)

    def install_crds(self) -> None:
        """See ``Cluster.install_crds``.

        A running garbage collector discovers new kinds every 30 s only, and retries owners of an
        unknown kind after up to 41 s; a restarted one discovers them at its start.
        """
        self.kubectl.apply(documents.crds(), server_side=True)
        self.running.restart("kube-controller-manager")

    def install_rights(self) -> None:
        """See ``Cluster.install_rights``."""
        self.kubectl.apply(documents.rights(), server_side=True)

    def operator_kubeconfig(self) -> Path:
        """See ``Cluster.operator_kubeconfig``."""
        return self.running.service_account_kubeconfig(self.operator_namespace, ACCOUNT)

    def samples(self) -> list[Object]:
        """See ``Cluster.samples``."""
        return documents.samples()

    def remove(self) -> None:
        """See ``Cluster.remove``."""
        if self._running is not None:
            self._running.stop()

    def left(self) -> str:
        """See ``Cluster.left``."""
        if self._running is None:
            return ""
        if self._running.is_serving():
            return f"the API server answers at {self._running.url}"
        folder = self._running.layout.folder
        return f"the folder {folder}" if folder.exists() else ""

    def usage(self, default_image: str) -> Usage:
        """See ``Cluster.usage``."""
        account = self.operator_kubeconfig()
        operator = f"run --kubeconfig {account} --default-image {default_image} &"
        return Usage(
            (
                f"export KUBECONFIG={self.running.kubeconfig}",
                f"{shown('gati-operator')} {operator}",
                f"{shown('kubectl')} scale gatihandler user-handler --replicas 5",
            ),
            f"{shown('devcluster')} down --name {self.name}",
        )


@dataclass
class ExistingCluster:
    """A new namespace in the cluster of a kubeconfig context."""

    context: str
    run: str
    folder: Path
    update_crds: bool
    image: str | None = None
    operator_flags: tuple[str, ...] = field(init=False)
    namespace: str = field(init=False)
    operator_namespace: str = field(init=False)
    has_settable_load: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.namespace = self.operator_namespace = f"gati-demo-{self.run}"
        self.operator_flags = ("--namespace", self.namespace)

    @property
    def kubectl(self) -> Kubectl:
        """See ``Cluster.kubectl``."""
        flags = (f"--context={self.context}", f"--cache-dir={self.folder / 'cache'}")
        return Kubectl((str(binaries.kubectl()), *flags))

    @property
    def selector(self) -> str:
        """The label selector of this run's objects."""
        return f"{RUN_LABEL}={self.run}"

    def intent(self) -> list[str]:
        """The changes that a run would make, one a line. Only reads the cluster."""
        server = self.connection()["clusters"][0]["cluster"].get("server", "")
        missing = [body["metadata"]["name"] for body in self._missing_crds()]
        lines = [
            f"would use context {self.context} ({server}):",
            f"  create the namespace {self.namespace} with the samples, a ServiceAccount and Roles",
            "  run the operator on this machine, for that namespace only",
        ]
        if missing:
            lines.append(f"  create the CRDs {', '.join(missing)}")
        if self.update_crds:
            lines.append("  update the existing CRDs of gati.dev")
        return [*lines, f"  remove every object with the label {self.selector} at the end"]

    def set_load(self, selector: str, millicores: int) -> None:
        """Not possible: the metrics of an existing cluster are real."""
        raise KubectlError(f"the demo cannot set the metrics of context {self.context}")

    def start(self) -> None:
        """See ``Cluster.start``."""
        metadata = {"name": self.namespace, "labels": {RUN_LABEL: self.run}}
        self.kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def install_crds(self) -> None:
        """Create the missing CRDs; update the existing ones only with ``--update-crds``."""
        missing = self._missing_crds()
        if missing:
            bodies = [documents.labelled(body, self.run) for body in missing]
            self.kubectl.apply(bodies, server_side=True)
        names = {body["metadata"]["name"] for body in missing}
        present = [body for body in documents.crds() if body["metadata"]["name"] not in names]
        if present and self.update_crds:
            self.kubectl.apply(present, server_side=True, force=True)

    def install_rights(self) -> None:
        """See ``Cluster.install_rights``."""
        bodies = documents.rights_within(documents.rights(), self.namespace, self.run)
        self.kubectl.apply(bodies)

    def operator_kubeconfig(self) -> Path:
        """The context's kubeconfig with the ServiceAccount's token in place of the user."""
        config = self.connection()
        flags = ("-n", self.namespace, f"--duration={TOKEN_DURATION}")
        token = self.kubectl("create", "token", ACCOUNT, *flags).strip()
        user = f"system:serviceaccount:{self.namespace}:{ACCOUNT}"
        config["users"] = [{"name": user, "user": {"token": token}}]
        config["contexts"][0]["context"] |= {"user": user, "namespace": self.namespace}
        path = self.folder / "operator.kubeconfig"
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump(config, file)
        return path

    def samples(self) -> list[Object]:
        """See ``Cluster.samples``."""
        return [
            documents.with_image(documents.moved(body, self.namespace, self.run), self.image)
            for body in documents.samples()
        ]

    def remove(self) -> None:
        """Delete the namespace; then this run's CRDs, unless other objects of them exist."""
        waiting = ("--wait", f"--timeout={REMOVAL_SECONDS:.0f}s", "-l", self.selector)
        self.kubectl("delete", "namespaces", *waiting)
        crds = self.kubectl.items("customresourcedefinitions", "-l", self.selector)
        if not crds:
            return
        if self.kubectl.items(GATI_RESOURCES, "--all-namespaces"):
            names = [body["metadata"]["name"] for body in crds]
            self.kubectl("label", "customresourcedefinitions", *names, f"{RUN_LABEL}-")
            return
        self.kubectl("delete", "customresourcedefinitions", *waiting)

    def left(self) -> str:
        """See ``Cluster.left``."""
        found = self.kubectl.items("namespaces,customresourcedefinitions", "-l", self.selector)
        return ", ".join(f"{body['kind']} {body['metadata']['name']}" for body in found)

    def usage(self, default_image: str) -> Usage:
        """See ``Cluster.usage``."""
        kubectl = f"kubectl --context {self.context}"
        operator = (
            f"run --kubeconfig {self.operator_kubeconfig()} --namespace {self.namespace} "
            f"--lease-namespace {self.namespace} --default-image {default_image} &"
        )
        return Usage(
            (
                f"{kubectl} -n {self.namespace} get gatihandlers,deployments,pods",
                f"{shown('gati-operator')} {operator}",
                f"{kubectl} -n {self.namespace} scale gatihandler user-handler --replicas 5",
            ),
            f"{kubectl} delete namespaces,customresourcedefinitions -l {self.selector}",
        )

    def connection(self) -> Object:
        """The context's part of the kubeconfig. Raises KubectlError where it has no cluster."""
        config: Object = self.kubectl.read("config", "view", "--minify", "--raw", "--flatten")
        if not config.get("clusters"):
            raise KubectlError(f"context {self.context} names no cluster of the kubeconfig")
        return config

    def _missing_crds(self) -> list[Object]:
        existing = {
            body["metadata"]["name"] for body in self.kubectl.items("customresourcedefinitions")
        }
        return [body for body in documents.crds() if body["metadata"]["name"] not in existing]


def remove_with_retries(cluster: Cluster, seconds: float) -> str:
    """Remove the objects of a run, and retry for ``seconds``; ``Cluster.left`` or an error."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            cluster.remove()
            left = cluster.left()
        except (KubectlError, devcluster.DevclusterError) as error:
            left = str(error)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(1)

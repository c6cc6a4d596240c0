"""Tests in a cluster that is there already: `pytest tests/cluster --context kind-dev --yes`.

The rule kept here: nothing is written outside namespaces made for the run, except definitions
that were missing (or that were to be updated), and nothing is removed that does not carry the
run's id. A test that would write elsewhere, or that needs what only a control plane of our own
has, is skipped with the reason. kubectl authenticates as the context's user: all requests go
through its proxy, on a socket in a folder that only its owner can enter.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NoReturn, Self

import pytest

import devcluster
from contract.model import Object
from demo import documents
from demo.cluster import ExistingCluster as Place
from demo.cluster import remove_with_retries
from demo.kubectl import KubectlError
from devcluster.api import TIMEOUT_SECONDS, Api, ApiError, message_of
from devcluster.certificates import write_private
from devcluster.cluster import TOKEN_SECONDS, kubectl_command
from devcluster.errors import DevclusterError
from devcluster.kwok import BEHAVIOUR_LABEL, NODE_LABEL
from devcluster.leash import leashed, leashed_environment
from harness.objects import Objects
from harness.operator_process import ACCOUNT

START_SECONDS = 30.0
REMOVAL_SECONDS = 180.0
RUN = "existing_run"
RUN_KEY = pytest.StashKey[str]()

KEEPS_TO_ITS_NAMESPACE = frozenset(
    {
        "test_events",
        "test_handler_admission",
        "test_handler_autoscaling",
        "test_handler_clash",
        "test_handler_drift",
        "test_handler_failures",
        "test_handler_lifecycle",
        "test_handler_writes",
        "test_lease",
        "test_scenarios_complete",
    }
)
"""The modules that run in an existing cluster. Those that read `kubeconfig` were looked through:
what they do with it is not guarded."""

READING = frozenset(
    {"api-resources", "api-versions", "auth", "config", "describe", "diff", "explain", "get"}
    | {"logs", "rollout status", "top", "version", "wait"}
)
"""The kubectl commands that change nothing."""


def lacking(what: str) -> NoReturn:
    """Skip the test: an existing cluster does not have this, or must not be used so."""
    pytest.skip(f"needs a control plane of its own: {what}")


def place_of(config: pytest.Config) -> Place:
    """What the demo knows of an existing cluster: its definitions, and what carries an id."""
    run = config.workerinput[RUN] if hasattr(config, "workerinput") else config.stash[RUN_KEY]
    folder = Path(tempfile.gettempdir()) / f"gati-test-{run}"
    return Place(config.option.context, run, folder, config.option.update_crds)


class Run:
    """A pytest plugin of the process that was started: it begins and ends the use of a cluster.

    Raises pytest.UsageError when there is no such context, or without --yes.
    """

    def __init__(self, config: pytest.Config) -> None:
        config.stash[RUN_KEY] = secrets.token_hex(4)
        self.place = place_of(config)
        self.place.folder.mkdir(mode=0o700)
        config.add_cleanup(lambda: shutil.rmtree(self.place.folder, ignore_errors=True))
        try:
            found = self.place.connection()
        except KubectlError as error:
            raise pytest.UsageError(f"context {self.place.context}: {error}") from None
        write_private(self.place.folder / "kubeconfig", json.dumps(found).encode())
        if not config.option.yes:
            raise pytest.UsageError(self.intent(found["clusters"][0]["cluster"]["server"]))
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)  # ends it as a Ctrl-C does

    def intent(self, server: str) -> str:
        """What a run would do."""
        return (
            f"would use context {self.place.context} ({server}): test in namespaces made for the "
            "run, create the CRDs of gati.dev that are missing, "
            f"{'update' if self.place.update_crds else 'leave alone'} those that are there, "
            "and remove afterwards what carries the run's label; add --yes"
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand the run's id to a worker of xdist."""
        node.workerinput[RUN] = self.place.run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """When all fixtures and workers have ended, remove what carries the run's id.

        A Ctrl-C in the middle of a fixture's setup can make its teardown fail: removed all the
        same.
        """
        try:
            return (yield)
        finally:
            self.remove(session)

    def remove(self, session: pytest.Session) -> None:
        """Remove what carries the run's id; the run fails where that fails."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C does not leave things behind
        left = remove_with_retries(self.place, REMOVAL_SECONDS)
        if left:
            reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
            reporter.write_line(f"not removed ({self.place.selector}): {left}", red=True)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def skip_others(items: list[pytest.Item]) -> None:
    """Mark the tests beside this module that are not known to keep to their namespace."""
    skip = pytest.mark.skip(reason="not known to keep to its namespace (tests/cluster/existing.py)")
    for item in items:
        here = item.path.parent == Path(__file__).parent
        if here and item.path.stem not in KEEPS_TO_ITS_NAMESPACE:
            item.add_marker(skip)


class SocketConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True, kw_only=True)
class ProxiedApi(Api):
    """The API server behind `kubectl proxy`, for requests that `check` lets pass."""

    url: str = "http://localhost"
    ca_file: Path = Path()
    token: str = ""
    socket: Path
    check: Callable[[str, str, str], None]

    def raw(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> bytes:
        """See `Api.raw`."""
        data = None if body is None else json.dumps(body)
        self.check(method, path, data or "")
        with closing(SocketConnection(self.socket)) as connection:
            connection.request(method, path, data, {"Content-Type": content_type})
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 400:
            raise ApiError(answer.status, message_of(content))
        return content


class ExistingCluster:
    """What tests use of `devcluster.Cluster`, in the cluster of a context.

    As a context manager it holds the connection; what it makes is removed by `end`.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = place.context
        self.kubeconfig = place.folder / "kubeconfig"
        self.namespaces: set[str] = set()
        # A socket's path has about a hundred characters; a user's folder may take most of them.
        self._short = tempfile.TemporaryDirectory(prefix="gati-", dir="/tmp")
        self.api = ProxiedApi(socket=Path(self._short.name) / "proxy", check=self._check)
        self._proxy: subprocess.Popen[bytes] | None = None

    def __getattr__(self, name: str) -> Any:
        if name in {*dir(devcluster.Cluster), "layout", "record"}:
            lacking(f"it uses {name}")
        raise AttributeError(name)

    def __enter__(self) -> Self:
        log = self.place.folder / f"proxy-{os.getpid()}.log"
        # The path of a server behind a gateway belongs to each request.
        flags = (f"--unix-socket={self.api.socket}", "--append-server-path")
        with log.open("wb") as output:
            self._proxy = subprocess.Popen(
                leashed(kubectl_command(self.kubeconfig, "proxy", *flags)),
                env=leashed_environment(dict(os.environ)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C does not end it before the tests
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.api.answers("/version"):
            if self._proxy.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise DevclusterError(f"context {self.name}: {log.read_text('utf-8').strip()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait()
        self._short.cleanup()

    @property
    def url(self) -> str:
        """The API server's address."""
        return str(self._connection()["clusters"][0]["cluster"]["server"])

    @cached_property
    def runs_any_image(self) -> bool:
        """Are all nodes fake ones, whose pods are ready whatever their image?"""
        try:
            nodes = self.api.json("GET", "/api/v1/nodes")["items"]
        except ApiError:
            return False
        return bool(nodes) and all(
            node["metadata"].get("labels", {}).get(NODE_LABEL) == "fake"
            or node["metadata"].get("annotations", {}).get("kwok.x-k8s.io/node") == "fake"
            for node in nodes
        )

    def is_serving(self) -> bool:
        """Whether the API server is reached and reports that it is ready."""
        return self.api.answers("/readyz")

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002
        """See `devcluster.Cluster.kubectl`; skips what would change things elsewhere."""
        parts = [
            part for part in arguments if not part.startswith("-") and part not in self.namespaces
        ]
        text = " ".join((*arguments, input or ""))
        if not {parts[0], " ".join(parts[:2])} & READING:
            if not any(name in text for name in self.namespaces):
                lacking(f"kubectl {parts[0]} outside a namespace of the run")
            self._check_pods(text)
        cache = f"--cache-dir={self.place.folder / 'cache'}"
        run = subprocess.run(
            kubectl_command(self.kubeconfig, cache, *arguments),
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise DevclusterError(f"kubectl {' '.join(arguments)}: {run.stderr.strip()}")
        return run.stdout

    def create_namespace(self, name: str) -> None:
        """See `devcluster.Cluster.create_namespace`; it carries the run's id."""
        if not re.search(r"-[0-9a-f]{6}$", name):
            lacking(f"a namespace of the fixed name {name}")
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            self.place.kubectl.create(documents.labelled(body, self.place.run))
        except KubectlError as error:
            raise DevclusterError(f"namespace {name}: {error}") from error
        self.namespaces.add(name)
        deadline = time.monotonic() + START_SECONDS
        while not self.api.answers(f"/api/v1/namespaces/{name}/serviceaccounts/default"):
            if time.monotonic() > deadline:
                raise DevclusterError(f"namespace {name} has no default ServiceAccount")
            time.sleep(0.05)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """See `devcluster.Cluster.service_account_kubeconfig`."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        spec = {"expirationSeconds": TOKEN_SECONDS}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            token = self.api.json("POST", path, request)["status"]["token"]
        except ApiError as error:
            raise DevclusterError(f"no token for {namespace}/{name}: {error}") from error
        config = self._connection()
        user = f"system:serviceaccount:{namespace}:{name}"
        config["users"] = [{"name": user, "user": {"token": token}}]
        config["contexts"][0]["context"] |= {"user": user, "namespace": namespace}
        target = self.place.folder / f"{namespace}.{name}.{secrets.token_hex(4)}"
        write_private(target, json.dumps(config).encode())
        return target

    def install(self) -> None:
        """Make it serve the kinds of gati.dev, as `Place.install_crds` does."""
        self.place.install_crds()
        names = [f"crd/{body['metadata']['name']}" for body in documents.crds()]
        self.place.kubectl("wait", "--for=condition=Established", *names, "--timeout=50s")

    def operator_account(self, namespace: str) -> tuple[str, str]:
        """The operator's account, with its rights, in the one namespace that it looks at."""
        if namespace not in self.namespaces:
            lacking("an operator that looks at every namespace")
        rights = documents.rights_within(documents.rights(), namespace, self.place.run)
        self.place.kubectl.apply(rights)
        return namespace, ACCOUNT[1]

    def objects(self, namespace: str) -> Objects:
        """The objects of a namespace; a handler is waited for only where it can become ready."""
        return ExistingObjects(self, namespace)  # type: ignore[arg-type]

    def _connection(self) -> Object:
        config: Object = json.loads(self.kubeconfig.read_bytes())
        return config

    def _check(self, method: str, path: str, body: str) -> None:
        """Skip the test whose request would write outside the run's namespaces."""
        if method == "GET":
            return
        found = re.match(r"/apis?/(?:[^/?]+/)*?namespaces/([^/?]+)", path)
        if not (found and found[1] in self.namespaces):
            lacking(f"{method} {path} is outside a namespace of the run")
        self._check_pods(body)

    def _check_pods(self, text: str) -> None:
        if BEHAVIOUR_LABEL in text:
            lacking(f"its pods obey {BEHAVIOUR_LABEL}")


class ExistingObjects(Objects):
    """The objects of one namespace in a cluster whose nodes may really pull images."""

    def ready(self, name: str, seconds: float = 60.0) -> Object:
        """See `Objects.ready`."""
        if not self.cluster.runs_any_image:  # type: ignore[attr-defined]
            lacking("its images exist on fake nodes only")
        return super().ready(name, seconds)

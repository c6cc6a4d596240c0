"""The operator as its users run it, and the requests with which a test acts on it and looks.

The rule kept here: nothing is faked. The installed command runs as a process of its own, as the
ServiceAccount that it is shipped with, in one namespace; what it wrote is read from the API
server's audit log and never from the operator itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import yaml

from devcluster import Cluster
from devcluster.api import ApiError
from devcluster.leash import leashed, leashed_environment
from reconciler.model import Object

ACCOUNT = ("gati-system", "gati-operator")
USER = f"system:serviceaccount:{ACCOUNT[0]}:{ACCOUNT[1]}"
DEPLOY = Path(__file__).parents[2] / "deploy" / "gati"
PROGRAM = Path(sys.executable).parent / "gati-operator"

QUICK = ("--no-leader-elect", "--resync=0", "--backoff=0.2", "--backoff-limit=5")
"""No election, no help from a resync, and short waits after failures."""

MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection"})

GROUPS = {
    "gatihandlers": "/apis/gati.dev/v1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "poddisruptionbudgets": "/apis/policy/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "configmaps": "/api/v1",
    "events": "/api/v1",
    "pods": "/api/v1",
    "resourcequotas": "/api/v1",
    "services": "/api/v1",
}
CHILDREN = (
    "configmaps",
    "deployments",
    "services",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
)

T = TypeVar("T")


def eventually(check: Callable[[], T], seconds: float = 60.0) -> T:
    """The first true answer of ``check``; fails with its last answer when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:g} s; last seen: {answer!r}"
        time.sleep(0.1)


def install(cluster: Cluster) -> None:
    """The CRDs and the rights that the repository ships."""
    definitions = []
    for file in sorted((DEPLOY / "crds").glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text("utf-8")):
            name = document["metadata"]["name"]
            definitions.append(name)
            cluster.api.apply(
                f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}", document
            )
    cluster.kubectl("apply", "--server-side", "-f", str(DEPLOY / "rbac.yaml"))
    for name in definitions:
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")


class Write(NamedTuple):
    """One mutating request of the operator, as the API server recorded it."""

    verb: str
    resource: str
    name: str
    subresource: str
    code: int
    dry_run: bool


def condition(obj: Object | None, kind: str) -> Object:
    """A condition of an object's status; empty where it has none of that type."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind), {})


def is_ready(handler: Object | None) -> bool:
    """Does the status say Ready, and mean the present generation?"""
    ready = condition(handler, "Ready")
    return (
        handler is not None
        and ready.get("status") == "True"
        and handler["status"]["observedGeneration"] == handler["metadata"]["generation"]
    )


@dataclass(frozen=True)
class Objects:
    """The objects of one namespace, as an administrator reads and writes them."""

    cluster: Cluster
    namespace: str

    def path(self, resource: str, name: str = "", subresource: str = "") -> str:
        """The path of a resource, an object or a subresource."""
        base = f"{GROUPS[resource]}/namespaces/{self.namespace}/{resource}"
        return "/".join(part for part in (base, name, subresource) if part)

    def get(self, resource: str, name: str) -> Object | None:
        """The object of that name, or None."""
        try:
            return self.cluster.api.json("GET", self.path(resource, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def there(self, resource: str, name: str) -> Object:
        """The object of that name, which must exist."""
        return self.cluster.api.json("GET", self.path(resource, name))

    def list(self, resource: str, labels: str = "") -> list[Object]:
        """The objects of a resource, those with the labels where some are given."""
        query = f"?labelSelector={labels}" if labels else ""
        items: list[Object] = self.cluster.api.json("GET", self.path(resource) + query)["items"]
        return items

    def create(self, resource: str, body: Object) -> Object:
        """Create an object; raises ApiError where the server refuses."""
        return self.cluster.api.json("POST", self.path(resource), body)

    def apply(self, resource: str, body: Object) -> Object:
        """Server-side apply as a user's own field manager."""
        path = f"{self.path(resource, body['metadata']['name'])}?fieldManager=a-user&force=true"
        return self.cluster.api.json("PATCH", path, body, "application/apply-patch+yaml")

    def merge(self, resource: str, name: str, patch: Object, subresource: str = "") -> Object:
        """Change some fields of an object; null removes one."""
        path = self.path(resource, name, subresource)
        return self.cluster.api.json("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, resource: str, name: str) -> None:
        """Delete an object; what it owns goes in the background."""
        self.cluster.api.json("DELETE", self.path(resource, name))

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints in this namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def handler(self, name: str, **spec: Any) -> Object:
        """Apply a GatiHandler; path, image and version are given where a test does not care."""
        wanted = {"path": f"/{name}", "image": "web:v1.0.0", "version": "v1.0.0"} | spec
        return self.apply(
            "gatihandlers",
            {
                "apiVersion": "gati.dev/v1",
                "kind": "GatiHandler",
                "metadata": {"name": name},
                "spec": {field: value for field, value in wanted.items() if value is not None},
            },
        )

    def ready(self, name: str, seconds: float = 60.0) -> Object:
        """The handler, once it is Ready in its present generation."""

        def look() -> Object | None:
            found.append(self.there("gatihandlers", name))
            return found[-1] if is_ready(found[-1]) else None

        found: list[Object] = []
        try:
            return eventually(look, seconds)
        except AssertionError:
            raise AssertionError(f"{name} is not ready: {found[-1].get('status')}") from None

    def told(self, name: str, reason: str, kind: str = "Ready", seconds: float = 60.0) -> Object:
        """The handler's condition, once it has that reason for the present generation."""

        def look() -> Object | None:
            found = self.there("gatihandlers", name)
            seen.append(condition(found, kind))
            current = seen[-1].get("observedGeneration") == found["metadata"]["generation"]
            return seen[-1] if current and seen[-1].get("reason") == reason else None

        seen: list[Object] = []
        try:
            return eventually(look, seconds)
        except AssertionError:
            raise AssertionError(f"{name} never told {kind}/{reason} but {seen[-1]}") from None

    def children(self, handler: str) -> dict[tuple[str, str], Object]:
        """What exists for a handler now, by (resource, name)."""
        return {
            (resource, each["metadata"]["name"]): each
            for resource in CHILDREN
            for each in self.list(resource, f"gati.dev/handler={handler}")
        }

    def history(self, resource: str, name: str, version: str) -> list[Object]:
        """Every state of an object that was stored since a resource version, the first included."""
        query = f"?watch=1&resourceVersion={version}&timeoutSeconds=1"
        lines = self.cluster.api.raw("GET", self.path(resource) + query).splitlines()
        frames = [json.loads(line) for line in lines]
        assert all(frame["type"] != "ERROR" for frame in frames), frames[-1]
        objects = [frame["object"] for frame in frames if frame["type"] != "DELETED"]
        return [obj for obj in objects if obj["metadata"]["name"] == name]


class OperatorProcess:
    """One operator, at most one process at a time. It dies with the test run.

    ``namespace`` is the one it looks at; empty: all. ``server`` is the API server's address, should it be reached by another way than the direct
    one. The log holds the lines of every start.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        log: Path,
        *,
        account: tuple[str, str] = ACCOUNT,
        flags: tuple[str, ...] = QUICK,
        server: str = "",
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.flags = flags
        self.log = log
        self.kubeconfig = cluster.service_account_kubeconfig(*account)
        if server:
            text = self.kubeconfig.read_text("utf-8").replace(cluster.url, server)
            self.kubeconfig.write_text(text, "utf-8")
        config = yaml.safe_load(self.kubeconfig.read_text("utf-8"))
        self.token: str = config["users"][0]["user"]["token"]
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process; there must be one."""
        assert self._process is not None, "the operator does not run"
        return self._process

    @property
    def running(self) -> bool:
        """Was it started, and has it not ended?"""
        return self._process is not None and self._process.poll() is None

    def start(self, *flags: str) -> None:
        """Start the process, with further flags. Does not wait until it is ready."""
        assert not self.running, "the operator runs already"
        self._started_at = self.log.stat().st_size if self.log.exists() else 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed(
                    [
                        str(PROGRAM),
                        "run",
                        f"--kubeconfig={self.kubeconfig}",
                        *([f"--namespace={self.namespace}"] if self.namespace else []),
                        "--log-format=json",
                        *self.flags,
                        *flags,
                    ]
                ),
                env=leashed_environment(kept),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Until /readyz says that every cache is filled."""
        eventually(lambda: self.answer("/readyz") == (200, "ok\n") or self._check_running())

    def run(self, *flags: str) -> None:
        """Start the process and wait until it is ready."""
        self.start(*flags)
        self.wait_ready()

    def terminate(self, seconds: float = 30.0) -> int:
        """Tell it to stop; its exit code, or -1 where it does not stop in time."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1

    def kill(self) -> None:
        """End it at once, so that it can do nothing more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Stop it as a machine that hangs would, connections and all."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after ``freeze``."""
        self.process.send_signal(signal.SIGCONT)

    def lines(self) -> list[Object]:
        """What the present process logged."""
        with self.log.open("rb") as log:
            log.seek(self._started_at)
            return [json.loads(line) for line in log.read().splitlines() if line.startswith(b"{")]

    def logged(self, text: str) -> bool:
        """Does a line of the present process hold the text?"""
        return any(text in json.dumps(line, ensure_ascii=False) for line in self.lines())

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text of /healthz, /readyz or /metrics; (0, "") where nobody answers."""
        ports = [line["health"] for line in self.lines() if line["event"] == "started"]
        if not ports:
            return 0, ""
        url = f"http://127.0.0.1:{ports[-1].removeprefix('port ')}{path}"
        opener = build_opener(ProxyHandler({}))
        opener.addheaders = []
        try:
            with opener.open(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except URLError:
            return 0, ""

    def metrics(self) -> dict[str, float]:
        """The metrics, each series as Prometheus writes it."""
        text = self.answer("/metrics")[1]
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in text.splitlines())
            if not name.startswith("#")
        }

    def total(self, metric: str, *labels: str) -> float:
        """The sum of a metric's series that have all these labels (``code="429"``)."""
        return sum(
            value
            for series, value in self.metrics().items()
            if re.match(rf"{metric}(\{{|$)", series) and all(label in series for label in labels)
        )

    def reconciles(self) -> float:
        """How many passes over GatiHandlers have ended."""
        return self.total("reconciler_reconcile_total", 'controller="GatiHandler"')

    def audit_mark(self) -> int:
        """The present end of the audit log, for ``writes``."""
        return self.cluster.audit_log.stat().st_size

    def writes(self, since: int = 0) -> list[Write]:
        """The mutating requests of the operator since a mark, failed ones too; not its Lease's."""
        return [
            Write(
                event["verb"],
                event["objectRef"]["resource"],
                event["objectRef"].get("name", ""),
                event["objectRef"].get("subresource", ""),
                event["responseStatus"]["code"],
                "dryRun=All" in event["requestURI"],
            )
            for event in self._audited(since)
            if event["verb"] in MUTATING
        ]

    def settle(self, seconds: float = 1.0) -> None:
        """Until no pass has ended for some time; fails when the operator never rests."""
        last, since = self.reconciles(), time.monotonic()
        deadline = time.monotonic() + 60
        while time.monotonic() - since < seconds:
            assert time.monotonic() < deadline, "the operator never rests"
            time.sleep(0.1)
            now = self.reconciles()
            if now != last:
                last, since = now, time.monotonic()

    def _audited(self, since: int) -> Iterator[Object]:
        with self.cluster.audit_log.open("rb") as log:
            log.seek(since)
            for line in log:
                if USER.encode() not in line or not line.endswith(b"\n"):
                    continue
                event = json.loads(line)
                reference = event.get("objectRef") or {}
                if event["user"]["username"] != USER or reference.get("resource") == "leases":
                    continue
                if reference.get("namespace") == self.namespace or not self.namespace:
                    yield event

    def _check_running(self) -> bool:
        assert self.running, f"the operator ended: {self.log.read_text('utf-8')[-2000:]}"
        return False

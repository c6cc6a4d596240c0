"""The operator as its users run it.

The rule kept here: nothing is faked. The installed command runs as a process of its own, as the
shipped ServiceAccount. The operator's writes are read from the API server's audit log and never
from the operator itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import yaml

from contract.model import Object
from devcluster import Cluster
from devcluster.leash import leashed, leashed_environment
from harness.objects import eventually

ACCOUNT = ("gati-system", "gati-operator")
USER = f"system:serviceaccount:{ACCOUNT[0]}:{ACCOUNT[1]}"
DEPLOY = Path(__file__).parents[1] / "deploy" / "gati"
PROGRAM = Path(sys.executable).parent / "gati-operator"

QUICK = ("--no-leader-elect", "--resync=0", "--backoff=0.2", "--backoff-limit=5")
"""No leader election, no resync, and a short backoff."""

MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def install(cluster: Cluster) -> None:
    """Install the CRDs and the RBAC rules that the repository ships."""
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


class OperatorProcess:
    """One operator, at most one process at a time. The process ends with the test run.

    ``namespace`` is the namespace that the operator watches; empty: all. ``server`` replaces the
    API server's address, for a proxy in between, and ``authority`` is the proxy's CA certificate.
    ``program`` is the operator's command without arguments; ``environment`` is added to the
    inherited environment. The log holds the lines of every start.
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
        authority: Path | None = None,
        program: Sequence[str] = (str(PROGRAM),),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.flags = flags
        self.log = log
        self.kubeconfig = cluster.service_account_kubeconfig(*account)
        self.program = tuple(program)
        self.environment = dict(environment or {})
        config = yaml.safe_load(self.kubeconfig.read_text("utf-8"))
        if server:
            config["clusters"][0]["cluster"]["server"] = server
        if authority:
            config["clusters"][0]["cluster"].pop("certificate-authority-data", None)
            config["clusters"][0]["cluster"]["certificate-authority"] = str(authority)
        self.kubeconfig.write_text(yaml.safe_dump(config), "utf-8")
        self.token: str = config["users"][0]["user"]["token"]
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process, which must have been started."""
        assert self._process is not None, "the operator was not started"
        return self._process

    @property
    def running(self) -> bool:
        """Does the process run?"""
        return self._process is not None and self._process.poll() is None

    def start(self, *flags: str) -> None:
        """Start the process, with further flags. Does not wait until the operator is ready."""
        assert not self.running, "the operator runs already"
        self._started_at = self.log.stat().st_size if self.log.exists() else 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                leashed(
                    [
                        *self.program,
                        "run",
                        f"--kubeconfig={self.kubeconfig}",
                        *([f"--namespace={self.namespace}"] if self.namespace else []),
                        "--log-format=json",
                        *self.flags,
                        *flags,
                    ]
                ),
                env=leashed_environment(kept) | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Wait until /readyz reports that every cache has synced."""
        eventually(lambda: self.answer("/readyz") == (200, "ok\n") or self._check_running())

    def run(self, *flags: str) -> None:
        """Start the process and wait until the operator is ready."""
        self.start(*flags)
        self.wait_ready()

    def terminate(self, seconds: float = 30.0) -> int:
        """Send SIGTERM; the exit code, or -1 where the process is killed after ``seconds``."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1

    def kill(self) -> None:
        """Send SIGKILL and wait for the end of the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Send SIGSTOP: the process hangs, with its connections open."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT: the process continues after ``freeze``."""
        self.process.send_signal(signal.SIGCONT)

    def lines(self) -> list[Object]:
        """The log lines of the present process."""
        with self.log.open("rb") as log:
            log.seek(self._started_at)
            return [json.loads(line) for line in log.read().splitlines() if line.startswith(b"{")]

    def logged(self, text: str) -> bool:
        """Does a line of the present process hold the text?"""
        return any(text in json.dumps(line, ensure_ascii=False) for line in self.lines())

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text of /healthz, /readyz or /metrics; (0, "") without an answer."""
        ports = [line["health_port"] for line in self.lines() if line["event"] == "started"]
        if not ports:
            return 0, ""
        url = f"http://127.0.0.1:{ports[-1]}{path}"
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
        """The values of /metrics by series, each in Prometheus text format."""
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
        """The number of finished reconciles of GatiHandlers."""
        return self.total("reconciler_reconcile_total", 'controller="GatiHandler"')

    def audit_mark(self) -> int:
        """The present size of the audit log in bytes, for ``writes(since=...)``."""
        return self.cluster.audit_log.stat().st_size

    def writes(self, since: int = 0) -> list[Write]:
        """The operator's mutating requests since a mark, failed ones too; none for its Lease."""
        return [_write(event) for event in self._audited(since) if event["verb"] in MUTATING]

    def settle(self, seconds: float = 1.0) -> None:
        """Wait until no reconcile and no Event write has ended for ``seconds``; fails after 60 s.

        Events are written at low priority: after a thousand creates they are still written for a
        while.
        """
        last, since = self._done(), time.monotonic()
        deadline = time.monotonic() + 60
        while time.monotonic() - since < seconds:
            assert time.monotonic() < deadline, "the operator does not become idle"
            time.sleep(0.1)
            now = self._done()
            if now != last:
                last, since = now, time.monotonic()

    def _done(self) -> dict[str, float]:
        return {
            series: value
            for series, value in self.metrics().items()
            if series.startswith("reconciler_reconcile_total") or 'resource="events"' in series
        }

    def _audited(self, since: int) -> Iterator[Object]:
        with self.cluster.audit_log.open("rb") as log:
            log.seek(since)
            for line in log:
                if USER.encode() not in line or not line.endswith(b"\n"):
                    continue
                event = json.loads(line)
                reference = event.get("objectRef") or {}
                user = (event.get("user") or {}).get("username")
                if user != USER or reference.get("resource") == "leases":
                    continue
                if reference.get("namespace") == self.namespace or not self.namespace:
                    yield event

    def _check_running(self) -> bool:
        assert self.running, f"the operator ended: {self.log.read_text('utf-8')[-2000:]}"
        return False


def _write(event: Object) -> Write:
    """A request of the audit log. A path without an object, as /metrics, has no ``objectRef``; a
    request that the server did not answer has no ``responseStatus``.
    """
    reference = event.get("objectRef") or {}
    return Write(
        event["verb"],
        reference.get("resource", ""),
        reference.get("name", ""),
        reference.get("subresource", ""),
        (event.get("responseStatus") or {}).get("code", 0),
        "dryRun=All" in event["requestURI"],
    )

"""A mutating admission webhook that changes, refuses or delays the writes of one namespace.

The webhook is in force in its whole ``with`` block: an API server reads a registration late, so
enter and exit wait for it. Other namespaces are not affected. Dry runs reach the webhook, too.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self, get_args

import trustme

from devcluster import Cluster
from devcluster.api import ApiError

Behaviour = Literal["rewrite-image", "never-agrees", "deny", "slow"]
FailurePolicy = Literal["Ignore", "Fail"]

MIRROR = "mirror.local/"
DENIAL = "the policy of this namespace does not allow this write"
TIMEOUT_SECONDS = 5
"""How long the API server waits for an answer; then the failure policy applies."""
SETTLE_SECONDS = 30.0
"""How long a registration, or its removal, may take to become effective."""
PROBE_LABEL = "chaos/webhook-probe"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
# Above any deadline in a plan, and above minReadySeconds, as the API server requires.
FIRST_DEADLINE_SECONDS = 100_000


def changes(behaviour: Behaviour, obj: dict[str, Any], call: int) -> list[dict[str, Any]]:
    """The JSON Patch with which a behaviour answers for an object; empty for no change.

    `rewrite-image` is idempotent. `never-agrees` sets another `progressDeadlineSeconds` of a
    Deployment in each call (`call` counts the calls), so that every dry run shows a difference.
    The operator sets this field, and its change restarts no pod.
    """
    spec = obj.get("spec") or {}
    if behaviour == "rewrite-image":
        inside, pod = ("/spec/template", spec["template"]) if "template" in spec else ("", obj)
        return [
            {
                "op": "replace",
                "path": f"{inside}/spec/{field}/{index}/image",
                "value": MIRROR + image,
            }
            for field in ("initContainers", "containers")
            for index, container in enumerate((pod.get("spec") or {}).get(field) or ())
            if (image := container.get("image")) and not image.startswith(MIRROR)
        ]
    if behaviour == "never-agrees" and obj.get("kind") == "Deployment":
        value = FIRST_DEADLINE_SECONDS + call
        return [{"op": "add", "path": "/spec/progressDeadlineSeconds", "value": value}]
    return []


class MutatingWebhook:
    """A webhook server and its registration: in force inside the `with` block.

    `resources`: plural names, of any group. `failure_policy`: applies to a write when no answer
    comes within five seconds. `seconds`: the delay of `slow`. Raises ValueError for an unknown
    behaviour, ApiError when the registration fails, TimeoutError when the registration or its
    removal does not become effective.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        behaviour: Behaviour,
        resources: Sequence[str] = ("deployments",),
        *,
        failure_policy: FailurePolicy = "Fail",
        seconds: float = 1.0,
    ) -> None:
        if behaviour not in get_args(Behaviour):
            raise ValueError(f"not a behaviour: {behaviour!r}")
        self.cluster = cluster
        self.namespace = namespace
        self.behaviour = behaviour
        self.resources = list(resources)
        self.failure_policy = failure_policy
        self.seconds = seconds
        self.name = f"chaos-{behaviour}-{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self._calls = 0
        self._dry_runs = 0
        self._probes = 0
        self._ended = threading.Event()

    @property
    def calls(self) -> int:
        """The number of reviewed writes, dry runs included."""
        return self._calls

    @property
    def dry_runs(self) -> int:
        """The number of reviewed dry runs."""
        return self._dry_runs

    def __enter__(self) -> Self:
        authority = trustme.CA(organization_name=self.name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._server = _Server(self, context)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name=self.name
        )
        self._thread.start()
        try:
            self.cluster.api.json("POST", CONFIGURATIONS, self._configuration(authority))
            self._wait_until(in_force=True)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        try:
            self.cluster.api.json("DELETE", f"{CONFIGURATIONS}/{self.name}")
            # The server must answer until the removal of the registration is effective.
            self._wait_until(in_force=False)
        except ApiError as refusal:
            if refusal.status != 404:  # not registered, or removed already
                raise
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def _configuration(self, authority: trustme.CA) -> dict[str, Any]:
        """The registration: the webhook itself, and a probe that shows when it is in force."""

        def webhook(path: str, resources: list[str], probe: str, policy: str) -> dict[str, Any]:
            url = f"https://127.0.0.1:{self._server.server_address[1]}/{path}"
            bundle = base64.b64encode(authority.cert_pem.bytes()).decode()
            rule = {
                "apiGroups": ["*"],
                "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE"],
                "resources": resources,
                "scope": "Namespaced",
            }
            return {
                "name": f"{path}.{self.name}.chaos",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": bundle},
                "failurePolicy": policy,
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": self.namespace}
                },
                "objectSelector": {"matchExpressions": [{"key": PROBE_LABEL, "operator": probe}]},
                "rules": [rule],
                # A webhook with side effects is not called for dry runs.
                "sideEffects": "None",
                "timeoutSeconds": TIMEOUT_SECONDS,
            }

        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self.name},
            "webhooks": [
                webhook("write", self.resources, "DoesNotExist", self.failure_policy),
                webhook("probe", ["configmaps"], "Exists", "Ignore"),
            ],
        }

    def _wait_until(self, *, in_force: bool) -> None:
        """Wait until the API server calls the probe, or does not call it any more."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps?dryRun=All"
        body = {"metadata": {"name": self.name, "labels": {PROBE_LABEL: self.name}}}
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            before = self._probes
            try:
                self.cluster.api.json("POST", path, body)
            except ApiError:
                if in_force:
                    raise
                return  # the namespace terminates and refuses writes
            if (self._probes > before) == in_force:
                return
            if time.monotonic() > deadline:
                wanted = "registered" if in_force else "removed"
                raise TimeoutError(f"webhook {self.name}: not {wanted} in {SETTLE_SECONDS:g} s")
            time.sleep(0.05)

    def answer(self, path: str, review: dict[str, Any]) -> dict[str, Any]:
        """The AdmissionReview that answers `review`, which was sent to `path`."""
        request = review["request"]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if path == "/probe":
            with self._lock:
                # Probes of other webhooks in the same namespace do not count.
                labels = request["object"]["metadata"]["labels"]
                self._probes += labels[PROBE_LABEL] == self.name
        else:
            with self._lock:
                self._calls += 1
                self._dry_runs += bool(request.get("dryRun"))
                call = self._calls
            patch = changes(self.behaviour, request["object"], call)
            if patch:
                response["patchType"] = "JSONPatch"
                response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
            if self.behaviour == "deny":
                response |= {"allowed": False, "status": {"code": 403, "message": DENIAL}}
            if self.behaviour == "slow":
                self._ended.wait(self.seconds)
        return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


class _Server(ThreadingHTTPServer):
    """HTTPS on a free loopback port; each call has its own thread and connection."""

    daemon_threads = True

    def __init__(self, webhook: MutatingWebhook, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.webhook = webhook
        # The thread does the handshake: here it would block other connections.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a closed connection; report every other error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        content = json.dumps(self.server.webhook.answer(path, review)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing; the calls are counted."""

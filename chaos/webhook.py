"""A mutating admission webhook of ours, which changes, refuses or delays the writes of a namespace.

It is registered for as long as its block runs, and in force from the first line of the block to
the last: an API server learns of a registration late, so both ends wait until it has. No other
namespace is touched, and dry runs reach it like real writes.
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
DENIAL = "the policy of this namespace allows no such write"
TIMEOUT_SECONDS = 5
"""How long the API server waits for an answer; then the failure policy decides."""
SETTLE_SECONDS = 30.0
"""How long a registration may take until it is in force, and until it is not any more."""
PROBE_LABEL = "chaos/webhook-probe"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
# Far above any deadline in an intent, and above a Deployment's minReadySeconds, as it must be.
FIRST_DEADLINE_SECONDS = 100_000


def changes(behaviour: Behaviour, obj: dict[str, Any], call: int) -> list[dict[str, Any]]:
    """The JSON Patch with which a behaviour answers for an object; empty where it lets it be.

    `rewrite-image` is idempotent. `never-agrees` gives a Deployment another
    `progressDeadlineSeconds` in each call (`call` counts them): of the fields that an intent sets,
    one whose change starts no pod anew. Who applies and compares always finds a difference.
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

    `resources`: plural names, of any group. `failure_policy`: what the API server does with a
    write when no answer comes within five seconds. `seconds`: how long `slow` waits before it
    allows. Raises ValueError for an unknown behaviour, ApiError when it cannot be registered,
    TimeoutError when the API server does not heed the registration or its end.
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
            raise ValueError(f"no behaviour {behaviour!r}")
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
        """How many writes it was asked about, dry runs included."""
        return self._calls

    @property
    def dry_runs(self) -> int:
        """How many of the calls were for dry runs."""
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
            # A server that went before its registration would be one that does not answer.
            self._wait_until(in_force=False)
        except ApiError as refusal:
            if refusal.status != 404:  # it was never registered, or somebody removed it
                raise
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def _configuration(self, authority: trustme.CA) -> dict[str, Any]:
        """The registration: the webhook itself, and one by which to see that it is in force."""

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
                # What had side effects in a dry run would not be asked then.
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
        """Waits until the API server asks about a probe, or does not ask any more."""
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
                return  # the namespace takes no more writes
            if (self._probes > before) == in_force:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"webhook {self.name}: in force is not {in_force}")
            time.sleep(0.05)

    def answer(self, path: str, review: dict[str, Any]) -> dict[str, Any]:
        """The AdmissionReview that answers one, which came to `path`."""
        request = review["request"]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if path == "/probe":
            with self._lock:
                # Another webhook's probe in the same namespace is none of this one's.
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
    """HTTPS on a free loopback port; each call has a thread, and a connection of its own."""

    daemon_threads = True

    def __init__(self, webhook: MutatingWebhook, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.webhook = webhook
        # The handshake is the thread's business: here it would hold up all others.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that has given up is no error; anything else is told as always."""
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
        """Nothing: the counts say it."""

"""Runs one plan: namespace, canaries, proxies, operators, steps, faults; returns the evidence.

The operator is the installed command and reaches the API server only through its proxy. An
operator that ends is restarted, and the evidence records the end. This module judges nothing, and
every object of a run is deleted at its end.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil
import yaml

from chaos import disturbances, releases
from chaos.evidence import MANAGER, Evidence, Exit, Quiet, Reference, Sample, StepEnd
from chaos.plan import Disturbance, Plan
from chaos.proxy.server import FaultProxy
from chaos.proxy.trace import Entry
from chaos.recorder import Recorder, holder_of
from chaos.replacement import Replacement
from chaos.replica import Replica
from chaos.scenario import Scenario, Stage, Step
from chaos.scenarios import SCENARIOS
from chaos.snapshot import Snapshot, difference, identity, snapshot
from chaos.webhook import MutatingWebhook
from contract.model import Object
from devcluster import Cluster, SecondApiServer
from devcluster.api import ApiError
from harness.objects import Objects, eventually
from harness.operator_process import ACCOUNT, OperatorProcess

FLAGS = ("--resync=1", "--backoff=0.2", "--backoff-limit=5")
TIMING = (3.0, 2.0, 0.4)
"""Lease duration, renew deadline and retry period with several replicas, in seconds."""
SETTLED_SECONDS = 0.4
"""A step ends once its effect is there and the operator has not written for so long."""
SILENCE_SECONDS = 1.3
SILENCE_PATIENCE = 25.0
STOP_SECONDS = 30.0
USER_PATIENCE = 90.0
"""How long a change is retried while the API server restarts, which is slow on a busy machine."""
KILLED = -9


class Run:
    """One plan on one control plane. ``reference`` None: the run is for a new reference.

    ``replaces`` are functions to replace in the operator's process; ``folder`` gets the logs and
    traces.
    """

    def __init__(
        self,
        cluster: Cluster,
        plan: Plan,
        folder: Path,
        *,
        reference: Reference | None = None,
        replaces: Sequence[Replacement] = (),
        account: tuple[str, str] = ACCOUNT,
    ) -> None:
        self.cluster = cluster
        self.plan = plan
        self.scenario: Scenario = SCENARIOS[plan.scenario]
        self.reference = reference
        self.folder = folder
        self.evidence = Evidence(plan, reference)
        self.namespace = f"chaos-{plan.id}-{secrets.token_hex(2)}"
        self.objects = Objects(cluster, self.namespace)
        self.recorder = Recorder(cluster, self.namespace)
        self.replicas: list[Replica] = []
        self.stage = Stage(self.objects, self.recorder, release=self._release)
        self._account = account
        self._replaces = tuple(replaces)
        self._impaired = any(each.action in disturbances.IMPAIRING for each in plan.disturbances)
        self._timing = plan.timing or TIMING
        self._over = threading.Event()
        self._done = threading.Event()
        self._password = f"canary-{secrets.token_hex(12)}"
        self._second: SecondApiServer | None = None
        self._armed = not plan.at

    # The run.

    def execute(self) -> Evidence:
        """Run the plan, and delete every object of the run also after an error; the evidence."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            self._prepare(stack)
            supervisor = threading.Thread(target=self._supervise, daemon=True)
            supervisor.start()
            try:
                self._steps()
            finally:
                self._over.set()
                self._collect()
                self._done.set()
                supervisor.join()
        return self.evidence

    def _prepare(self, stack: contextlib.ExitStack) -> None:
        self.cluster.create_namespace(self.namespace)
        stack.callback(self._delete_namespace)
        self._make_secret()
        for resource, body in canaries():
            self.objects.create(resource, body)
        if self.plan.replicas > 1:
            # Parallel runs need separate Leases, so each Lease is in the namespace of its run.
            self._allow("coordination.k8s.io", "leases", "get", "create", "update")
        if self._replaces:
            # The oracles must see the writes of a mutation, so RBAC must not prevent them.
            self._allow("apps", "deployments", "delete")
        self.evidence.foreign_before = self._canaries()
        self.recorder.start()
        stack.callback(self.recorder.stop)
        if self.plan.webhook:
            webhook = MutatingWebhook(self.cluster, self.namespace, self.plan.webhook)
            stack.enter_context(webhook)
        for number in range(self.plan.replicas):
            self._add_replica(f"replica-{number}", stack)
        self.scenario.prepare(self.stage)
        if any(e.action in disturbances.NEED_A_SECOND_APISERVER for e in self.plan.disturbances):
            self._second = self.cluster.start_second_apiserver()
            stack.callback(self._second.stop)
            _fill_watch_caches(self._second)
        for replica in self.replicas:
            replica.operator.start()
        self.replicas[0].operator.wait_ready()

    def _steps(self) -> None:
        over = False
        steps = self.scenario.steps
        for number, step in enumerate(steps):
            ended = self._step(step)
            self.evidence.steps.append(ended)
            self._sample(step)
            before, over = over, self._is_over(number)
            # After the last fault, and while later steps still have something to write.
            if (over and not before) or (number == len(steps) - 2 and not over):
                self._quiet(step)
            if ended.problems:
                return

    def _is_over(self, number: int) -> bool:
        """Have all faults of the plan happened by the end of this step? False without faults."""
        names = [step.name for step in self.scenario.steps[: number + 1]]
        if not self.plan.rules and not self.plan.disturbances:
            return False
        struck = all(self._hits()[index] > 0 for index in range(len(self.plan.rules)))
        return struck and all(each.at in names for each in self.plan.disturbances)

    def _step(self, step: Step) -> StepEnd:
        began = time.monotonic()
        if step.name == self.plan.at:
            for rule in self.plan.rules:
                self.replicas[0].proxy.add(rule)
            self._armed = True
        mine = [each for each in self.plan.disturbances if each.at == step.name]
        lead = max((each.lead for each in mine), default=0.0)
        threads = [
            threading.Thread(target=self._disturb, args=(each, lead - each.lead), daemon=True)
            for each in mine
        ]
        for thread in threads:
            thread.start()
        try:
            time.sleep(lead)
            self._act(step)
            problems = self._wait(step, threads)
        finally:
            for thread in threads:  # each disturbance must be undone before the snapshot
                thread.join()
        return StepEnd(step.name, began, time.monotonic(), self._snapshot(), problems)

    def _act(self, step: Step) -> None:
        """Perform the user's change; retry it while an exclusive plan's API server is down."""
        deadline = time.monotonic() + USER_PATIENCE
        self.stage.begin()
        while True:
            try:
                step.act(self.stage)
                return
            except (OSError, ApiError) as error:
                passing = not isinstance(error, ApiError) or error.status in (
                    403,
                    429,
                    500,
                    503,
                    504,
                )
                if not passing or time.monotonic() > deadline or not self.plan.exclusive:
                    raise
                time.sleep(0.3)

    def _wait(self, step: Step, threads: list[threading.Thread]) -> tuple[str, ...]:
        """Wait for the effect of the step; the problems, where it is missing after the timeout.

        The timeout begins once the disturbances are over.
        """
        settle = SETTLED_SECONDS if self.reference else 3 * SETTLED_SECONDS
        deadline = time.monotonic() + self.plan.patience
        while True:
            reached = self._reached(step)
            compared = reached and not self._difference(step)
            disturbed = any(each.is_alive() for each in threads)
            if compared and not disturbed and self._silence() >= settle:
                return ()
            if disturbed:
                deadline = time.monotonic() + self.plan.patience
            elif time.monotonic() > deadline:
                if not reached:
                    return ("the effect of the step is missing", *self._difference(step)[:12])
                if not compared:
                    return tuple(self._difference(step)[:12])
                return ("the operator continues to write",)
            time.sleep(0.05)

    def _reached(self, step: Step) -> bool:
        try:
            return step.until(self.stage)
        except (KeyError, TypeError):
            return False  # an object that lacks a field so far

    def _difference(self, step: Step) -> list[str]:
        if self.reference is None:
            return []
        return difference(self.reference.snapshots[step.name], self._snapshot())

    def _snapshot(self) -> Snapshot:
        return snapshot(
            (
                (resource, obj)
                for resource in self.scenario.resources
                for obj in self.recorder.all(resource)
                if "chaos/canary" not in (obj["metadata"].get("annotations") or {})
            ),
            MANAGER,
        )

    def _quiet(self, step: Step) -> None:
        deadline = time.monotonic() + SILENCE_PATIENCE
        while self._silence() < SILENCE_SECONDS:
            if time.monotonic() > deadline:
                now = time.monotonic()
                self.evidence.quiets.append(Quiet(step.name, now, now, restless=True))
                return
            time.sleep(0.05)
        began = time.monotonic()
        time.sleep(self.plan.quiet)
        self.evidence.quiets.append(Quiet(step.name, began, time.monotonic()))

    def _silence(self) -> float:
        """Seconds since the last write of the operator ended; 0 during a write."""
        now = time.monotonic()
        last = [
            self._over_at(each) if each.ended else now
            for replica in self.replicas
            for each in replica.proxy.trace.entries()
            if each.is_write and each.resource != "leases" and not each.fault.endswith("kill")
        ]
        return now - max(last, default=now - 3600)

    def _over_at(self, entry: Entry) -> float:
        """When a request can have no further effect: rules commit some late, or twice."""
        if entry.rule >= 0 and entry.fault in ("before/late", "committed/replay"):
            return entry.at + self.plan.rules[entry.rule].seconds + SETTLED_SECONDS
        return max(entry.at, entry.ended)

    def _disturb(self, disturbance: Disturbance, after: float) -> None:
        time.sleep(after)
        try:
            disturbances.ACTIONS[disturbance.action](self, disturbance)
        except Exception as error:  # noqa: BLE001 - in a thread: no caller would get it
            self.evidence.misses.append(
                f"{disturbance.action} at {disturbance.at}: {type(error).__name__}: {error}"
            )

    # Operators.

    def _add_replica(self, name: str, stack: contextlib.ExitStack) -> None:
        replica: Replica

        def killed() -> None:
            self.kill(replica)

        rules = self.plan.rules if not self.replicas and not self.plan.at else ()
        proxy = FaultProxy(
            self.cluster.url,
            self.cluster.ca_file,
            self.folder / name,
            rules=rules,
            replica=name,
            on_kill=killed,
        )
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        proxy.start()
        stack.callback(proxy.close)
        argv, environment = releases.program(self._replaces, impaired=self._impaired)
        seconds = max((each.seconds for each in self.plan.disturbances), default=0.0)
        operator = OperatorProcess(
            self.cluster,
            self.namespace,
            self.folder / name / "operator.log",
            account=self._account,
            flags=(*FLAGS, *self._election(), *self.plan.flags),
            server=proxy.url,
            authority=proxy.authority,
            program=argv,
            environment=environment
            | {"POD_NAME": name, "IMPAIRED_SECONDS": _impairment(len(self.replicas), seconds)},
        )
        token = self.folder / name / "token"
        token.write_text(operator.token, "utf-8")
        config = yaml.safe_load(operator.kubeconfig.read_text("utf-8"))
        config["users"][0]["user"] = {"tokenFile": str(token)}
        operator.kubeconfig.write_text(yaml.safe_dump(config), "utf-8")
        self.evidence.secrets[f"the token of {name}"] = operator.token
        replica = Replica(name, proxy, operator, token)
        self.replicas.append(replica)
        stack.callback(operator.kill)

    def _election(self) -> tuple[str, ...]:
        if self.plan.replicas == 1:
            return ("--no-leader-elect",)
        self.evidence.lease_seconds, self.evidence.renew_seconds = self._timing[:2]
        lease, renew, retry = self._timing
        return (
            "--leader-elect",
            f"--lease-namespace={self.namespace}",
            f"--lease-duration={lease}",
            f"--renew-deadline={renew}",
            f"--retry-period={retry}",
        )

    def _supervise(self) -> None:
        """Restart operators that ended, as a kubelet does, and record how each ended.

        The thread must outlive the processes: a process gets SIGTERM when the thread that started
        it ends.
        """
        while not self._done.wait(0.02):
            for replica in self.replicas:
                with replica.lock:
                    if not self._over.is_set():
                        self._restart(replica)

    def _restart(self, replica: Replica) -> None:
        if replica.operator.running:
            return
        if not replica.recorded:
            code = replica.operator.process.returncode
            end = Exit(replica.name, code, replica.expected, time.monotonic())
            self.evidence.exits.append(end)
            replica.recorded = True
        if time.monotonic() >= replica.down_until:
            replica.expected = replica.recorded = False
            replica.operator.start()

    def expect_end(self, replica: Replica) -> None:
        """Accept from now on that the process of this replica ends by itself."""
        replica.expected = True

    def kill(self, replica: Replica, back_after: float = 0.0) -> None:
        """Send SIGKILL to a replica; it is restarted after ``back_after`` seconds."""
        with replica.lock:
            replica.down_until = time.monotonic() + back_after
            replica.expected = True
            replica.operator.kill()

    def terminate(self, replica: Replica, back_after: float = 0.0) -> None:
        """Send SIGTERM to a replica; it is restarted after ``back_after`` seconds.

        Without the lock: a stopping operator writes, and a rule may kill it during such a write.
        """
        replica.down_until = math.inf
        replica.expected = True
        code = replica.operator.terminate(STOP_SECONDS)
        if code not in (0, KILLED):
            end = Exit(replica.name, code, planned=False, at=time.monotonic())
            self.evidence.exits.append(end)
        replica.down_until = time.monotonic() + back_after

    def leader(self) -> Replica:
        """Wait for a leader; the replica that holds the Lease, or the only replica."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.plan.replicas == 1 and self.replicas[0].operator.running:
                return self.replicas[0]
            for lease in self.recorder.all("leases"):
                holder = holder_of(lease).split("_")[0]
                for replica in self.replicas:
                    if replica.name == holder and replica.operator.running:
                        return replica
            time.sleep(0.05)
        raise TimeoutError("no replica leads")

    def lease_path(self) -> str:
        """The path of the Lease of this run's operators."""
        base = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        return f"{base}/{self.recorder.all('leases')[0]['metadata']['name']}"

    def new_token(self) -> str:
        """Another token of the operator's account."""
        path = self.cluster.service_account_kubeconfig(*self._account)
        token: str = yaml.safe_load(path.read_text("utf-8"))["users"][0]["user"]["token"]
        self.evidence.secrets["a rotated token"] = token
        return token

    def second_apiserver(self) -> SecondApiServer:
        """The second API server of this control plane. Raises LookupError where there is none."""
        if self._second is None:
            raise LookupError("no second API server: is the action in NEED_A_SECOND_APISERVER?")
        return self._second

    def _release(self, name: str) -> None:
        """Use another release of the operator from now on; restarts running replicas."""
        replaces = {"current": self._replaces, "previous": releases.PREVIOUS}[name]
        argv, environment = releases.program(replaces, impaired=self._impaired)
        for replica in self.replicas:
            replica.operator.program = argv
            replica.operator.environment |= environment
            if replica.operator.running:
                self.terminate(replica)

    # Setup and evidence.

    def _make_secret(self) -> None:
        path = f"/api/v1/namespaces/{self.namespace}/secrets"
        body = {"metadata": {"name": "canary"}, "stringData": {"password": self._password}}
        self.cluster.api.json("POST", path, body)
        self.evidence.secrets["the content of a Secret"] = self._password

    def _allow(self, group: str, resource: str, *verbs: str) -> None:
        """Give the operators more rights than the shipped ones, in this namespace."""
        base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        metadata = {"name": f"chaos-{resource}"}
        rule = {"apiGroups": [group], "resources": [resource], "verbs": verbs}
        namespace, name = self._account
        subject = {"kind": "ServiceAccount", "namespace": namespace, "name": name}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", **metadata}
        binding = {"metadata": metadata, "subjects": [subject], "roleRef": reference}
        self.cluster.api.json("POST", f"{base}/roles", {"metadata": metadata, "rules": [rule]})
        self.cluster.api.json("POST", f"{base}/rolebindings", binding)

    def _canaries(self) -> dict[str, str]:
        found = {}
        for resource, body in canaries():
            obj = self.objects.get(resource, body["metadata"]["name"])
            key = f"{resource}/{body['metadata']['name']}"
            found[key] = "gone" if obj is None else identity(obj)
        return found

    def _hits(self) -> list[int]:
        proxy = self.replicas[0].proxy
        return [proxy.hits(index) if self._armed else 0 for index in range(len(self.plan.rules))]

    def _sample(self, step: Step) -> None:
        for replica in self.replicas:
            with contextlib.suppress(psutil.Error, AssertionError, OSError):
                if replica.operator.answer("/readyz")[0] != 200:
                    continue  # a starting process still grows
                metrics = replica.operator.metrics()
                pid = replica.operator.process.pid
                resident = psutil.Process(pid).memory_info().rss
                tasks = int(metrics.get("reconciler_tasks", -1))
                sample = Sample(replica.name, pid, step.name, tasks, resident)
                self.evidence.samples.append(sample)

    def _collect(self) -> None:
        evidence = self.evidence
        evidence.foreign_after = self._canaries()
        evidence.hits = self._hits()
        for replica in self.replicas:
            with replica.lock, contextlib.suppress(psutil.Error, AssertionError, OSError):
                if replica.operator.running:
                    name = replica.name
                    evidence.outputs[f"{name} metrics"] = replica.operator.answer("/metrics")[1]
                    process = psutil.Process(replica.operator.process.pid)
                    evidence.outputs[f"{name} command"] = " ".join(process.cmdline())
                    replica.operator.thaw()
                    code = replica.operator.terminate(STOP_SECONDS)
                    stopped = Exit(name, code, planned=code in (0, 1), at=time.monotonic())
                    evidence.exits.append(stopped)
        for replica in self.replicas:
            log = replica.operator.log
            evidence.outputs[f"{replica.name} log"] = log.read_text("utf-8") if log.exists() else ""
            evidence.entries += replica.proxy.trace.entries()
            replica.proxy.trace.write(self.folder / f"{replica.name}.trace.jsonl")
        evidence.frames = self.recorder.frames()

    def _delete_namespace(self) -> None:
        with contextlib.suppress(ApiError, OSError):
            self.cluster.api.json("DELETE", f"/api/v1/namespaces/{self.namespace}")


def _fill_watch_caches(server: SecondApiServer) -> None:
    """Request every custom resource once, as an API server fills their watch caches then only.

    Without its watch caches a server that is disconnected from etcd refuses every request.
    """
    for resource in disturbances.CUSTOM:
        eventually(partial(server.api.answers, f"/apis/gati.dev/v1/{resource}"))


def _impairment(number: int, seconds: float) -> str:
    """IMPAIRED_SECONDS of a replica: the jump of the clock is negative but for the first one."""
    return str(seconds if number == 0 or seconds < 60 else -seconds)


def canaries() -> Iterator[tuple[str, Object]]:
    """Foreign objects that look like the operator's own: (resource, body)."""
    labels = {
        "app.kubernetes.io/managed-by": "gati-operator",
        "app.kubernetes.io/name": "gati-handler",
        "gati.dev/handler": "web",
        "gati.dev/workload": "lookalike",
    }
    metadata: Callable[[str], Object] = lambda name: {  # noqa: E731
        "name": name,
        "labels": labels,
        "annotations": {"chaos/canary": "must not change", "chaos/foreign": "a user's own"},
    }
    pod = {
        "metadata": {"labels": {"app": "lookalike"}},
        "spec": {"containers": [{"name": "web", "image": "lookalike:1"}]},
    }
    selector = {"matchLabels": {"app": "lookalike"}}
    yield (
        "deployments",
        {
            "metadata": metadata("lookalike"),
            "spec": {"replicas": 0, "selector": selector, "template": pod},
        },
    )
    yield "services", {"metadata": metadata("lookalike"), "spec": {"ports": [{"port": 80}]}}
    yield "configmaps", {"metadata": metadata("handler-web-2"), "data": {"mine": "yes"}}
    yield (
        "poddisruptionbudgets",
        {"metadata": metadata("lookalike"), "spec": {"minAvailable": 1, "selector": selector}},
    )
    yield (
        "horizontalpodautoscalers",
        {
            "metadata": metadata("lookalike"),
            "spec": {
                "maxReplicas": 2,
                "scaleTargetRef": {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": "absent",
                },
            },
        },
    )
    yield (
        "gatihandlers",
        {
            "apiVersion": "gati.dev/v1",
            "kind": "GatiHandler",
            "metadata": {
                "name": "not-mine",
                "labels": {"gati.dev/operator-class": "another"},
                "annotations": {"chaos/canary": "must not change"},
            },
            "spec": {"path": "/not-mine", "image": "web:v1", "version": "v1"},
        },
    )

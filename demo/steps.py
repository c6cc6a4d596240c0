"""The steps of the demo as data: the action, the expected state, and the observation of it.

A step passes only when its observation finds the expected state. An observation only reads; its
text shows the state that was read, expected or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contract.model import Object
from demo.cluster import ACCOUNT, Cluster
from demo.kubectl import Kubectl
from demo.operator import Operator
from demo.snapshot import (
    GATI_KINDS,
    HANDLER_LABEL,
    Snapshot,
    condition,
    holds,
    images,
    is_observed,
    reason,
    title,
)

UPDATED, DELETED = "user-handler", "users-api"
"""The sample handler that is updated, and the autoscaled one, which is deleted."""
UPDATED_REPLICAS = 3
LEASE = "gati-operator"
KIND_NAMES = {"HorizontalPodAutoscaler": "autoscaler", "PodDisruptionBudget": "disruption budget"}


@dataclass(frozen=True)
class Images:
    """The images of the run: the sample's, the operator's default, and that of the update."""

    sample: str = "my-app:v1.0.0"
    default: str = "default-app:v1.0.0"
    changed: str = "my-app:v1.1.0"


@dataclass(frozen=True)
class Demo:
    """The cluster, operator and images that the steps use."""

    cluster: Cluster
    operator: Operator
    images: Images


@dataclass(frozen=True)
class Observation:
    """The state that was read, as text, and whether it is the expected one."""

    text: str
    expected: bool


Act = Callable[[Demo], object]
Observe = Callable[[Demo, Snapshot], Observation]


@dataclass(frozen=True)
class Step:
    """One step. ``watches``: the changes in the namespace are shown during the step."""

    name: str
    expected: str
    observe: Observe
    act: Act = lambda _demo: None
    watches: bool = True


def opening(images: Images) -> list[Step]:
    """From no cluster to an operator that runs with the shipped RBAC rules."""
    return [
        Step("control plane", "API server serves; all nodes ready", serving,
             lambda demo: demo.cluster.start(), watches=False),
        Step("CRDs", "3 kinds of gati.dev, each in 2 versions", defined,
             lambda demo: demo.cluster.install_crds(), watches=False),
        Step("operator starts", "ServiceAccount gati-operator, not cluster-admin; holds the Lease",
             leading, lambda demo: start_operator(demo, images), watches=False),
    ]  # fmt: skip


def main_job(images: Images, *, loads: bool) -> list[Step]:
    """The samples are applied, scaled, updated and deleted."""
    initial = Rollout(UPDATED, images.sample, 2, ("Deployment", "Service", "PodDisruptionBudget"))
    scaled = Rollout(DELETED, images.default, 3, (*initial.children, "HorizontalPodAutoscaler"))
    changed = Rollout(UPDATED, images.changed, UPDATED_REPLICAS, initial.children)
    return [
        Step("apply the samples", "2 GatiHandlers, 1 GatiModule, 2 GatiVersions", applied,
             lambda demo: demo.cluster.kubectl.apply(demo.cluster.samples())),
        Step(f"{UPDATED} runs", initial.expected, initial.observe),
        Step(f"{DELETED} runs", scaled.expected, scaled.observe),
        Step("modules and versions", "3 of 3 accepted; AcceptedNotManaged", accepted),
        Step("Events", f"{UPDATED}: Created; {DELETED}: Created", reported),
        *(under_load() if loads else [without_load()]),
        Step(f"update {UPDATED}", changed.expected, changed.observe, update),
        Step(f"delete {DELETED}", f"0 objects left; {UPDATED} {UPDATED_REPLICAS} ready",
             deleted, delete),
        Step("operator stops", "exit code 0; Lease released", stopped,
             lambda demo: demo.operator.stop()),
    ]  # fmt: skip


def under_load() -> list[Step]:
    """The steps of the autoscaler, where the demo can set the load."""
    return [
        Step(name, f"2 to 10 replicas, {desired} desired; Deployment {desired} of {desired} ready",
             Autoscaled(DELETED, (2, 10), desired).observe, Load(times))
        for name, desired, times in (("load at target", 3, 1), ("load doubles", 6, 2))
    ]  # fmt: skip


def without_load() -> Step:
    """The step of the autoscaler, where the demo cannot set the load."""
    return Step("autoscaler", "2 to 10 replicas; Deployment ready",
                Autoscaled(DELETED, (2, 10), None).observe)  # fmt: skip


def removal() -> Step:
    """The last step, without ``--keep``."""
    return Step("clean up", "nothing left", removed,
                lambda demo: demo.cluster.remove(), watches=False)  # fmt: skip


def all_steps(demo: Demo, *, keep: bool) -> list[Step]:
    """The whole demo."""
    job = main_job(demo.images, loads=demo.cluster.has_settable_load)
    steps = [*opening(demo.images), *job]
    return steps if keep else [*steps, removal()]


# Actions


def start_operator(demo: Demo, images: Images) -> None:
    """Install the RBAC rules, then start the process with a token of its ServiceAccount."""
    cluster = demo.cluster
    cluster.install_rights()
    demo.operator.start(
        cluster.operator_kubeconfig(),
        (
            *cluster.operator_flags,
            f"--lease-namespace={cluster.operator_namespace}",
            f"--default-image={images.default}",
        ),
    )


@dataclass(frozen=True)
class Load:
    """Sets the CPU of each pod of the autoscaled handler to so many times the target."""

    times: int

    def __call__(self, demo: Demo) -> None:
        """Read the target and the pods' request, and set the metrics of the present pods."""
        selector = f"{HANDLER_LABEL}={DELETED}"
        flags = ("-n", demo.cluster.namespace, "-l", selector)
        autoscaler = demo.cluster.kubectl.items("horizontalpodautoscalers", *flags)[0]
        pod = demo.cluster.kubectl.items("pods", *flags)[0]
        target = autoscaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"]
        request = millicores(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"])
        demo.cluster.set_load(selector, self.times * target * request // 100)


def millicores(quantity: str) -> int:
    """``100m`` or ``1`` as millicores."""
    return int(quantity[:-1]) if quantity.endswith("m") else int(float(quantity) * 1000)


def update(demo: Demo) -> None:
    """Set another image and one more replica."""
    patch = f'{{"spec":{{"image":"{demo.images.changed}","replicas":{UPDATED_REPLICAS}}}}}'
    flags = ("-n", demo.cluster.namespace, "--type=merge", "--patch", patch)
    demo.cluster.kubectl("patch", "gatihandler.gati.dev", UPDATED, *flags)


def delete(demo: Demo) -> None:
    """``kubectl delete`` the handler, and none of its children."""
    demo.cluster.kubectl("delete", "gatihandler.gati.dev", DELETED, "-n", demo.cluster.namespace)


# Observations


def serving(demo: Demo, _seen: Snapshot) -> Observation:
    """The server's version and its nodes."""
    kubectl = demo.cluster.kubectl
    version = kubectl.read("version")["serverVersion"]["gitVersion"]
    nodes = kubectl.items("nodes")
    ready = [node for node in nodes if holds(node, "Ready")]
    text = f"{version}; {len(ready)} of {len(nodes)} nodes ready"
    return Observation(text, bool(nodes) and len(ready) == len(nodes))


def defined(demo: Demo, _seen: Snapshot) -> Observation:
    """The established CRDs of gati.dev, with their versions."""
    found = [
        body
        for body in demo.cluster.kubectl.items("customresourcedefinitions")
        if body["spec"]["group"] == "gati.dev" and holds(body, "Established")
    ]
    kinds = [body["spec"]["names"]["kind"] for body in found]
    versions = sorted({each["name"] for body in found for each in body["spec"]["versions"]})
    text = f"{', '.join(kinds) or 'none'}: {', '.join(versions) or 'no version'}"
    return Observation(text, sorted(kinds) == sorted(GATI_KINDS) and len(versions) == 2)


def leading(demo: Demo, _seen: Snapshot) -> Observation:
    """The operator's account for the API server, and whether the operator holds the Lease."""
    lease = read_lease(demo)
    if not holder_of(lease):
        return Observation("the Lease has no holder", expected=False)
    account = account_of(demo.cluster.kubectl, str(demo.operator.kubeconfig))
    expected = f"{demo.cluster.operator_namespace}/{ACCOUNT}"
    powers = "cluster-admin" if account.is_administrator else "not cluster-admin"
    text = f"ServiceAccount {account.name}, {powers}; holds the Lease"
    return Observation(text, account.name == expected and not account.is_administrator)


@dataclass(frozen=True)
class Account:
    """The user of a kubeconfig; a ServiceAccount as namespace/name."""

    name: str
    is_administrator: bool


def account_of(kubectl: Kubectl, kubeconfig: str) -> Account:
    """The account of a kubeconfig's token, and whether every verb on every resource is allowed."""
    cache = [flag for flag in kubectl.command if flag.startswith("--cache-dir")]
    operator = Kubectl((kubectl.command[0], f"--kubeconfig={kubeconfig}", *cache))
    me = operator.create({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    everything = {"verb": "*", "group": "*", "resource": "*"}
    review = operator.create(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": everything},
        }
    )
    name = str(me["status"]["userInfo"]["username"]).removeprefix("system:serviceaccount:")
    return Account(name.replace(":", "/"), bool(review["status"]["allowed"]))


def read_lease(demo: Demo) -> Object | None:
    """The operator's Lease, or None."""
    flags = ("-n", demo.cluster.operator_namespace)
    found = demo.cluster.kubectl.items("leases.coordination.k8s.io", LEASE, *flags)
    return found[0] if found else None


def holder_of(lease: Object | None) -> str:
    """The holder of a Lease; empty where there is none."""
    return ((lease or {}).get("spec") or {}).get("holderIdentity") or ""


def applied(demo: Demo, seen: Snapshot) -> Observation:
    """The objects of gati.dev in the namespace."""
    wanted = {title(body) for body in demo.cluster.samples()}
    found = [title(body) for body in seen.of_kind(*GATI_KINDS)]
    counts = {kind: sum(each.startswith(f"{kind} ") for each in found) for kind in GATI_KINDS}
    text = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    return Observation(text, wanted <= set(found))


@dataclass(frozen=True)
class Rollout:
    """A handler whose present generation is rolled out: its image, replicas and children."""

    handler: str
    image: str
    replicas: int
    children: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The expected state, as text."""
        count = self.replicas
        kinds = ", ".join(KIND_NAMES.get(kind, kind) for kind in self.children)
        return f"Running; {count} of {count} ready, {count} updated; {self.image}; {kinds}"

    def observe(self, _demo: Demo, seen: Snapshot) -> Observation:
        """Compare the handler's status with its Deployment, pods and other children."""
        handler = seen.get("GatiHandler", self.handler)
        if handler is None:
            return Observation("no such handler", expected=False)
        status = handler.get("status", {})
        pods = seen.pods(self.handler)
        ready = [pod for pod in pods if holds(pod, "Ready")]
        made = {body["kind"] for body in seen.of_handler(self.handler)}
        kinds = [kind for kind in self.children if kind in made]
        text = (
            f"{status.get('phase', 'no phase')}; {len(ready)} of {len(pods)} ready, "
            f"{status.get('updatedReplicas', 0)} updated; {', '.join(images(pods)) or 'no pods'}; "
            f"{', '.join(KIND_NAMES.get(kind, kind) for kind in kinds) or 'no children'}"
        )
        expected = (
            status.get("phase") == "Running"
            and is_observed(handler)
            and holds(handler, "Ready")
            and status.get("readyReplicas") == status.get("updatedReplicas") == self.replicas
            and len(ready) == len(pods) == self.replicas
            and images(pods) == [self.image]
            and len(kinds) == len(self.children)
            and is_rolled_out(seen.get("Deployment", f"handler-{self.handler}"), self.replicas)
        )
        return Observation(text if expected else text + why(handler), expected)


def is_rolled_out(deployment: Object | None, replicas: int) -> bool:
    """Whether a Deployment has exactly so many replicas, all updated and ready."""
    if deployment is None or not is_observed(deployment):
        return False
    status = deployment.get("status", {})
    counts = [status.get(name) for name in ("replicas", "readyReplicas", "updatedReplicas")]
    return deployment["spec"]["replicas"] == replicas and counts == [replicas] * 3


def why(handler: Object) -> str:
    """The reason of a handler that is not Ready, or that its present generation is not observed."""
    ready = condition(handler, "Ready")
    if not is_observed(handler):
        return "; the present generation is not observed yet"
    if ready is None or ready["status"] == "True":
        return ""
    return f"; {ready['reason']}: {ready['message']}"


@dataclass(frozen=True)
class Autoscaled:
    """A handler's autoscaler and Deployment; ``desired`` None: any number of desired replicas."""

    handler: str
    bounds: tuple[int, int]
    desired: int | None

    def observe(self, _demo: Demo, seen: Snapshot) -> Observation:
        """Compare the autoscaler with the Deployment."""
        autoscaler = seen.get("HorizontalPodAutoscaler", f"handler-{self.handler}")
        deployment = seen.get("Deployment", f"handler-{self.handler}")
        if autoscaler is None or deployment is None:
            return Observation("no autoscaler or no Deployment", expected=False)
        spec = autoscaler["spec"]
        found = (spec.get("minReplicas", 1), spec["maxReplicas"])
        desired = autoscaler.get("status", {}).get("desiredReplicas", 0)
        replicas = deployment["spec"]["replicas"]
        ready = deployment.get("status", {}).get("readyReplicas", 0)
        expected = found == self.bounds and is_rolled_out(deployment, replicas)
        if self.desired is not None:
            expected = expected and desired == replicas == self.desired
        text = f"{found[0]} to {found[1]} replicas, {desired} desired; "
        return Observation(f"{text}Deployment {ready} of {replicas} ready", expected)


def accepted(_demo: Demo, seen: Snapshot) -> Observation:
    """The condition Accepted of the kinds that the operator does not manage yet."""
    bodies = list(seen.of_kind("GatiModule", "GatiVersion"))
    ready = [body for body in bodies if is_accepted(body)]
    reasons = {str(each["reason"]) for body in bodies if (each := condition(body, "Accepted"))}
    text = f"{len(ready)} of {len(bodies)} accepted; {', '.join(sorted(reasons)) or 'no reason'}"
    return Observation(text, len(bodies) == len(ready) == 3)


def is_accepted(body: Object) -> bool:
    """Whether the present generation is Accepted, with a message."""
    found = condition(body, "Accepted")
    return holds(body, "Accepted") and is_observed(body) and bool(found and found["message"])


def reported(_demo: Demo, seen: Snapshot) -> Observation:
    """The operator's Events about the two handlers."""
    reasons = {
        handler: sorted({reason(event) for event in seen.events("GatiHandler", handler)})
        for handler in (UPDATED, DELETED)
    }
    text = "; ".join(f"{name}: {', '.join(each) or 'none'}" for name, each in reasons.items())
    return Observation(text, all("Created" in each for each in reasons.values()))


def deleted(_demo: Demo, seen: Snapshot) -> Observation:
    """The objects left of the deleted handler, and the ready replicas of the other one."""
    gone = seen.get("GatiHandler", DELETED)
    left = ([gone] if gone else []) + seen.of_handler(DELETED)
    other = seen.get("GatiHandler", UPDATED)
    ready = (other or {}).get("status", {}).get("readyReplicas", 0)
    named = ", ".join(title(body) for body in left[:4]) + (", ..." if len(left) > 4 else "")
    objects = f"{len(left)} object{'' if len(left) == 1 else 's'} left"
    text = f"{objects}{': ' if left else ''}{named}; {UPDATED} {ready} ready"
    return Observation(text, not left and ready == UPDATED_REPLICAS)


def stopped(demo: Demo, _seen: Snapshot) -> Observation:
    """The operator's exit code, and whether the Lease is released."""
    code = demo.operator.exit_code()
    lease = read_lease(demo)
    holder = holder_of(lease)
    ending = "still runs" if code is None else f"exit code {code}"
    text = f"{ending}; Lease {'held' if holder else 'released'}"
    return Observation(text, code == 0 and lease is not None and not holder)


def removed(demo: Demo, _seen: Snapshot) -> Observation:
    """The objects left of the run."""
    left = demo.cluster.left()
    return Observation(left or "nothing left", not left)

"""The steps of the demo as data: what is done, what must then be seen, and how it is read.

A step is done when its look, and nothing else, finds what is expected. A look only reads; its
text is made of what it read, also when that is not yet what is expected.
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
"""The samples' handler that is changed, and the one with an autoscaler, which is deleted."""
UPDATED_REPLICAS = 3
LEASE = "gati-operator"
KIND_NAMES = {"HorizontalPodAutoscaler": "autoscaler", "PodDisruptionBudget": "disruption budget"}


@dataclass(frozen=True)
class Images:
    """The images of the run: the sample's, the operator's default, and the one to change to."""

    sample: str = "my-app:v1.0.0"
    default: str = "default-app:v1.0.0"
    changed: str = "my-app:v1.1.0"


@dataclass(frozen=True)
class Demo:
    """What the steps act on."""

    cluster: Cluster
    operator: Operator
    images: Images


@dataclass(frozen=True)
class Sight:
    """What was read, and whether it is what the step expects."""

    text: str
    fits: bool


Act = Callable[[Demo], object]
Look = Callable[[Demo, Snapshot], Sight]


@dataclass(frozen=True)
class Step:
    """One step. ``watches``: the namespace is read and its changes are shown meanwhile."""

    name: str
    expected: str
    look: Look
    act: Act = lambda _demo: None
    watches: bool = True


def opening(images: Images) -> list[Step]:
    """From nothing to an operator that works with the rights it is shipped with."""
    return [
        Step("control plane", "Kubernetes serves; its nodes are ready", serving,
             lambda demo: demo.cluster.start(), watches=False),
        Step("definitions", "3 kinds of gati.dev, each in 2 versions", defined,
             lambda demo: demo.cluster.install_definitions(), watches=False),
        Step("operator starts", "gati-operator's own account, not administrator; holds the Lease",
             leading, lambda demo: start_operator(demo, images), watches=False),
    ]  # fmt: skip


def main_job(images: Images, *, loads: bool) -> list[Step]:
    """The samples deployed, scaled, changed and deleted."""
    initial = Rollout(UPDATED, images.sample, 2, ("Deployment", "Service", "PodDisruptionBudget"))
    scaled = Rollout(DELETED, images.default, 3, (*initial.children, "HorizontalPodAutoscaler"))
    changed = Rollout(UPDATED, images.changed, UPDATED_REPLICAS, initial.children)
    return [
        Step("apply the samples", "2 GatiHandlers, 1 GatiModule, 2 GatiVersions", applied,
             lambda demo: demo.cluster.kubectl.apply(demo.cluster.samples())),
        Step(f"{UPDATED} runs", initial.expected, initial.look),
        Step(f"{DELETED} runs", scaled.expected, scaled.look),
        Step("modules and versions", "3 of 3 accepted; told that they are not managed", accepted),
        Step("Events", f"{UPDATED}: Created; {DELETED}: Created", told),
        *(under_load() if loads else [as_it_scales()]),
        Step(f"change {UPDATED}", changed.expected, changed.look, change),
        Step(f"delete {DELETED}", f"0 objects left of it; {UPDATED} has {UPDATED_REPLICAS} ready",
             deleted, delete),
        Step("operator stops", "exit code 0; Lease released", stopped,
             lambda demo: demo.operator.stop()),
    ]  # fmt: skip


def under_load() -> list[Step]:
    """The autoscaler, where the load can be set."""
    return [
        Step(name, f"2 to 10 replicas, wants {wants}; Deployment {wants} of {wants} ready",
             Autoscaled(DELETED, (2, 10), wants).look, Load(times))
        for name, wants, times in (("load as aimed at", 3, 1), ("load doubles", 6, 2))
    ]  # fmt: skip


def as_it_scales() -> Step:
    """The autoscaler, where the load is what it is."""
    return Step("autoscaler", "2 to 10 replicas; Deployment ready",
                Autoscaled(DELETED, (2, 10), None).look)  # fmt: skip


def removal() -> Step:
    """The last step, unless the cluster is to be kept."""
    return Step("clean up", "nothing left", removed,
                lambda demo: demo.cluster.remove(), watches=False)  # fmt: skip


def all_steps(demo: Demo, *, keep: bool) -> list[Step]:
    """The whole demo."""
    job = main_job(demo.images, loads=demo.cluster.has_settable_load)
    steps = [*opening(demo.images), *job]
    return steps if keep else [*steps, removal()]


# What is done


def start_operator(demo: Demo, images: Images) -> None:
    """Rights first, then the process with a token of its account."""
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
    """Lets each pod of the autoscaled handler use so many times the CPU that is aimed at."""

    times: int

    def __call__(self, demo: Demo) -> None:
        """Read the aim and the pods' request, and set the figures of the pods that are there."""
        selector = f"{HANDLER_LABEL}={DELETED}"
        flags = ("-n", demo.cluster.namespace, "-l", selector)
        autoscaler = demo.cluster.kubectl.items("horizontalpodautoscalers", *flags)[0]
        pod = demo.cluster.kubectl.items("pods", *flags)[0]
        aim = autoscaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"]
        request = millicores(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"])
        demo.cluster.set_load(selector, self.times * aim * request // 100)


def millicores(quantity: str) -> int:
    """``100m`` or ``1`` as millicores."""
    return int(quantity[:-1]) if quantity.endswith("m") else int(float(quantity) * 1000)


def change(demo: Demo) -> None:
    """Another image and one replica more."""
    patch = f'{{"spec":{{"image":"{demo.images.changed}","replicas":{UPDATED_REPLICAS}}}}}'
    flags = ("-n", demo.cluster.namespace, "--type=merge", "--patch", patch)
    demo.cluster.kubectl("patch", "gatihandler.gati.dev", UPDATED, *flags)


def delete(demo: Demo) -> None:
    """``kubectl delete``, and no word about the children."""
    demo.cluster.kubectl("delete", "gatihandler.gati.dev", DELETED, "-n", demo.cluster.namespace)


# What is seen


def serving(demo: Demo, _seen: Snapshot) -> Sight:
    """The server's version and its nodes."""
    kubectl = demo.cluster.kubectl
    version = kubectl.read("version")["serverVersion"]["gitVersion"]
    nodes = kubectl.items("nodes")
    ready = [node for node in nodes if holds(node, "Ready")]
    text = f"{version}; {len(ready)} of {len(nodes)} nodes ready"
    return Sight(text, bool(nodes) and len(ready) == len(nodes))


def defined(demo: Demo, _seen: Snapshot) -> Sight:
    """The kinds of gati.dev that the server has accepted, with their served versions."""
    found = [
        body
        for body in demo.cluster.kubectl.items("customresourcedefinitions")
        if body["spec"]["group"] == "gati.dev" and holds(body, "Established")
    ]
    kinds = [body["spec"]["names"]["kind"] for body in found]
    versions = sorted({each["name"] for body in found for each in body["spec"]["versions"]})
    text = f"{', '.join(kinds) or 'none'}: {', '.join(versions) or 'no version'}"
    return Sight(text, sorted(kinds) == sorted(GATI_KINDS) and len(versions) == 2)


def leading(demo: Demo, _seen: Snapshot) -> Sight:
    """Who the operator is for the API server, and whether it may act."""
    lease = read_lease(demo)
    if not holder_of(lease):
        return Sight("nobody holds the Lease", fits=False)
    account = who(demo.cluster.kubectl, str(demo.operator.kubeconfig))
    expected = f"{demo.cluster.operator_namespace}/{ACCOUNT}"
    powers = "may do everything" if account.is_administrator else "not administrator"
    text = f"{account.name}, {powers}; holds the Lease"
    return Sight(text, account.name == expected and not account.is_administrator)


@dataclass(frozen=True)
class Account:
    """An account as the API server knows it: namespace/name of a ServiceAccount, else its name."""

    name: str
    is_administrator: bool


def who(kubectl: Kubectl, kubeconfig: str) -> Account:
    """Whose token a kubeconfig holds, and whether it may do everything everywhere."""
    cache = [flag for flag in kubectl.command if flag.startswith("--cache-dir")]
    account = Kubectl((kubectl.command[0], f"--kubeconfig={kubeconfig}", *cache))
    me = account.create({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    everything = {"verb": "*", "group": "*", "resource": "*"}
    review = account.create(
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
    """Who holds a Lease; empty where nobody does."""
    return ((lease or {}).get("spec") or {}).get("holderIdentity") or ""


def applied(demo: Demo, seen: Snapshot) -> Sight:
    """The samples that are in the namespace."""
    wanted = {title(body) for body in demo.cluster.samples()}
    found = [title(body) for body in seen.of_kind(*GATI_KINDS)]
    counts = {kind: sum(each.startswith(f"{kind} ") for each in found) for kind in GATI_KINDS}
    text = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    return Sight(text, wanted <= set(found))


@dataclass(frozen=True)
class Rollout:
    """A handler whose last change is rolled out whole: this image, so many pods, these children."""

    handler: str
    image: str
    replicas: int
    children: tuple[str, ...]

    @property
    def expected(self) -> str:
        """In words."""
        count = self.replicas
        kinds = ", ".join(KIND_NAMES.get(kind, kind) for kind in self.children)
        return f"Running; {count} of {count} ready, {count} updated; {self.image}; {kinds}"

    def look(self, _demo: Demo, seen: Snapshot) -> Sight:
        """The handler's status against its Deployment, its pods and its other children."""
        handler = seen.get("GatiHandler", self.handler)
        if handler is None:
            return Sight("no such handler", fits=False)
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
        fits = (
            status.get("phase") == "Running"
            and is_observed(handler)
            and holds(handler, "Ready")
            and status.get("readyReplicas") == status.get("updatedReplicas") == self.replicas
            and len(ready) == len(pods) == self.replicas
            and images(pods) == [self.image]
            and len(kinds) == len(self.children)
            and is_rolled_out(seen.get("Deployment", f"handler-{self.handler}"), self.replicas)
        )
        return Sight(text if fits else text + why(handler), fits)


def is_rolled_out(deployment: Object | None, replicas: int) -> bool:
    """Whether a Deployment has exactly so many pods, all of its present template, all ready."""
    if deployment is None or not is_observed(deployment):
        return False
    status = deployment.get("status", {})
    counts = [status.get(name) for name in ("replicas", "readyReplicas", "updatedReplicas")]
    return deployment["spec"]["replicas"] == replicas and counts == [replicas] * 3


def why(handler: Object) -> str:
    """The handler's own word on why it is not ready, or not of the last change."""
    ready = condition(handler, "Ready")
    if not is_observed(handler):
        return "; its last change has not been looked at"
    if ready is None or ready["status"] == "True":
        return ""
    return f"; {ready['reason']}: {ready['message']}"


@dataclass(frozen=True)
class Autoscaled:
    """A handler's autoscaler, and its Deployment at what that wants; None: whatever it wants."""

    handler: str
    bounds: tuple[int, int]
    wants: int | None

    def look(self, _demo: Demo, seen: Snapshot) -> Sight:
        """The autoscaler against the Deployment."""
        autoscaler = seen.get("HorizontalPodAutoscaler", f"handler-{self.handler}")
        deployment = seen.get("Deployment", f"handler-{self.handler}")
        if autoscaler is None or deployment is None:
            return Sight("no autoscaler or no Deployment", fits=False)
        spec = autoscaler["spec"]
        found = (spec.get("minReplicas", 1), spec["maxReplicas"])
        wants = autoscaler.get("status", {}).get("desiredReplicas", 0)
        replicas = deployment["spec"]["replicas"]
        ready = deployment.get("status", {}).get("readyReplicas", 0)
        fits = found == self.bounds and is_rolled_out(deployment, replicas)
        if self.wants is not None:
            fits = fits and wants == replicas == self.wants
        text = f"{found[0]} to {found[1]} replicas, wants {wants}; "
        return Sight(f"{text}Deployment {ready} of {replicas} ready", fits)


def accepted(_demo: Demo, seen: Snapshot) -> Sight:
    """What the operator says of the kinds that it does not manage yet."""
    bodies = list(seen.of_kind("GatiModule", "GatiVersion"))
    ready = [body for body in bodies if is_accepted(body)]
    reasons = {str(each["reason"]) for body in bodies if (each := condition(body, "Accepted"))}
    text = f"{len(ready)} of {len(bodies)} accepted; {', '.join(sorted(reasons)) or 'no reason'}"
    return Sight(text, len(bodies) == len(ready) == 3)


def is_accepted(body: Object) -> bool:
    """Whether the operator has looked at an object and has something to say of it."""
    found = condition(body, "Accepted")
    return holds(body, "Accepted") and is_observed(body) and bool(found and found["message"])


def told(_demo: Demo, seen: Snapshot) -> Sight:
    """The operator's Events about the two handlers."""
    reasons = {
        handler: sorted({reason(event) for event in seen.events("GatiHandler", handler)})
        for handler in (UPDATED, DELETED)
    }
    text = "; ".join(f"{name}: {', '.join(each) or 'none'}" for name, each in reasons.items())
    return Sight(text, all("Created" in each for each in reasons.values()))


def deleted(_demo: Demo, seen: Snapshot) -> Sight:
    """What is left of the deleted handler, and that the other one goes on."""
    gone = seen.get("GatiHandler", DELETED)
    left = ([gone] if gone else []) + seen.of_handler(DELETED)
    other = seen.get("GatiHandler", UPDATED)
    ready = (other or {}).get("status", {}).get("readyReplicas", 0)
    named = ", ".join(title(body) for body in left[:4]) + (", ..." if len(left) > 4 else "")
    objects = f"{len(left)} object{'' if len(left) == 1 else 's'} left"
    text = f"{objects}{': ' if left else ''}{named}; {UPDATED} {ready} ready"
    return Sight(text, not left and ready == UPDATED_REPLICAS)


def stopped(demo: Demo, _seen: Snapshot) -> Sight:
    """How the operator ended, and whether another one could lead at once."""
    code = demo.operator.exit_code()
    lease = read_lease(demo)
    holder = holder_of(lease)
    ending = "still runs" if code is None else f"exit code {code}"
    text = f"{ending}; Lease {'held' if holder else 'released'}"
    return Sight(text, code == 0 and lease is not None and not holder)


def removed(demo: Demo, _seen: Snapshot) -> Sight:
    """What is left of the run."""
    left = demo.cluster.left()
    return Sight(left or "nothing left", not left)

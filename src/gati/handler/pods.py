"""The pod of a handler: locked in by default, and rolled only when what it runs changes.

Nothing here may depend on the operator's own version or settings beyond the spec: an upgrade of
the operator restarts nobody. What the API server would add to a block that a spec can exchange
for another (a probe's action, a variable's source, a volume's kind) is written out: a default
belongs to nobody, would stay behind, and two of such blocks are refused. So is when the image is
fetched: the default follows the tag, and that of the first tag would stay with the next.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from gati import names
from gati.contracts import HandlerSpec, JsonObject, Probes
from gati.spec.handler import CONTAINER
from gati.spec.probes import PORT_NAME, probe
from gati.spec.volumes import RESERVED

DRAIN_SECONDS = 5
"""How long a pod that is going away still answers, so that every proxy has heard of it."""


def pod_template(spec: HandlerSpec, config_digest: str) -> JsonObject:
    """The pod template of a handler's Deployment."""
    workload = names.workload(spec.name)
    labels = names.handler_labels(spec.name) | names.version_labels(spec.version)
    digest = {names.CONFIG_DIGEST: config_digest} if config_digest else {}
    annotations = names.version_annotations(spec.name, spec.version) | digest
    return {
        "metadata": {
            "labels": {**spec.pod_labels, **labels, names.WORKLOAD: workload},
            "annotations": {**spec.pod_annotations, **annotations},
        },
        "spec": _pod(spec),
    }


def _pod(spec: HandlerSpec) -> JsonObject:
    pod: JsonObject = {
        "containers": [_container(spec)],
        "enableServiceLinks": False,
        "securityContext": _pod_security(spec),
        "serviceAccountName": spec.service_account_name or "default",
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
    }
    if spec.service_account_name is None:
        pod["automountServiceAccountToken"] = False
    optional: JsonObject = {
        "imagePullSecrets": [{"name": name} for name in spec.image_pull_secrets],
        "volumes": [*spec.volumes, *_scratch_volume(spec)],
        "nodeSelector": dict(spec.node_selector),
        "tolerations": list(spec.tolerations),
        "affinity": spec.affinity,
        "topologySpreadConstraints": list(spec.topology_spread_constraints),
        "priorityClassName": spec.priority_class_name,
    }
    return pod | {name: value for name, value in optional.items() if value}


def _container(spec: HandlerSpec) -> JsonObject:
    own_config = [{"configMapRef": {"name": names.workload(spec.name)}}] if spec.config else []
    optional: JsonObject = {
        "imagePullPolicy": spec.image_pull_policy or _pull_policy(spec.image or ""),
        "command": list(spec.command),
        "args": list(spec.args),
        "env": list(spec.env),
        "envFrom": [*own_config, *spec.env_from],
        "volumeMounts": [*spec.volume_mounts, *_scratch_mount(spec)],
        "lifecycle": _drain(spec.termination_grace_period_seconds),
    }
    return {
        "name": CONTAINER,
        "image": spec.image,
        "ports": [{"name": PORT_NAME, "containerPort": spec.port, "protocol": "TCP"}],
        "resources": spec.resources,
        "securityContext": _container_security(spec),
        **_probes(spec.probes, spec.port),
        **{name: value for name, value in optional.items() if value},
    }


def _pull_policy(image: str) -> str:
    """The API server's default, of the present image and not of the first."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]  # before a slash stands a registry's port
    return "Always" if tag == "latest" or not (tag or digest) else "IfNotPresent"


def _probes(probes: Probes, port: int) -> JsonObject:
    wanted = {
        "readinessProbe": probes.readiness,
        "livenessProbe": probes.liveness,
        "startupProbe": probes.startup,
    }
    return {name: probe(one, port) for name, one in wanted.items() if one is not None}


def _drain(grace_period: int) -> JsonObject:
    """Wait before SIGTERM; the wait must be shorter than the grace period it is part of."""
    seconds = min(DRAIN_SECONDS, grace_period // 2)
    return {"preStop": {"sleep": {"seconds": seconds}}} if seconds else {}


def _pod_security(spec: HandlerSpec) -> JsonObject:
    security = spec.security
    context: JsonObject = {"seccompProfile": {"type": "RuntimeDefault"}}
    if security.profile == "Restricted":
        context["runAsNonRoot"] = True
    ids = {
        "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group,
        "fsGroup": security.fs_group,
    }
    context |= {name: value for name, value in ids.items() if value is not None}
    if security.fs_group is not None:
        context["fsGroupChangePolicy"] = "OnRootMismatch"
    return context


def _container_security(spec: HandlerSpec) -> JsonObject:
    context: JsonObject = {"allowPrivilegeEscalation": False}
    if spec.security.read_only_root_filesystem:
        context["readOnlyRootFilesystem"] = True
    if spec.security.profile == "Restricted":
        context["capabilities"] = {"drop": ["ALL"]}
    return context


def _needs_scratch(spec: HandlerSpec) -> bool:
    """Runtimes expect to write to /tmp, which a read-only root file system refuses."""
    taken = any(mount["mountPath"].rstrip("/") == "/tmp" for mount in spec.volume_mounts)  # noqa: S108
    return spec.security.read_only_root_filesystem and not taken


def _scratch_volume(spec: HandlerSpec) -> list[JsonObject]:
    return [{"name": RESERVED, "emptyDir": {}}] if _needs_scratch(spec) else []


def _scratch_mount(spec: HandlerSpec) -> list[JsonObject]:
    mount = {"name": RESERVED, "mountPath": "/tmp"}  # noqa: S108
    return [mount] if _needs_scratch(spec) else []

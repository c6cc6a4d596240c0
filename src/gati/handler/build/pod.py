"""The pod of a handler: locked in by default, and rolled only when what it runs changes.

Nothing here may depend on the operator's own version or settings beyond the spec: an upgrade of
the operator restarts no pod. Server-side apply does not own a defaulted field. After a switch
from ``httpGet`` to ``tcpSocket`` the old handler's defaults would remain and the probe be
invalid; the same holds for a variable's source and a volume's kind, and the default of
imagePullPolicy is that of the first tag. Such fields are therefore written out in full.
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from msgspec import UNSET

from contract.model import Object
from crds.decode import plain
from gati import names
from gati.handler.build.sources import env, env_from, mounts, volumes
from gati.handler.resolve import Handler, pruned
from gati.types.handler import GatiHandlerSpec
from gati.types.probes import Probe

DRAIN_SECONDS = 5
"""Seconds for which a terminating pod still answers: until every proxy has dropped its endpoint."""


def pod_template(handler: Handler, config_digest: str) -> Object:
    """The pod template of a handler's Deployment."""
    labels = names.handler_labels(handler.name) | names.version_labels(handler.version)
    digest = {names.CONFIG_DIGEST: config_digest} if config_digest else {}
    annotations = names.version_annotations(handler.name, handler.version) | digest
    workload = {names.WORKLOAD: handler.workload}
    return {
        "metadata": {
            "labels": {**handler.spec.pod_labels, **labels, **workload},
            "annotations": {**handler.spec.pod_annotations, **annotations},
        },
        "spec": _pod(handler),
    }


def _pod(handler: Handler) -> Object:
    spec = handler.spec
    pod: Object = {
        "containers": [_container(handler)],
        "enableServiceLinks": False,
        "securityContext": _pod_security(spec),
        "serviceAccountName": spec.service_account_name or "default",
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
    }
    if not spec.service_account_name:
        pod["automountServiceAccountToken"] = False
    optional: Object = {
        "imagePullSecrets": [{"name": secret.name} for secret in spec.image_pull_secrets],
        "volumes": volumes(spec),
        "nodeSelector": dict(spec.node_selector),
        "tolerations": [_toleration(plain(each)) for each in spec.tolerations],
        "affinity": pruned(plain(spec.affinity)),
        "topologySpreadConstraints": _spread(handler),
        "priorityClassName": spec.priority_class_name,
    }
    return pod | {name: value for name, value in optional.items() if value}


def _container(handler: Handler) -> Object:
    spec = handler.spec
    port = {"name": names.PORT_NAME, "containerPort": spec.port, "protocol": "TCP"}
    optional: Object = {
        "imagePullPolicy": spec.image_pull_policy or _pull_policy(handler.image or ""),
        "command": list(spec.command),
        "args": list(spec.args),
        "env": env(spec),
        "envFrom": env_from(spec, handler.workload),
        "volumeMounts": mounts(spec),
        "lifecycle": _drain(spec.termination_grace_period_seconds),
    }
    return {
        "name": names.CONTAINER,
        "image": handler.image,
        "ports": [port],
        "resources": plain(spec.resources),
        "securityContext": _container_security(spec),
        **_probes(spec),
        **{name: value for name, value in optional.items() if value},
    }


def _pull_policy(image: str) -> str:
    """The API server's default, of the present image and not of the first."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]  # before a slash stands a registry's port
    return "Always" if tag == "latest" or not (tag or digest) else "IfNotPresent"


def _probes(spec: GatiHandlerSpec) -> Object:
    probes = {
        "readinessProbe": spec.probes.readiness,
        "livenessProbe": spec.probes.liveness,
        "startupProbe": spec.probes.startup,
    }
    return {
        name: _probe(probe, spec.port)
        for name, probe in probes.items()
        if probe and not probe.disabled
    }


def _probe(probe: Probe, port: int) -> Object:
    """Zeros are left out, as the API server leaves them out."""
    timings = {
        "initialDelaySeconds": probe.initial_delay_seconds,
        "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "failureThreshold": probe.failure_threshold,
        "successThreshold": probe.success_threshold,
    }
    return _action(probe, port) | {name: value for name, value in timings.items() if value}


def _action(probe: Probe, port: int) -> Object:
    if probe.http_get:
        to = probe.http_get.port or names.PORT_NAME
        return {"httpGet": {"path": probe.http_get.path, "port": to, "scheme": "HTTP"}}
    if probe.tcp_socket:
        return {"tcpSocket": {"port": probe.tcp_socket.port or names.PORT_NAME}}
    if probe.grpc:
        return {"grpc": {"port": probe.grpc.port or port, "service": probe.grpc.service}}
    return {}


def _drain(grace_period: int) -> Object:
    """Wait before SIGTERM; the wait must be shorter than the grace period it is part of."""
    seconds = min(DRAIN_SECONDS, grace_period // 2)
    return {"preStop": {"sleep": {"seconds": seconds}}} if seconds else {}


def _toleration(values: Object) -> Object:
    """An empty word means the same as an absent one."""
    return {name: value for name, value in values.items() if value != ""}


def _spread(handler: Handler) -> list[Object]:
    """The constraints count the handler's own pods."""
    selector = {"labelSelector": names.workload_selector(handler.workload)}
    return [selector | plain(each) for each in handler.spec.topology_spread_constraints]


def _pod_security(spec: GatiHandlerSpec) -> Object:
    security = spec.security
    context: Object = {"seccompProfile": {"type": "RuntimeDefault"}}
    if security.profile == "Restricted":
        context["runAsNonRoot"] = True
    ids = {
        "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group,
        "fsGroup": security.fs_group,
    }
    context |= {name: value for name, value in ids.items() if value is not UNSET}
    if security.fs_group is not UNSET:
        context["fsGroupChangePolicy"] = "OnRootMismatch"
    return context


def _container_security(spec: GatiHandlerSpec) -> Object:
    context: Object = {"allowPrivilegeEscalation": False}
    if spec.security.read_only_root_filesystem:
        context["readOnlyRootFilesystem"] = True
    if spec.security.profile == "Restricted":
        context["capabilities"] = {"drop": ["ALL"]}
    return context

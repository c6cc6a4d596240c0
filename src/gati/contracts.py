"""What the parser hands to the manifests, and what the manifests answer. Data and protocols only.

A spec here is normalised: one spelling, every default filled in, every quantity as the API
server stores it. No later code asks which version or spelling an object was written in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Protocol, TypedDict, TypeVar

JsonObject = dict[str, Any]


class ResourceRequirements(TypedDict):
    """Requests and limits of one container: canonical quantities by resource name."""

    requests: dict[str, str]
    limits: dict[str, str]


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One health check. ``port`` None is the container's own; times are in seconds."""

    action: Literal["httpGet", "tcpSocket", "grpc"]
    initial_delay: int
    period: int
    timeout: int
    failure_threshold: int
    success_threshold: int = 1
    path: str = ""
    port: int | None = None
    service: str = ""


@dataclass(frozen=True, slots=True)
class Probes:
    """The health checks of a container; None leaves one out."""

    readiness: ProbeSpec | None
    liveness: ProbeSpec | None
    startup: ProbeSpec | None = None


@dataclass(frozen=True, slots=True)
class Security:
    """How far a pod is locked in. None leaves the choice to the image."""

    profile: Literal["Restricted", "Baseline"]
    run_as_user: int | None
    run_as_group: int | None
    fs_group: int | None
    read_only_root_filesystem: bool


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """Bounds in replicas, and the CPU use in per cent of the request that is aimed at."""

    min_replicas: int
    max_replicas: int
    target_cpu: int


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """A GatiHandler, normalised. ``image`` is None where the object names none.

    The lists and maps of core API types hold what the API server would store of them.
    """

    name: str
    namespace: str
    path: str
    version: str
    image: str | None
    port: int
    replicas: int
    suspend: bool
    resources: ResourceRequirements
    probes: Probes
    security: Security
    termination_grace_period_seconds: int
    autoscaling: Autoscaling | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    env: tuple[JsonObject, ...] = ()
    env_from: tuple[JsonObject, ...] = ()
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    service_account_name: str | None = None
    volumes: tuple[JsonObject, ...] = ()
    volume_mounts: tuple[JsonObject, ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[JsonObject, ...] = ()
    affinity: JsonObject = field(default_factory=dict)
    topology_spread_constraints: tuple[JsonObject, ...] = ()
    priority_class_name: str | None = None
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    pod_annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModuleSpec:
    """A GatiModule, normalised. What the object does not say is None, where it has no default."""

    name: str
    namespace: str
    module_name: str
    module_type: Literal["node", "wasm", "oci"] | None
    runtime: str | None
    replicas: int
    image: str | None
    port: int
    resources: ResourceRequirements
    capabilities: tuple[str, ...] = ()
    env: tuple[JsonObject, ...] = ()


class DeploymentSpec(TypedDict):
    """``spec`` of an apps/v1 Deployment. Without ``replicas`` an autoscaler owns them."""

    replicas: NotRequired[int]
    selector: JsonObject
    strategy: JsonObject
    progressDeadlineSeconds: int
    revisionHistoryLimit: int
    template: JsonObject


class ServiceSpec(TypedDict):
    """``spec`` of a v1 Service."""

    type: Literal["ClusterIP"]
    selector: dict[str, str]
    ports: list[JsonObject]


class ConfigMapSpec(TypedDict):
    """What a v1 ConfigMap holds."""

    data: dict[str, str]


WorkloadT_contra = TypeVar("WorkloadT_contra", HandlerSpec, ModuleSpec, contravariant=True)


class ManifestGenerator(Protocol[WorkloadT_contra]):
    """Says what a handler or a module becomes. Pure: equal input gives equal manifests."""

    def deployment(
        self, spec: WorkloadT_contra, *, replicas: int | None, config_digest: str
    ) -> DeploymentSpec:
        """The Deployment. ``replicas`` None leaves them to whoever scales it.

        ``config_digest`` stands for the configuration that the pods read: another one rolls
        them. Empty where they read none.
        """

    def service(self, spec: WorkloadT_contra) -> ServiceSpec:
        """The stable address."""

    def config_map(self, spec: WorkloadT_contra) -> ConfigMapSpec | None:
        """The workload's own configuration, or None where it has none."""

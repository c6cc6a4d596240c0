"""How large and how free a handler's pods are: size, resources, identity.

What would let a handler out of its pod (privileges, host namespaces) has no field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from crds.part import (
    DNS_NAME,
    Part,
    Rule,
    described,
    explained_quantity,
    text,
    whole,
)
from objects.quantity import Quantity, amount

DEFAULT_REQUESTS = {"cpu": Quantity("100m"), "memory": Quantity("128Mi")}
DEFAULT_LIMITS = {"cpu": Quantity("500m"), "memory": Quantity("512Mi")}
"""By the names of the fields below. A default that crosses a written value gives way to it."""

NON_ROOT = 65532
"""The ``nonroot`` user of the distroless images; any number but 0 would do."""


def _identity(description: str) -> Meta:
    return whole(f"{description} Default {NON_ROOT} with profile Restricted.", 0, 2**31 - 1)


class Autoscaling(Part, frozen=True, kw_only=True):
    """How the number of pods follows the load, by a HorizontalPodAutoscaler."""

    rules = (
        Rule(
            "!self.enabled || has(self.maxReplicas)",
            "autoscaling needs an upper bound: write maxReplicas beside enabled: true",
            lambda it: not it.enabled or it.max_replicas is not UNSET,
        ),
        Rule(
            "!has(self.minReplicas) || !has(self.maxReplicas) "
            "|| self.minReplicas <= self.maxReplicas",
            "minReplicas is more than maxReplicas: lower minReplicas or raise maxReplicas",
            lambda it: it.max_replicas is UNSET or it.min_replicas <= it.max_replicas,
        ),
    )

    enabled: Annotated[
        bool,
        described(
            "true makes a HorizontalPodAutoscaler, which then owns the number of pods; "
            "spec.replicas is only the size at the start. false hands the number back to "
            "spec.replicas."
        ),
    ]
    min_replicas: Annotated[int, whole("Never fewer pods than this.", 1, 1000)] = 1
    max_replicas: (
        Annotated[int, whole("Never more pods than this. Required with enabled: true.", 1, 1000)]
        | UnsetType
    ) = UNSET
    target_cpu: Annotated[
        int,
        whole(
            "Percent of requests.cpu that the pods use on average; above it pods are added, "
            "well below it pods are taken away.",
            1,
            100,
        ),
    ] = field(default=70, name="targetCPU")


class ResourceRequests(Part, frozen=True, kw_only=True):
    """What the scheduler sets aside for each pod."""

    cpu: (
        Annotated[
            Quantity,
            explained_quantity(
                f"Processor time: 1 is a core, 100m a tenth. Default {DEFAULT_REQUESTS['cpu']}."
            ),
        ]
        | UnsetType
    ) = UNSET
    memory: (
        Annotated[
            Quantity,
            explained_quantity(
                f"Memory in bytes, for example 128Mi. Default {DEFAULT_REQUESTS['memory']}."
            ),
        ]
        | UnsetType
    ) = UNSET
    ephemeral_storage: (
        Annotated[
            Quantity,
            explained_quantity("Local disk in bytes, for example 1Gi. Default: not set aside."),
        ]
        | UnsetType
    ) = field(default=UNSET, name="ephemeral-storage")


class ResourceLimits(Part, frozen=True, kw_only=True):
    """What each pod may use at most."""

    cpu: (
        Annotated[
            Quantity,
            explained_quantity(
                f"Processor time; above it the pod is slowed down. Default {DEFAULT_LIMITS['cpu']}."
            ),
        ]
        | UnsetType
    ) = UNSET
    memory: (
        Annotated[
            Quantity,
            explained_quantity(
                "Memory in bytes; above it the container is killed. "
                f"Default {DEFAULT_LIMITS['memory']}."
            ),
        ]
        | UnsetType
    ) = UNSET
    ephemeral_storage: (
        Annotated[
            Quantity,
            explained_quantity(
                "Local disk in bytes; above it the pod is evicted. Default: no limit."
            ),
        ]
        | UnsetType
    ) = field(default=UNSET, name="ephemeral-storage")


def _within_limit(resource: str) -> Rule:
    attribute = resource.replace("-", "_")
    # CEL has no field name with a hyphen: the API server offers this escaped one.
    path = resource.replace("-", "__dash__")
    requested, limit = f"self.requests.{path}", f"self.limits.{path}"

    def holds(it: ResourceRequirements) -> bool:
        request, limit = getattr(it.requests, attribute), getattr(it.limits, attribute)
        return UNSET in (request, limit) or amount(request) <= amount(limit)

    return Rule(
        f"!has(self.requests) || !has(self.limits) || !has({requested}) || !has({limit}) || "
        f"!isQuantity(string({requested})) || !isQuantity(string({limit})) || "
        f"quantity(string({requested})).compareTo(quantity(string({limit}))) <= 0",
        f"requests.{resource} is more than limits.{resource}: raise the limit or lower the request",
        holds,
    )


class ResourceRequirements(Part, frozen=True, kw_only=True):
    """Requests and limits of each pod; what is not written keeps its default, key by key."""

    rules = tuple(_within_limit(resource) for resource in ("cpu", "memory", "ephemeral-storage"))

    requests: Annotated[ResourceRequests, described("What is set aside for each pod.")] = (
        ResourceRequests()
    )
    limits: Annotated[ResourceLimits, described("What each pod may use at most.")] = (
        ResourceLimits()
    )


class LocalObjectReference(Part, frozen=True, kw_only=True):
    """An object of the same namespace."""

    name: Annotated[str, text("Its name.", 253, pattern=DNS_NAME)]


class Security(Part, frozen=True, kw_only=True):
    """How far the pods are locked in."""

    rules = (
        Rule(
            "!has(self.runAsUser) || self.runAsUser > 0 "
            "|| (has(self.profile) && self.profile == 'Baseline')",
            "runAsUser: 0 is root: write a uid of 1 or more, or profile: Baseline",
            lambda it: it.run_as_user != 0 or it.profile == "Baseline",
        ),
    )

    profile: Annotated[
        Literal["Restricted", "Baseline"],
        described(
            "Which of the Pod Security Standards the pods keep. Restricted: not root, no "
            "capability, no privilege escalation, seccomp RuntimeDefault. Baseline: the image's "
            "own user is left alone, root included."
        ),
    ] = "Restricted"
    run_as_user: Annotated[int, _identity("Numeric uid of the process.")] | UnsetType = UNSET
    run_as_group: Annotated[int, _identity("Numeric gid of the process.")] | UnsetType = UNSET
    fs_group: Annotated[int, _identity("Numeric gid that volumes are given to.")] | UnsetType = (
        UNSET
    )
    read_only_root_filesystem: (
        Annotated[
            bool,
            described(
                "The container can write to its volumes only. Default true with profile "
                "Restricted; /tmp stays writable (an emptyDir)."
            ),
        ]
        | UnsetType
    ) = UNSET

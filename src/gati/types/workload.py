"""How large and how free a handler's pods are: size, resources, identity.

What would let a handler out of its pod (privileges, host namespaces) has no field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType, field

from crds.part import (
    DNS_NAME,
    Part,
    Rule,
    described,
    explained_quantity,
    text,
    whole,
)


class Autoscaling(Part, frozen=True, kw_only=True):
    """How the number of pods follows the load, by a HorizontalPodAutoscaler."""

    rules = (
        Rule(
            "!self.enabled || has(self.maxReplicas)",
            "autoscaling needs an upper bound: write maxReplicas beside enabled: true",
        ),
        Rule(
            "!has(self.minReplicas) || !has(self.maxReplicas) "
            "|| self.minReplicas <= self.maxReplicas",
            "minReplicas is more than maxReplicas: lower minReplicas or raise maxReplicas",
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
    min_replicas: Annotated[int, whole("Never fewer pods than this. Default 1.", 1, 1000)] | (
        UnsetType
    ) = UNSET
    max_replicas: (
        Annotated[int, whole("Never more pods than this. Required with enabled: true.", 1, 1000)]
        | UnsetType
    ) = UNSET
    target_cpu: (
        Annotated[
            int,
            whole(
                "Percent of requests.cpu that the pods use on average; above it pods are added, "
                "well below it pods are taken away. Default 70.",
                1,
                100,
            ),
        ]
        | UnsetType
    ) = field(default=UNSET, name="targetCPU")


class ResourceRequests(Part, frozen=True, kw_only=True):
    """What the scheduler sets aside for each pod."""

    cpu: (
        Annotated[
            int | str,
            explained_quantity("Processor time: 1 is a core, 100m a tenth. Default 100m."),
        ]
        | UnsetType
    ) = UNSET
    memory: (
        Annotated[
            int | str, explained_quantity("Memory in bytes, for example 128Mi. Default 128Mi.")
        ]
        | UnsetType
    ) = UNSET
    ephemeral_storage: (
        Annotated[
            int | str,
            explained_quantity("Local disk in bytes, for example 1Gi. Default: not set aside."),
        ]
        | UnsetType
    ) = field(default=UNSET, name="ephemeral-storage")


class ResourceLimits(Part, frozen=True, kw_only=True):
    """What each pod may use at most."""

    cpu: (
        Annotated[
            int | str,
            explained_quantity("Processor time; above it the pod is slowed down. Default 500m."),
        ]
        | UnsetType
    ) = UNSET
    memory: (
        Annotated[
            int | str,
            explained_quantity("Memory in bytes; above it the container is killed. Default 512Mi."),
        ]
        | UnsetType
    ) = UNSET
    ephemeral_storage: (
        Annotated[
            int | str,
            explained_quantity(
                "Local disk in bytes; above it the pod is evicted. Default: no limit."
            ),
        ]
        | UnsetType
    ) = field(default=UNSET, name="ephemeral-storage")


def _within_limit(shown: str, path: str) -> Rule:
    requested, limit = f"self.requests.{path}", f"self.limits.{path}"
    return Rule(
        f"!has(self.requests) || !has(self.limits) || !has({requested}) || !has({limit}) || "
        f"!isQuantity(string({requested})) || !isQuantity(string({limit})) || "
        f"quantity(string({requested})).compareTo(quantity(string({limit}))) <= 0",
        f"requests.{shown} is more than limits.{shown}: raise the limit or lower the request",
    )


class ResourceRequirements(Part, frozen=True, kw_only=True):
    """Requests and limits of each pod; what is not written keeps its default, key by key."""

    rules = (
        _within_limit("cpu", "cpu"),
        _within_limit("memory", "memory"),
        # CEL has no field name with a hyphen: the API server offers this escaped one.
        _within_limit("ephemeral-storage", "ephemeral__dash__storage"),
    )

    requests: (
        Annotated[ResourceRequests, described("What is set aside for each pod.")] | UnsetType
    ) = UNSET
    limits: Annotated[ResourceLimits, described("What each pod may use at most.")] | UnsetType = (
        UNSET
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
        ),
    )

    profile: (
        Annotated[
            Literal["Restricted", "Baseline"],
            described(
                "Which of the Pod Security Standards the pods keep. Restricted (the default): not "
                "root, no capability, no privilege escalation, seccomp RuntimeDefault. Baseline: "
                "the image's own user is left alone, root included."
            ),
        ]
        | UnsetType
    ) = UNSET
    run_as_user: (
        Annotated[
            int,
            whole(
                "Numeric uid of the process. Default 65532 with profile Restricted.", 0, 2**31 - 1
            ),
        ]
        | UnsetType
    ) = UNSET
    run_as_group: (
        Annotated[
            int,
            whole(
                "Numeric gid of the process. Default 65532 with profile Restricted.", 0, 2**31 - 1
            ),
        ]
        | UnsetType
    ) = UNSET
    fs_group: (
        Annotated[
            int,
            whole(
                "Numeric gid that volumes are given to. Default 65532 with profile Restricted.",
                0,
                2**31 - 1,
            ),
        ]
        | UnsetType
    ) = UNSET
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

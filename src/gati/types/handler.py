"""GatiHandler: one request handler of a Gati application, and how it is to run.

A field is here only if the operator honours it. Defaults other than that of ``replicas`` are
filled in by the operator, not by the schema: a schema default on one of two spellings would make
every object with the other spelling invalid.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from crds.part import (
    DNS_NAME,
    LABEL_VALUE,
    QUALIFIED_NAME,
    Part,
    Rule,
    at_most_one,
    described,
    mapping,
    one_word,
    several,
    text,
    whole,
)
from gati.types.environment import Config, EnvFromSource, EnvVar
from gati.types.probes import Probes
from gati.types.scheduling import Affinity, NodeLabels, Toleration, TopologySpreadConstraint
from gati.types.status import GENERATION, Conditions
from gati.types.volumes import Volume, VolumeMount
from gati.types.workload import Autoscaling, LocalObjectReference, ResourceRequirements, Security

_PATH = (
    "The route the handler answers, for example /users/:id. The runtime of the application routes "
    "by it; the operator hands it on as it is."
)
_PATH_RULE = Rule(
    r"self.matches('^/\\S*$')",
    "a path starts with '/' and holds no white space: write for example /users/:id",
)
_LEGAL_KEYS = Rule(
    f"self.all(key, key.matches('{QUALIFIED_NAME.replace(chr(92), chr(92) * 2)}'))",
    "a key is a name, or a DNS prefix, a slash and a name: write for example team or "
    "example.com/team",
)
_OWN_KEYS = Rule(
    "self.all(key, !key.startsWith('gati.dev/') && !key.startsWith('app.kubernetes.io/'))",
    "keys that start with gati.dev/ or app.kubernetes.io/ are the operator's own: use another prefix",
)


class GatiHandlerSpec(Part, frozen=True, kw_only=True):
    """What is wanted. Everything but the path has a default."""

    rules = (
        at_most_one("path", "handlerPath"),
        Rule(
            "has(self.path) || has(self.handlerPath)",
            "a handler needs a path: write for example path: /users "
            "(or handlerPath: /users, the spelling of gati.dev/v1alpha1)",
        ),
        Rule(
            "!has(self.volumeMounts) || self.volumeMounts.all(mount, has(self.volumes) && "
            "self.volumes.exists(volume, volume.name == mount.name))",
            "each of volumeMounts names one of volumes: add the volume or correct the name",
        ),
    )

    path: (
        Annotated[
            str,
            text(
                f"{_PATH} Required, here or as handlerPath (the spelling of v1alpha1).",
                1024,
                rules=(_PATH_RULE,),
            ),
        ]
        | UnsetType
    ) = UNSET
    handler_path: (
        Annotated[
            str,
            text(f"{_PATH} The v1alpha1 spelling of path.", 1024, rules=(_PATH_RULE,)),
        ]
        | UnsetType
    ) = UNSET
    version: (
        Annotated[
            str,
            text(
                "The release that runs, for example v1.2.0 or 1.0.0+build.5; shown in labels and "
                "status. Default: a short hash of the spec, so that every change is a version.",
                128,
                rules=(one_word("v1.2.0"),),
            ),
        ]
        | UnsetType
    ) = UNSET
    image: (
        Annotated[
            str,
            text(
                "The container image, for example registry.example/users:v1.2.0. Default: the "
                "operator's --default-image; where it has none, Ready is False with the reason "
                "ImageMissing.",
                512,
                rules=(one_word("registry.example/users:v1.2.0"),),
            ),
        ]
        | UnsetType
    ) = UNSET
    port: (
        Annotated[
            int,
            whole(
                "The port the container listens on, also the port of its Service. Default 3000.",
                1,
                65535,
            ),
        ]
        | UnsetType
    ) = UNSET
    replicas: Annotated[
        int,
        whole(
            "How many pods. 0 stops the handler and keeps everything else. With autoscaling this "
            "is only the size at the start. kubectl scale writes this field.",
            0,
            1000,
        ),
    ] = 1
    suspend: (
        Annotated[
            bool,
            described(
                "true: the operator writes nothing but the status; what runs keeps running as it "
                "is, and changes made by hand stay. Default false."
            ),
        ]
        | UnsetType
    ) = UNSET
    autoscaling: (
        Annotated[Autoscaling, described("Let the number of pods follow the load. Default: off.")]
        | UnsetType
    ) = UNSET
    resources: (
        Annotated[
            ResourceRequirements,
            described(
                "Processor time, memory and local disk of each pod. What is not written keeps its "
                "default: requests 100m and 128Mi, limits 500m and 512Mi."
            ),
        ]
        | UnsetType
    ) = UNSET
    config: Config | UnsetType = UNSET
    env: (
        Annotated[
            list[EnvVar],
            several("Environment variables, by value or reference.", 128, by=("name",)),
        ]
        | UnsetType
    ) = UNSET
    env_from: (
        Annotated[
            list[EnvFromSource],
            several(
                "ConfigMaps and Secrets whose every key becomes a variable. A later item wins over "
                "an earlier one, env wins over all.",
                32,
            ),
        ]
        | UnsetType
    ) = UNSET
    command: (
        Annotated[
            list[Annotated[str, text("One word of the command.", 4096)]],
            several("Runs in place of the image's entrypoint. Not given to a shell.", 64),
        ]
        | UnsetType
    ) = UNSET
    args: (
        Annotated[
            list[Annotated[str, text("One argument.", 4096)]],
            several("Arguments in place of the image's own.", 128),
        ]
        | UnsetType
    ) = UNSET
    image_pull_policy: (
        Annotated[
            Literal["Always", "IfNotPresent", "Never"],
            described(
                "When nodes fetch the image. Default: Always for :latest, or for neither tag nor "
                "digest; else IfNotPresent."
            ),
        ]
        | UnsetType
    ) = UNSET
    image_pull_secrets: (
        Annotated[
            list[LocalObjectReference],
            several("Secrets of this namespace that open the registry.", 16, by=("name",)),
        ]
        | UnsetType
    ) = UNSET
    service_account_name: (
        Annotated[
            str,
            text(
                "The ServiceAccount the pods run as; its token is mounted only when it is named "
                "here. Default: the namespace's default account, without a token.",
                253,
                pattern=DNS_NAME,
            ),
        ]
        | UnsetType
    ) = UNSET
    volumes: (
        Annotated[
            list[Volume],
            several("Volumes the container can mount.", 32, by=("name",)),
        ]
        | UnsetType
    ) = UNSET
    volume_mounts: (
        Annotated[
            list[VolumeMount],
            several("Where the container sees the volumes.", 64, by=("mountPath",)),
        ]
        | UnsetType
    ) = UNSET
    node_selector: NodeLabels | UnsetType = UNSET
    tolerations: (
        Annotated[
            list[Toleration],
            several("Taints of nodes that the pods put up with. Default: none.", 32),
        ]
        | UnsetType
    ) = UNSET
    affinity: (
        Annotated[
            Affinity,
            described("Nodes and other pods that the pods want or avoid. Default: none."),
        ]
        | UnsetType
    ) = UNSET
    topology_spread_constraints: (
        Annotated[
            list[TopologySpreadConstraint],
            several(
                "How evenly the handler's pods are spread over hosts or zones. The operator adds "
                "the selector of the handler's own pods.",
                8,
                by=("topologyKey", "whenUnsatisfiable"),
            ),
        ]
        | UnsetType
    ) = UNSET
    priority_class_name: (
        Annotated[
            str,
            text(
                "The PriorityClass of the pods: who goes first when a node is full. Default: the "
                "cluster's.",
                253,
                pattern=DNS_NAME,
            ),
        ]
        | UnsetType
    ) = UNSET
    pod_labels: (
        Annotated[
            dict[str, Annotated[str, text("The label's value.", 63, pattern=LABEL_VALUE)]],
            mapping("Further labels of the pods.", 32, rules=(_LEGAL_KEYS, _OWN_KEYS)),
        ]
        | UnsetType
    ) = UNSET
    pod_annotations: (
        Annotated[
            dict[str, Annotated[str, text("The annotation's value.", 8192)]],
            mapping("Further annotations of the pods.", 32, rules=(_LEGAL_KEYS, _OWN_KEYS)),
        ]
        | UnsetType
    ) = UNSET
    termination_grace_period_seconds: (
        Annotated[
            int,
            whole(
                "Seconds until a pod that is to go is killed. It answers for the first 5 of them, then "
                "gets SIGTERM. Default 30.",
                0,
                3600,
            ),
        ]
        | UnsetType
    ) = UNSET
    probes: (
        Annotated[
            Probes,
            described(
                "Health checks. Default: readiness and liveness by GET /health on spec.port."
            ),
        ]
        | UnsetType
    ) = UNSET
    security: (
        Annotated[
            Security,
            described("How far the pods are locked in. Default: the profile Restricted."),
        ]
        | UnsetType
    ) = UNSET


class GatiHandlerStatus(Part, frozen=True, kw_only=True):
    """What was seen. Written by the operator only."""

    observed_generation: Annotated[int, GENERATION] | UnsetType = UNSET
    phase: (
        Annotated[
            Literal["Pending", "Running", "Failed", "Suspended", "Decommissioned"],
            described(
                "In one word. Pending: on its way. Running: serves, be it the last version while "
                "the next one is on its way. Failed: somebody has to act; the condition Ready says "
                "why and what to do. Suspended: "
                "spec.suspend is true. Decommissioned: not in use yet."
            ),
        ]
        | UnsetType
    ) = UNSET
    replicas: (
        Annotated[int, whole("Pods that exist, old ones included.", 0, 2**31 - 1)] | UnsetType
    ) = UNSET
    ready_replicas: (
        Annotated[int, whole("Pods that are ready to be sent requests.", 0, 2**31 - 1)] | UnsetType
    ) = UNSET
    updated_replicas: (
        Annotated[int, whole("Pods that run what the spec says now.", 0, 2**31 - 1)] | UnsetType
    ) = UNSET
    selector: (
        Annotated[
            str,
            text("Selects the handler's pods; the scale subresource and autoscalers use it.", 1024),
        ]
        | UnsetType
    ) = UNSET
    version: (
        Annotated[str, text("The version in effect: spec.version, or its default.", 128)]
        | UnsetType
    ) = UNSET
    image: (
        Annotated[str, text("The image in effect: spec.image, or the operator's default.", 512)]
        | UnsetType
    ) = UNSET
    template_hash: (
        Annotated[str, text("Of the pods' template that the numbers and Ready are about.", 64)]
        | UnsetType
    ) = UNSET
    conditions: Conditions | UnsetType = UNSET


class GatiHandler(Part, frozen=True, kw_only=True):
    """A request handler of a Gati application: one route, one image, as many pods as asked for.
    The operator makes its Deployment, Service and, where asked for, ConfigMap, autoscaler and
    disruption budget, all named handler-<name>, and keeps them as the spec says.
    """

    spec: Annotated[GatiHandlerSpec, described("What is wanted. Only the path is required.")]
    status: Annotated[GatiHandlerStatus, described("What was seen, by the operator.")] | (
        UnsetType
    ) = UNSET

"""GatiHandler: one request handler of a Gati application, and how it is to run.

A field is here only if the operator honours it. What is declared here is what is decoded, so a
field needs nothing but its place in a manifest (``gati.handler.build``). Defaults are filled in
by the operator and shown in the descriptions; only that of ``replicas`` is in the schema as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, UnsetType, field

from crds.part import (
    DNS_NAME,
    LABEL_VALUE,
    QUALIFIED_NAME,
    URL_PATH,
    Part,
    Rule,
    at_most_one,
    described,
    every_key,
    has,
    mapping,
    matches,
    one_word,
    several,
    text,
    whole,
)
from gati.names import RESERVED_PREFIXES
from gati.types.environment import Config, EnvFromSource, EnvVar
from gati.types.handler_status import GatiHandlerStatus
from gati.types.probes import Probes
from gati.types.scheduling import Affinity, NodeLabels, Toleration, TopologySpreadConstraint
from gati.types.volumes import Volume, VolumeMount
from gati.types.workload import (
    DEFAULT_LIMITS,
    DEFAULT_REQUESTS,
    Autoscaling,
    LocalObjectReference,
    ResourceRequirements,
    Security,
)

_PATH = (
    "The route the handler answers, for example /users/:id. The runtime of the application routes "
    "by it; the operator hands it on as it is."
)
_PATH_RULE = Rule(
    r"self.matches('^/\\S*$')",
    "a path starts with '/' and holds no white space: write for example /users/:id",
    matches(URL_PATH),
)
_LEGAL_KEYS = every_key(
    f"key.matches('{QUALIFIED_NAME.replace(chr(92), chr(92) * 2)}')",
    "a key is a name, or a DNS prefix, a slash and a name: write for example team or "
    "example.com/team",
    matches(QUALIFIED_NAME),
)
_OWN_KEYS = every_key(
    " && ".join(f"!key.startsWith('{prefix}')" for prefix in RESERVED_PREFIXES),
    f"keys that start with {' or '.join(RESERVED_PREFIXES)} are the operator's own: use another "
    "prefix",
    lambda key: not key.startswith(RESERVED_PREFIXES),
)


def _unknown_mounts(spec: GatiHandlerSpec) -> Iterator[str]:
    volumes = {volume.name for volume in spec.volumes}
    for index, mount in enumerate(spec.volume_mounts):
        if mount.name not in volumes:
            yield f".volumeMounts[{index}].name"


class GatiHandlerSpec(Part, frozen=True, kw_only=True):
    """What is wanted. Everything but the path has a default."""

    not_versioned: ClassVar[frozenset[str]] = frozenset(
        {
            "path",
            "handlerPath",
            "version",
            "replicas",
            "minReadySeconds",
            "autoscaling",
            "suspend",
        }
    )
    """The fields that may change while the pods stay as they are. A version that the operator makes
    is a hash of all others."""

    rules = (
        at_most_one("path", "handlerPath"),
        Rule(
            "has(self.path) || has(self.handlerPath)",
            "a handler needs a path: write for example path: /users "
            "(or handlerPath: /users, the spelling of gati.dev/v1alpha1)",
            lambda it: has(it, "path") or has(it, "handlerPath"),
        ),
        Rule(
            "!has(self.volumeMounts) || self.volumeMounts.all(mount, has(self.volumes) && "
            "self.volumes.exists(volume, volume.name == mount.name))",
            "each of volumeMounts names one of volumes: add the volume or correct the name",
            lambda it: not any(_unknown_mounts(it)),
            lambda it: next(_unknown_mounts(it)),
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
    port: Annotated[
        int, whole("The port the container listens on, also the port of its Service.", 1, 65535)
    ] = 3000
    replicas: Annotated[
        int,
        whole(
            "How many pods. 0 stops the handler and keeps everything else. With autoscaling this "
            "is only the size at the start. kubectl scale writes this field.",
            0,
            1000,
            by_server=True,
        ),
    ] = 1
    min_ready_seconds: Annotated[
        int,
        whole(
            "Seconds for which a new pod has to stay ready before it is available: a rollout goes "
            "on, and Ready becomes True, only with pods that are available. A change restarts no "
            "pod.",
            0,
            3600,
        ),
    ] = 0
    suspend: Annotated[
        bool,
        described(
            "true: the operator writes nothing but the status; what runs keeps running as it is, "
            "and changes made by hand stay."
        ),
    ] = False
    autoscaling: (
        Annotated[Autoscaling, described("Let the number of pods follow the load. Default: off.")]
        | UnsetType
    ) = UNSET
    resources: Annotated[
        ResourceRequirements,
        described(
            "Processor time, memory and local disk of each pod. What is not written keeps its "
            f"default: requests {' and '.join(DEFAULT_REQUESTS.values())}, limits "
            f"{' and '.join(DEFAULT_LIMITS.values())}."
        ),
    ] = ResourceRequirements()
    config: Config = field(default_factory=dict)
    env: Annotated[
        tuple[EnvVar, ...],
        several("Environment variables, by value or reference.", 128, by=("name",)),
    ] = ()
    env_from: Annotated[
        tuple[EnvFromSource, ...],
        several(
            "ConfigMaps and Secrets whose every key becomes a variable. A later item wins over "
            "an earlier one, env wins over all.",
            32,
        ),
    ] = ()
    command: Annotated[
        tuple[Annotated[str, text("One word of the command.", 4096)], ...],
        several("Runs in place of the image's entrypoint. Not given to a shell.", 64),
    ] = ()
    args: Annotated[
        tuple[Annotated[str, text("One argument.", 4096)], ...],
        several("Arguments in place of the image's own.", 128),
    ] = ()
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
    image_pull_secrets: Annotated[
        tuple[LocalObjectReference, ...],
        several("Secrets of this namespace that open the registry.", 16, by=("name",)),
    ] = ()
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
    volumes: Annotated[
        tuple[Volume, ...], several("Volumes the container can mount.", 32, by=("name",))
    ] = ()
    volume_mounts: Annotated[
        tuple[VolumeMount, ...],
        several("Where the container sees the volumes.", 64, by=("mountPath",)),
    ] = ()
    node_selector: NodeLabels = field(default_factory=dict)
    tolerations: Annotated[
        tuple[Toleration, ...],
        several("Taints of nodes that the pods put up with. Default: none.", 32),
    ] = ()
    affinity: Annotated[
        Affinity, described("Nodes and other pods that the pods want or avoid. Default: none.")
    ] = Affinity()
    topology_spread_constraints: Annotated[
        tuple[TopologySpreadConstraint, ...],
        several(
            "How evenly the handler's pods are spread over hosts or zones. The operator adds "
            "the selector of the handler's own pods.",
            8,
            by=("topologyKey", "whenUnsatisfiable"),
        ),
    ] = ()
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
    pod_labels: Annotated[
        dict[str, Annotated[str, text("The label's value.", 63, pattern=LABEL_VALUE)]],
        mapping("Further labels of the pods.", 32, rules=(_LEGAL_KEYS, _OWN_KEYS)),
    ] = field(default_factory=dict)
    pod_annotations: Annotated[
        dict[str, Annotated[str, text("The annotation's value.", 8192)]],
        mapping("Further annotations of the pods.", 32, rules=(_LEGAL_KEYS, _OWN_KEYS)),
    ] = field(default_factory=dict)
    termination_grace_period_seconds: Annotated[
        int,
        whole(
            "Seconds until a pod that is to go is killed. It answers for the first 5 of them, then "
            "gets SIGTERM.",
            0,
            3600,
        ),
    ] = 30
    probes: Annotated[
        Probes,
        described("Health checks. Default: readiness and liveness by GET /health on spec.port."),
    ] = Probes()
    security: Annotated[
        Security,
        described("How far the pods are locked in. Default: the profile Restricted."),
    ] = Security()


class GatiHandler(Part, frozen=True, kw_only=True):
    """A request handler of a Gati application: one route, one image, as many pods as asked for.
    The operator makes its Deployment, Service and, where asked for, ConfigMap, autoscaler and
    disruption budget, all named handler-<name>, and keeps them as the spec says.
    """

    spec: Annotated[GatiHandlerSpec, described("What is wanted. Only the path is required.")]
    status: Annotated[GatiHandlerStatus, described("What was seen, by the operator.")] | (
        UnsetType
    ) = UNSET

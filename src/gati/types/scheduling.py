"""Where a handler's pods may run: affinity, tolerations, spreading.

The core API's fields with the core API's names, but curated: spreading takes no label selector,
because the only pods it can mean are the handler's own.
https://kubernetes.io/docs/concepts/scheduling-eviction/
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from crds.part import (
    DNS_LABEL,
    LABEL_VALUE,
    QUALIFIED_NAME,
    Part,
    Rule,
    described,
    mapping,
    several,
    text,
    whole,
)

_TOPOLOGY_KEY = (
    "The node label whose values are the places, for example kubernetes.io/hostname or "
    "topology.kubernetes.io/zone."
)


class LabelSelectorRequirement(Part, frozen=True, kw_only=True):
    """One condition on a label of pods or namespaces."""

    key: Annotated[str, text("The label's key.", 317, pattern=QUALIFIED_NAME)]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        described("In and NotIn compare with values; the other two take none."),
    ]
    values: (
        Annotated[
            tuple[Annotated[str, text("One value.", 63, pattern=LABEL_VALUE)], ...],
            several("The values for In and NotIn.", 32),
        ]
        | UnsetType
    ) = UNSET


class LabelSelector(Part, frozen=True, kw_only=True):
    """A selection by labels; everything written must hold."""

    match_labels: (
        Annotated[
            dict[str, Annotated[str, text("The value asked for.", 63, pattern=LABEL_VALUE)]],
            mapping("Labels and the values they must have.", 16),
        ]
        | UnsetType
    ) = UNSET
    match_expressions: (
        Annotated[tuple[LabelSelectorRequirement, ...], several("Further conditions.", 16)]
        | UnsetType
    ) = UNSET


class NodeSelectorRequirement(Part, frozen=True, kw_only=True):
    """One condition on a node."""

    key: Annotated[str, text("The key of a node label or field.", 317, pattern=QUALIFIED_NAME)]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
        described(
            "In and NotIn compare with values, Gt and Lt with one whole number in values; Exists "
            "and DoesNotExist take none."
        ),
    ]
    values: (
        Annotated[
            tuple[Annotated[str, text("One value.", 63, pattern=LABEL_VALUE)], ...],
            several("The values compared with.", 64),
        ]
        | UnsetType
    ) = UNSET


class NodeSelectorTerm(Part, frozen=True, kw_only=True):
    """Conditions of which all must hold."""

    match_expressions: (
        Annotated[
            tuple[NodeSelectorRequirement, ...], several("Conditions on the node's labels.", 16)
        ]
        | UnsetType
    ) = UNSET
    match_fields: (
        Annotated[
            tuple[NodeSelectorRequirement, ...],
            several("Conditions on the node's fields; only metadata.name is known.", 16),
        ]
        | UnsetType
    ) = UNSET


class NodeSelector(Part, frozen=True, kw_only=True):
    """Terms of which one must hold."""

    node_selector_terms: Annotated[
        tuple[NodeSelectorTerm, ...], several("The terms; one of them must hold.", 16)
    ]


class PreferredSchedulingTerm(Part, frozen=True, kw_only=True):
    """A wish and its weight."""

    weight: Annotated[int, whole("How much the wish counts, 1 to 100.", 1, 100)]
    preference: Annotated[NodeSelectorTerm, described("The nodes wished for.")]


class NodeAffinity(Part, frozen=True, kw_only=True):
    """Which nodes the pods may or should run on."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[NodeSelector, described("Nodes the pods may run on; pods wait where none fits.")]
        | UnsetType
    ) = UNSET
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[
            tuple[PreferredSchedulingTerm, ...], several("Nodes the pods should rather run on.", 16)
        ]
        | UnsetType
    ) = UNSET


class PodAffinityTerm(Part, frozen=True, kw_only=True):
    """Other pods, and what counts as the same place."""

    label_selector: Annotated[
        LabelSelector,
        described("The other pods. A handler's own pods have the label gati.dev/handler: <name>."),
    ]
    topology_key: Annotated[str, text(_TOPOLOGY_KEY, 317, pattern=QUALIFIED_NAME)]
    namespaces: (
        Annotated[
            tuple[Annotated[str, text("A namespace's name.", 63, pattern=DNS_LABEL)], ...],
            several("Where the other pods are. Default: the handler's own namespace.", 16),
        ]
        | UnsetType
    ) = UNSET
    namespace_selector: (
        Annotated[
            LabelSelector,
            described("Further namespaces, by label; {} means all. Default: none."),
        ]
        | UnsetType
    ) = UNSET


class WeightedPodAffinityTerm(Part, frozen=True, kw_only=True):
    """A wish and its weight."""

    weight: Annotated[int, whole("How much the wish counts, 1 to 100.", 1, 100)]
    pod_affinity_term: Annotated[PodAffinityTerm, described("The pods wished for or avoided.")]


class PodAffinity(Part, frozen=True, kw_only=True):
    """Which pods to be near to."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[
            tuple[PodAffinityTerm, ...],
            several("Pods to be near to; the handler's pods wait where that cannot be.", 16),
        ]
        | UnsetType
    ) = UNSET
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[
            tuple[WeightedPodAffinityTerm, ...],
            several("Pods to be near to where that can be.", 16),
        ]
        | UnsetType
    ) = UNSET


class PodAntiAffinity(Part, frozen=True, kw_only=True):
    """Which pods to keep away from."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[
            tuple[PodAffinityTerm, ...],
            several("Pods to keep away from; the handler's pods wait where that cannot be.", 16),
        ]
        | UnsetType
    ) = UNSET
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[
            tuple[WeightedPodAffinityTerm, ...],
            several("Pods to keep away from where that can be.", 16),
        ]
        | UnsetType
    ) = UNSET


class Affinity(Part, frozen=True, kw_only=True):
    """Which nodes and which other pods the handler's pods want or avoid."""

    node_affinity: Annotated[NodeAffinity, described("Nodes to run on.")] | UnsetType = UNSET
    pod_affinity: Annotated[PodAffinity, described("Pods to be near to.")] | UnsetType = UNSET
    pod_anti_affinity: (
        Annotated[PodAntiAffinity, described("Pods to keep away from.")] | UnsetType
    ) = UNSET


class Toleration(Part, frozen=True, kw_only=True):
    """A taint of nodes that the pods put up with."""

    rules = (
        Rule(
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "a toleration without key tolerates everything: write operator: Exists with it, or "
            "name the key",
            lambda it: it.key is not UNSET or it.operator == "Exists",
        ),
        Rule(
            "!has(self.value) || !has(self.operator) || self.operator == 'Equal'",
            "operator: Exists compares with no value: leave value out",
            lambda it: it.value is UNSET or it.operator != "Exists",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds works with effect: NoExecute only",
            lambda it: it.toleration_seconds is UNSET or it.effect == "NoExecute",
        ),
    )

    key: (
        Annotated[str, text("The taint's key. Default: every taint.", 317, pattern=QUALIFIED_NAME)]
        | UnsetType
    ) = UNSET
    operator: (
        Annotated[
            Literal["Exists", "Equal"],
            described("Equal compares with value, Exists does not. Default Equal."),
        ]
        | UnsetType
    ) = UNSET
    value: (
        Annotated[str, text("The taint's value. Default: empty.", 63, pattern=LABEL_VALUE)]
        | UnsetType
    ) = UNSET
    effect: (
        Annotated[
            Literal["NoSchedule", "PreferNoSchedule", "NoExecute"],
            described("The taint's effect. Default: every effect."),
        ]
        | UnsetType
    ) = UNSET
    toleration_seconds: (
        Annotated[
            int,
            whole(
                "Seconds a pod stays on a node that gets the taint later. Default: for ever.",
                0,
                2**31 - 1,
            ),
        ]
        | UnsetType
    ) = UNSET


class TopologySpreadConstraint(Part, frozen=True, kw_only=True):
    """How evenly the handler's pods are spread over places."""

    rules = (
        Rule(
            "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            "minDomains works with whenUnsatisfiable: DoNotSchedule only",
            lambda it: it.min_domains is UNSET or it.when_unsatisfiable == "DoNotSchedule",
        ),
    )

    max_skew: Annotated[
        int, whole("By how many pods two places may differ; 1 is the most even.", 1, 1000)
    ]
    topology_key: Annotated[str, text(_TOPOLOGY_KEY, 317, pattern=QUALIFIED_NAME)]
    when_unsatisfiable: Annotated[
        Literal["DoNotSchedule", "ScheduleAnyway"],
        described(
            "What happens to a pod that would be too uneven: it waits, or runs all the same."
        ),
    ]
    min_domains: (
        Annotated[int, whole("Count at least this many places as there. Default 1.", 1, 1000)]
        | UnsetType
    ) = UNSET
    node_affinity_policy: (
        Annotated[
            Literal["Honor", "Ignore"],
            described("Whether only nodes the pods may run on count. Default Honor."),
        ]
        | UnsetType
    ) = UNSET
    node_taints_policy: (
        Annotated[
            Literal["Honor", "Ignore"],
            described("Whether nodes with taints not tolerated are left out. Default Ignore."),
        ]
        | UnsetType
    ) = UNSET


NodeLabels = Annotated[
    dict[str, Annotated[str, text("The value asked for.", 63, pattern=LABEL_VALUE)]],
    mapping("Run only on nodes with all of these labels. Default: any node.", 32),
]
"""The type of ``GatiHandler.spec.nodeSelector``."""

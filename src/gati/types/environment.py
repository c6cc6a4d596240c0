"""The environment variables of a handler, by value or by reference.

Field names are the core API's wherever the meaning is the core API's, so that what somebody
knows from a Deployment holds here.
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from crds.part import (
    DNS_NAME,
    ONE_WORD,
    VARIABLE,
    Part,
    Rule,
    described,
    every_key,
    exactly_one,
    mapping,
    matches,
    quantity,
    text,
)
from objects.quantity import Quantity


class Reference(Part, frozen=True, kw_only=True):
    """A ConfigMap or a Secret in the same namespace."""

    name: Annotated[str, text("Name of the ConfigMap or Secret.", 253, pattern=DNS_NAME)]
    optional: (
        Annotated[
            bool, described("Start also where it, or a key named here, is missing. Default false.")
        ]
        | UnsetType
    ) = UNSET


class KeySelector(Reference, frozen=True, kw_only=True):
    """One key of a ConfigMap or a Secret in the same namespace."""

    key: Annotated[str, text("The key in it.", 253, least=1)]


class ObjectFieldSelector(Part, frozen=True, kw_only=True):
    """One field of the pod itself."""

    field_path: Annotated[
        str,
        text(
            "The field: metadata.name, metadata.namespace, metadata.uid, metadata.labels['<KEY>'], "
            "metadata.annotations['<KEY>'], spec.nodeName, spec.serviceAccountName, status.podIP "
            "or status.hostIP.",
            512,
            least=1,
        ),
    ]


class ResourceFieldSelector(Part, frozen=True, kw_only=True):
    """One request or limit of the handler's container."""

    resource: Annotated[
        str, text("For example limits.cpu or requests.memory.", 64, pattern=ONE_WORD)
    ]
    divisor: (
        Annotated[
            Quantity,
            quantity("The unit to count in, for example 1m or 1Mi. Default 1: cores or bytes."),
        ]
        | UnsetType
    ) = UNSET


class EnvVarSource(Part, frozen=True, kw_only=True):
    """Where the value of one environment variable comes from."""

    rules = (
        exactly_one(
            ("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef"),
            "valueFrom names one source: write exactly one of configMapKeyRef, secretKeyRef, "
            "fieldRef and resourceFieldRef",
        ),
    )

    config_map_key_ref: (
        Annotated[
            KeySelector,
            described("A key of a ConfigMap. When its content changes the pods are rolled."),
        ]
        | UnsetType
    ) = UNSET
    secret_key_ref: (
        Annotated[
            KeySelector,
            described("A key of a Secret. The operator itself never reads the Secret."),
        ]
        | UnsetType
    ) = UNSET
    field_ref: Annotated[ObjectFieldSelector, described("A field of the pod.")] | UnsetType = UNSET
    resource_field_ref: (
        Annotated[ResourceFieldSelector, described("A request or limit of the container.")]
        | UnsetType
    ) = UNSET


class EnvVar(Part, frozen=True, kw_only=True):
    """One environment variable."""

    rules = (
        Rule(
            "!(has(self.value) && has(self.valueFrom))",
            "write value or valueFrom, not both",
            lambda it: it.value is UNSET or it.value_from is UNSET,
        ),
    )

    name: Annotated[
        str, text("Name of the variable, for example LOG_LEVEL.", 256, pattern=VARIABLE)
    ]
    value: (
        Annotated[
            str,
            text("The value itself. Default: empty. $(OTHER) is replaced by that variable.", 32768),
        ]
        | UnsetType
    ) = UNSET
    value_from: (
        Annotated[EnvVarSource, described("Where to take the value from instead.")] | UnsetType
    ) = UNSET


class EnvFromSource(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A ConfigMap or a Secret, each of whose keys becomes a variable."""

    rules = (
        exactly_one(
            ("configMapRef", "secretRef"),
            "write exactly one of configMapRef and secretRef in each item of envFrom",
        ),
    )

    prefix: Annotated[str, text("Put before each key, for example DB_. Default: nothing.", 128)] = (
        ""
    )
    config_map_ref: (
        Annotated[
            Reference,
            described("All keys of a ConfigMap. When its content changes the pods are rolled."),
        ]
        | UnsetType
    ) = UNSET
    secret_ref: Annotated[Reference, described("All keys of a Secret.")] | UnsetType = UNSET


Config = Annotated[
    dict[str, Annotated[str, text("The variable's value.", 32768)]],
    mapping(
        "Settings of this handler. They become a ConfigMap of its own and reach the container as "
        "environment variables; a change rolls the pods. envFrom and env win over it. Not "
        "for passwords: use env with secretKeyRef.",
        64,
        rules=(
            every_key(
                f"key.matches('{VARIABLE}')",
                "each key of config becomes an environment variable: write letters, digits and _ "
                "only, and no digit first, for example LOG_LEVEL",
                matches(VARIABLE),
            ),
        ),
    ),
]
"""The type of ``GatiHandler.spec.config``."""

"""GatiVersion: one release of a handler, and its share of the requests.

The fields are the samples' own. The operator accepts them and says in the status that versions
are not managed yet; each description says what its field asks for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from crds.part import DNS_NAME, ONE_WORD, Part, at_most_one, described, moment, several, text, whole
from gati.types.status import GENERATION, Conditions

_VERSION = "The release, for example v1.0.0."
_TRAFFIC = "Percent of the handler's requests that this version gets, 0 to 100."


class GatiVersionSpec(Part, frozen=True, kw_only=True):
    """What is wanted."""

    rules = (at_most_one("version", "versionId"), at_most_one("traffic", "routingWeight"))

    handler: (
        Annotated[
            str,
            text(
                "Name of the GatiHandler in this namespace that this is a version of.",
                253,
                pattern=DNS_NAME,
            ),
        ]
        | UnsetType
    ) = UNSET
    version: Annotated[str, text(_VERSION, 128, pattern=ONE_WORD)] | UnsetType = UNSET
    version_id: (
        Annotated[str, text(f"{_VERSION} The v1alpha1 spelling of version.", 128, pattern=ONE_WORD)]
        | UnsetType
    ) = UNSET
    timestamp: (
        Annotated[
            datetime,
            moment("When the release was made, as RFC 3339, for example 2025-11-22T10:00:00Z."),
        ]
        | UnsetType
    ) = UNSET
    active: Annotated[bool, described("false takes the version out of service.")] | UnsetType = (
        UNSET
    )
    traffic: Annotated[int, whole(_TRAFFIC, 0, 100)] | UnsetType = UNSET
    routing_weight: (
        Annotated[int, whole(f"{_TRAFFIC} The v1alpha1 spelling of traffic.", 0, 100)] | UnsetType
    ) = UNSET
    breaking: (
        Annotated[
            bool,
            described(
                "true: clients of the version before cannot use this one unless their requests are "
                "transformed. false says nothing."
            ),
        ]
        | UnsetType
    ) = UNSET
    transformers: (
        Annotated[
            tuple[Annotated[str, text("Name of one transformer.", 253, pattern=ONE_WORD)], ...],
            several("Transformers between this version and its neighbours, in order.", 32),
        ]
        | UnsetType
    ) = UNSET


class GatiVersionStatus(Part, frozen=True, kw_only=True):
    """What was seen. Written by the operator only."""

    observed_generation: Annotated[int, GENERATION] | UnsetType = UNSET
    phase: (
        Annotated[
            Literal["Accepted", "Pending", "Active", "Draining", "Decommissioned"],
            described(
                "In one word. Accepted: the object is in order and nothing is routed by it yet."
            ),
        ]
        | UnsetType
    ) = UNSET
    conditions: Conditions | UnsetType = UNSET


class GatiVersion(Part, frozen=True, kw_only=True):
    """One release of a GatiHandler and its share of the requests. This release of the operator
    checks and keeps the object; it does not route by it yet, and the status says so.
    """

    spec: Annotated[GatiVersionSpec, described("What is wanted.")]
    status: Annotated[GatiVersionStatus, described("What was seen, by the operator.")] | (
        UnsetType
    ) = UNSET

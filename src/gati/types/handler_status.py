"""The status of a GatiHandler: what the operator saw of it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from crds.part import Part, described, text, whole
from gati.types.status import GENERATION, Conditions


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

"""The reasons of a condition: a fixed set that scripts and alerts may rely on.

``docs/reference/gati-conditions.md`` says of each what it means and what to do. The reasons of
pods that do not start are ``objects.pods.PodReason``.
"""

from __future__ import annotations

from enum import StrEnum

from objects.pods import PodReason


class Reason(StrEnum):
    """Why a condition holds or does not, in one word."""

    READY = "Ready"
    SCALED_TO_ZERO = "ScaledToZero"
    PROGRESSING = "Progressing"
    SUSPENDED = "Suspended"

    INVALID_SPEC = "InvalidSpec"
    IMAGE_MISSING = "ImageMissing"
    NAME_CONFLICT = "NameConflict"
    API_REFUSED = "ApiRefused"
    QUOTA_EXCEEDED = "QuotaExceeded"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    REPLICA_FAILURE = "ReplicaFailure"

    CONTESTED = "Contested"
    OWN_AUTOSCALER = "OwnAutoscaler"
    USERS_AUTOSCALER = "UsersAutoscaler"
    ACCEPTED_NOT_MANAGED = "AcceptedNotManaged"


FAILURES: frozenset[str] = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.IMAGE_MISSING,
        Reason.NAME_CONFLICT,
        Reason.API_REFUSED,
        Reason.QUOTA_EXCEEDED,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        Reason.REPLICA_FAILURE,
        *PodReason,
    }
)
"""Reasons of Ready=False that wait for somebody, and are worth a Warning."""


def refusal_reason(message: str, otherwise: Reason) -> Reason:
    """The reason of a refused write. The API server names a quota only in the message."""
    return Reason.QUOTA_EXCEEDED if "exceeded quota" in message else otherwise

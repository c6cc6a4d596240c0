"""The reasons of a condition: a fixed set that scripts and alerts may rely on.

``docs/reference/gati-conditions.md`` says of each what it means and what to do.
"""

from __future__ import annotations

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

IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
INVALID_IMAGE_NAME = "InvalidImageName"
CREATE_CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"
CREATE_CONTAINER_ERROR = "CreateContainerError"
CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"
UNSCHEDULABLE = "Unschedulable"
REPLICA_FAILURE = "ReplicaFailure"

CONTESTED = "Contested"
OWN_AUTOSCALER = "OwnAutoscaler"
USERS_AUTOSCALER = "UsersAutoscaler"
ACCEPTED_NOT_MANAGED = "AcceptedNotManaged"

FAILURES = frozenset(
    {
        INVALID_SPEC,
        IMAGE_MISSING,
        NAME_CONFLICT,
        API_REFUSED,
        QUOTA_EXCEEDED,
        PROGRESS_DEADLINE_EXCEEDED,
        IMAGE_PULL_BACK_OFF,
        INVALID_IMAGE_NAME,
        CREATE_CONTAINER_CONFIG_ERROR,
        CREATE_CONTAINER_ERROR,
        CRASH_LOOP_BACK_OFF,
        UNSCHEDULABLE,
        REPLICA_FAILURE,
    }
)
"""Reasons of Ready=False that wait for somebody, and are worth a Warning."""

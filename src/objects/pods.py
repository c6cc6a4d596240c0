"""Why a pod does not start, in a message that stays the same while the problem does.

Nothing that differs from pod to pod or from try to try (names, ids, times) gets into a message: a
status with another message for the same problem would be written again and again. Times are only
compared with each other: there is no clock here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from contract.model import Object
from contract.status import find, parse_time

CRASHES = 2
"""Restarts of a container that is not ready after which it counts as crashing, between its
back-offs as well."""

LONG_RUN = 600
"""Seconds after which a run is no failed try to start: the kubelet forgets its back-off then."""


class PodReason(StrEnum):
    """Why a pod does not start, in one word; the gravest first."""

    INVALID_IMAGE_NAME = "InvalidImageName"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    CREATE_CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"
    CREATE_CONTAINER_ERROR = "CreateContainerError"
    CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"
    UNSCHEDULABLE = "Unschedulable"


_SEVERITY = tuple(PodReason)
_WAITING = {
    "InvalidImageName": PodReason.INVALID_IMAGE_NAME,
    "ErrImagePull": PodReason.IMAGE_PULL_BACK_OFF,
    "ImagePullBackOff": PodReason.IMAGE_PULL_BACK_OFF,
    "ErrImageNeverPull": PodReason.IMAGE_PULL_BACK_OFF,
    "RegistryUnavailable": PodReason.IMAGE_PULL_BACK_OFF,
    "CreateContainerConfigError": PodReason.CREATE_CONTAINER_CONFIG_ERROR,
    "CreateContainerError": PodReason.CREATE_CONTAINER_ERROR,
    "RunContainerError": PodReason.CREATE_CONTAINER_ERROR,
    "CrashLoopBackOff": PodReason.CRASH_LOOP_BACK_OFF,
}
"""The kubelet's reasons of a waiting container; those of one try and of the pause after it are
one reason here, because they alternate."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason and what is known about it."""

    reason: str
    message: str


def gravest(problems: Iterable[Problem]) -> Problem | None:
    """The problem that blocks most; the same one whatever their order. All are PodReasons."""
    return min(problems, key=lambda each: (_severity(each), each.message), default=None)


def diagnose(pod: Object) -> Problem | None:
    """Why this pod does not start; None where it does, or is finished or going away."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    found = [*_unschedulable(status), *_containers(status)]
    problem = min(found, key=_severity, default=None)
    if problem is None:
        return None
    return Problem(problem.reason, stable(problem.message, pod["metadata"]["name"]))


def _severity(problem: Problem) -> int:
    return _SEVERITY.index(PodReason(problem.reason))


def stable(message: str, pod_name: str = "") -> str:
    """The message without what differs from pod to pod and from try to try."""
    text = _POD_MENTION.sub("", message)
    if pod_name:
        text = text.replace(pod_name, "<pod>")
    text = _FORBIDDEN_POD.sub("", text)
    return _IDENTIFIER.sub("<id>", text).strip()


_POD_MENTION = re.compile(r'\s*\(pod: "[^"]*", container: [^)]*\)')
_FORBIDDEN_POD = re.compile(r'^pods "[^"]*" is forbidden: ')
_IDENTIFIER = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{12,}\b")


def _unschedulable(status: Object) -> Iterator[Problem]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = str(condition.get("message", "")).partition(" preemption:")[0]
            yield Problem(PodReason.UNSCHEDULABLE, message or "no node has room")


def _containers(status: Object) -> Iterator[Problem]:
    ready_changed = find({"status": status}, "Ready").get("lastTransitionTime")
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(field) or ():
            problem = _container(container, ready_changed)
            if problem is not None:
                yield problem


def _container(status: Object, ready_changed: Any) -> Problem | None:
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason = _WAITING.get(str(waiting.get("reason")))
    unready = not status.get("ready") and status.get("restartCount", 0) >= CRASHES
    crashes = reason is None and unready and not _ran_long(status, ready_changed)
    if crashes or reason == PodReason.CRASH_LOOP_BACK_OFF:
        return Problem(PodReason.CRASH_LOOP_BACK_OFF, _exit(status))
    if reason is None:
        return None
    if reason == PodReason.IMAGE_PULL_BACK_OFF:
        return Problem(reason, f"the image {status.get('image')} cannot be pulled")
    if reason == PodReason.INVALID_IMAGE_NAME:
        return Problem(reason, f"{status.get('image')} is not a valid image name")
    return Problem(reason, str(waiting.get("message") or waiting["reason"]))


def _ran_long(status: Object, ready_changed: Any) -> bool:
    """Did the container run for long before it ended last, or until it became unready?

    Then it was started well, whatever is wrong with it now. What has no times did not.
    """
    state = status.get("state") or {}
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    if _lasts(ended.get("startedAt"), ended.get("finishedAt")):
        return True
    return _lasts((state.get("running") or {}).get("startedAt"), ready_changed)


def _lasts(start: Any, end: Any) -> bool:
    first, last = _moment(start), _moment(end)
    return bool(first and last and (last - first).total_seconds() >= LONG_RUN)


def _moment(text: Any) -> datetime | None:
    """The moment of a time as the API writes it; None where it is none."""
    try:
        moment = parse_time(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None


def _exit(status: Object) -> str:
    """How a container that keeps ending ended last."""
    last = (status.get("lastState") or {}).get("terminated") or {}
    ended = last or (status.get("state") or {}).get("terminated") or {}
    name = status.get("name")
    if not ended:
        return f"container {name} keeps ending"
    why = ended.get("reason")
    suffix = f" ({why})" if why and why != "Error" else ""
    return f"container {name} keeps ending with exit code {ended.get('exitCode')}{suffix}"

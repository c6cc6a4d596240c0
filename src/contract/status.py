"""Conditions as kstatus understands them. Pure; the one place that builds a status.

Ready is whether the object does its work; Reconciling is present and True while the
controller is still on its way; Stalled is present and True where it cannot go on unless
a user changes something. The last two are absent when they do not hold, so that a
healthy object shows one line.
https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from contract.model import Object

ConditionStatus = Literal["True", "False", "Unknown"]

MESSAGE_LIMIT = 1024
"""Characters of a condition's message that are kept; servers and webhooks can be talkative."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: its reason is from the kind's fixed set, its message names what to do."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""


def rfc3339(moment: datetime) -> str:
    """The time as the API writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """The reverse of ``rfc3339``; fractions of a second are accepted."""
    return datetime.fromisoformat(text)


def conditions(
    wanted: Iterable[Condition], old: Iterable[Object], generation: int, now: datetime
) -> list[Object]:
    """The conditions as they go into ``status.conditions``, in the order given.

    A transition time is kept while the condition's status stays; the message is cut.
    """
    before = {condition.get("type"): condition for condition in old}
    result: list[Object] = []
    for condition in wanted:
        previous = before.get(condition.type, {})
        same = previous.get("status") == condition.status and previous.get("lastTransitionTime")
        result.append(
            {
                "type": condition.type,
                "status": condition.status,
                "observedGeneration": generation,
                "lastTransitionTime": previous["lastTransitionTime"] if same else rfc3339(now),
                "reason": str(condition.reason),  # a StrEnum as the string it is
                "message": condition.message[:MESSAGE_LIMIT],
            }
        )
    return result


def find(obj: Object, type_: str) -> dict[str, Any]:
    """The condition of that type in an object's status; one that is Unknown where there is none."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == type_:
            return condition  # type: ignore[no-any-return]
    return {"type": type_, "status": "Unknown", "reason": "", "message": ""}

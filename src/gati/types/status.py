"""The status that all kinds share: which generation was looked at, and the conditions.

A status is written by the operator only, and says nothing that cannot be derived again from the
cluster; so a wiped status comes back as it was.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from crds.part import Part, described, several, text, whole

GENERATION = whole(
    "The metadata.generation this status speaks of; while it is lower, the last change of the "
    "spec has not been looked at.",
    0,
    2**53,
)


class Condition(Part, frozen=True, kw_only=True):
    """One fact about an object, in the form all of Kubernetes uses (metav1.Condition)."""

    type: Annotated[
        str,
        text(
            "What the condition is about, for example Ready.",
            316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$",
        ),
    ]
    status: Annotated[
        Literal["True", "False", "Unknown"], described("Whether it holds, as far as is known.")
    ]
    observed_generation: Annotated[int, GENERATION] | UnsetType = UNSET
    last_transition_time: Annotated[
        str, text("Since when status has this value.", 64, format="date-time")
    ]
    reason: Annotated[
        str,
        text(
            "The cause in one word, from a fixed set; for programs.",
            1024,
            least=1,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        ),
    ]
    message: Annotated[str, text("The cause in words, and what to do about it; for people.", 32768)]


Conditions = Annotated[
    tuple[Condition, ...],
    several(
        "Ready: does its work. Reconciling: on its way. Stalled: cannot go on unless somebody "
        "changes something; the message says what. The last two are there only while they hold.",
        16,
        by=("type",),
    ),
]
"""The type of every kind's ``status.conditions``."""

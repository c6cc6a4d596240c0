"""Rules: which request or frame fails, when and how, as data of plan files; and their counting.

The rule kept here: a rule counts each occurrence that it matches, also where it does not act or
another rule acts. Of several rules that are due, the first added one acts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from chaos.proxy.frames import Frame
from chaos.proxy.requests import VERBS, Request

Phase = Literal["before", "committed", "answered", "stream"]
Fault = Literal[
    "kill", "drop", "delay", "hang", "respond", "late", "stale", "truncate", "duplicate",
    "replay", "cut", "reset", "swallow", "silence", "gone", "error",
]  # fmt: skip
FrameType = Literal["*", "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "INITIAL-END"]

FAULTS: dict[Phase, frozenset[str]] = {
    "before": frozenset({"kill", "drop", "delay", "hang", "respond", "late", "stale"}),
    "committed": frozenset(
        {"kill", "drop", "delay", "hang", "truncate", "respond", "duplicate", "replay"}
    ),
    "answered": frozenset({"kill"}),
    "stream": frozenset(
        {
            *("cut", "reset", "truncate", "duplicate", "replay", "swallow"),
            *("delay", "silence", "gone", "error", "kill"),
        }
    ),
}
"""The faults of each phase.

before: the request has arrived and is not yet forwarded.
committed: the whole answer of the server has arrived, the client has none of it; not for a watch.
answered: the client has its answer; later writes of the client are not forwarded.
stream: a frame of a watch has arrived and is not yet passed on.
"""

_TIMED = {
    "before": {"delay", "hang", "late"},
    "committed": {"delay", "hang", "replay"},
    "answered": set[str](),
    "stream": {"delay", "silence"},
}


class Rule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One fault, and the requests or frames that get it. Raises ValueError for invalid fields.

    ``verb``: "*" any, "write" every write, "read" get and list, else one verb. ``subresource``
    "": the object itself. ``dry_run`` None: dry runs and others. The rule acts from the match
    number ``first`` on, for ``count`` matches; 0: for all further ones. ``seconds``: the length of
    a delay, how much later a late or replayed request is forwarded, and the time after which a
    hanging or silent connection is reset (0: never). ``text`` is a body in place of a Status. In
    the phase stream a rule matches the request that opened the watch; ``frame`` and ``name``
    select frames, and ``first`` and ``count`` count frames; in a watch of all namespaces
    ``namespace`` selects frames, too.
    """

    phase: Phase
    fault: Fault
    verb: str = "*"
    resource: str = "*"
    namespace: str = "*"
    name: str = "*"
    subresource: str = "*"
    dry_run: bool | None = None
    first: int = 1
    count: int = 1
    seconds: float = 0.0
    code: int = 0
    retry_after: float | None = None
    text: str = ""
    frame: FrameType = "*"
    note: str = ""

    def __post_init__(self) -> None:
        for problem, found in (
            (
                f"{self.fault} is not a fault of {self.phase}",
                self.fault not in FAULTS[self.phase],
            ),
            (f"not a verb: {self.verb}", self.verb not in VERBS | {"*", "write", "read"}),
            ("first must be 1 or more", self.first < 1),
            ("count must be 0 or more", self.count < 0),
            *self._problems_of_amounts(),
            *self._problems_of_matching(),
        ):
            if found:
                raise ValueError(problem)

    def _problems_of_amounts(self) -> Sequence[tuple[str, bool]]:
        timed = self.fault in _TIMED[self.phase]
        respond = self.fault == "respond"
        wait = self.retry_after
        return (
            ("seconds must be finite and not negative", not 0 <= self.seconds < math.inf),
            (f"{self.fault} takes no seconds", self.seconds > 0 and not timed),
            ("a delay needs seconds", self.fault == "delay" and self.seconds == 0),
            ("respond needs a code from 200 to 599", respond and not 200 <= self.code <= 599),
            (
                "error needs a code from 400 to 599",
                self.fault == "error" and not 400 <= self.code <= 599,
            ),
            (f"{self.fault} takes no code", self.code != 0 and self.fault not in _CODED),
            (f"{self.fault} takes no text", bool(self.text) and not respond),
            (f"{self.fault} takes no retry_after", wait is not None and not respond),
            (
                "retry_after must be finite and not negative",
                wait is not None and not 0 <= wait < math.inf,
            ),
        )

    def _problems_of_matching(self) -> Sequence[tuple[str, bool]]:
        stream = self.phase == "stream"
        return (
            ("only the phase stream has frames", self.frame != "*" and not stream),
            ("only a watch has the phase stream", stream and self.verb not in {"*", "watch"}),
            (
                f"a watch does not have the phase {self.phase}",
                self.verb == "watch" and self.phase in {"committed", "answered"},
            ),
            (
                "only a get or a list can be stale",
                self.fault == "stale" and self.verb not in {"*", "read", "get", "list"},
            ),
        )

    def matches(self, request: Request) -> bool:
        """Whether ``request`` matches; in the phase stream, whether its frames may match."""
        return (
            _matches_verb(self.verb, request)
            and self.resource in {"*", request.resource}
            and self.subresource in {"*", request.subresource}
            and self.dry_run in {None, request.dry_run}
            and (self._matches_stream(request) if self.phase == "stream" else self._is_of(request))
        )

    def matches_frame(self, request: Request, frame: Frame) -> bool:
        """Whether ``frame`` of the watch that ``request`` opened matches."""
        if not self.matches(request):
            return False
        if not request.namespace and self.namespace not in {"*", "", frame.namespace}:
            return False
        if self.name not in {"*", frame.name}:
            return False
        if self.frame == "INITIAL-END":
            return frame.type == "BOOKMARK" and frame.initial_end
        return self.frame in {"*", frame.type}

    def _is_of(self, request: Request) -> bool:
        if self.phase in {"committed", "answered"} and request.verb == "watch":
            return False
        if self.fault == "stale" and request.verb not in {"get", "list"}:
            return False
        return self.namespace in {"*", request.namespace} and self.name in {"*", request.name}

    def _matches_stream(self, request: Request) -> bool:
        everywhere = not request.namespace
        return request.verb == "watch" and (
            everywhere or self.namespace in {"*", request.namespace}
        )


_CODED = {"respond", "error"}


def _matches_verb(verb: str, request: Request) -> bool:
    match verb:
        case "*":
            return True
        case "write":
            return request.is_write
        case "read":
            return request.verb in {"get", "list"}
    return verb == request.verb


class Rules:
    """Rules by index, with the number of matches and hits of each. For one thread."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules: list[Rule] = []
        self._enabled: set[int] = set()
        self._matched: list[int] = []
        self._hits: list[int] = []
        for rule in rules:
            self.add(rule)

    def __getitem__(self, index: int) -> Rule:
        return self._rules[index]

    def add(self, rule: Rule) -> int:
        """Add a rule, which counts from now on; its permanent index."""
        self._rules.append(rule)
        self._matched.append(0)
        self._hits.append(0)
        self._enabled.add(len(self._rules) - 1)
        return len(self._rules) - 1

    def remove(self, index: int) -> None:
        """Disable a rule; its hits stay. Raises IndexError for an unknown index."""
        self._rules[index]  # an IndexError for an unknown index
        self._enabled.discard(index)

    def hits(self, index: int) -> int:
        """How often the rule acted."""
        return self._hits[index]

    def hit(self, index: int) -> None:
        """Count a hit of the rule."""
        self._hits[index] += 1

    def due(self, phase: Phase, request: Request) -> int | None:
        """Count ``request`` in ``phase``; the index of the rule that must act, or None."""
        return self._due(
            index
            for index in sorted(self._enabled)
            if self._rules[index].phase == phase and self._rules[index].matches(request)
        )

    def streams(self, request: Request) -> bool:
        """Whether a rule may match a frame of the watch that ``request`` opened."""
        return any(
            self._rules[index].phase == "stream" and self._rules[index].matches(request)
            for index in self._enabled
        )

    def due_frame(self, request: Request, frame: Frame) -> int | None:
        """Count ``frame`` of a watch; the index of the rule that must act, or None."""
        return self._due(
            index
            for index in sorted(self._enabled)
            if self._rules[index].phase == "stream"
            and self._rules[index].matches_frame(request, frame)
        )

    def _due(self, matching: Iterable[int]) -> int | None:
        found: int | None = None
        for index in matching:
            rule = self._rules[index]
            self._matched[index] += 1
            occurrence = self._matched[index]
            due = occurrence >= rule.first and (
                rule.count == 0 or occurrence < rule.first + rule.count
            )
            if due and found is None:
                found = index
        return found

"""What can go wrong between a client and the API server, as switches.

Nothing here is random: a test says what fails, when and how often. A fault belongs to one
``MemoryApi``, that is to one process of the system under test, so that the fake controllers of
a world go on working while the operator is cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from contract.model import Kind
from reconciler.client.api import ApiError, Listing, WatchEvent

When = Literal["before", "after"]
Partition = Literal["none", "refused", "silent"]
DropEvent = Callable[[Kind, WatchEvent], bool]


class CrashPoint(BaseException):
    """The process died here. No ``except Exception`` may survive it, as none survives SIGKILL."""


class Call(NamedTuple):
    """One call of a verb, before it is known what becomes of it.

    ``user`` is who is impersonated, empty for the client itself.
    """

    verb: str
    kind: str
    namespace: str
    name: str
    subresource: str = ""
    dry_run: bool = False
    user: str = ""


class Write(NamedTuple):
    """One write that reached the server.

    ``committed`` says whether the server accepted it (a dry run is accepted, and commits
    nothing), ``changed`` whether the resource version moved. ``user`` is who was impersonated.
    """

    verb: str
    kind: str
    namespace: str
    name: str
    manager: str
    subresource: str
    dry_run: bool
    committed: bool
    changed: bool
    user: str = ""


@dataclass(slots=True)
class _Failure:
    verb: str
    kind: Kind | None
    error: Exception
    times: int
    when: When

    def meets(self, call: Call, when: When) -> bool:
        return (
            self.times > 0
            and self.when == when
            and self.verb in {"*", call.verb}
            and (self.kind is None or self.kind.kind == call.kind)
        )


@dataclass(slots=True)
class Faults:
    """The switches of one client; all of them are off at first."""

    crashed: bool = False
    on_crash: Callable[[], None] | None = None
    partition: Partition = "none"
    drop: DropEvent | None = None
    held: set[str] = field(default_factory=set)
    stale: dict[str, Listing] = field(default_factory=dict)
    watch_epoch: int = 0
    watch_error: Exception | None = None
    answers_after: float = 0.0
    _failures: list[_Failure] = field(default_factory=list)
    _refused: set[tuple[str, str]] = field(default_factory=set)
    _delays: dict[tuple[str, str], float] = field(default_factory=dict)
    _crash_in: int = 0
    _crash_when: When = "after"
    _crash_on: Callable[[Call], bool] | None = None

    def fail(self, verb: str, kind: Kind | None, error: Exception, times: int, when: When) -> None:
        """Let calls that match raise ``error``."""
        self._failures.append(_Failure(verb, kind, error, times, when))

    def failure(self, call: Call, when: When) -> Exception | None:
        """The error this call has to raise, used up once."""
        for failure in self._failures:
            if failure.meets(call, when):
                failure.times -= 1
                return failure.error
        return None

    def refuse(self, kind: Kind, verb: str, refused: bool) -> None:
        """Take the right to a verb (``*``: all) away, or give it back."""
        if refused:
            self._refused.add((kind.kind, verb))
        else:
            self._refused.discard((kind.kind, verb))

    def refusal(self, call: Call) -> ApiError | None:
        """403 where the right to this call was taken away."""
        if {(call.kind, call.verb), (call.kind, "*")} & self._refused:
            message = f'cannot {call.verb} {call.kind} in the namespace "{call.namespace}"'
            return ApiError(403, "Forbidden", message)
        return None

    def delay(self, seconds: float, verb: str, kind: Kind | None) -> None:
        """Let calls that match take that long, by loop time."""
        self._delays[verb, kind.kind if kind else "*"] = seconds

    def delay_of(self, call: Call) -> float:
        """Seconds that this call takes."""
        keys = [(verb, kind) for verb in (call.verb, "*") for kind in (call.kind, "*")]
        return max(self._delays.get(key, 0.0) for key in keys)

    def crash_after(self, writes: int, when: When, on: Callable[[Call], bool] | None) -> None:
        """Die at the write of that number, counted from now."""
        self._crash_in, self._crash_when, self._crash_on = writes, when, on

    def count_write(self, call: Call, when: When) -> None:
        """Count one write, before it is sent and again after it is committed.

        Raises CrashPoint where this is the one to die at.
        """
        if call.dry_run or not self._crash_in or (self._crash_on and not self._crash_on(call)):
            return
        if self._crash_in == 1 and self._crash_when == when:
            self.crash()
        if when == "after":
            self._crash_in -= 1

    def crash(self) -> None:
        """Die now, and stay dead. Raises CrashPoint."""
        self.crashed = True
        if self.on_crash is not None:
            self.on_crash()
        raise CrashPoint

"""The faults between a client and the API server.

The rule kept here: nothing is random; a test states what fails, when and how often. Faults belong
to one ``MemoryApi``, which stands for one process, so that the fake controllers of a world still
reach the server while the operator does not.
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
    """The process died here. Not an Exception, so that no handler catches it, as with SIGKILL."""


class Call(NamedTuple):
    """One call of a verb. ``user`` is the impersonated user, empty for the client itself."""

    verb: str
    kind: str
    namespace: str
    name: str
    subresource: str = ""
    dry_run: bool = False
    user: str = ""


class Write(NamedTuple):
    """One write that reached the server.

    ``committed``: the server accepted the write (also a dry run, which stores nothing);
    ``changed``: the resource version changed. ``user`` is the impersonated user.
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

    def matches(self, call: Call, when: When) -> bool:
        return (
            self.times > 0
            and self.when == when
            and self.verb in {"*", call.verb}
            and (self.kind is None or self.kind.kind == call.kind)
        )


@dataclass(slots=True)
class Faults:
    """The switches of one client; all are off at first."""

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
        """Let the next ``times`` matching calls raise ``error``."""
        self._failures.append(_Failure(verb, kind, error, times, when))

    def failure(self, call: Call, when: When) -> Exception | None:
        """The error that this call must raise, or None; counts a match."""
        for failure in self._failures:
            if failure.matches(call, when):
                failure.times -= 1
                return failure.error
        return None

    def refuse(self, kind: Kind, verb: str, refused: bool) -> None:
        """Remove the right to a verb (``*``: all), or restore it."""
        if refused:
            self._refused.add((kind.kind, verb))
        else:
            self._refused.discard((kind.kind, verb))

    def refusal(self, call: Call) -> ApiError | None:
        """403 where the right to this call is removed."""
        if {(call.kind, call.verb), (call.kind, "*")} & self._refused:
            message = f'cannot {call.verb} {call.kind} in the namespace "{call.namespace}"'
            return ApiError(403, "Forbidden", message)
        return None

    def delay(self, seconds: float, verb: str, kind: Kind | None) -> None:
        """Let matching calls take ``seconds`` of loop time."""
        self._delays[verb, kind.kind if kind else "*"] = seconds

    def delay_of(self, call: Call) -> float:
        """Seconds that this call takes."""
        keys = [(verb, kind) for verb in (call.verb, "*") for kind in (call.kind, "*")]
        return max(self._delays.get(key, 0.0) for key in keys)

    def crash_after(self, writes: int, when: When, on: Callable[[Call], bool] | None) -> None:
        """Raise CrashPoint at the write of that number, counted from now."""
        self._crash_in, self._crash_when, self._crash_on = writes, when, on

    def count_write(self, call: Call, when: When) -> None:
        """Count one write, before sending and after committing.

        Raises CrashPoint at the write of ``crash_after``.
        """
        if call.dry_run or not self._crash_in or (self._crash_on and not self._crash_on(call)):
            return
        if self._crash_in == 1 and self._crash_when == when:
            self.crash()
        if when == "after":
            self._crash_in -= 1

    def crash(self) -> None:
        """Let this call and all later ones raise CrashPoint."""
        self.crashed = True
        if self.on_crash is not None:
            self.on_crash()
        raise CrashPoint

"""Watch streams as lines of JSON, and what each fault makes of one line. Pure.

The rule kept here: a line is bytes, passed on as they came; it is only looked at to match rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from chaos.proxy.statuses import status

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
KEPT = 50
"""Frames of a stream that are kept to be replayed."""

Then = Literal["go on", "end", "close", "reset", "silence", "kill"]


class Frame(NamedTuple):
    """What rules see of a frame; "" where it says nothing."""

    type: str = ""
    name: str = ""
    namespace: str = ""
    initial_end: bool = False


class Step(NamedTuple):
    """What becomes of a frame: what is written, what follows, and what later frames wait for."""

    written: Sequence[bytes]
    then: Then = "go on"
    seconds: float = 0.0


class _Metadata(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    annotations: dict[str, str] | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata | None = None


class _Event(msgspec.Struct):
    type: str = ""
    object: _Object | None = None


class Splitter:
    """Chunks of bytes in, whole lines out, whatever the chunks' borders are."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that ``chunk`` completes, each with its end."""
        *complete, rest = chunk.split(b"\n")
        lines = []
        for line in complete:
            lines.append(b"".join((*self._parts, line, b"\n")))
            self._parts, self.size = [], 0
        if rest:
            self._parts.append(rest)
            self.size += len(rest)
        return lines

    def rest(self) -> bytes:
        """What came after the last whole line."""
        return b"".join(self._parts)


def frame_of(line: bytes) -> Frame:
    """What a line says; an empty Frame for what is no watch event."""
    try:
        event = msgspec.json.decode(line, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Frame()
    metadata = (event.object and event.object.metadata) or _Metadata()
    end = (metadata.annotations or {}).get(INITIAL_EVENTS_END) == "true"
    return Frame(event.type, metadata.name, metadata.namespace, end)


def error_frame(code: int) -> bytes:
    """An ERROR event with a Status of this code, as a line."""
    return msgspec.json.encode({"type": "ERROR", "object": status(code)}) + b"\n"


def step(fault: str, line: bytes, earlier: Sequence[bytes], seconds: float, code: int) -> Step:
    """What ``fault`` ("" for none) makes of ``line``, which came after ``earlier``."""
    match fault:
        case "cut":
            return Step([line], "end")
        case "truncate":
            return Step([line[: len(line) // 2]], "close")
        case "duplicate":
            return Step([line, line])
        case "replay":
            return Step([*earlier, line])
        case "swallow":
            return Step([])
        case "delay":
            return Step([line], seconds=seconds)
        case "gone":
            return Step([error_frame(410)], "end")
        case "error":
            return Step([error_frame(code)], "end")
        case "reset" | "silence" | "kill":
            return Step([], fault)
    return Step([line])

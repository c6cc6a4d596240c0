"""Watch streams as lines of JSON, and the effect of each fault on one line. Pure.

The rule kept here: a line is passed on byte for byte; it is parsed only to match rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from chaos.proxy.statuses import status

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
KEPT = 50
"""The number of last frames of a stream that the fault ``replay`` sends again."""

Then = Literal["go on", "end", "close", "reset", "silence", "kill"]


class Frame(NamedTuple):
    """The fields of a frame that rules match; "" where one is missing."""

    type: str = ""
    name: str = ""
    namespace: str = ""
    initial_end: bool = False


class Step(NamedTuple):
    """The handling of a frame: bytes to write, what follows, and the delay of later frames."""

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
    """Joins chunks of bytes to whole lines, independent of the borders of the chunks."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that ``chunk`` completes, each with its line break."""
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
        """The bytes after the last whole line."""
        return b"".join(self._parts)


def frame_of(line: bytes) -> Frame:
    """The frame of a line; an empty Frame where the line is not a watch event."""
    try:
        event = msgspec.json.decode(line, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Frame()
    metadata = (event.object and event.object.metadata) or _Metadata()
    end = (metadata.annotations or {}).get(INITIAL_EVENTS_END) == "true"
    return Frame(event.type, metadata.name, metadata.namespace, end)


def error_frame(code: int) -> bytes:
    """A line with an ERROR event that holds a Status of this code."""
    return msgspec.json.encode({"type": "ERROR", "object": status(code)}) + b"\n"


def step(fault: str, line: bytes, earlier: Sequence[bytes], seconds: float, code: int) -> Step:
    """The step of ``line`` under ``fault`` ("" for none); ``earlier`` are the lines before it."""
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

"""One watch: its frames, its bookmarks, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from contract.model import Kind, Object
from memoryserver.faults import CrashPoint, Faults
from memoryserver.selectors import Matcher
from memoryserver.server import Server
from reconciler.client.api import Unreachable, WatchEvent

BOOKMARK_SECONDS = 60.0
"""A watch without events sends a bookmark about this often."""

_RESOLUTION = 0.001


async def follow(
    server: Server,
    faults: Faults,
    kind: Kind,
    position: int,
    selects: Matcher,
    seconds: float,
    quiet: float,
) -> AsyncGenerator[WatchEvent, None]:
    """The frames after the revision ``position``, for ``seconds``.

    Raises ApiError 410 where the history is compacted, Unreachable where the client is
    disconnected or gets no frame for ``quiet`` seconds, and the error of ``end_watches``.
    """
    loop, journal = asyncio.get_running_loop(), server.journal
    changed, epoch = asyncio.Event(), faults.watch_epoch
    end, last_frame = loop.time() + seconds, loop.time()
    journal.listeners.add(changed.set)
    try:
        while True:
            changed.clear()
            # Timers may fire early by the resolution of the clock.
            now = loop.time() + _RESOLUTION
            if has_ended(faults, epoch):
                return
            # A watch from a later revision (after a restore of the server) gets no frame.
            silent = (
                faults.partition == "silent"
                or kind.resource in faults.held
                or position > server.revision
            )
            if not silent:
                if not server.serves(kind) or now >= end:
                    return
                for entry in journal.since(position, kind.resource):
                    seen = entry.seen_by(selects)
                    position, last_frame = entry.revision, now
                    if seen is not None:
                        event = WatchEvent(seen[0], server.shown(kind, seen[1]))
                        if not (faults.drop and faults.drop(kind, event)):
                            yield event
                if now >= last_frame + BOOKMARK_SECONDS:
                    # The revision is newer than the last entry: a bookmark's purpose.
                    position, last_frame = server.revision, now
                    yield bookmark(kind, position)
            elif now >= last_frame + quiet:
                raise Unreachable(f"no frame of the watch for {quiet:g} s")
            until = last_frame + quiet if silent else min(last_frame + BOOKMARK_SECONDS, end)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await changed.wait()
    finally:
        journal.listeners.discard(changed.set)


def has_ended(faults: Faults, epoch: int) -> bool:
    """Has the server ended a watch of this epoch? Raises the fault that disconnects the client."""
    if faults.crashed:
        raise CrashPoint
    if faults.partition == "refused":
        raise Unreachable("connection reset")
    if faults.watch_epoch == epoch:
        return False
    if faults.watch_error is not None:
        raise faults.watch_error
    return True


def bookmark(kind: Kind, revision: int, *, initial_events_end: bool = False) -> WatchEvent:
    """A BOOKMARK with a resource version."""
    metadata: Object = {"resourceVersion": str(revision)}
    if initial_events_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    return WatchEvent("BOOKMARK", body)

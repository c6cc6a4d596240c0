"""The switches of one client's faults, and of its server."""

from __future__ import annotations

from collections.abc import Callable

from contract.model import Kind
from memoryserver.faults import Call, DropEvent, Faults, Partition, When
from memoryserver.server import Server
from memoryserver.storage import Webhook


class Switches:
    """Switches for a class with ``faults`` and a ``server``."""

    server: Server
    faults: Faults

    def fail_next(
        self,
        verb: str,
        kind: Kind | None,
        error: Exception,
        times: int = 1,
        when: When = "before",
    ) -> None:
        """Let the next calls of a verb (``*``: any; kind None: any) raise ``error``.

        ``when="after"``: the write is committed, but its answer is lost.
        """
        self.faults.fail(verb, kind, error, times, when)

    def crash_after(
        self, writes: int, *, when: When = "after", on: Callable[[Call], bool] | None = None
    ) -> None:
        """Raise CrashPoint at that write, counted from now, and at every later call.

        ``when="after"``: the write is committed, and the process dies before the answer;
        ``"before"``: the write is not sent. ``on`` selects the writes to count. Dry runs do not
        count.
        """
        self.faults.crash_after(writes, when, on)

    def drop_events(self, predicate: DropEvent | None) -> None:
        """Drop the watch events for which the predicate is true; None: drop none."""
        self.faults.drop = predicate

    def hold_events(self, kind: Kind) -> None:
        """Hold the frames of a kind's watches while calls pass, so that caches lag.

        After ``quiet`` seconds the client ends the watch.
        """
        self.faults.held.add(kind.resource)

    def release_events(self, kind: Kind) -> None:
        """Deliver the held frames."""
        self.faults.held.discard(kind.resource)
        self.server.journal.wake()

    def end_watches(self, error: Exception | None = None) -> None:
        """End every open watch of this client, normally or with an error in the stream."""
        self.faults.watch_epoch += 1
        self.faults.watch_error = error
        self.server.journal.wake()

    def delay(self, seconds: float, *, verb: str = "*", kind: Kind | None = None) -> None:
        """Let calls take ``seconds`` of loop time; longer than the deadline they fail."""
        self.faults.delay(seconds, verb, kind)

    def delay_answers(self, seconds: float) -> None:
        """Let answers to writes come ``seconds`` after their watch events."""
        self.faults.answers_after = seconds

    def partition(self, how: Partition = "refused") -> None:
        """Disconnect this client. ``silent``: calls hang until the deadline, watches stay open."""
        self.faults.partition = how
        self.server.journal.wake()

    def heal(self) -> None:
        """End the partition."""
        self.partition("none")

    def stale_list(self, kind: Kind) -> None:
        """Answer lists of a kind with the present objects until ``fresh_list``."""
        self.faults.stale[kind.resource] = self.server.snapshot(kind)

    def fresh_list(self, kind: Kind) -> None:
        """End ``stale_list``."""
        self.faults.stale.pop(kind.resource, None)

    def refuse(self, kind: Kind, verb: str = "*") -> None:
        """Answer 403 to a verb on a kind."""
        self.faults.refuse(kind, verb, refused=True)

    def allow(self, kind: Kind, verb: str = "*") -> None:
        """End ``refuse``."""
        self.faults.refuse(kind, verb, refused=False)

    def unserve(self, kind: Kind) -> None:
        """Answer 404 to every request for a kind, for all clients, as without its CRD."""
        self.server.unserve(kind)

    def serve(self, kind: Kind) -> None:
        """End ``unserve``."""
        self.server.serve(kind)

    def compact(self) -> None:
        """Drop the server's history: a watch from an older resource version gets a 410."""
        self.server.compact()

    def restart_server(self) -> None:
        """Restart the server: this client's watches end, and every watch must relist."""
        self.server.restart()
        self.end_watches()

    @property
    def mutating_webhook(self) -> Webhook | None:
        """The server's mutating admission webhook."""
        return self.server.webhook

    @mutating_webhook.setter
    def mutating_webhook(self, webhook: Webhook | None) -> None:
        self.server.webhook = webhook

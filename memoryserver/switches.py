"""The switches of one client: what fails on its way to the server, and what the server refuses."""

from __future__ import annotations

from collections.abc import Callable

from contract.model import Kind
from memoryserver.faults import Call, DropEvent, Faults, Partition, When
from memoryserver.server import Server
from memoryserver.storage import Webhook


class Switches:
    """Whoever has ``faults`` and a ``server`` can switch them here."""

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

        ``when="after"`` is the ambiguous write: it is committed and its answer is lost.
        """
        self.faults.fail(verb, kind, error, times, when)

    def crash_after(
        self, writes: int, *, when: When = "after", on: Callable[[Call], bool] | None = None
    ) -> None:
        """Raise CrashPoint at that write, counted from now; from then on every call raises it.

        ``when="after"``: it is committed and the process dies before the answer comes.
        ``"before"``: it is never sent. ``on`` narrows which writes count. Dry runs never do.
        """
        self.faults.crash_after(writes, when, on)

    def drop_events(self, predicate: DropEvent | None) -> None:
        """Lose the watch events the predicate is true of; None: lose no more."""
        self.faults.drop = predicate

    def hold_events(self, kind: Kind) -> None:
        """Hold back the frames of a kind's watches, while calls pass: a cache that falls behind.

        Longer than ``quiet``, and the client gives the watch up.
        """
        self.faults.held.add(kind.resource)

    def release_events(self, kind: Kind) -> None:
        """Deliver what was held."""
        self.faults.held.discard(kind.resource)
        self.server.journal.wake()

    def end_watches(self, error: Exception | None = None) -> None:
        """End every open watch of this client: quietly, or by an error in the stream."""
        self.faults.watch_epoch += 1
        self.faults.watch_error = error
        self.server.journal.wake()

    def delay(self, seconds: float, *, verb: str = "*", kind: Kind | None = None) -> None:
        """Let calls take that long by loop time (0: none); beyond the deadline they fail."""
        self.faults.delay(seconds, verb, kind)

    def delay_answers(self, seconds: float) -> None:
        """Let answers to writes come that long after their watch events (0: at once)."""
        self.faults.answers_after = seconds

    def partition(self, how: Partition = "refused") -> None:
        """Cut this client off. ``silent``: calls hang to their deadline, watches stay open."""
        self.faults.partition = how
        self.server.journal.wake()

    def heal(self) -> None:
        """End the partition."""
        self.partition("none")

    def stale_list(self, kind: Kind) -> None:
        """Answer lists of a kind with what is there now, until ``fresh_list``."""
        self.faults.stale[kind.resource] = self.server.snapshot(kind)

    def fresh_list(self, kind: Kind) -> None:
        """Answer lists of a kind with what is there."""
        self.faults.stale.pop(kind.resource, None)

    def refuse(self, kind: Kind, verb: str = "*") -> None:
        """Answer 403 to a verb on a kind."""
        self.faults.refuse(kind, verb, refused=True)

    def allow(self, kind: Kind, verb: str = "*") -> None:
        """Take ``refuse`` back."""
        self.faults.refuse(kind, verb, refused=False)

    def unserve(self, kind: Kind) -> None:
        """Answer 404 to everything about a kind, for all clients: its CRD is gone."""
        self.server.unserve(kind)

    def serve(self, kind: Kind) -> None:
        """Take ``unserve`` back."""
        self.server.serve(kind)

    def compact(self) -> None:
        """Forget the server's history: a watch from an older resource version answers 410."""
        self.server.compact()

    def restart_server(self) -> None:
        """An API server's restart: this client's watches end, and all of them must relist."""
        self.server.restart()
        self.end_watches()

    @property
    def mutating_webhook(self) -> Webhook | None:
        """The server's mutating admission webhook."""
        return self.server.webhook

    @mutating_webhook.setter
    def mutating_webhook(self, webhook: Webhook | None) -> None:
        self.server.webhook = webhook

"""One writer: Lease election, and the guard that keeps a leader from writing too late.

The rule: a write is sent only while no other replica can hold the lease. Another replica takes
over a whole lease duration after it saw the last renewal, and it cannot see a renewal before the
leader sends it. So the leader counts from the *start* of its last acknowledged renewal, on its own
clock. Each write of the Lease is a compare-and-swap on the resource version. A lost lease is never
taken back and never released: the process exits, and the Lease may be another replica's by then.

The algorithm is that of client-go's tools/leaderelection, without its release of another's lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from contract.model import Object
from reconciler.client.api import Api, ApiError, NotLeader, Unreachable
from reconciler.process.lease_record import LEASE, Record

T = TypeVar("T")

_log = structlog.stdlib.get_logger(__name__)
_NEVER = -math.inf


@dataclass(frozen=True, slots=True)
class Timing:
    """The four times of an election, in seconds; ValueError where they contradict each other.

    ``lease`` is how long others wait for a silent leader, ``renew`` how long a leader goes on
    without a successful renewal, ``retry`` the pause between tries. A waiting replica adds up
    to ``retry * jitter`` to its pause, so that replicas do not poll in step.
    """

    lease: float = 15.0
    renew: float = 10.0
    retry: float = 2.0
    jitter: float = 1.2

    def __post_init__(self) -> None:
        if self.lease < 1:
            raise ValueError("lease duration must be at least 1 s: the Lease holds whole seconds")
        if self.retry <= 0 or self.jitter < 1:
            raise ValueError("retry period must be positive and its jitter factor at least 1")
        if self.lease <= self.renew:
            raise ValueError(f"lease duration {self.lease} s must exceed the {self.renew} s renew")
        if self.renew <= self.retry * self.jitter:
            raise ValueError(
                f"renew deadline {self.renew} s must exceed retry period x jitter "
                f"({self.retry * self.jitter:g} s)"
            )

    @property
    def request(self) -> float:
        """Deadline of one request: two fit into the renew deadline, so one may hang."""
        return self.renew / 2

    @property
    def margin(self) -> float:
        """How long before the end of the lease the last write must have ended."""
        return (self.lease - self.renew) / 5

    @property
    def heartbeat(self) -> float:
        """Age of the main loop's heartbeat from which on the lease is not renewed any more."""
        return self.renew / 2


def boot_clock() -> float:
    """Seconds that never jump and, where the system has such a clock, count during suspend.

    A leader whose machine was suspended must find its lease expired when it resumes.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def new_identity() -> str:
    """The pod's (or host's) name and a random part.

    A restarted container has the same pod name, and its predecessor's lease is not its own.
    """
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4()}"


class _Lost(Exception):
    """The lease is held by another replica, or by none: stop at once."""


class Elector:
    """One candidate for one Lease: campaigns, then renews until stopped or lost.

    Runs in one loop; ``guard`` and the properties may be read from any thread. ``alive`` returns
    whether the work that the lease protects is alive: while it is not, the lease is neither taken
    nor renewed. ``on_started`` is called once; ``on_lost`` at most once, after ``on_started``, with
    the reason. Both are called in the elector's loop and must not block.
    """

    def __init__(
        self,
        namespace: str,
        name: str,
        *,
        identity: str | None = None,
        timing: Timing | None = None,
        on_started: Callable[[], None] = lambda: None,
        on_lost: Callable[[str], None] = lambda _reason: None,
        alive: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = boot_clock,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.identity = identity or new_identity()
        self.timing = timing or Timing()
        self._on_started = on_started
        self._on_lost = on_lost
        self._alive = alive
        self._clock = clock
        self._now = now
        self._stopping = asyncio.Event()
        self._leading = False
        self._renewed = _NEVER  # start of the last acknowledged renewal; the guard's one float
        self._lease: Object | None = None  # as last read or written; None: to be created
        self._record = Record()  # of the Lease, kept also when the Lease is deleted
        self._observed = _NEVER  # when the record was last seen to change
        self._term = 0  # leaseTransitions of the record that this replica wrote
        self._fresh = False  # whether _lease can be written over without reading it again
        self._logged = ""  # the last holder or failure that was logged

    # Readable from any thread.

    def guard(self) -> float:
        """Seconds within which a write that is sent now must have ended; NotLeader if none.

        Nothing new is sent after the renew deadline, though the lease lasts longer: the rest
        is for what is already on its way.
        """
        age = self._clock() - self._renewed
        if age >= self.timing.renew:
            raise NotLeader(
                f"Lease {self.namespace}/{self.name} is not held"
                if age == math.inf
                else f"Lease {self.namespace}/{self.name} was last renewed {age:.1f} s ago"
            )
        return self.timing.lease - self.timing.margin - age

    @property
    def is_leader(self) -> bool:
        """Whether ``guard`` would let a write pass now."""
        return self._clock() - self._renewed < self.timing.renew

    @property
    def holder(self) -> str:
        """The holder when the Lease was last seen; empty without a holder, or not seen yet."""
        return self._record.holder

    # In the elector's loop.

    def stop(self) -> None:
        """Ask ``run`` to release the lease and return. Call it when all guarded work has ended."""
        self._stopping.set()

    async def run(self, api: Api) -> str:
        """Campaign, lead, and return: why the lease was lost, or "" after ``stop``.

        ``api`` must not be guarded by this elector. After a return the elector is used up.
        """
        try:
            if await self._campaign(api):
                _log.info("leading", lease=self.name, identity=self.identity)
                self._on_started()
                await self._renew(api)
                self._renewed = _NEVER
                await self._release(api)
        except _Lost as lost:
            self._renewed = _NEVER  # before on_lost: its callee may check the guard
            _log.error("lease lost", lease=self.name, reason=str(lost), holder=self.holder)
            self._on_lost(str(lost))
            return str(lost)
        finally:
            self._leading, self._renewed = False, _NEVER
        return ""

    async def _campaign(self, api: Api) -> bool:
        """Try until this replica holds the lease (True) or ``stop`` was called (False)."""
        retry, jitter = self.timing.retry, self.timing.jitter
        while not self._stopping.is_set():
            if self._alive() and await self._attempt(api):
                self._leading = True
                return True
            await self._pause(retry + random.random() * retry * jitter)  # noqa: S311
        return False

    async def _renew(self, api: Api) -> None:
        """Renew until ``stop``; raises _Lost when the deadline passes or another holds the lease.

        The pause counts from the start of the last try: after a slow try the next one is due.
        """
        due = self._clock() + self.timing.retry
        while True:
            await self._pause(min(due - self._clock(), self._left()))
            if self._left() <= 0:
                why = "" if self._alive() else ": the main loop does not answer"
                raise _Lost(f"not renewed for {self.timing.renew:g} s{why}")
            if self._stopping.is_set():
                return
            due = self._clock() + self.timing.retry
            if self._alive():
                await self._attempt(api)

    async def _release(self, api: Api) -> None:
        """Empty the Lease if, read again, it still holds the term that this replica won.

        The remembered record does not count: another replica may have taken the lease since, and
        emptying it then would let a third lead beside the second.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.timing.request):
                while True:
                    try:
                        lease = await api.get(LEASE, self.namespace, self.name)
                        if lease is None or not self._is_ours(Record.of(lease)):
                            _log.warning(
                                "lease not released: this replica does not hold it any more"
                            )
                            return
                        body = self._body(lease, holder="", seconds=1)
                        self._observe(await api.replace(LEASE, body))
                        _log.info("lease released", lease=self.name)
                        return
                    except (ApiError, Unreachable) as error:
                        self._log_failure(error)
                        if not (isinstance(error, ApiError) and error.code == 409):
                            await asyncio.sleep(self.timing.retry / 4)

    async def _attempt(self, api: Api) -> bool:
        """Try once to write this replica into the Lease; True if the server confirmed it.

        A leader reads the Lease again right after a conflict. Its own write whose answer was lost
        and an edit by hand are harmless; another leader must be seen before the next try.
        """
        try:
            try:
                return await self._write(api)
            except ApiError as error:
                if error.code not in (404, 409) or not self._leading:
                    raise
                return await self._write(api)
        except (ApiError, Unreachable) as error:
            self._log_failure(error)
            return False

    async def _write(self, api: Api) -> bool:
        if not self._fresh:
            lease = await self._call(api.get(LEASE, self.namespace, self.name))
            self._observe(lease)
            if self._leading and lease is not None and not self._is_ours(self._record):
                raise _Lost(f"taken by {self.holder}" if self.holder else "emptied by hand")
            # Also where the Lease was deleted: its holder has not seen that yet, and still writes.
            if not self._leading and self._held_by_another():
                if self._logged != self.holder:
                    self._logged = self.holder
                    _log.info("waiting for the lease", lease=self.name, holder=self.holder)
                return False
        start = self._clock()
        self._fresh = False  # an unanswered write may be stored or not: read before the next
        body = self._body(self._lease, holder=self.identity, seconds=math.ceil(self.timing.lease))
        write = api.create if self._lease is None else api.replace
        self._observe(await self._call(write(LEASE, body)))
        self._fresh, self._logged = True, ""
        self._term, self._renewed = self._record.transitions, start
        return True

    async def _call(self, request: Awaitable[T]) -> T:
        """The answer within the deadline of a Lease request; a missed one is Unreachable."""
        limit = self.timing.request
        try:
            async with asyncio.timeout(min(limit, self._left()) if self._leading else limit):
                return await request
        except TimeoutError:
            raise Unreachable(f"no answer to a Lease request in {limit:g} s") from None

    def _observe(self, lease: Object | None) -> None:
        """Remember the Lease; the time until it expires starts again when its record changed."""
        self._lease = lease
        record = Record.of(lease)
        if lease is not None and record != self._record:
            self._record, self._observed = record, self._clock()

    def _held_by_another(self) -> bool:
        seconds = self._record.seconds or self.timing.lease
        taken = self.holder not in ("", self.identity)
        return taken and self._clock() < self._observed + seconds

    def _is_ours(self, record: Record) -> bool:
        return record.is_term(self.identity, self._term)

    def _body(self, lease: Object | None, *, holder: str, seconds: int) -> Object:
        """The Lease to write: ``lease`` with a new record, or a first one."""
        old = Record.of(lease)
        record = (old if old.spec else self._record).next(holder, seconds, self._now())
        return record.written_to(lease, self.namespace, self.name)

    def _left(self) -> float:
        """Seconds to the renew deadline."""
        return self._renewed + self.timing.renew - self._clock()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until ``stop``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _log_failure(self, error: ApiError | Unreachable) -> None:
        """Log a failure once, not at each try; with the remedy where one is known."""
        if isinstance(error, ApiError) and error.code == 409:
            return  # another replica wrote first, which is ordinary
        kind = str(error.code) if isinstance(error, ApiError) else "unreachable"
        if kind == self._logged:
            return
        self._logged = kind
        fix = ""
        if kind == "403":
            fix = (
                "allow get, create and update on leases.coordination.k8s.io in namespace "
                f"{self.namespace}; see: kubectl auth can-i update leases -n {self.namespace}"
            )
        elif kind == "404":
            fix = f"create the namespace: kubectl create namespace {self.namespace}"
        _log.error(
            "lease request failed; trying again",
            lease=f"{self.namespace}/{self.name}",
            error=str(error),
            **({"fix": fix} if fix else {}),
        )

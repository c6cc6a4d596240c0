"""The workers: keys from the queue, one pass each, and what its outcome means for the queue.

The rule: one key is never worked on by two workers, and an object that fails delays
only itself, be it by an answer of the API server or by a bug in its controller.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Protocol

import structlog

from contract.demands import Demand
from contract.model import Key, Kind, Object
from contract.plan import Controller, Note
from contract.record import has_finalizer
from reconciler.client.api import NotLeader
from reconciler.look import Library
from reconciler.loop import Outcome, Reconciler
from reconciler.queue import WorkQueue
from reconciler.triggers import Triggers
from reconciler.watches import Watches, cached_form

log = structlog.get_logger(__name__)

Result = Literal["success", "requeue", "error"]


class Recorder(Protocol):
    """Takes Events without ever making a pass wait or fail."""

    def record(self, parent: Object, kind: Kind, note: Note) -> None:
        """Send one Event about the parent, some time soon."""


class Observer(Protocol):
    """Counts what happens."""

    def reconciled(self, controller: str, result: Result, seconds: float) -> None:
        """One pass ended."""

    def written(self, kind: str, operation: str) -> None:
        """One object was written."""

    def contested(self, kind: str) -> None:
        """Another field manager keeps reverting what was applied to an object of this kind."""


class Unobserved:
    """Counts and records nothing: for tests and tools."""

    def reconciled(self, controller: str, result: Result, seconds: float) -> None:
        """See ``Observer.reconciled``."""

    def written(self, kind: str, operation: str) -> None:
        """See ``Observer.written``."""

    def contested(self, kind: str) -> None:
        """See ``Observer.contested``."""

    def record(self, parent: Object, kind: Kind, note: Note) -> None:
        """See ``Recorder.record``."""


class Workers:
    """A pool of workers on one queue.

    ``operator_class`` selects the parents whose label ``<group>/operator-class`` holds it (or that
    have none, for the empty class). ``asks`` is called with a key, with what its pass asks for,
    and with what nobody asks for any more.
    """

    def __init__(
        self,
        queue: WorkQueue[Key],
        triggers: Triggers,
        watches: Watches,
        library: Library,
        reconcilers: Mapping[Kind, Reconciler],
        *,
        operator_class: str,
        recorder: Recorder,
        observer: Observer,
        rng: random.Random,
        asks: Callable[[Key, tuple[Demand, ...], tuple[Demand, ...]], None],
    ) -> None:
        self._queue = queue
        self._triggers = triggers
        self._watches = watches
        self._library = library
        self._reconcilers = reconcilers
        self._operator_class = operator_class
        self._recorder = recorder
        self.observer = observer
        self._random = rng
        self._asks = asks
        self.passes = 0
        """How many passes there were, in all."""

    async def work(self) -> None:
        """One worker: take keys until the queue is closed."""
        while True:
            key = await self._queue.get()
            self._triggers.begin(key)
            self.passes += 1
            try:
                with structlog.contextvars.bound_contextvars(
                    key=str(key), reconcile_id=self.passes
                ):
                    await self._pass(key)
            finally:
                self._triggers.end(key)
                self._queue.done(key)

    async def _pass(self, key: Key) -> None:
        reconciler = self._reconcilers[key.kind]
        controller = reconciler.controller
        parents = self._watches.parents(controller)
        parent = parents.get(key.namespace, key.name)
        if parent is None:
            self._queue.drop(key)
            return
        unfilled = self._watches.unfilled(controller)
        if unfilled is not None:
            self._triggers.park(key, unfilled)
            return
        if not self._is_selected(controller, parent):
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            outcome = await reconciler.reconcile(
                parent, self._library, partial(self._demanded, key)
            )
        except NotLeader:
            self._queue.retry(key)
            return
        except Exception as error:  # one object's bug must not end the others' work
            delay = self._queue.retry(key)
            log.exception("a bug in reconciling this object", retry_in=round(delay, 1))
            self._recorder.record(parent, key.kind, _bug(error))
            self.observer.reconciled(key.kind.kind, "error", loop.time() - started)
            return
        finally:
            uid = parent["metadata"]["uid"]
            if parents.uid(key.namespace, key.name) != uid:
                reconciler.forget(uid)  # deleted during its pass
                self._demanded(key, ())
        self._conclude(key, parent, outcome, loop.time() - started)

    def _demanded(self, key: Key, demands: tuple[Demand, ...]) -> None:
        ended = self._triggers.subscribe(key, demands)
        self._asks(key, demands, ended)

    def _is_selected(self, controller: Controller, parent: Object) -> bool:
        """Is the parent this process's to reconcile? One that is being deleted, only for as long
        as the operator's finalizer holds it.
        """
        group = controller.kind.group
        metadata = parent["metadata"]
        if "deletionTimestamp" in metadata and not has_finalizer(parent, group):
            return False
        labels = metadata.get("labels") or {}
        return bool(labels.get(f"{group}/operator-class", "") == self._operator_class)

    def _conclude(self, key: Key, parent: Object, outcome: Outcome, seconds: float) -> None:
        if outcome.waits_for is not None:
            self._triggers.park(key, cached_form(outcome.waits_for))
            return
        for note in outcome.notes:
            log.info(note.message, reason=note.reason)
            self._recorder.record(parent, key.kind, note)
        for written, operation in outcome.writes:
            self.observer.written(written, operation)
        for contested in outcome.contested:
            self.observer.contested(contested)
        name = key.kind.kind
        if outcome.error:
            delay = self._queue.retry(key, at_least=outcome.retry_after)
            log.warning(outcome.error, retry_in=round(delay, 1))
            self.observer.reconciled(name, "error", seconds)
            return
        self._queue.forget(key)
        if outcome.again is None:
            self.observer.reconciled(name, "success", seconds)
            return
        self.observer.reconciled(name, "requeue", seconds)
        if outcome.again <= 0:
            self._queue.add(key)
        else:
            self._queue.add_after(key, outcome.again * self._random.uniform(1.0, 1.1))


def _bug(error: Exception) -> Note:
    """The Event of a bug: the error's type only, as its text may hold a Secret's values."""
    return Note(
        "Warning",
        "InternalError",
        f"The operator cannot reconcile this object because of a bug ({type(error).__name__}); "
        "its log has the details. It tries again with a growing backoff.",
    )

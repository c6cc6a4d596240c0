"""The Events that go with a change of a GatiHandler's status. Pure.

Events follow from how the conditions differ from those that were stored.
"""

from __future__ import annotations

from collections.abc import Iterator

from contract.model import Object
from contract.plan import Note
from contract.status import find
from gati.handler.status.conditions import SUSPENDED
from gati.reasons import FAILURES, Reason


def notes(parent: Object, new_status: Object) -> tuple[Note, ...]:
    """One Event for each difference of ``new_status`` from the stored one that a user acts on."""
    return tuple(_notes(parent, {"status": new_status}))


def _notes(parent: Object, new: Object) -> Iterator[Note]:
    yield from _ready_notes(find(parent, "Ready"), find(new, "Ready"))
    was, is_ = find(parent, "Suspended")["status"], find(new, "Suspended")["status"]
    if is_ == "True" != was:
        yield Note("Normal", Reason.SUSPENDED, SUSPENDED.message)
    if was == "True" != is_:
        yield Note("Normal", "Resumed", "spec.suspend is off: the handler is written again")
    contested = find(new, "Contested")
    if contested["status"] == "True" != find(parent, "Contested")["status"]:
        yield Note("Warning", contested["reason"], contested["message"])


def _ready_notes(old: Object, new: Object) -> Iterator[Note]:
    changed = (old["status"], old["reason"]) != (new["status"], new["reason"])
    if new["status"] == "True":
        if old["status"] != "True":
            yield Note("Normal", Reason.READY, new["message"])
    elif new["reason"] in FAILURES:
        if changed:
            yield Note("Warning", new["reason"], new["message"])
    elif old["status"] == "True" and old.get("observedGeneration") == new["observedGeneration"]:
        # Nobody changed the handler, and still it does not do its work any more.
        yield Note("Warning", "NotReady", new["message"])

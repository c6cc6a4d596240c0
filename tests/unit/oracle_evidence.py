"""Evidence for the oracles of the fault rig, each case in a line; see ``test_chaos_oracles.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from chaos.evidence import Evidence, Exit, Reference, Sample, StepEnd
from chaos.plan import Plan
from chaos.proxy.trace import Entry
from chaos.recorder import Frame

PLAN = Plan(group="test", name="test", scenario="handler-life")
TWO = msgspec.structs.replace(PLAN, replicas=2)
SECRET = "correct horse battery staple"


@dataclass(frozen=True)
class Case:
    """Evidence to which an oracle objects, and the nearest evidence to which it does not.

    ``what`` names what is wrong with the bad one.
    """

    oracle: str
    what: str
    bad: Evidence
    good: Evidence


def evidence(plan: Plan = PLAN, **fields: Any) -> Evidence:
    """What one run left: nothing, but for these fields."""
    return Evidence(plan, **fields)


def led(*entries: Entry) -> Evidence:
    """Requests of two replicas whose Lease lasts 3 s."""
    return evidence(TWO, entries=list(entries), lease_seconds=3.0)


def statuses(*objects: dict[str, Any], **fields: Any) -> Evidence:
    """Handlers as the recorder saw them, one after another."""
    return evidence(frames=[frame(each, **fields) for each in objects])


# ---- requests -----------------------------------------------------------------------------------


def write(at: float, **fields: Any) -> Entry:
    """The operator's write at this second, done a tenth of a second later."""
    usual = {"verb": "apply", "resource": "deployments", "name": "web", "code": 200}
    entry = {"seq": 0, "ended": at + 0.1, "replica": "a", **usual, **fields}
    return Entry(at=at, **{"server_code": entry["code"], **entry})


def failing(times: Sequence[float], **fields: Any) -> list[Entry]:
    """Writes at these seconds that are answered with 500."""
    return [write(at, **{"code": 500, **fields}) for at in times]


def every(pause: float, count: int, start: float = 0.0) -> list[float]:
    """This many moments, this many seconds apart."""
    return [start + pause * number for number in range(count)]


def lease(at: float, replica: str, holder: str | None = None, **fields: Any) -> Entry:
    """A replica's write of the Lease, done at once."""
    holder = replica if holder is None else holder
    usual = {"verb": "update", "resource": "leases", "replica": replica, "holder": holder}
    return write(at, **{**usual, "ended": at, **fields})


# ---- objects and processes ----------------------------------------------------------------------


def frame(obj: dict[str, Any], kind: str = "MODIFIED", resource: str = "gatihandlers") -> Frame:
    """What the recorder's watch saw."""
    return Frame(0.0, kind, resource, obj)


def child(*kinds: str, resource: str = "deployments", name: str = "web") -> list[Frame]:
    """These events of one object, in this order."""
    return [frame({"metadata": {"name": name}}, kind, resource) for kind in kinds]


def condition(kind: str, status: str, **fields: Any) -> dict[str, Any]:
    """A condition of generation 1."""
    usual = {"reason": "Why", "lastTransitionTime": "t1", "observedGeneration": 1}
    return {"type": kind, "status": status, **usual, **fields}


READY = condition("Ready", "True")


def handler(*conditions: dict[str, Any], uid: str = "u", **status: Any) -> dict[str, Any]:
    """A GatiHandler of generation 2; Ready, unless conditions are given."""
    return {
        "metadata": {"name": "web", "uid": uid, "generation": 2},
        "status": {"observedGeneration": 2, "conditions": list(conditions or (READY,)), **status},
    }


def reference(**fields: Any) -> Reference:
    """The undisturbed run: one step that leaves nothing, but for these fields."""
    known: dict[str, Any] = {"snapshots": {"create": {}}, "counts": {}, "writes": (), "varying": ()}
    return Reference("handler-life", **(known | fields), seconds=1.0)


def ended(name: str, *problems: str) -> StepEnd:
    """A step's end, with what was still wrong then."""
    return StepEnd(name, 0.0, 1.0, {}, problems)


def samples(*values: tuple[int, int], pids: Sequence[int] = (1, 1, 1)) -> Evidence:
    """(tasks, resident bytes) of a process at the end of each step."""
    taken = [
        Sample("a", pid, f"step-{number}", tasks, resident)
        for number, (pid, (tasks, resident)) in enumerate(zip(pids, values, strict=False))
    ]
    return evidence(samples=taken)


def crashed(*renewals: float, at: Sequence[float] = (10.0,)) -> Evidence:
    """A replica of two that ended by itself; when its renewals of the Lease were answered."""
    entries = [
        Entry(seq=0, at=moment, replica="a", verb="update", resource="leases", code=200)
        for moment in renewals
    ]
    exits = [Exit("a", 1, planned=False, at=moment) for moment in at]
    return evidence(TWO, entries=entries, exits=exits, renew_seconds=2.0)

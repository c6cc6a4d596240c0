"""The real operator, except that a changed handler keeps the children of its first spec."""

from dataclasses import replace
from datetime import datetime

from commands import gati as cli
from contract.demands import Seen
from contract.model import Object
from contract.plan import Child, Plan
from gati.handler.controller import HandlerController
from gati.handler.resolve import Handler, Invalid

real_plan = HandlerController.plan
first: dict[str, tuple[Child, ...] | None] = {}


def plan(
    self: HandlerController, parent: Object, spec: Handler | Invalid, seen: Seen, now: datetime
) -> Plan:
    planned = real_plan(self, parent, spec, seen, now)
    uid = parent["metadata"]["uid"]
    if parent["metadata"]["generation"] == 1:
        first[uid] = planned.children
    return replace(planned, children=first.get(uid, planned.children))


HandlerController.plan = plan  # type: ignore[method-assign]

if __name__ == "__main__":
    cli.main()

"""A controller of no domain that uses every term of the contract once, for trials of the runtime.

A Toy has a namespace of its own with parts in it, a host name that others may have taken, a number
from a registrar outside the API, and children of every sort in its own namespace. What it does
outside the API it records first; it goes when nothing of it is left anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from contract.demands import Demand, Need, Seen, Watch
from contract.facts import Ask, Fact
from contract.metadata import key_parts
from contract.model import Kind, Object
from contract.plan import Child, Note, Plan, Right
from contract.record import has_finalizer
from contract.status import Condition, conditions, find, parse_time, rfc3339
from world.kinds import CONFIG_MAP, JOB, LEASE, NAMESPACE, ROLE_BINDING, SECRET, body
from world.toyvalues import (
    BOARD,
    GADGET,
    GADGETS,
    GROUP,
    LAMP,
    MANAGED,
    STEP,
    STORAGE_CLASS,
    SYSTEM,
    TOY,
    VOLUME,
    WEATHER_SECONDS,
    Record,
    Spec,
    allot,
    board_named,
    holder,
    is_past,
    lease_of,
    read_record,
    release,
    seed_of,
    seeds_of,
    user_of,
    weather,
    without_values,
)


class Toys:
    """The controller."""

    kind = TOY
    watches = (
        Watch(NAMESPACE, child=True),
        Watch(LEASE, child=True, namespace=SYSTEM),
        Watch(ROLE_BINDING, child=True, removable=False),
        Watch(CONFIG_MAP, child=True),
        Watch(VOLUME, child=True, removable=False),
        Watch(JOB, child=True),
        Watch(LAMP, child=True, optional=True),
        Watch(BOARD),
        Watch(SECRET, keep=without_values, index=seed_of),
        Watch(STORAGE_CLASS, names_only=True),
    )
    rights = (
        Right("", "serviceaccounts", "impersonate"),
        Right(GROUP, "toys", "patch"),
        Right(GROUP, "boards", "patch"),
    )

    def read(self, parent: Object) -> Spec:
        """See ``Controller.read``."""
        spec = Spec(**parent.get("spec", {}))
        return replace(spec, problem="parts is below 0") if spec.parts < 0 else spec

    def needs(self, parent: Object, spec: Spec, seen: Seen, now: datetime) -> tuple[Demand, ...]:
        """See ``Controller.needs``."""
        return tuple(_demands(parent, spec, seen))

    def plan(self, parent: Object, spec: Spec, seen: Seen, now: datetime) -> Plan:
        """See ``Controller.plan``."""
        toy = _Toy(parent, spec, seen, now)
        if "deletionTimestamp" in parent["metadata"]:
            return toy.deleted()
        return toy.alive()


def _demands(parent: Object, spec: Spec, seen: Seen) -> Iterator[Demand]:
    namespace, _ = key_parts(parent)
    uid, record = parent["metadata"]["uid"], read_record(parent)
    seeds = seeds_of(parent)
    yield seeds
    if board := board_named(seen.needed.get(seeds, ())):
        yield Need(BOARD, namespace, name=board)
    if spec.storageClass:
        yield Need(STORAGE_CLASS, "", name=spec.storageClass)
    if spec.city:
        yield weather(spec.city)
    if spec.gadget or record.gadgets:
        yield GADGETS
    if not has_finalizer(parent, GROUP):
        return
    if "deletionTimestamp" in parent["metadata"]:
        if record.allotting and not any(key.kind == NAMESPACE for key in seen.children):
            yield release(uid)
    elif record.number is not None:
        yield holder(record.number)
    elif record.allotting:
        yield allot(uid)


class _Toy:
    """One toy as it is seen, and what follows from it."""

    def __init__(self, parent: Object, spec: Spec, seen: Seen, now: datetime) -> None:
        self.parent, self.spec, self.seen, self.now = parent, spec, seen, now
        self.namespace, self.name = key_parts(parent)
        self.uid = parent["metadata"]["uid"]
        self.record = read_record(parent)
        self.place = f"toy-{self.namespace}-{self.name}"

    def plan(self, children: tuple[Child, ...] | None, ready: Condition, **more: Any) -> Plan:
        """A plan with the status that all plans of a toy have."""
        old, generation = self.parent.get("status") or {}, self.parent["metadata"]["generation"]
        found = [ready, *self._conditions()]
        status = {
            "observedGeneration": generation,
            "conditions": conditions(found, old.get("conditions", ()), generation, self.now),
        }
        if self.record.number is not None:
            status["number"] = self.record.number
        if host := self.held():
            status["host"] = host
        notes: tuple[Note, ...] = ()
        if find(self.parent, "Ready")["status"] != ready.status == "True":
            notes = (Note("Normal", "Ready", "the toy is complete"),)
        user = user_of(self.place)
        return Plan(status, children, acting_as=user, notes=notes, **more)

    # ---- a toy that is wanted ------------------------------------------------------------------

    def alive(self) -> Plan:
        """What a toy wants that is not being deleted."""
        if self.spec.problem or self.spec.suspend:
            reason = "Invalid" if self.spec.problem else "Suspended"
            return self.plan(None, Condition("Ready", "False", reason, self.spec.problem))
        record = self._next_record()
        wanted = tuple(self._children())
        return self.plan(
            wanted,
            self._ready(wanted),
            record=record.value(),
            finalizer=True,
            again_at=min(self._moments(record), default=None),
        )

    def _moments(self, record: Record) -> Iterator[datetime]:
        if record.since:
            yield parse_time(record.since) + STEP
        fact = self._fact(weather(self.spec.city))
        if fact.at is not None:
            yield fact.at + timedelta(seconds=WEATHER_SECONDS + 1)

    def _fact(self, ask: Ask) -> Fact:
        return self.seen.facts.get(ask, Fact())

    def _next_record(self) -> Record:
        record = self._numbered(replace(self.record, allotting=True))
        record = self._resized(record)
        lost = [host for host in self._hosts() if lease_of(host) in self.seen.foreign]
        lost += [host for host in record.lost if host in self._hosts() and host not in lost]
        return replace(record, lost=tuple(sorted(lost)), gadgets=self._may_have_gadgets())

    def _numbered(self, record: Record) -> Record:
        if record.number is None:
            given = self._fact(allot(self.uid))
            return record if given.at is None else replace(record, number=given.value)
        found = self._fact(holder(record.number))
        if found.at is None or found.value == self.uid:
            return record
        generation = self.parent["metadata"]["generation"]
        return replace(record, number=None, restored=generation)

    def _resized(self, record: Record) -> Record:
        wanted = self.spec.size
        if record.size in ("", wanted):
            return replace(record, size=wanted, next="", since="")
        if record.next != wanted or not is_past(record.since, self.now):
            return replace(record, next=wanted, since=rfc3339(self.now))
        if self.now < parse_time(record.since) + STEP:
            return record
        return replace(record, size=wanted, next="", since="")

    def _may_have_gadgets(self) -> bool:
        if GADGET in self.seen.absent:
            return self.record.gadgets
        return self.spec.gadget or any(key.kind == GADGET for key in self.seen.children)

    def _hosts(self) -> tuple[str, ...]:
        host = self.spec.host
        return (host, f"{host}-{self.namespace}-{self.name}") if host else ()

    def held(self) -> str:
        """The host that the toy has."""
        held = (host for host in self._hosts() if lease_of(host) in self.seen.children)
        return next(held, "")

    def _children(self) -> Iterator[Child]:
        yield Child(NAMESPACE, body(NAMESPACE, self.place))
        lost = {*self.record.lost}
        free = [host for host in self._hosts() if host not in lost]
        if host := self.held() or next(iter(free), ""):
            yield self._claim(host)
        yield Child(ROLE_BINDING, self._binding(), wave=1)
        yield from self._parts()
        if self.spec.volume:
            yield self._here(VOLUME, {"accessModes": ["ReadWriteOnce"]}, hold="kept")
        if self.spec.job:
            template = {"spec": {"containers": [{"name": "job", "image": self.spec.job}]}}
            yield self._here(JOB, {"template": template}, replaced=True)
        if self.spec.lamp and LAMP not in self.seen.absent:
            yields = (("spec", "brightness"),) if self.spec.dimmed else ()
            spec = {} if self.spec.dimmed else {"brightness": self.spec.lamp}
            yield self._here(LAMP, {"colour": "red", **spec}, yields=yields)
        if self.spec.gadget and GADGET not in self.seen.absent:
            yield self._here(GADGET, {"size": self.record.size})
        if (board := self.board()) is not None:
            yield self._entry(board, [{"name": self.name, "text": self.record.size}])

    def _claim(self, host: str) -> Child:
        lease = body(
            LEASE, lease_of(host).name, {"holderIdentity": f"{self.namespace}/{self.name}"}
        )
        lease["metadata"]["namespace"] = SYSTEM
        return Child(LEASE, lease)

    def _binding(self) -> Object:
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
        subject = {"kind": "ServiceAccount", "name": "builder", "namespace": self.place}
        place = {"namespace": self.place}
        return body(ROLE_BINDING, "builder", metadata=place, roleRef=role, subjects=[subject])

    def _parts(self) -> Iterator[Child]:
        """The parts; while the weather is not known, those that there are stay as they are."""
        fact = self._fact(weather(self.spec.city))
        for number in range(self.spec.parts):
            live = self.seen.child(CONFIG_MAP, f"part-{number}", self.place)
            sky = str(fact.value) if fact.at else (live or {}).get("data", {}).get("sky")
            if self.spec.city and sky is None:
                continue
            data = {"size": self.record.size, **({"sky": sky} if sky and self.spec.city else {})}
            place = {"namespace": self.place}
            part = body(CONFIG_MAP, f"part-{number}", metadata=place, data=data)
            yield Child(CONFIG_MAP, part, wave=2, delegated=True)

    def _here(self, kind: Kind, spec: Object, **more: Any) -> Child:
        metadata = {"namespace": self.namespace, "labels": MANAGED}
        return Child(kind, body(kind, f"toy-{self.name}", spec, metadata=metadata), wave=2, **more)

    def board(self) -> Object | None:
        """The board that a Secret names, where there is one."""
        board = board_named(self.seen.needed.get(seeds_of(self.parent), ()))
        found = self.seen.needed.get(Need(BOARD, self.namespace, name=board), ())
        return found[0] if found else None

    def _entry(self, board: Object, own: list[Object]) -> Child:
        """The board with our entry in it; the entries of others as they are."""
        rules = board.get("spec", {}).get("rules") or []
        names = [rule["name"] for rule in rules]
        place = names.index(self.name) if self.name in names else len(names)
        wanted_rules = [*rules[:place], *own, *rules[place + 1 :]]
        name = board["metadata"]["name"]
        metadata = {"namespace": self.namespace}
        wanted = body(BOARD, name, {"rules": wanted_rules}, metadata=metadata)
        return Child(BOARD, wanted, wave=2, hold="shared")

    # ---- the conditions --------------------------------------------------------------------------

    def _conditions(self) -> Iterator[Condition]:
        """What is worth a condition of its own; each is there for as long as it holds."""
        if self.record.restored == self.parent["metadata"]["generation"]:
            yield Condition("Recorded", "True", "Restored", "the record was not ours: made anew")
        if self.spec.city:
            fact = self._fact(weather(self.spec.city))
            state = "Unknown" if not fact.trouble else "False"
            reason = "Refused" if fact.final else "Unanswered"
            if fact.at and not fact.trouble:
                state, reason = "True", "Answered"
            yield Condition("Weather", state, reason, fact.trouble)  # type: ignore[arg-type]
        missing = {LAMP: self.spec.lamp, GADGET: self.spec.gadget}
        absent = sorted(str(kind) for kind in self.seen.absent if missing.get(kind))
        if absent:
            yield Condition("Complete", "False", "NotServed", f"not served: {', '.join(absent)}")

    def _ready(self, wanted: tuple[Child, ...]) -> Condition:
        seen = self.seen
        for what, reason in ((seen.refused, "Refused"), (seen.foreign, "NameConflict")):
            for key in sorted(what, key=str):
                answer: Any = what[key]
                text = answer if isinstance(answer, str) else answer.message
                return Condition("Ready", "False", reason, f"{key}: {text}")
        for key in sorted(seen.contested, key=str):
            return Condition("Ready", "False", "Contested", f"{key} by {seen.contested[key]}")
        for child in wanted:
            if not self._is_there(child):
                return Condition("Ready", "False", "Progressing", f"{child.key} is not there yet")
        shelf = self.spec.storageClass
        if shelf and not seen.needed.get(Need(STORAGE_CLASS, "", name=shelf)):
            return Condition("Ready", "False", "NoStorageClass", f"no StorageClass {shelf}")
        parts = sum(key.kind == CONFIG_MAP for key in seen.children)
        if self.record.number is None or self.record.next or parts != self.spec.parts:
            return Condition("Ready", "False", "Progressing", "steps are left")
        return Condition("Ready", "True", "Complete")

    def _is_there(self, child: Child) -> bool:
        if child.hold == "shared":
            return (self.board() or {}).get("spec") == child.body["spec"]
        live = self.seen.children.get(child.key)
        return live is not None and "deletionTimestamp" not in live["metadata"]

    # ---- a toy that goes -----------------------------------------------------------------------

    def deleted(self) -> Plan:
        """What a toy still wants: less in each stage, and its finalizer until nothing is left."""
        children = tuple(self._left())
        going = [key for key in self.seen.children if key not in {each.key for each in children}]
        what = f"waits for {min(going, key=str)}" if going else "waits for the registrar"
        ready = Condition("Ready", "False", "Deleting", what)
        held = bool(children or going or self._is_numbered())
        return self.plan(children, ready, record=self.record.value(), finalizer=held)

    def _left(self) -> Iterator[Child]:
        held = sorted(key.name for key in self.seen.children if key.kind == LEASE)
        places = [key for key in self.seen.children if key.kind == NAMESPACE]
        rest = [
            key for key in self.seen.children if key.kind not in (LEASE, NAMESPACE, ROLE_BINDING)
        ]
        board = self.board()
        on_board = board is not None and self.name in {
            rule["name"] for rule in board.get("spec", {}).get("rules") or ()
        }
        if on_board and board is not None:
            yield self._entry(board, [])
        if places and (on_board or rest):
            yield Child(NAMESPACE, body(NAMESPACE, self.place))
        if held and (places or rest or on_board or self._is_numbered()):
            yield self._claim(held[0].removeprefix("host-"))

    def _is_numbered(self) -> bool:
        return self.record.allotting and self._fact(release(self.uid)).at is None

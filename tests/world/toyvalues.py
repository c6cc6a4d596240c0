"""What toys are: their kinds, the spec, the record, and what is asked outside the API. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from contract.demands import Need, Watch
from contract.facts import Ask
from contract.metadata import key_parts
from contract.model import Key, Kind, Object
from contract.record import recorded
from contract.status import parse_time
from world.kinds import LEASE, SECRET

GROUP = "toys.test"
TOY = Kind(GROUP, "v1", "Toy", "toys")
LAMP = Kind(GROUP, "v1", "Lamp", "lamps")
GADGET = Kind(GROUP, "v1", "Gadget", "gadgets")
BOARD = Kind(GROUP, "v1", "Board", "boards")
VOLUME = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False)

SYSTEM = "toys-system"
"""The namespace of the operator, where no user writes: what is claimed there is decided."""

STEP = timedelta(seconds=6)
"""How long the next size is shown before the parts get it."""

SIZES = ("small", "big", "restless")
WEATHER_SECONDS = 600.0
MANAGED = {f"{GROUP}/managed": "true"}
GADGETS = Watch(GADGET, child=True, optional=True, labels=f"{GROUP}/managed=true")


def seed_of(secret: Object) -> str | None:
    """The toy that a Secret is for."""
    return (secret["metadata"].get("labels") or {}).get(f"{GROUP}/toy")


def without_values(secret: Object) -> Object | None:
    """Of a Secret for a toy, all but its values; nothing of others."""
    return {**secret, "data": None, "stringData": None} if seed_of(secret) else None


@dataclass(frozen=True, slots=True)
class Spec:
    """What the user wants, with defaults; ``problem`` where that is impossible."""

    size: str = "small"
    parts: int = 2
    city: str = ""
    host: str = ""
    job: str = ""
    volume: bool = False
    storageClass: str = ""  # noqa: N815 - named as in the API
    lamp: int = 0
    dimmed: bool = False
    gadget: bool = False
    suspend: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """The steps that were decided; what of it is not so by now is found out, not believed.

    ``allotting``: the registrar may have been asked. ``restored`` is the generation of the parent
    whose record could not be read or was not true.
    """

    allotting: bool = False
    number: int | None = None
    size: str = ""
    next: str = ""
    since: str = ""
    lost: tuple[str, ...] = ()
    gadgets: bool = False
    restored: int = 0

    def value(self) -> dict[str, Any]:
        """As it is stored: what is not the default."""
        return {
            name: value for name, value in {**asdict(self), "lost": [*self.lost]}.items() if value
        }


def read_record(parent: Object) -> Record:
    """The record of a toy; an empty one, marked as restored, where it is not one of ours."""
    found = recorded(parent, GROUP)
    anew = Record(restored=parent["metadata"].get("generation", 0), allotting=True)
    may_be_lost = "number" in parent.get("status", {}) or "deletionTimestamp" in parent["metadata"]
    if found is None or (not found and may_be_lost):
        return anew
    try:
        lost = tuple(map(str, found.get("lost", ())))
        record = Record(**{**found, "lost": lost})
    except TypeError:
        return anew
    plain = replace(record, number=record.number or 0, lost=())
    known = all(
        type(each) is type(getattr(Record(number=0), name)) for name, each in asdict(plain).items()
    )
    sizes = {record.size, record.next} <= {"", *SIZES}
    return record if known and sizes else anew


def user_of(namespace: str) -> str:
    """Who parts are written as: an account of the toy's own namespace, which is bound there."""
    return f"system:serviceaccount:{namespace}:builder"


def allot(uid: str) -> Ask:
    """A number for this toy; the registrar gives a toy that has one the same again."""
    return Ask.of("registrar", {"allot": uid})


def holder(number: int) -> Ask:
    """Which toy has the number."""
    return Ask.of("registrar", {"holder": number})


def release(uid: str) -> Ask:
    """Give back the number that this toy has, if it has one."""
    return Ask.of("registrar", {"release": uid})


def weather(city: str) -> Ask:
    """What the parts of a toy in this city are to show."""
    return Ask.of("weather", city, within=WEATHER_SECONDS)


def seeds_of(parent: Object) -> Need:
    """The Secrets for a toy."""
    namespace, name = key_parts(parent)
    return Need(SECRET, namespace, index=name)


def board_named(seeds: tuple[Object, ...]) -> str:
    """The board that the first Secret for a toy names."""
    annotations = seeds[0]["metadata"].get("annotations") or {} if seeds else {}
    return str(annotations.get(f"{GROUP}/board", ""))


def lease_of(host: str) -> Key:
    """What holds a host for the toy that has it."""
    return Key(LEASE, SYSTEM, f"host-{host}")


def is_past(text: str, now: datetime) -> bool:
    """Is it a moment, and not one to come?"""
    try:
        return parse_time(text) <= now
    except (ValueError, TypeError):
        return False

"""A world with toys in it: their API, the registrar outside of it, a toy's whole life."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from contract.model import Kind, Object
from contract.status import find
from memoryserver import Write
from world.kinds import CONFIG_MAP, SECRET, body
from world.sources import ScriptedSource
from world.toys import Toys
from world.toyvalues import BOARD, GADGET, GROUP, LAMP, SIZES, STORAGE_CLASS, SYSTEM, TOY
from world.world import World

_TEXT, _YES = {"type": "string", "maxLength": 1024}, {"type": "boolean"}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 1000}
_CONDITION = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        **dict.fromkeys(("type", "reason", "message"), _TEXT),
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "lastTransitionTime": {"type": "string", "format": "date-time", "maxLength": 40},
        "observedGeneration": _NUMBER,
    },
}
_STATUS = {
    "type": "object",
    "properties": {
        "observedGeneration": _NUMBER,
        "number": _NUMBER,
        "host": _TEXT,
        "conditions": {
            "type": "array",
            "maxItems": 8,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": _CONDITION,
        },
    },
}


def _crd(kind: Kind, **spec: Object) -> Object:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": spec}, "status": _STATUS},
    }
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    names = {"plural": kind.plural, "singular": kind.kind.lower(), "kind": kind.kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource},
        "spec": {"group": kind.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


TOY_CRD = _crd(
    TOY,
    size={"type": "string", "enum": [*SIZES]},
    parts={"type": "integer", "minimum": -1, "maximum": 10},
    city=_TEXT,
    host=_TEXT,
    job=_TEXT,
    volume=_YES,
    storageClass=_TEXT,
    lamp=_NUMBER,
    dimmed=_YES,
    gadget=_YES,
    suspend=_YES,
)
LAMP_CRD = _crd(LAMP, colour=_TEXT, brightness=_NUMBER)
GADGET_CRD = _crd(GADGET, size=_TEXT)
BOARD_CRD = _crd(
    BOARD,
    rules={
        "type": "array",
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "object", "properties": {"name": _TEXT, "text": _TEXT}},
    },
)
CRDS = (TOY_CRD, LAMP_CRD, GADGET_CRD, BOARD_CRD)


def toy(name: str = "t", **spec: Any) -> Object:
    """A Toy of two parts, with what of its spec a test cares for."""
    return body(TOY, name, spec)


def board(name: str) -> Object:
    """A board with an entry of somebody else's."""
    return body(BOARD, name, {"rules": [{"name": "theirs", "text": "x"}]})


def seed(toy: str, board: str) -> Object:
    """A user's Secret that gives a toy its board."""
    metadata = {"labels": {f"{GROUP}/toy": toy}, "annotations": {f"{GROUP}/board": board}}
    return body(SECRET, f"seed-{toy}", metadata=metadata)


class Registrar:
    """Gives numbers to toys, outside the API. ``effects`` are what it did, in order."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.effects: list[tuple[str, str]] = []
        self._last = 100

    def answer(self, about: Mapping[str, Any]) -> Any:
        """One question: allot, release or holder. Equal ones have the effect of one."""
        ((verb, what),) = about.items()
        if verb == "holder":
            return next((uid for uid, number in self.numbers.items() if number == what), None)
        if verb == "allot":
            if what not in self.numbers:
                self._last += 1
                self.numbers[what] = self._last
                self.effects.append((verb, what))
            return self.numbers[what]
        if self.numbers.pop(what, None) is not None:
            self.effects.append((verb, what))
        return "released"


PLACE = "toy-default-t"


class ToyWorld(World):
    """A world with toys, the registrar, the weather, and what users made before any toy."""

    def __init__(self, **options: Any) -> None:
        self.registrar = Registrar()
        self.numbers = ScriptedSource("registrar", self._numbered)
        self.skies = ScriptedSource("weather", lambda city: f"sun over {city}")
        sources = (self.numbers, self.skies)
        settings = {"crds": CRDS, "namespaces": ("default", SYSTEM), "sources": sources}
        super().__init__([Toys()], **{**settings, **options})
        self.create(STORAGE_CLASS, body(STORAGE_CLASS, "fast", provisioner="example.test/disks"))
        self.create(BOARD, board("b"))
        self.create(SECRET, seed("t", "b"))

    def _numbered(self, about: Any) -> Any:
        """The registrar, which is asked for a number only where the record allows it."""
        if "allot" in about:
            (parent,) = [
                each for each in self.all(TOY) if each["metadata"]["uid"] == about["allot"]
            ]
            record = json.loads(parent["metadata"]["annotations"][f"{GROUP}/record"])
            assert record["allotting"], "asked before it was recorded"
            assert "number" not in record, "asked again after it was recorded"
            assert parent["metadata"]["finalizers"] == [f"{GROUP}/finalizer"]
        return self.registrar.answer(about)

    def ready(self, name: str = "t") -> Object:
        """The Ready condition of a toy."""
        return find(self.live(TOY, name), "Ready")

    def condition(self, type_: str, name: str = "t") -> Object:
        """A condition of a toy."""
        return find(self.live(TOY, name), type_)

    def parts(self, place: str = PLACE) -> dict[str, Object]:
        """What the parts of a toy hold."""
        return {each["metadata"]["name"]: each["data"] for each in self.all(CONFIG_MAP, place)}


FULL: dict[str, Any] = {
    "city": "Ulm",
    "host": "h",
    "job": "j:1",
    "volume": True,
    "storageClass": "fast",
    "lamp": 5,
    "gadget": True,
}
CHANGED = {"size": "big", "parts": 3, "job": "j:2", "dimmed": True, "host": "g"}
SHRUNK = {"parts": 1, "job": None, "lamp": 0, "gadget": False, "host": None, "city": None}


async def rest(world: World) -> None:
    """Until all is done; an operator that died is started again, as often as it dies."""
    while True:
        await world.settle(quiet=9)
        if not world.dead:
            return
        await world.restart()


async def live(world: ToyWorld) -> list[Any]:
    """A toy's life; answers what there was at the end of each stage."""
    states = []
    world.create(TOY, toy(**FULL))
    await rest(world)
    states.append(comparable(world))
    world.edit(TOY, "t", {"spec": CHANGED})
    await rest(world)
    states.append(comparable(world))
    world.edit(TOY, "t", {"spec": SHRUNK})
    await rest(world)
    states.append(comparable(world))
    world.delete(TOY, "t")
    await rest(world)
    states.append(comparable(world))
    return states


def comparable(world: World) -> Any:
    """All objects but for uids, and for the digests that are made of them."""
    text = json.dumps({"/".join(key): obj for key, obj in sorted(world.state().items())})
    text = re.sub(r"[0-9a-f]{8}-0000-4000-8000-[0-9a-f]{12}", "uid", text)
    return json.loads(re.sub(rf'"{GROUP}/intent": "[0-9a-f]*"', '"intent": ""', text))


def deletes(writes: list[Write]) -> list[tuple[str, str, str]]:
    """What the operator deleted."""
    return [(each.kind, each.namespace, each.name) for each in writes if each.verb == "delete"]

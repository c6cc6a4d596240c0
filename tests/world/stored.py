"""What a release of the operator leaves in a cluster, for the tests of the next releases.

``golden/lives.yaml`` is what users apply. ``record`` plays their lives with the operator of this
source and answers every object that is there at rest; ``golden/stored-by-<version>.json`` holds
that of a release, and is written once, by ``RECORD_STORED=<version> pytest
tests/world/test_upgrade.py``. A release's file is never recorded anew by a later source: it would
hold what the later source makes of the lives, and could show nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from contract.model import Kind, Object
from gati import operator
from gati.kinds import GATI_HANDLER, GATI_MODULE, GATI_VERSION
from objects import documents
from objects.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)
from world.controllers import Broken
from world.handlers import options
from world.kinds import NAMESPACE
from world.world import World

FOLDER = Path(__file__).with_name("golden")
KINDS = {
    (kind.api_version, kind.kind): kind
    for kind in (
        NAMESPACE,
        GATI_HANDLER,
        GATI_MODULE,
        GATI_VERSION,
        CONFIG_MAP,
        DEPLOYMENT,
        SERVICE,
        HORIZONTAL_POD_AUTOSCALER,
        POD_DISRUPTION_BUDGET,
    )
}


def releases() -> dict[str, list[tuple[Kind, Object]]]:
    """What each recorded release left, by its version."""
    return {
        file.stem.removeprefix("stored-by-"): [
            (KINDS[obj["apiVersion"], obj["kind"]], obj)
            for obj in json.loads(file.read_text("utf-8"))["items"]
        ]
        for file in sorted(FOLDER.glob("stored-by-*.json"))
    }


def keep(version: str, objects: list[Object]) -> None:
    """Write down what a release left. Raises FileExistsError where that was done before."""
    found = {"apiVersion": "v1", "kind": "List", "items": objects}
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False)
    with (FOLDER / f"stored-by-{version}.json").open("x", encoding="utf-8") as file:
        file.write(f"{text}\n")


def arguments(**more: Any) -> dict[str, Any]:
    """A World's arguments: what the administrator of that cluster chose, then and now."""
    settings = operator.Settings(default_image="registry.example/default:v1")
    return options(controllers=operator.controllers(settings), manager="gati-operator", **more)


async def record() -> list[Object]:
    """Every object of a world at rest, after the lives of all handlers in it."""
    async with World(**arguments()) as world:
        failure = Broken("FailedCreate", 'exceeded quota: "q"', creates_pods=False)
        world.deployments.broken["app:stuck"] = failure
        for kind, obj in lives():
            world.apply(kind, obj)
        await world.settle()
        _live_on(world)
        await world.settle()
        return [obj for kind in KINDS.values() for obj in world.all(kind)]


def lives() -> Iterator[tuple[Kind, Object]]:
    """What users apply, each in the version of its kind in which they write it."""
    for obj in documents.load((FOLDER / "lives.yaml").read_text("utf-8")):
        found = next(kind for _, kind in KINDS if kind == obj["kind"])
        kind = next(each for each in KINDS.values() if each.kind == found)
        yield replace(kind, version=obj["apiVersion"].rpartition("/")[2]), obj


def _live_on(world: World) -> None:
    """What happens to some of them later; the server of that time let an invalid spec pass."""
    more: dict[str, Object] = {
        "rolled": {"image": "app:2", "config": None},
        "no-longer-autoscaled": {"autoscaling": {"enabled": False}, "replicas": 3},
        "suspended": {"suspend": True, "image": "app:2"},
        "invalid-later": {"handlerPath": "/later"},
    }
    for name, spec in more.items():
        world.edit(GATI_HANDLER, name, {"spec": spec})
    drift = {"labels": {"gati.dev/handler": "wrong"}, "annotations": {"note": "a user's own"}}
    world.edit(DEPLOYMENT, "handler-repaired", {"metadata": drift})
    world.delete(POD_DISRUPTION_BUDGET, "handler-repaired")

"""Handlers of earlier releases: their specs, the versions made for them, digests of their children.

``golden/versions.json`` holds what the operator made of each spec when the row was recorded. A
later operator that makes anything else of one of them rewrites objects and restarts pods at the
upgrade, so a recorded row is never changed. The rows of the fields of release 0.1.0 were made by
its code; those of later fields are added by ``record``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contract.demands import Seen
from contract.metadata import digest
from contract.model import Object
from contract.plan import Child
from gati.handler.controller import HandlerController
from unit.gati_fields import PATHS, pair
from unit.gati_objects import IMAGE, NOW, key, planned, stamped

GOLDEN = Path(__file__).parent / "golden" / "versions.json"


def parent_of(spec: Object) -> Object:
    """The handler of a recorded spec, as the API server returns it."""
    metadata = {"name": "users", "namespace": "shop", "uid": "uid-of-users", "generation": 1}
    return {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": metadata,
        "spec": spec,
    }


def made_of(spec: Object) -> dict[str, Any] | None:
    """Version and children of a spec, new and over a live Deployment; None where it is invalid."""
    parent = parent_of(spec)
    controller = HandlerController(default_image=IMAGE)
    children = planned(controller, parent, Seen("shop"), NOW).children
    if children is None:
        return None
    deployment = next(child for child in children if child.kind.kind == "Deployment").body
    live = {**deployment, "spec": {**deployment["spec"], "replicas": 2}}
    seen = Seen("shop", children={key("Deployment", "handler-users"): live})
    later = planned(controller, parent, seen, NOW).children or ()
    return {
        "version": deployment["metadata"]["annotations"]["gati.dev/version"],
        "children": {child.kind.kind: _digest(child, parent) for child in children},
        "over a live one": {
            child.kind.kind: found
            for child in later
            if (found := _digest(child, parent)) not in {_digest(one, parent) for one in children}
        },
    }


def rows() -> list[dict[str, Any]]:
    """The recorded rows: each a spec and what was made of it."""
    found: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


def paths(spec: Object) -> set[str]:
    """The paths of the plain values that a spec holds, as the schema names them."""
    return {path for path in _paths(spec, "") if path in PATHS}


def _paths(value: Any, path: str) -> Iterator[str]:
    yield path
    if isinstance(value, dict):
        yield from [f"{path}{{}}"] if value else []
        for name, inner in value.items():
            yield from _paths(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, f"{path}[]")


def _digest(child: Child, parent: Object) -> str:
    return digest(stamped(parent, child), 12)


def record() -> None:
    """Adds a row for each field that stands in none yet."""
    found = rows()
    covered = {path for row in found for path in paths(row["spec"])}
    for path in PATHS:
        if path not in covered:
            spec, _ = pair(path)
            found.append({"spec": spec, **(made_of(spec) or {})})
            covered |= paths(spec)
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in found)
    GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")

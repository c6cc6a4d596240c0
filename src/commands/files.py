"""The files of ``gati-operator plan``: read, matched with controllers, and judged by the schema.

A field that the CRD does not know is pruned by the API server without a word; here it is told.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.model import Object
from contract.plan import Controller
from crds.documents import crd_documents
from gati.resources import API
from objects import documents


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file; ``controller`` is None where it is only there to be referred to."""

    source: str
    object: Object
    controller: Controller | None
    warnings: tuple[str, ...]

    @property
    def title(self) -> str:
        """``handler.yaml: GatiHandler users-api``."""
        return f"{self.source}: {self.object['kind']} {self.object['metadata']['name']}"


def read_documents(
    filenames: Sequence[str], controllers: Mapping[str, Controller], namespace: str
) -> list[Document]:
    """All objects of the files, directories (their ``.yaml``, ``.yml``, ``.json``) and ``-``.

    Raises Malformed and OSError.
    """
    schemas = {crd["spec"]["names"]["kind"]: crd["spec"]["versions"] for crd in crd_documents(API)}
    found = []
    for source, text in _texts(filenames):
        for obj in documents.load(text, source):
            metadata = {"namespace": namespace, **obj["metadata"]}
            whole = {**obj, "metadata": metadata}
            group = obj["apiVersion"].partition("/")[0]
            controller = controllers.get(obj["kind"])
            if controller is not None and controller.kind.group != group:
                controller = None
            warnings: tuple[str, ...] = ()
            if controller is not None:
                warnings = tuple(_unknown(obj, schemas[obj["kind"]]))
            found.append(Document(source, whole, controller, warnings))
    if not any(document.controller for document in found):
        kinds = ", ".join(controllers)
        raise documents.Malformed(f"{', '.join(filenames)}: holds no object of the kinds {kinds}")
    return found


def _texts(filenames: Sequence[str]) -> Iterator[tuple[str, str]]:
    for filename in filenames:
        if filename == "-":
            yield "standard input", sys.stdin.read()
            continue
        path = Path(filename)
        if path.is_dir():
            for inner in sorted(path.iterdir()):
                if inner.suffix in (".yaml", ".yml", ".json"):
                    yield str(inner), inner.read_text()
        else:
            yield str(path), path.read_text()


def _unknown(obj: Object, versions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Fields that no schema of the object's version knows."""
    wanted = obj["apiVersion"].partition("/")[2]
    for version in versions:
        if version["name"] == wanted:
            schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
            yield from _unknown_fields(obj.get("spec"), schema, "spec")
            return
    yield f"apiVersion {obj['apiVersion']} is not served; write {versions[0]['name']}"


def _unknown_fields(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(value, dict) and "properties" in schema:
        for name, inner in value.items():
            if name in schema["properties"]:
                yield from _unknown_fields(inner, schema["properties"][name], f"{path}.{name}")
            else:
                yield f"unknown field {path}.{name}: the API server would drop it"
    elif isinstance(value, list) and "items" in schema:
        for index, inner in enumerate(value):
            yield from _unknown_fields(inner, schema["items"], f"{path}[{index}]")

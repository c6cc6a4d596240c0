"""The files of ``gati-operator plan``: read, matched with controllers, judged as by the API server.

A field that the CRD does not know is pruned by the API server in silence; here it is reported.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.model import Object
from contract.plan import Controller
from crds.documents import crd_documents
from crds.refusal import RULES_NOT_READ, Refusal
from crds.validation import created
from gati.resources import API
from objects import documents


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file; ``controller`` is None where it is only there to be referred to.

    ``object`` is what the file holds, ``stored`` what an API server would keep of it. With
    ``refusals`` it would keep nothing.
    """

    source: str
    object: Object
    stored: Object
    controller: Controller | None = None
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """``handler.yaml: GatiHandler users-api``."""
        return f"{self.source}: {self.object['kind']} {_name(self.object)}".rstrip()

    @property
    def has_name(self) -> bool:
        """Can a cluster be asked about this object?"""
        return bool(_name(self.object))


def read_documents(
    filenames: Sequence[str], controllers: Mapping[str, Controller], namespace: str
) -> list[Document]:
    """All objects of the files, directories (their ``.yaml``, ``.yml``, ``.json``) and ``-``.

    Raises Malformed and OSError.
    """
    definitions = {crd["spec"]["names"]["kind"]: crd for crd in crd_documents(API)}
    found = [
        _document(source, obj, controllers, definitions, namespace)
        for source, text in _texts(filenames)
        for obj in documents.load(text, source)
    ]
    if not any(document.controller or document.refusals for document in found):
        kinds = ", ".join(controllers)
        raise documents.Malformed(f"{', '.join(filenames)}: holds no object of the kinds {kinds}")
    return found


def _texts(filenames: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for filename in filenames:
        if filename == "-":
            yield "standard input", sys.stdin.buffer.read()
            continue
        path = Path(filename)
        if path.is_dir():
            for inner in sorted(path.iterdir()):
                if inner.suffix in (".yaml", ".yml", ".json"):
                    yield str(inner), inner.read_bytes()
        else:
            yield str(path), path.read_bytes()


def _document(
    source: str,
    obj: Object,
    controllers: Mapping[str, Controller],
    definitions: Mapping[str, Mapping[str, Any]],
    namespace: str,
) -> Document:
    placed = _placed(obj, namespace)
    if placed["apiVersion"].partition("/")[0] != API.name:
        if not _name(placed):
            raise documents.Malformed(f"{source}: a {obj['kind']} has no metadata.name")
        return Document(source, placed, placed)
    definition = definitions.get(obj["kind"])
    if definition is None:
        why = f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"'
        known = ", ".join(definitions)
        return Document(source, placed, placed, refusals=(f"{why}: the kinds are {known}",))
    answer = created(placed, definition)
    return Document(
        source,
        placed,
        answer.object,
        controllers.get(obj["kind"]),
        tuple(f"unknown field {path}: the API server would drop it" for path in answer.unknown),
        tuple(_words(refusal) for refusal in answer.refusals),
    )


def _placed(obj: Object, namespace: str) -> Object:
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        return obj
    return {**obj, "metadata": {**metadata, "namespace": metadata.get("namespace") or namespace}}


def _name(obj: Object) -> str:
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _words(refusal: Refusal) -> str:
    """The server's message, and what to write where YAML took text for something else."""
    if refusal.message == RULES_NOT_READ:
        return RULES_NOT_READ.partition("null: ")[2]
    hint = " (write it in quotes)" if _NOT_TEXT.search(refusal.message) else ""
    return f"{refusal}{hint}"


_NOT_TEXT = re.compile(
    r"must be of type (integer,)?string: .(integer|number|boolean)"
    r"|cannot unmarshal (number|bool) into .* of type string"
)

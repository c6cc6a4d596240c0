"""Every controller of every domain, and parents for it.

Nothing here is about one controller. A domain is a package with an ``operator`` (its controllers)
and ``resources`` (the schemas of their kinds), and has ``examples``: a parent is an example of its
kind with other fields drawn from the schema.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from contract.model import Kind, Object
from contract.plan import Controller
from contract.record import finalizer, record_annotation
from crds.documents import Group, crd_documents
from crds.schema import structural_schema
from unit.schema_values import few, mostly, overlaid, values

NAMESPACE = "shop"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Subject:
    """The controllers of one kind under test, and what the API server is given to know of it.

    ``controllers`` is one for each way to set up the operator; they watch the same. ``schema`` has
    the schemas of spec and status, ``versions`` are those that serve the kind, and ``crds`` the
    definitions of its group. ``beside`` are objects that users make for a parent.
    """

    controllers: tuple[Controller, ...]
    schema: Mapping[str, Any]
    versions: tuple[str, ...]
    crds: tuple[Object, ...]
    examples: tuple[Object, ...]
    beside: tuple[tuple[Kind, Object], ...] = ()

    def __str__(self) -> str:
        return str(self.kind)

    @property
    def kind(self) -> Kind:
        """The kind of the parents."""
        return self.controllers[0].kind

    @cached_property
    def specs(self) -> st.SearchStrategy[Object]:
        """Specs that the schema allows: an example with other fields, or none of an example."""
        schema = self.schema["spec"]
        if not self.examples:
            return values(schema)
        example = st.sampled_from([each["spec"] for each in self.examples])
        names = st.sampled_from(sorted(schema["properties"]))
        whole: st.SearchStrategy[set[str]] = st.just(set())
        dropped = mostly(whole, st.sets(names, max_size=6))
        one = st.builds(overlaid, example, whole, few(schema, 1))
        several = st.builds(overlaid, example, dropped, few(schema))
        return mostly(one, several, values(schema))

    @cached_property
    def statuses(self) -> st.SearchStrategy[Object]:
        """Statuses that the schema allows."""
        return values(self.schema["status"])


def domains() -> list[str]:
    """The packages that are domains."""
    return sorted(path.parent.name for path in (ROOT / "src").glob("*/operator.py"))


def subjects() -> list[Subject]:
    """Every controller of every domain, by kind."""
    found = []
    for domain in domains():
        operator = import_module(f"{domain}.operator")
        group: Group = import_module(f"{domain}.resources").API
        schemas = {each.kind: structural_schema(each.type) for each in group.resources}
        crds = tuple(crd_documents(group))
        ways = [operator.controllers(each) for each in _settings(operator.Settings)]
        for controllers in zip(*ways, strict=True):
            kind = controllers[0].kind
            schema, examples = schemas[kind]["properties"], tuple(_examples(domain, kind))
            found.append(Subject(controllers, schema, group.versions, crds, examples))
    return found


def _settings(type_: Any) -> Iterator[Any]:
    """An administrator who sets nothing, and one who sets every text."""
    yield type_()
    texts = [each.name for each in fields(type_) if "str" in str(each.type)]
    yield type_(**dict.fromkeys(texts, "registry.example/default:v1"))


def _examples(domain: str, kind: Kind) -> Iterator[Object]:
    for path in sorted((ROOT / "examples").glob(f"{domain}-*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document["kind"] == kind.kind:
                yield document


@st.composite
def parents(draw: st.DrawFn, subject: Subject, *, status: bool = True) -> Object:
    """An object of the kind as the API server could hold it, alive."""
    kind = subject.kind
    name = draw(st.sampled_from(["users", "a", "1-users", "a.b", "x" * 253]))
    metadata = {
        "name": name,
        "uid": f"uid-of-{name}",
        "resourceVersion": "7",
        "generation": draw(st.integers(1, 3)),
        "labels": draw(st.sampled_from([{}, {"team": "x"}])),
    }
    if kind.namespaced:
        metadata["namespace"] = NAMESPACE
    served = draw(st.sampled_from(subject.versions))
    parent = {
        "apiVersion": f"{kind.group}/{served}",
        "kind": kind.kind,
        "metadata": metadata,
        "spec": draw(subject.specs),
    }
    if status and draw(st.booleans()):
        parent["status"] = draw(subject.statuses)
    return parent


RECORDS = st.sampled_from(["", "{}", "[]", "nothing", '{"namespace":"victim"}', "[" * 5000])
"""What a user can have written into the annotation of the record."""


@st.composite
def marked(draw: st.DrawFn, parent: Object, group: str) -> Object:
    """The parent with what people and controllers can have done to its metadata."""
    metadata = copy.deepcopy(parent["metadata"])
    if draw(st.booleans()):
        metadata["annotations"] = {record_annotation(group): draw(RECORDS)}
    if draw(st.booleans()):
        metadata["finalizers"] = ["example.com/theirs", finalizer(group)]
    if draw(st.integers(0, 4)) == 0:
        metadata["deletionTimestamp"] = "2026-01-02T03:00:00Z"
    return {**parent, "metadata": metadata}

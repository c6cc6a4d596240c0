"""The CustomResourceDefinitions of an API group, whole. Pure: no file and no cluster is read.

All versions are served with one schema and without conversion, so nothing has to be up for an
object to be read, in whichever version it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from contract.model import Kind
from crds.part import Part
from crds.schema import structural_schema


@dataclass(frozen=True, slots=True)
class Column:
    """One column of ``kubectl get``; a ``wide`` one is shown with ``-o wide`` only."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False

    def document(self) -> dict[str, Any]:
        """The column as a CRD holds it."""
        return {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.path,
            "description": self.description,
            "priority": 1 if self.wide else 0,
        }


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind: its names, its type, and how ``kubectl`` shows it."""

    kind: Kind
    type: type[Part]
    short: str
    columns: tuple[Column, ...]
    subresources: Mapping[str, Any] = field(default_factory=lambda: {"status": {}})


@dataclass(frozen=True, slots=True)
class Group:
    """One API group: the versions that serve it, the stored one first, and its kinds.

    ``category`` is what ``kubectl get <category>`` lists all of them by.
    """

    name: str
    versions: tuple[str, ...]
    category: str
    resources: tuple[Resource, ...]

    @property
    def storage_version(self) -> str:
        """The version that objects are stored in."""
        return self.versions[0]


def crd_document(group: Group, resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    kind = resource.kind
    schema = {"openAPIV3Schema": structural_schema(resource.type)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource, "labels": _labels(group)},
        "spec": {
            "group": group.name,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [resource.short],
                "categories": [group.category],
            },
            "scope": "Namespaced",
            "conversion": {"strategy": "None"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == group.storage_version,
                    "schema": schema,
                    "subresources": dict(resource.subresources),
                    "additionalPrinterColumns": [column.document() for column in resource.columns],
                }
                for version in group.versions
            ],
        },
    }


def crd_documents(group: Group) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of a group, as ``kubectl apply`` takes them."""
    return [crd_document(group, resource) for resource in group.resources]


def crds_yaml(group: Group) -> str:
    """The CustomResourceDefinitions of a group as one YAML stream."""
    return "---\n".join(as_yaml(document) for document in crd_documents(group))


def as_yaml(document: Mapping[str, Any]) -> str:
    """One CRD as block YAML, keys in the order given; the second version's schema is an alias.

    So a file holds each schema once, and that both versions have one schema can be seen in it.
    """
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


def _labels(group: Group) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": group.category,
        "app.kubernetes.io/part-of": group.category,
    }


class _Dumper(yaml.SafeDumper):
    """Aliases nothing but a version's schema: any other alias is a riddle to its reader."""

    def ignore_aliases(self, data: Any) -> bool:
        return not (isinstance(data, dict) and "openAPIV3Schema" in data)

    def generate_anchor(self, node: yaml.Node) -> str:
        return "schema"

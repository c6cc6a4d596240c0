"""The CustomResourceDefinitions of gati.dev, whole. Pure: no file and no cluster is read.

Both versions are served with one schema and without conversion, so nothing has to be up for an
object to be read, in whichever version it was written. What differs between them is nothing;
the columns look for both spellings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from gati.crds.schema import structural_schema
from gati.kinds import GATI_HANDLER, GATI_MODULE, GATI_VERSION
from gati.types import (
    STORAGE_VERSION,
    VERSIONS,
    GatiHandler,
    GatiModule,
    GatiVersion,
    Part,
)
from reconciler.model import Kind

_LABELS = {"app.kubernetes.io/name": "gati", "app.kubernetes.io/part-of": "gati"}


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


_AGE = Column("Age", ".metadata.creationTimestamp", "Time since the object was made.", "date")
_PHASE = Column("Phase", ".status.phase", "The state in one word.")


def _reason(condition: str) -> Column:
    path = f'.status.conditions[?(@.type=="{condition}")].reason'
    return Column("Reason", path, f"Why {condition} holds or not, in one word.", wide=True)


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind: its names, its type, and how ``kubectl`` shows it."""

    kind: Kind
    type: type[Part]
    short: str
    columns: tuple[Column, ...]
    subresources: Mapping[str, Any] = field(default_factory=lambda: {"status": {}})


RESOURCES = (
    Resource(
        GATI_HANDLER,
        GatiHandler,
        "gh",
        (
            Column("Version", ".status.version", "The version in effect."),
            Column("Ready", ".status.readyReplicas", "Pods that are ready.", "integer"),
            Column("Desired", ".spec.replicas", "Pods asked for in the spec.", "integer"),
            _PHASE,
            _AGE,
            Column(
                "Current",
                ".status.replicas",
                "Pods that exist, old ones included.",
                "integer",
                True,
            ),
            _reason("Ready"),
            Column("Image", ".status.image", "The image in effect.", wide=True),
            Column("Path", ".spec['path','handlerPath']", "The route.", wide=True),
        ),
        {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
    ),
    Resource(
        GATI_MODULE,
        GatiModule,
        "gm",
        (
            Column("Type", ".spec.moduleType", "node, wasm or oci."),
            Column("Runtime", ".spec.runtime", "What runs the module."),
            _PHASE,
            _AGE,
            _reason("Accepted"),
            Column("Image", ".spec.image", "The container image.", wide=True),
        ),
    ),
    Resource(
        GATI_VERSION,
        GatiVersion,
        "gv",
        (
            Column("Handler", ".spec.handler", "The handler this is a version of."),
            Column("Version", ".spec['version','versionId']", "The release."),
            Column(
                "Weight",
                ".spec['traffic','routingWeight']",
                "Percent of the requests asked for.",
                "integer",
            ),
            Column("Active", ".spec.active", "Whether it is in service.", "boolean"),
            _PHASE,
            _AGE,
            _reason("Accepted"),
        ),
    ),
)


def crd_document(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    kind = resource.kind
    schema = {"openAPIV3Schema": structural_schema(resource.type)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource, "labels": dict(_LABELS)},
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [resource.short],
                "categories": ["gati"],
            },
            "scope": "Namespaced",
            "conversion": {"strategy": "None"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == STORAGE_VERSION,
                    "schema": schema,
                    "subresources": dict(resource.subresources),
                    "additionalPrinterColumns": [column.document() for column in resource.columns],
                }
                for version in VERSIONS
            ],
        },
    }


def crd_documents() -> list[dict[str, Any]]:
    """The three CustomResourceDefinitions, as ``kubectl apply`` takes them."""
    return [crd_document(resource) for resource in RESOURCES]


def crds_yaml() -> str:
    """The three CustomResourceDefinitions as one YAML stream."""
    return "---\n".join(as_yaml(document) for document in crd_documents())


def as_yaml(document: Mapping[str, Any]) -> str:
    """One CRD as block YAML, keys in the order given; the second version's schema is an alias.

    So a file says each thing once, and that both versions have one schema can be seen in it.
    """
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Aliases nothing but a version's schema: any other alias is a riddle to its reader."""

    def ignore_aliases(self, data: Any) -> bool:
        return not (isinstance(data, dict) and "openAPIV3Schema" in data)

    def generate_anchor(self, node: yaml.Node) -> str:
        return "schema"

"""What children are called and how they are labelled; nothing else spells a name or a label.

Selectors are immutable, so they hold nothing that changes: a Deployment, its autoscaler and its
disruption budget select by the workload's own name, the stable Service by its handler. The
version is a label to read and never part of a selector. Two handlers never share a value.
"""

from __future__ import annotations

from typing import Any

from contract.metadata import LABEL_LIMIT, digest, dns_name, label_value
from gati.kinds import GROUP

MANAGED_BY = "gati-operator"
"""Value of ``app.kubernetes.io/managed-by`` on everything the operator makes."""

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
HANDLER = f"{GROUP}/handler"
"""Label: the handler; annotation: its name as it is, where the label had to be shortened."""
VERSION = f"{GROUP}/version"
"""Label: the version made legal; annotation: the version as it is."""
WORKLOAD = f"{GROUP}/workload"
"""Label: the name of the Deployment that the pod belongs to."""
PATH = f"{GROUP}/path"
"""Annotation of the Service: the path that the handler answers, for whoever routes to it."""
CONFIG_DIGEST = f"{GROUP}/config-digest"
"""Annotation of the pods: digest of the configuration they started with."""

PREFIX = f"{GROUP}/"
"""Of every label and annotation that is the operator's."""
RESERVED_PREFIXES = (PREFIX, "app.kubernetes.io/")
"""Of the keys of labels and annotations that a spec may not set."""

CONTAINER = "handler"
"""Name of the container that runs a handler's image."""
PORT_NAME = "http"
"""Name of the container's port and of the Service's."""
SCRATCH_VOLUME = "gati-tmp"
"""Name of the volume that the operator mounts at /tmp."""

_HANDLER_HASH = 16


def workload(handler: str) -> str:
    """The one name of a handler's children: Deployment, Service, ConfigMap and the others."""
    return dns_name("handler", handler)


def handler_value(handler: str) -> str:
    """The handler's name as a label value.

    A name of 62 characters or fewer is its own value; a longer one becomes exactly 63
    characters that end in its hash. So no short name can equal what a long one became.
    """
    if len(handler) < LABEL_LIMIT:
        return handler
    return f"{handler[: LABEL_LIMIT - _HANDLER_HASH - 1]}-{digest(handler, _HANDLER_HASH)}"


def handler_labels(handler: str) -> dict[str, str]:
    """The labels that every child of a handler carries; none of them ever changes."""
    return {
        "app.kubernetes.io/name": "gati-handler",
        "app.kubernetes.io/instance": handler_value(handler),
        "app.kubernetes.io/component": "handler",
        MANAGED_BY_LABEL: MANAGED_BY,
        HANDLER: handler_value(handler),
    }


def version_labels(version: str) -> dict[str, str]:
    """The labels of what runs one version: the Deployment and its pods."""
    value = label_value(version)
    return {"app.kubernetes.io/version": value, VERSION: value}


def version_annotations(handler: str, version: str) -> dict[str, str]:
    """What the labels could not hold: the version as it was written, and a long handler's name."""
    shortened = {} if handler_value(handler) == handler else {HANDLER: handler}
    return {VERSION: version} | shortened


def workload_selector(name: str) -> dict[str, Any]:
    """A label selector for the pods of the Deployment of that name, and for no others."""
    return {"matchLabels": {WORKLOAD: name}}

"""What all children of a handler carry: the workload's name and the handler's labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.model import Kind, Object
from gati import names
from gati.handler.resolve import Handler


def with_metadata(
    kind: Kind,
    handler: Handler,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **content: Any,
) -> Object:
    """The whole object: ``content`` with its metadata, but for the owner reference."""
    metadata: Object = {
        "name": handler.workload,
        "namespace": handler.namespace,
        "labels": {**names.handler_labels(handler.name), **(labels or {})},
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}

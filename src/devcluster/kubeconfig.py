"""Writes kubeconfig files: self-contained, readable by their owner only."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from .certificates import write_private


def write_kubeconfig(
    path: Path, *, cluster: str, url: str, ca_file: Path, user: str, token: str, namespace: str
) -> None:
    """Writes a kubeconfig with one context, named after the cluster, that presents `token`."""
    authority = base64.b64encode(ca_file.read_bytes()).decode()
    context = {"cluster": cluster, "user": user, "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": cluster, "cluster": {"server": url, "certificate-authority-data": authority}}
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": context}],
        "current-context": cluster,
    }
    part = path.with_name(f"{path.name}.part")
    write_private(part, yaml.safe_dump(document, sort_keys=False).encode())
    part.rename(path)

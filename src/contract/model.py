"""The nouns that a domain and the runtime share: objects, kinds, and how both are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

Object = dict[str, Any]
"""One Kubernetes object as decoded JSON. Objects from the cache must not be changed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One served resource type: what is needed to write its path and its apiVersion."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name that RBAC and CRDs use: ``deployments.apps``, ``services``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def __str__(self) -> str:
        return self.kind


class Key(NamedTuple):
    """One object among all kinds: an entry of the queue, or a child of a parent.

    Two kinds of one name in two groups differ. The namespace of a cluster-scoped object is empty.
    """

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"

    @classmethod
    def of(cls, kind: Kind, obj: Object) -> Key:
        """The key of an object of that kind."""
        metadata = obj["metadata"]
        return cls(kind, metadata.get("namespace", ""), metadata["name"])

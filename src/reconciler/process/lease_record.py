"""The record in a Lease, and the next record to write. Pure.

The rule: times inside a Lease are written for people and never compared, because clocks of
machines differ. A holder's term is its identity together with the number of transitions: a record
with the identity of this process and another number is not the term that this process won.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from contract.model import Kind, Object

LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")


@dataclass(frozen=True, slots=True)
class Record:
    """The spec of a Lease; empty for a Lease that is not there, or has none."""

    spec: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, lease: Object | None) -> Record:
        """The record in a Lease."""
        return cls((lease or {}).get("spec") or {})

    @property
    def holder(self) -> str:
        """The identity of the holder; empty without one."""
        return self.spec.get("holderIdentity") or ""

    @property
    def transitions(self) -> int:
        """How often the Lease changed hands."""
        return self.spec.get("leaseTransitions") or 0

    @property
    def seconds(self) -> float | None:
        """How long the holder may go without a renewal; None where the record has no duration."""
        return self.spec.get("leaseDurationSeconds") or None

    def is_term(self, identity: str, transitions: int) -> bool:
        """Is this the term that the identity won with this number of transitions?"""
        return (self.spec.get("holderIdentity"), self.transitions) == (identity, transitions)

    def next(self, holder: str, seconds: int, now: datetime) -> Record:
        """The record to write for a holder (empty: none); other fields of this one stay."""
        time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            **self.spec,
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "renewTime": time,
        }
        if holder and holder != self.holder:
            spec["acquireTime"] = time
            # The first holder of a Lease is not a transition.
            spec["leaseTransitions"] = self.transitions + 1 if self.spec else 0
        return Record(spec)

    def written_to(self, lease: Object | None, namespace: str, name: str) -> Object:
        """The Lease with this record: the one that was read, or a first one of that name."""
        metadata = lease["metadata"] if lease else {"namespace": namespace, "name": name}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": self.spec,
        }

"""``gati-operator check``: a cluster's version and CRDs, and the account's rights.

The rule: nothing is written. Each finding that does not fit names its remedy, where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from contract.model import Kind
from contract.plan import Controller, Right
from reconciler.client.api import Discovery
from reconciler.client.client import Client
from reconciler.client.kubeconfig import Cluster
from reconciler.process.lease_record import LEASE
from reconciler.rights import rights

OLDEST = (1, 31)
"""The oldest Kubernetes whose API accepts all fields that the operator writes: the eviction policy
for unhealthy pods is stable since 1.31."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its subject, whether it fits, what was found, and a remedy where it does not."""

    subject: str
    fits: bool
    detail: str
    remedy: str = ""


async def check_cluster(
    cluster: Cluster,
    agent: str,
    controllers: Sequence[Controller],
    namespaces: Sequence[str],
    lease_namespace: str,
) -> list[Finding]:
    """All findings, also those that fit. Raises ApiError and Unreachable."""
    async with Client(cluster, user_agent=agent) as client:
        findings = [_version(await client.version())]
        discovery = await client.discover()
        findings += [_served(discovery, controller.kind) for controller in controllers]
        for namespace in namespaces or (None,):
            missing = []
            for right in rights(controllers):
                kind, subresource = _kind_of(right)
                if not await client.can(right.verb, kind, namespace, subresource=subresource):
                    missing.append(f"{right.verb} {kind.resource}/{subresource}".rstrip("/"))
            where = f"namespace {namespace}" if namespace else "all namespaces"
            findings.append(_rights(f"rights in {where}", missing))
        lease = [
            f"{verb} {LEASE.resource}"
            for verb in ("get", "create", "update")
            if not await client.can(verb, LEASE, lease_namespace)
        ]
        findings.append(_rights(f"rights on Leases in {lease_namespace}", lease))
    return findings


def _version(text: str) -> Finding:
    numbers = (re.match(r"\d*", part) for part in text.removeprefix("v").split(".")[:2])
    fits = tuple(int(found[0] or 0) for found in numbers if found) >= OLDEST
    needed = ".".join(map(str, OLDEST))
    shown = text or "unknown version"
    return Finding("Kubernetes", fits, shown if fits else f"{shown}; {needed} or newer is needed")


def _served(discovery: Discovery, kind: Kind) -> Finding:
    subject = f"CRD {kind.resource}"
    served = discovery.serves(kind)
    if served is None:
        detail = f"discovery of {kind.api_version} failed"
        return Finding(subject, fits=False, detail=detail, remedy="kubectl get apiservices")
    if served:
        return Finding(subject, fits=True, detail=f"{kind.version} is served")
    remedy = "gati-operator crds | kubectl apply --server-side -f -"
    return Finding(subject, fits=False, detail=f"{kind.version} is not served", remedy=remedy)


def _rights(subject: str, missing: Sequence[str]) -> Finding:
    if not missing:
        return Finding(subject, fits=True, detail="all required rights are granted")
    detail = "missing: " + ", ".join(missing)
    return Finding(
        subject, fits=False, detail=detail, remedy="kubectl apply -f deploy/gati/rbac.yaml"
    )


def _kind_of(right: Right) -> tuple[Kind, str]:
    plural, _, subresource = right.resource.partition("/")
    return Kind(right.group, "", plural, plural), subresource

"""The keys and certificates of one cluster, each authority for one purpose only.

Three authorities: the cluster's, etcd's and the aggregation layer's. They are apart because the
cluster's signs certificates on request (CertificateSigningRequest), and such a certificate must
open neither etcd nor the way to act as somebody else through the front proxy.
"""

from __future__ import annotations

from pathlib import Path

import trustme

SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
SERVICE_ADDRESS = "10.96.0.1"


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def write_authority(folder: Path, name: str) -> trustme.CA:
    """A new authority as `<name>-ca.crt` and `<name>-ca.key`."""
    authority = trustme.CA(organization_name=f"devcluster {name}")
    write_private(folder / f"{name}-ca.crt", authority.cert_pem.bytes())
    write_private(folder / f"{name}-ca.key", authority.private_key_pem.bytes())
    return authority


def write_leaf(folder: Path, name: str, leaf: trustme.LeafCert) -> None:
    """A certificate as `<name>.crt` and `<name>.key`."""
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    write_private(folder / f"{name}.crt", chain)
    write_private(folder / f"{name}.key", leaf.private_key_pem.bytes())


def issue(authority: trustme.CA, common_name: str, *names: str) -> trustme.LeafCert:
    """A certificate for a client or a server. Its common name is also an alternative name: Go
    refuses a certificate whose list of alternative names is empty ("unhandled extension").
    """
    return authority.issue_cert(common_name, *names, common_name=common_name)


def write_certificates(folder: Path) -> None:
    """Writes all that a control plane needs into `folder`."""
    cluster = write_authority(folder, "cluster")
    addresses = ("127.0.0.1", "localhost", SERVICE_ADDRESS, *SERVICE_NAMES)
    write_leaf(folder, "apiserver", issue(cluster, "kube-apiserver", *addresses))
    # trustme has no bare keys; only the key of this one is used, for signing tokens.
    write_leaf(folder, "service-accounts", issue(cluster, "service-accounts"))

    etcd = write_authority(folder, "etcd")
    write_leaf(folder, "etcd", issue(etcd, "etcd", "127.0.0.1", "localhost"))
    write_leaf(folder, "etcd-client", issue(etcd, "kube-apiserver"))

    front_proxy = write_authority(folder, "front-proxy")
    write_leaf(folder, "front-proxy", issue(front_proxy, "front-proxy"))

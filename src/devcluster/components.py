"""The command line of each process of the control plane. Pure: paths and ports in, argv out."""

from __future__ import annotations

from pathlib import Path

from .layout import Layout, Record

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")

# The users of the static token file: component -> (user name, groups).
USERS: dict[str, tuple[str, str]] = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kwok": ("devcluster:kwok", "system:masters"),
}

# The defaults (20 and 30 queries a second) make hundreds of Deployments a matter of minutes.
CLIENT_LIMITS = ("--kube-api-qps=500", "--kube-api-burst=1000")

# Only finished requests: user, verb, object and result. The health probes are left out.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        {"level": "Metadata"},
    ],
}


def command(component: str, layout: Layout, record: Record) -> list[str]:
    """The argv of one of `COMPONENTS` for the cluster in `layout`."""
    match component:
        case "etcd":
            flags = etcd_flags(layout, record)
        case "kube-apiserver":
            flags = apiserver_flags(layout, record)
        case "kube-controller-manager":
            flags = controller_manager_flags(layout)
        case "kube-scheduler":
            flags = scheduler_flags(layout)
        case "kwok":
            flags = kwok_flags(layout)
        case _:
            raise ValueError(f"no component {component!r}")
    return [record.programs[component], *flags]


def component_kubeconfig(layout: Layout, component: str) -> Path:
    """The kubeconfig with which a component speaks to the API server."""
    return layout.kubeconfigs / component


def etcd_flags(layout: Layout, record: Record) -> list[str]:
    pki = layout.pki
    client = f"https://127.0.0.1:{record.ports.etcd}"
    peer = f"https://127.0.0.1:{record.ports.etcd_peer}"
    return [
        "--name=default",
        f"--data-dir={layout.etcd_data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={pki / 'etcd.crt'}",
        f"--key-file={pki / 'etcd.key'}",
        f"--trusted-ca-file={pki / 'etcd-ca.crt'}",
        "--client-cert-auth",
        f"--peer-cert-file={pki / 'etcd.crt'}",
        f"--peer-key-file={pki / 'etcd.key'}",
        f"--peer-trusted-ca-file={pki / 'etcd-ca.crt'}",
        "--peer-client-cert-auth",
        # A machine that loses power loses a throw-away cluster; the disk is spared.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_flags(layout: Layout, record: Record) -> list[str]:
    pki = layout.pki
    return [
        f"--etcd-servers=https://127.0.0.1:{record.ports.etcd}",
        f"--etcd-cafile={pki / 'etcd-ca.crt'}",
        f"--etcd-certfile={pki / 'etcd-client.crt'}",
        f"--etcd-keyfile={pki / 'etcd-client.key'}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        # A loopback address may not stand in Endpoints, and nothing in the cluster needs it.
        "--endpoint-reconciler-type=none",
        f"--secure-port={record.ports.apiserver}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={layout.ca_file}",
        f"--token-auth-file={layout.tokens}",
        "--authorization-mode=RBAC",
        "--allow-privileged",
        "--service-cluster-ip-range=10.96.0.0/12",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'service-accounts.key'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        "--enable-aggregator-routing",
        f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy.key'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.audit_log}",
        # Megabytes; a log that rotates in the middle of a run would hide what a test counts.
        "--audit-log-maxsize=100000",
        *record.options.apiserver_flags,
    ]


def controller_manager_flags(layout: Layout) -> list[str]:
    pki = layout.pki
    kubeconfig = component_kubeconfig(layout, "kube-controller-manager")
    return [
        f"--kubeconfig={kubeconfig}",
        f"--root-ca-file={layout.ca_file}",
        f"--cluster-signing-cert-file={layout.ca_file}",
        f"--cluster-signing-key-file={pki / 'cluster-ca.key'}",
        f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
        *CLIENT_LIMITS,
        "--concurrent-namespace-syncs=20",
        # An autoscaler that looks every 15 s and shrinks after 5 min is no good in a test.
        "--horizontal-pod-autoscaler-sync-period=2s",
        "--horizontal-pod-autoscaler-downscale-stabilization=10s",
    ]


def scheduler_flags(layout: Layout) -> list[str]:
    kubeconfig = component_kubeconfig(layout, "kube-scheduler")
    return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *CLIENT_LIMITS]


def kwok_flags(layout: Layout) -> list[str]:
    return [
        f"--kubeconfig={component_kubeconfig(layout, 'kwok')}",
        f"--config={layout.kwok_configuration}",
    ]

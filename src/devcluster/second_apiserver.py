"""A second API server on the same etcd, which can be made to serve an old view.

It differs from the first in its port, its audit log and its way to etcd, and in nothing else: the
same authority, tokens and ServiceAccount keys. Its way to etcd is a relay (`relay`). While that is
frozen, lists with `resourceVersion=0` and watches are answered from a cache that stays as it was;
what asks etcd (a GET, a list without a resource version, a write) waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .api import Api
from .bootstrap import listens, wait_for
from .components import command
from .errors import DevclusterError
from .kubeconfig import write_kubeconfig
from .layout import Layout, Record, known_ports
from .ports import free_ports
from .processes import end, freeze, living, only, spawn, thaw
from .relay import relay_command

COMPONENT = "kube-apiserver-2"
RELAY = "etcd-relay"


@dataclass(frozen=True)
class SecondApiServer:
    """A second API server that was started. `record` is the cluster's with its own ports."""

    layout: Layout
    record: Record

    @property
    def url(self) -> str:
        """Its address, `https://127.0.0.1:<port>`."""
        return self.record.url

    @property
    def api(self) -> Api:
        """Requests to it as the administrator."""
        return Api(self.url, self.layout.ca_file, self.record.token)

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of the administrator, for this server."""
        return self.layout.kubeconfigs / COMPONENT

    @property
    def audit_log(self) -> Path:
        """Its audit log, in the format of the first one's."""
        return self.layout.second_audit_log

    def freeze_etcd_link(self) -> None:
        """Lets nothing pass between it and etcd from now on; its connections stay open."""
        freeze(only(RELAY, self.layout.folder))

    def thaw_etcd_link(self) -> None:
        """Lets everything pass again, also what was sent meanwhile; harmless when not frozen."""
        thaw(only(RELAY, self.layout.folder))

    def is_serving(self) -> bool:
        """Is it reached, and does it report ready? It does not while its link is frozen."""
        return self.api.answers("/readyz")

    def stop(self) -> None:
        """Kills it and its relay; does no harm when repeated. The cluster's end does it too."""
        alive = living(self.layout.folder)
        end([*alive.get(COMPONENT, []), *alive.get(RELAY, [])])


def start(layout: Layout, record: Record, flags: tuple[str, ...]) -> SecondApiServer:
    """Starts it beside a control plane that runs, and waits until it is ready.

    `flags` come after those of the first server, and so win. Raises DevclusterError when there is
    a second one already or when it does not become ready; nothing of it is left running then.
    """
    if COMPONENT in living(layout.folder):
        raise DevclusterError(f"cluster {record.name} has a second API server already")
    port, relay_port = free_ports(2, known_ports())
    ports = replace(record.ports, apiserver=port, etcd=relay_port)
    server = SecondApiServer(layout, replace(record, ports=ports))
    write_kubeconfig(
        server.kubeconfig,
        cluster=record.name,
        url=server.url,
        ca_file=layout.ca_file,
        user="admin",
        token=record.token,
        namespace="default",
    )
    own = [f"--audit-log-path={server.audit_log}", *flags]
    try:
        relay = spawn(RELAY, relay_command(relay_port, record.ports.etcd), layout)
        wait_for("the relay", lambda: listens(relay_port), layout, {RELAY: relay})
        argv = [*command("kube-apiserver", layout, server.record), *own]
        started = {RELAY: relay, COMPONENT: spawn(COMPONENT, argv, layout)}
        wait_for("the second API server", server.is_serving, layout, started)
    except BaseException:
        server.stop()
        raise
    return server

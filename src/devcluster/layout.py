"""The files of one cluster, the record of how it was made, and the names clusters may have.

One folder holds everything of a cluster; it is readable by its owner only, because it holds keys
and an administrator's token. The record is written last, so a folder without one is a leftover.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .errors import DevclusterError
from .paths import state_root

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
PROFILES = ("fast", "chaos")
# What a control plane can be without; without etcd or the API server there is none.
OPTIONAL = ("kube-controller-manager", "kube-scheduler", "kwok")


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one cluster."""

    apiserver: int
    etcd: int
    etcd_peer: int


@dataclass(frozen=True)
class Options:
    """What a user chooses about a cluster: the number of fake nodes, how their pods behave,
    further flags of the API server, and the components to leave out.
    """

    nodes: int = 1
    node_profile: str = "fast"
    apiserver_flags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.nodes < 0:
            raise DevclusterError(f"the number of nodes cannot be negative: {self.nodes}")
        if self.node_profile not in PROFILES:
            raise DevclusterError(
                f"no node profile {self.node_profile!r}: it is one of {', '.join(PROFILES)}"
            )
        for flag in self.apiserver_flags:
            if not flag.startswith("--"):
                raise DevclusterError(f"a flag of the API server begins with --: {flag!r}")
        for component in self.without:
            if component not in OPTIONAL:
                raise DevclusterError(
                    f"a cluster cannot be without {component!r}, only without {', '.join(OPTIONAL)}"
                )


@dataclass(frozen=True)
class Record:
    """What must be known to look after a cluster later: its options, ports and programs."""

    name: str
    ports: Ports
    options: Options
    token: str
    programs: dict[str, str]
    owned: bool = field(default=False)

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self.ports.apiserver}"


@dataclass(frozen=True)
class Layout:
    """The paths of one cluster below its folder."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def kubeconfigs(self) -> Path:
        return self.folder / "kubeconfigs"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def ca_file(self) -> Path:
        return self.pki / "cluster-ca.crt"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.csv"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    @property
    def second_audit_log(self) -> Path:
        return self.folder / "audit-2.log"

    @property
    def audit_policy(self) -> Path:
        return self.folder / "audit-policy.yaml"

    @property
    def kwok_configuration(self) -> Path:
        return self.folder / "kwok.yaml"

    @property
    def etcd_data(self) -> Path:
        return self.folder / "etcd"

    @property
    def record(self) -> Path:
        return self.folder / "cluster.json"

    @property
    def ports(self) -> Path:
        return self.folder / "ports.json"

    def log(self, component: str) -> Path:
        """The log of one process."""
        return self.folder / "logs" / f"{component}.log"

    def make_folders(self) -> None:
        """Makes the folder and those in it, readable by their owner only."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.kubeconfigs, self.pki, self.folder / "logs"):
            folder.mkdir(exist_ok=True, mode=0o700)


def layout_of(name: str) -> Layout:
    """The layout of the cluster `name`, whether or not it exists.

    Raises DevclusterError for a name that is not lower-case letters, digits and inner dashes.
    """
    if not NAME.fullmatch(name):
        raise DevclusterError(
            f"{name!r} is no name for a cluster: use up to 63 lower-case letters, digits and "
            "dashes, with a letter or digit at both ends"
        )
    return Layout(state_root() / name)


def write_ports(layout: Layout, ports: Ports) -> None:
    """Reserves `ports` for the cluster, which has no record yet."""
    layout.ports.write_text(json.dumps(asdict(ports)), encoding="utf-8")


def read_ports(layout: Layout) -> Ports | None:
    """The ports that are reserved for a cluster, or None."""
    try:
        return Ports(**json.loads(layout.ports.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(layout: Layout, record: Record) -> None:
    """Writes the record at once or not at all."""
    part = layout.record.with_suffix(".part")
    part.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
    part.rename(layout.record)


def read_record(layout: Layout) -> Record | None:
    """The record of a cluster, or None when there is no such cluster or only a leftover of one."""
    try:
        data = json.loads(layout.record.read_text(encoding="utf-8"))
        options = data["options"]
        return Record(
            name=data["name"],
            ports=Ports(**data["ports"]),
            options=Options(
                options["nodes"],
                options["node_profile"],
                tuple(options["apiserver_flags"]),
                tuple(options.get("without", ())),
            ),
            token=data["token"],
            programs=data["programs"],
            owned=data["owned"],
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DevclusterError(
            f"{layout.record} cannot be read ({error}): devcluster down --name {layout.folder.name}"
        ) from error


def layouts() -> list[Layout]:
    """The layouts of all cluster folders, leftovers included, by name."""
    root = state_root()
    found = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    return [Layout(path) for path in sorted(found)]


def known_ports() -> set[int]:
    """The ports of all clusters, those that are stopped included: they keep theirs."""
    found: set[int] = set()
    for layout in layouts():
        ports = read_ports(layout)
        if ports:
            found |= {ports.apiserver, ports.etcd, ports.etcd_peer}
    return found

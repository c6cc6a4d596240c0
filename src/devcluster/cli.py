"""The command `devcluster`: a thin face over `cluster` and `binaries`.

Results go to standard output, progress and errors to standard error; exit status 0 only when what
was asked for is so, 1 for an error, 2 for wrong usage.
"""

# ruff: noqa: D301 - click wants a real backspace before a paragraph that it must not wrap
from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click

from . import binaries, prune
from .cluster import Cluster, find, kubectl_command, remove, start
from .errors import DevclusterError
from .layout import PROFILES, layout_of, layouts, read_record
from .paths import human_size, size_of
from .pins import KUBERNETES_VERSION
from .processes import living
from .progress import Progress

DEFAULT_NAME = "dev"

name_option = click.option(
    "--name",
    default=DEFAULT_NAME,
    show_default=True,
    envvar="DEVCLUSTER_NAME",
    show_envvar=True,
    help="Which cluster.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(KUBERNETES_VERSION, message="devcluster, Kubernetes %(version)s")
def cli() -> None:
    """A real Kubernetes control plane on this machine, without containers.

    \b
    Examples:
      devcluster up                      # a control plane with one fake node
      devcluster kubectl get nodes
      export KUBECONFIG=$(devcluster kubeconfig)
      devcluster down
    """


@cli.command()
def build() -> None:
    """Build the control plane's programs (once; `up` does it too).

    \b
    Takes 5 to 15 minutes and about 4 GB of disk meanwhile, 0.5 GB afterwards. An interrupted
    build goes on where it stopped. Prints the folder of the programs.

    \b
    Examples:
      devcluster build
      KUBEBUILDER_ASSETS=$(devcluster build) go test ./...
    """
    click.echo(binaries.build(Progress()))


@cli.command()
@name_option
@click.option("--nodes", default=1, show_default=True, help="How many fake nodes.")
@click.option(
    "--node-profile",
    type=click.Choice(PROFILES),
    default="fast",
    show_default=True,
    help="fast: pods become ready at once. chaos: they also crash and come back at random.",
)
@click.option(
    "--apiserver-flag",
    "apiserver_flags",
    multiple=True,
    metavar="FLAG",
    help="A further flag of kube-apiserver, for example --apiserver-flag=--v=4. Repeatable.",
)
def up(name: str, nodes: int, node_profile: str, apiserver_flags: tuple[str, ...]) -> None:
    """Start a control plane and leave it running.

    A cluster that runs already is left as it is; one that has stopped (after a crash, a reboot)
    is started again with its data.

    \b
    Examples:
      devcluster up
      devcluster up --name big --nodes 50
      devcluster up --name faults --apiserver-flag=--max-mutating-requests-inflight=2
    """
    record = read_record(layout_of(name))
    if record and not Cluster(layout_of(name), record).dead_components():
        click.echo(f"cluster {name} runs already", err=True)
    else:
        progress = Progress()
        binaries.find_all(binaries.CONTROL_PLANE, progress)
        with progress.step(f"start cluster {name}"):
            start(
                name,
                nodes=nodes,
                node_profile=node_profile,
                apiserver_flags=apiserver_flags,
                owned=False,
            )
    cluster = find(name)
    click.echo(f"cluster {name} at {cluster.url}")
    click.echo(f"  export KUBECONFIG={cluster.kubeconfig}")
    click.echo(f"  devcluster kubectl --name {name} get nodes")
    click.echo(f"  devcluster down --name {name}")


@cli.command()
@name_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def status(name: str, output: str) -> None:
    """Show the processes of a cluster; exit status 1 when one of them is dead.

    \b
    Examples:
      devcluster status
      devcluster status --name big -o json
    """
    cluster = find(name)
    alive = living(cluster.layout.folder)
    rows = [
        {
            "component": component,
            "pid": alive[component][0].pid if component in alive else None,
            "log": str(cluster.layout.log(component)),
        }
        for component in cluster.record.programs
    ]
    dead = [row["component"] for row in rows if row["pid"] is None]
    ready = not dead and cluster.is_serving()
    if output == "json":
        state = {"name": name, "url": cluster.url, "ready": ready, "processes": rows}
        click.echo(json.dumps(state, indent=2))
    else:
        click.echo(f"cluster {name} at {cluster.url}: {'ready' if ready else 'not ready'}")
        for row in rows:
            state_text = f"pid {row['pid']}" if row["pid"] else f"dead, log: {row['log']}"
            click.echo(f"  {row['component']:<24} {state_text}")
    if not ready:
        click.echo(f"to start it again: devcluster up --name {name}", err=True)
        sys.exit(1)


@cli.command()
@name_option
def kubeconfig(name: str) -> None:
    """Print the path of the administrator's kubeconfig.

    \b
    Example:
      export KUBECONFIG=$(devcluster kubeconfig --name dev)
    """
    click.echo(find(name).kubeconfig)


@cli.command(
    context_settings={
        # Everything after our own --name is kubectl's, its --help included.
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": [],
    }
)
@name_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(name: str, arguments: tuple[str, ...]) -> None:
    """Run the pinned kubectl against a cluster, as its administrator.

    \b
    Examples:
      devcluster kubectl get pods -A
      devcluster kubectl --name big apply -f deployment.yaml
    """
    command = kubectl_command(find(name).kubeconfig, *arguments)
    os.execv(command[0], command)  # noqa: S606 - kubectl takes over this process


@cli.command()
@name_option
def down(name: str) -> None:
    """Stop a cluster and remove everything of it; does no harm when there is none.

    \b
    Example:
      devcluster down --name big
    """
    layout = layout_of(name)
    existed = layout.folder.exists() or bool(living(layout.folder))
    remove(layout)
    click.echo(f"cluster {name} removed" if existed else f"there is no cluster {name}")


@cli.command("list")
def list_clusters() -> None:
    """List all clusters with their state and size on disk.

    \b
    Example:
      devcluster list
    """
    rows = [("NAME", "STATE", "ADDRESS", "SIZE")]
    for layout in layouts():
        try:
            record = read_record(layout)
        except DevclusterError:
            record = None
        size = human_size(size_of(layout.folder))
        if record is None:
            rows.append((layout.folder.name, "leftover", "", size))
            continue
        dead = Cluster(layout, record).dead_components()
        state = "running" if not dead else f"stopped ({', '.join(dead)})"
        state += ", owned by a process" if record.owned and not dead else ""
        rows.append((record.name, state, record.url, size))
    print_table(rows)
    if len(rows) == 1:
        click.echo("there are no clusters; to start one: devcluster up", err=True)


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Prints rows with their columns aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


@cli.command("metrics")
@name_option
@click.option("-n", "--namespace", default="default", show_default=True)
@click.option("-l", "--selector", required=True, help="Label selector of the pods.")
@click.argument("millicores", type=click.IntRange(min=0))
def set_metrics(name: str, namespace: str, selector: str, millicores: int) -> None:
    """Set the CPU that the metrics API reports for pods, in millicores for each pod.

    Only for the pods that are there now: repeat it when an autoscaler has added some.

    \b
    Example:
      devcluster metrics -n shop -l app=web 250
    """
    count = find(name).set_selected_pod_metrics(namespace, selector, millicores)
    click.echo(f"{count} pods report {millicores}m")


@cli.command("prune")
@click.option("--all", "everything", is_flag=True, help="Everything but running clusters.")
def prune_command(everything: bool) -> None:
    """Remove what stopped clusters and older versions have left, and print how large it was.

    With --all also the binaries and the toolchain of this version (unless a cluster runs), which
    the next start builds again.

    \b
    Examples:
      devcluster prune
      devcluster prune --all
    """
    total = 0
    for path in prune.candidates(everything=everything):
        size = size_of(path) if path.is_dir() else 0
        prune.remove_path(path)
        total += size
        if size:
            click.echo(f"removed {human_size(size):>8}  {path}")
    click.echo(f"{human_size(total)} removed")


def main() -> None:
    """The entry point: every error that a user can act on is one line and exit status 1."""
    try:
        cli(prog_name="devcluster")
    except DevclusterError as error:
        click.echo(f"devcluster: {error}", err=True)
        sys.exit(1)

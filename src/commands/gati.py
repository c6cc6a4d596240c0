"""``gati-operator``: runs the operator, prints its CRDs, previews plans, checks a cluster.

The rule: flags and exit codes are those of kubectl where kubectl has them (``plan --diff``: 1 for a
difference), and a user's mistake ends in one line on standard error. An environment variable
(``GATI_RUN_...``) can set each flag of ``run``, for a Deployment.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from typing import Any, NoReturn

import click

from commands.check import check_cluster
from commands.files import Document, read_documents
from contract.plan import Controller
from crds.documents import crd_documents
from gati import operator
from gati.resources import API
from objects import documents
from reconciler import preview
from reconciler.client import kubeconfig
from reconciler.client.api import ApiError, Unreachable
from reconciler.client.client import Client
from reconciler.process import app, logs
from reconciler.process.endpoints import HealthAddressError
from reconciler.process.lease import Timing

NAME = "gati-operator"
VERSION = installed_version("gati-catalyst")
DEFAULT_NAMESPACE = "gati-system"

OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", help="Output format."
)
CONTEXT = click.option("--context", help="The kubeconfig context to use.")
KUBECONFIG = click.option(
    "--kubeconfig", type=click.Path(), help="The kubeconfig file; default: KUBECONFIG, then the "
    "account of the pod, then ~/.kube/config."
)  # fmt: skip
DEFAULT_IMAGE = click.option(
    "--default-image",
    metavar="IMAGE",
    help="The image of handlers without spec.image; without this flag their reason is "
    "ImageMissing.",
)

REMEDIES = {
    403: "kubectl apply -f deploy/gati/rbac.yaml",
    404: "gati-operator crds | kubectl apply --server-side -f -",
}


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Shell completion: eval "$(_GATI_OPERATOR_COMPLETE=bash_source gati-operator)" '
    "(bash_source, zsh_source or fish_source).",
)
def cli() -> None:
    """Runs the request handlers and modules of Gati applications on Kubernetes."""


@cli.command()
@CONTEXT
@KUBECONFIG
@click.option("-n", "--namespace", "namespaces", multiple=True, help="Watch only this "
              "namespace; may be repeated. Default: all.")  # fmt: skip
@click.option("-A", "--all-namespaces", is_flag=True, help="Watch all namespaces (the default).")
@DEFAULT_IMAGE
@click.option(
    "--operator-class",
    default="",
    help="Reconcile only objects with the label gati.dev/operator-class of this value; "
    "default: those without the label.",
)
@click.option(
    "--leader-elect/--no-leader-elect",
    default=True,
    help="Hold a Lease while working, so that one of several replicas writes.",
)
@click.option("--lease-namespace", help="Namespace of the Lease; default: the pod's namespace, "
              f"or {DEFAULT_NAMESPACE}.")  # fmt: skip
@click.option("--lease-duration", type=float, default=15.0, show_default=True, help="Seconds.")
@click.option("--renew-deadline", type=float, default=10.0, show_default=True, help="Seconds.")
@click.option("--retry-period", type=float, default=2.0, show_default=True, help="Seconds.")
@click.option("--workers", type=click.IntRange(1, 256), default=32, show_default=True,
              help="Objects reconciled, and writes sent, at a time.")  # fmt: skip
@click.option("--resync", type=float, default=36000.0, show_default=True,
              help="Seconds after which each object is reconciled though nothing changed; "
              "0: never. An unchanged object costs no write.")  # fmt: skip
@click.option("--backoff", type=float, default=1.0, show_default=True,
              help="Seconds before the second try of an object that failed; doubles.")  # fmt: skip
@click.option("--backoff-limit", type=float, default=300.0, show_default=True,
              help="The longest such wait in seconds.")  # fmt: skip
@click.option("--health-address", default="127.0.0.1:0", show_default=True,
              help="host:port of /healthz, /readyz and /metrics; port 0: a free one.")  # fmt: skip
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]),
              default="info", show_default=True)  # fmt: skip
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]), default="auto",
              show_default=True, help="auto: console on a terminal, else json.")  # fmt: skip
def run(namespaces: tuple[str, ...], all_namespaces: bool, **options: Any) -> None:
    """Run the operator until it is stopped.

    \b
    Examples:
      gati-operator run                                    # in a pod, all namespaces
      gati-operator run --context kind-dev --no-leader-elect
      gati-operator run -n shop -n shop-staging --default-image shop/handlers:1.4
    """
    if namespaces and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    logs.configure(format=options["log_format"], level=options["log_level"])
    cluster = _cluster(options)
    try:
        timing = Timing(
            lease=options["lease_duration"],
            renew=options["renew_deadline"],
            retry=options["retry_period"],
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    lease_namespace = options["lease_namespace"] or kubeconfig.pod_namespace() or DEFAULT_NAMESPACE
    settings = app.Settings(
        name=NAME,
        version=VERSION,
        namespaces=namespaces,
        operator_class=options["operator_class"],
        lease_namespace=lease_namespace if options["leader_elect"] else None,
        timing=timing,
        health_address=options["health_address"],
        workers=options["workers"],
        resync=options["resync"],
        backoff=options["backoff"],
        backoff_limit=options["backoff_limit"],
        remedies=REMEDIES,
    )
    try:
        code = asyncio.run(app.run(cluster, _controllers(options["default_image"]), settings))
    except HealthAddressError as error:
        _fail(str(error))
    sys.exit(code)


@cli.command()
@OUTPUT
def crds(output: str) -> None:
    """Print the CustomResourceDefinitions.

    \b
    Example:
      gati-operator crds | kubectl apply --server-side -f -
    """
    _print(crd_documents(API), output)


@cli.command()
@click.option("-f", "--filename", "filenames", multiple=True, required=True,
              help="A file, a directory, or - for standard input; may be repeated.")  # fmt: skip
@click.option("--diff", is_flag=True, help="Compare with a cluster (by server-side dry runs).")
@click.option("-n", "--namespace", help="The namespace of objects that name none.")
@CONTEXT
@KUBECONFIG
@DEFAULT_IMAGE
@OUTPUT
def plan(filenames: tuple[str, ...], diff: bool, **options: Any) -> None:
    """Show what the operator would create or change for given YAML. Nothing is written.

    Without --diff no cluster is read: the objects are printed, and the assumptions go to standard
    error. With --diff the changes to the cluster are printed; exit code 0: none, 1: some, 2 or
    more: an error.

    \b
    Examples:
      gati-operator plan -f handler.yaml
      gati-operator plan -f handlers/ -o json
      gati-operator plan -f handler.yaml --diff --context kind-dev
    """
    controllers = {each.kind.kind: each for each in _controllers(options["default_image"])}
    namespace = options["namespace"] or "default"
    try:
        found = read_documents(filenames, controllers, namespace)
    except (documents.Malformed, OSError) as error:
        _fail(str(error), 2)
    if diff:
        sys.exit(asyncio.run(_diff(_cluster(options, 2), found)))
    sys.exit(_imagine(found, options["output"]))


@cli.command()
@CONTEXT
@KUBECONFIG
@click.option("-n", "--namespace", "namespaces", multiple=True, help="Check the rights in this "
              "namespace; may be repeated. Default: in all.")  # fmt: skip
@click.option("--lease-namespace", default=DEFAULT_NAMESPACE, show_default=True)
def check(namespaces: tuple[str, ...], lease_namespace: str, **options: Any) -> None:
    """Check whether a cluster's version and CRDs, and the account's rights, suffice.

    \b
    Examples:
      gati-operator check --context kind-dev
      kubectl auth whoami; gati-operator check -n shop
    """
    cluster = _cluster(options)
    agent = f"{NAME}/{VERSION}"
    try:
        findings = asyncio.run(
            check_cluster(cluster, agent, _controllers(None), namespaces, lease_namespace)
        )
    except (ApiError, Unreachable) as error:
        _fail(f"{cluster.server}: {error}")
    for finding in findings:
        click.echo(f"{'ok  ' if finding.fits else 'FAIL'}  {finding.subject}: {finding.detail}")
        if finding.remedy:
            click.echo(f"      fix it with: {finding.remedy}")
    sys.exit(0 if all(finding.fits for finding in findings) else 1)


@cli.command()
@OUTPUT
def version(output: str) -> None:
    """Print the operator's version.

    \b
    Example:
      gati-operator version -o json
    """
    _print([{"name": NAME, "version": VERSION, "python": sys.version.split()[0]}], output)


def _controllers(default_image: str | None) -> Sequence[Controller]:
    return operator.controllers(operator.Settings(default_image=default_image))


def _imagine(found: Sequence[Document], output: str) -> int:
    """Print the objects of the plans; reasons why a plan has none go to standard error."""
    bodies: list[Any] = []
    failed = False
    for document in found:
        for warning in document.warnings:
            click.echo(f"warning: {document.title}: {warning}", err=True)
        failed |= _tell_refusals(document)
        if document.controller is None or document.refusals:
            continue
        plan = preview.imagine(
            document.stored, document.controller, [each.object for each in found]
        )
        bodies += [preview.printable(child) for child in plan.children or ()]
        failed |= _tell_trouble(document, plan.status)
    _print(bodies, output)
    click.echo("assumed: an empty cluster (no cluster was read; see --diff)", err=True)
    click.echo("left out: owner references, because the cluster assigns their uid", err=True)
    return 2 if failed else 0


async def _diff(cluster: kubeconfig.Cluster, found: Sequence[Document]) -> int:
    differs = failed = False
    async with Client(cluster, user_agent=f"{NAME}-plan/{VERSION}") as client:
        for document in found:
            if document.controller is None or not document.has_name:
                failed |= _tell_refusals(document)
                continue
            for warning in document.warnings:
                click.echo(f"warning: {document.title}: {warning}", err=True)
            try:
                plan, changes = await preview.compare(
                    client, document.object, document.controller, NAME
                )
            except (ApiError, Unreachable) as error:
                click.echo(f"error: {document.title}: {error}", err=True)
                failed = True
                continue
            if plan.children is None:
                failed |= _tell_trouble(document, plan.status)
            for change in changes:
                differs = True
                click.echo(f"# {change.action} {change.kind} {change.namespace}/{change.name}")
                click.echo(change.text, nl=False)
    return 2 if failed else int(differs)


def _tell_refusals(document: Document) -> bool:
    """Say why an API server would not take an object; True if so."""
    for refusal in document.refusals:
        click.echo(f"error: {document.title}: {refusal}", err=True)
    return bool(document.refusals)


def _tell_trouble(document: Document, status: dict[str, Any]) -> bool:
    """Print the condition of an object that waits for a user's change; True if it waits."""
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    stalled = conditions.get("Stalled", {}).get("status") == "True"
    refused = conditions.get("Accepted", {}).get("status") == "False"
    if stalled or refused:
        shown = conditions["Ready" if "Ready" in conditions else "Accepted"]
        click.echo(f"error: {document.title}: {shown['reason']}: {shown['message']}", err=True)
        return True
    if "Accepted" in conditions:
        shown = conditions["Accepted"]
        click.echo(f"note: {document.title}: {shown['reason']}: {shown['message']}", err=True)
    return False


def _cluster(options: dict[str, Any], code: int = 1) -> kubeconfig.Cluster:
    try:
        return kubeconfig.load(options["kubeconfig"], options["context"])
    except kubeconfig.ConfigurationError as error:
        _fail(str(error), code)


def _print(objects: Sequence[Any], output: str) -> None:
    if output == "yaml":
        click.echo(documents.dump(objects) if objects else "", nl=False)
        return
    single = len(objects) == 1
    body = objects[0] if single else {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    click.echo(json.dumps(body, indent=2))


def _fail(message: str, code: int = 1) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def main() -> None:
    """The entry point. Environment variables GATI_<COMMAND>_<FLAG> set flags too."""
    cli(auto_envvar_prefix="GATI", prog_name=NAME)

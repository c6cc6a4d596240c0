"""The YAML that the demo applies: the shipped files, unchanged or rewritten for one namespace.

Only the files of the repository are applied. For an existing cluster every object is moved into
one namespace and labelled with the id of the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from contract.model import Object
from objects import documents

ROOT = Path(__file__).resolve().parent.parent
RUN_LABEL = "demo.gati.dev/run"

SAMPLES = ("examples/gati-v1alpha1.yaml", "examples/gati-v1.yaml")
RIGHTS = "deploy/gati/rbac.yaml"
_NAMESPACED = {"ClusterRole": "Role", "ClusterRoleBinding": "RoleBinding"}
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")


def samples() -> list[Object]:
    """The objects of both sample files."""
    return [body for name in SAMPLES for body in _load(ROOT / name)]


def crds() -> list[Object]:
    """The CRDs."""
    return [
        body for path in sorted((ROOT / "deploy/gati/crds").glob("*.yaml")) for body in _load(path)
    ]


def rights() -> list[Object]:
    """The operator's ServiceAccount with its RBAC rules, and the ClusterRoles for users."""
    return _load(ROOT / RIGHTS)


def _load(path: Path) -> list[Object]:
    return documents.load(path.read_text(encoding="utf-8"), path.name)


def moved(body: Object, namespace: str, run: str) -> Object:
    """The object in another namespace, labelled with the run's id."""
    return labelled({**body, "metadata": {**body["metadata"], "namespace": namespace}}, run)


def labelled(body: Object, run: str) -> Object:
    """The object, labelled with the run's id."""
    metadata = body["metadata"]
    labels = {**metadata.get("labels", {}), RUN_LABEL: run}
    return {**body, "metadata": {**metadata, "labels": labels}}


def rights_within(bodies: Iterable[Object], namespace: str, run: str) -> list[Object]:
    """The operator's rights, limited to one namespace.

    A ClusterRole becomes a Role of the namespace and a ClusterRoleBinding a RoleBinding, so that
    deleting the namespace removes all of them. The ClusterRoles for users are left out: they
    aggregate to the cluster's view, edit and admin.
    """
    bodies = list(bodies)
    bound = {
        (body["roleRef"]["kind"], body["roleRef"]["name"])
        for body in bodies
        if body["kind"] in _BINDINGS
    }
    return [
        moved(_within(body, namespace, run), namespace, run)
        for body in bodies
        if body["kind"] == "ServiceAccount"
        or body["kind"] in _BINDINGS
        or (body["kind"], body["metadata"]["name"]) in bound
    ]


def _within(body: Object, namespace: str, run: str) -> Object:
    if body["kind"] == "ServiceAccount":
        return body
    kind = _NAMESPACED.get(body["kind"], body["kind"])
    name = f"{body['metadata']['name']}-{run}"
    rewritten = {**body, "kind": kind, "metadata": {**body["metadata"], "name": name}}
    if body["kind"] in _BINDINGS:
        reference = body["roleRef"]
        rewritten["roleRef"] = {
            **reference,
            "kind": _NAMESPACED.get(reference["kind"], reference["kind"]),
            "name": f"{reference['name']}-{run}",
        }
        rewritten["subjects"] = [
            {**subject, "namespace": namespace} for subject in body["subjects"]
        ]
    return rewritten


def with_image(body: Object, image: str | None) -> Object:
    """The object with ``image`` in its spec, where the spec has an image and ``image`` is given."""
    if image is None or "image" not in body["spec"]:
        return body
    return {**body, "spec": {**body["spec"], "image": image}}

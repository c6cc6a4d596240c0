"""Validation, with the API server's codes. Pure: every check returns None or raises.

Only the rules of validation are implemented that typical bugs of a reconciler violate.
"""

from __future__ import annotations

import re
from typing import Any

from contract.model import Kind, Object
from reconciler.client.api import ApiError

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_PATH_SEGMENT_KINDS = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})

_IMMUTABLE: dict[str, tuple[tuple[str, ...], ...]] = {
    "deployments.apps": (("spec", "selector"),),
    "replicasets.apps": (("spec", "selector"),),
    "daemonsets.apps": (("spec", "selector"),),
    "statefulsets.apps": (
        ("spec", "selector"),
        ("spec", "serviceName"),
        ("spec", "podManagementPolicy"),
        ("spec", "volumeClaimTemplates"),
    ),
    "jobs.batch": (("spec", "selector"), ("spec", "template"), ("spec", "completionMode")),
    "services": (("spec", "clusterIP"),),
    "secrets": (("type",),),
    "rolebindings.rbac.authorization.k8s.io": (("roleRef",),),
    "clusterrolebindings.rbac.authorization.k8s.io": (("roleRef",),),
    "persistentvolumeclaims": (
        ("spec", "accessModes"),
        ("spec", "storageClassName"),
        ("spec", "volumeName"),
    ),
}


def not_found(kind: Kind, name: str) -> ApiError:
    """404 for one object."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found')


def not_served() -> ApiError:
    """404 for a whole kind: there is no such path."""
    return ApiError(404, "", "404 page not found")


def forbidden(user: str, verb: str, kind: Kind, namespace: str, name: str) -> ApiError:
    """403 for a user without the right to a verb; a POST and a collection have no name."""
    name = "" if verb == "create" else name
    what = f'{kind.resource} "{name}"' if name else kind.resource
    if kind.resource == "namespaces":
        namespace = name  # as the API server's request info does
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{what} is forbidden: User "{user}" cannot {verb} resource "{kind.plural}" '
        f'in API group "{kind.group}" {where}'
    )
    return ApiError(403, "Forbidden", message)


def conflict(kind: Kind, name: str, what: str = "") -> ApiError:
    """409 for a write with an old resource version or uid."""
    what = what or (
        "the object has been modified; please apply your changes to the latest version "
        "and try again"
    )
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {what}'
    return ApiError(409, "Conflict", message)


def invalid(kind: Kind, name: str, field: str, what: str, reason: str = "Invalid") -> ApiError:
    """422 that names one field."""
    cause = {"reason": f"FieldValue{reason}", "message": what, "field": field}
    full = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    message = f'{full} "{name}" is invalid: {field}: {what}'
    return ApiError(422, "Invalid", message, causes=[cause])


def check_metadata(kind: Kind, obj: Object) -> None:
    """Names and owner references of an object that is written."""
    metadata = obj["metadata"]
    name = metadata.get("name", "")
    if kind.resource in {"services", "namespaces"}:
        legal = (
            _LABEL.fullmatch(name) if kind.resource == "services" else _SUBDOMAIN.fullmatch(name)
        )
        if not legal or len(name) > 63 or "." in name:
            raise invalid(kind, name, "metadata.name", f'Invalid value: "{name}"')
    elif kind.kind in _PATH_SEGMENT_KINDS:
        if not name or name in {".", ".."} or set(name) & set("/%"):
            raise invalid(kind, name, "metadata.name", f'Invalid value: "{name}"')
    elif not _SUBDOMAIN.fullmatch(name) or len(name) > 253:
        raise invalid(kind, name, "metadata.name", f'Invalid value: "{name}"')
    owners = metadata.get("ownerReferences") or ()
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                path = f"metadata.ownerReferences.{field}"
                raise invalid(kind, name, path, "Invalid value: must not be empty")
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        what = "Invalid value: Only one reference can have Controller set to true"
        raise invalid(kind, name, "metadata.ownerReferences", what)


def check_preconditions(kind: Kind, name: str, metadata: Object, live: Object) -> None:
    """The uid and resource version in a written object must be those of the live object."""
    version, uid = metadata.get("resourceVersion"), metadata.get("uid")
    if version and version not in {"0", live["metadata"]["resourceVersion"]}:
        raise conflict(kind, name)
    if uid and uid != live["metadata"]["uid"]:
        raise invalid(kind, name, "metadata.uid", f'Invalid value: "{uid}": field is immutable')


def check_change(kind: Kind, old: Object, new: Object) -> None:
    """Check a change of an existing object: immutable fields, new finalizers while terminating."""
    name = old["metadata"]["name"]
    if old["metadata"].get("deletionTimestamp"):
        before = old["metadata"].get("finalizers") or ()
        added = sorted(set(new["metadata"].get("finalizers") or ()) - set(before))
        if added:
            what = (
                "Forbidden: no new finalizers can be added if the object is being deleted, "
                f"found new finalizers {added}"
            )
            raise invalid(kind, name, "metadata.finalizers", what, "Forbidden")
    paths = _IMMUTABLE.get(kind.resource, ())
    if kind.resource == "services" and (
        "ExternalName" in {old["spec"].get("type"), new.get("spec", {}).get("type")}
    ):
        paths = ()
    if kind.resource in {"configmaps", "secrets"} and old.get("immutable"):
        paths = (*paths, ("data",), ("binaryData",), ("immutable",))
    for path in paths:
        if value_at(old, path) != value_at(new, path):
            raise invalid(kind, name, ".".join(path), "Invalid value: field is immutable")


def check_spec(kind: Kind, obj: Object) -> None:
    """A selector must select its own pods; minReadySeconds must be below the progress deadline."""
    if kind.resource not in {"deployments.apps", "statefulsets.apps", "daemonsets.apps"}:
        return
    name, spec = obj["metadata"]["name"], obj.get("spec") or {}
    selector, template = spec.get("selector"), spec.get("template") or {}
    if not selector:
        raise invalid(kind, name, "spec.selector", "Required value", "Required")
    labels = (template.get("metadata") or {}).get("labels") or {}
    wanted = selector.get("matchLabels") or {}
    if wanted.items() - labels.items():
        what = f"Invalid value: {labels}: `selector` does not match template `labels`"
        raise invalid(kind, name, "spec.template.metadata.labels", what)
    if not (template.get("spec") or {}).get("containers"):
        raise invalid(kind, name, "spec.template.spec.containers", "Required value", "Required")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        what = f"Invalid value: {deadline}: must be greater than minReadySeconds"
        raise invalid(kind, name, "spec.progressDeadlineSeconds", what)


def value_at(obj: Object, path: tuple[str, ...]) -> Any:
    """The value at a path of an object, or None."""
    value: Any = obj
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value

"""The in-memory API server: the effect of each verb on the objects.

Synchronous and deterministic: time comes from a given clock, uids and revisions are counters. The
rules are those of a real API server (1.36); the tests run one table of scripts against both.
``api.MemoryApi`` is the client.
"""

from __future__ import annotations

import uuid
from typing import Any

from contract.model import Kind, Object
from contract.status import rfc3339
from memoryserver import rules
from memoryserver.apply import (
    Fields,
    Manager,
    Owned,
    apply,
    managed_fields,
    update,
)
from memoryserver.assigned import allocated, initial_status
from memoryserver.deletion import is_kept, marked_for_deletion
from memoryserver.patches import clone, json_patch, merge_patch
from memoryserver.shapes import is_built_in
from memoryserver.storage import Storage, Stored
from memoryserver.structural import undeclared
from reconciler.client.api import JSON_PATCH, MERGE_PATCH, ApiError

_SERVER_METADATA = frozenset(
    """uid resourceVersion generation creationTimestamp deletionTimestamp
    deletionGracePeriodSeconds""".split()  # noqa: SIM905 a word list
)


class Server(Storage):
    """The server of any number of ``MemoryApi``; see ``Storage`` for its state."""

    # ---- writing -------------------------------------------------------------------------------

    def create(self, kind: Kind, body: Object, manager: str, *, dry_run: bool = False) -> Object:
        """POST: 409 ``AlreadyExists`` where an object has the name."""
        body = self._body(kind, body)
        metadata = body["metadata"]
        if metadata.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                what = "Required value: name or generateName is required"
                raise rules.invalid(kind, "", "metadata.name", what, "Required")
            metadata["name"] = metadata["generateName"] + f"{self._count:05x}"
        name = metadata["name"]
        if live := self._of(kind).get(self._key(kind, body)):
            deleting = live.object["metadata"].get("deletionTimestamp")
            what = "object is being deleted: " if deleting else ""
            taken = f'{what}{kind.resource} "{name}" already exists'
            raise ApiError(409, "AlreadyExists", taken)
        if self.has_status(kind):
            body.pop("status", None)
        rules.check_metadata(kind, body)
        owner = Manager(manager, "Update")
        body = self._checked(kind, None, body)
        fields = update({}, body, {}, owner, self._shape(kind))
        return self._commit(kind, None, body, fields, "", dry_run=dry_run)

    def replace(
        self,
        kind: Kind,
        body: Object,
        manager: str,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """PUT: 404 where there is no such object, 409 for another resource version."""
        body = self._body(kind, body)
        live = self._live(kind, body["metadata"].get("namespace", ""), body["metadata"]["name"])
        if not body["metadata"].get("resourceVersion") and (
            not is_built_in(kind) or kind.resource == "leases.coordination.k8s.io"
        ):
            what = "Invalid value: 0: must be specified for an update"
            name = body["metadata"]["name"]
            raise rules.invalid(kind, name, "metadata.resourceVersion", what)
        uid = body["metadata"].get("uid")
        if uid and uid != live.object["metadata"]["uid"]:
            what = f"Precondition failed: UID in precondition: {uid}"
            raise rules.conflict(kind, body["metadata"]["name"], what)
        return self._update(kind, live, body, Manager(manager, "Update", subresource), dry_run)

    def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Any,
        manager: str,
        *,
        content_type: str,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """PATCH of the live object; subresource ``scale`` takes ``{"spec": {"replicas": n}}``."""
        live = self._live(kind, namespace, name)
        target = self.shown(kind, live.object)
        if content_type == JSON_PATCH:
            body = json_patch(target, patch)
        elif content_type == MERGE_PATCH:
            body = merge_patch(target, patch)
        else:
            raise ApiError(415, "UnsupportedMediaType", f"{content_type} is not supported")
        if (body.get("metadata") or {}).get("name") != name:
            raise ApiError(400, "BadRequest", "the name of the object does not match the URL")
        return self._update(kind, live, body, Manager(manager, "Update", subresource), dry_run)

    def apply(
        self,
        kind: Kind,
        body: Object,
        manager: str,
        *,
        force: bool = True,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        """Server-side apply: creates a missing object, or raises 409 where the body has a uid."""
        body = self._body(kind, body)
        metadata = body["metadata"]
        if metadata.get("managedFields") is not None:
            raise ApiError(400, "BadRequest", "metadata.managedFields must be nil")
        self._check_subresource(kind, subresource)
        live = self._of(kind).get(self._key(kind, body))
        if error := undeclared(body, self._schema(kind) or {}):
            raise ApiError(500, "", f"failed to create typed patch object: {error}")
        if live is None and subresource:
            raise rules.not_found(kind, metadata["name"])
        if live is None and metadata.get("uid"):
            what = (
                f"uid mismatch: the provided object specified uid {metadata['uid']}, "
                "and no existing object was found"
            )
            raise rules.conflict(kind, metadata["name"], what)
        if live is not None:
            rules.check_preconditions(kind, metadata["name"], metadata, live.object)
        if subresource == "status":
            written = {"status": body["status"]} if "status" in body else {}
            body = {**_identity(body), **written}
        elif self.has_status(kind):
            body.pop("status", None)
        for name in ("uid", "resourceVersion", "generation", "creationTimestamp"):
            metadata.pop(name, None)
        old = live.object if live else _identity(body)
        owner = Manager(manager, "Apply", subresource)
        owners = live.owners if live else {}
        bare = {k: v for k, v in old.items() if k != "metadata"}
        bare["metadata"] = {k: v for k, v in old["metadata"].items() if k != "managedFields"}
        new, fields = apply(bare, body, owners, owner, self._shape(kind), force=force)
        return self._commit(kind, live, new, fields, subresource, dry_run=dry_run)

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        resource_version: str = "",
        grace: int | None = None,
    ) -> Object | None:
        """DELETE with preconditions (409); returns a terminating object, as ``Api.delete``.

        ``grace`` in seconds replaces the pod's own grace period; a kubelet finally sends 0.
        """
        live = self._live(kind, namespace, name)
        metadata = live.object["metadata"]
        for what, wanted, found in (
            ("UID", uid, metadata["uid"]),
            ("ResourceVersion", resource_version, metadata["resourceVersion"]),
        ):
            if wanted and wanted != found:
                error = f"the {what} in the precondition ({wanted}) does not match ({found})"
                raise rules.conflict(kind, name, error)
        new = marked_for_deletion(kind, live.object, self.now(), grace)
        if not is_kept(new):
            self._drop(kind, live)
            return None
        if new == live.object:
            return self.shown(kind, new)
        return self.shown(kind, self._store(kind, live, new, live.owners))

    def finalize_namespace(self, kind: Kind, name: str) -> None:
        """Remove the finalizer of an empty namespace, as the namespace controller does."""
        live = self._live(kind, "", name)
        if live.object["metadata"].get("deletionTimestamp"):
            self._drop(kind, live)

    # ---- the one way to change anything --------------------------------------------------------

    def _update(
        self, kind: Kind, live: Stored, body: Object, owner: Manager, dry_run: bool
    ) -> Object:
        rules.check_preconditions(kind, body["metadata"]["name"], body["metadata"], live.object)
        old = live.object
        subresource = self._check_subresource(kind, owner.subresource)
        body["metadata"].pop("managedFields", None)
        if subresource == "status":
            status = {"status": body["status"]} if "status" in body else {}
            body = {**{k: v for k, v in old.items() if k != "status"}, **status}
        elif subresource == "scale":
            replicas = (body.get("spec") or {}).get("replicas")
            body = {**old, "spec": {**old.get("spec", {}), "replicas": replicas}}
        elif self.has_status(kind):
            kept = {"status": old["status"]} if "status" in old else {}
            body = {**{k: v for k, v in body.items() if k != "status"}, **kept}
        body["metadata"] = body["metadata"] | {
            name: old["metadata"][name] for name in _SERVER_METADATA if name in old["metadata"]
        }
        bare = {**old, "metadata": {**old["metadata"]}}
        bare["metadata"].pop("managedFields", None)
        rules.check_metadata(kind, body)
        body = self._checked(kind, old, body)
        fields = update(bare, body, live.owners, owner, self._shape(kind))
        replicas = ("spec", "replicas")
        if subresource == "scale" and not any(replicas in o.fields for o in live.owners.values()):
            # A scale subresource does not become an owner while no manager owns the field.
            fields.pop(owner, None)
        return self._commit(kind, live, body, fields, subresource, dry_run=dry_run)

    def _commit(
        self,
        kind: Kind,
        live: Stored | None,
        new: Object,
        fields: dict[Manager, Fields],
        subresource: str,
        *,
        dry_run: bool,
    ) -> Object:
        old = live.object if live else None
        if self.webhook is not None and not subresource:
            new = self.webhook(kind, clone(new))
        if old is None:
            self._check_namespace(kind, new)
            self._count += 1
            stamps = {"creationTimestamp": rfc3339(self.now()), "uid": _uid(self._count)}
            kept = {k: v for k, v in new["metadata"].items() if k not in _SERVER_METADATA}
            new = {**new, "metadata": kept | stamps}
            new = initial_status(kind, new) if self.has_status(kind) else new
        # For these two fields the server treats an empty list as a change of a missing one, so
        # such a write is never a no-op.
        never_equal = kind.resource == "networkpolicies.networking.k8s.io" and any(
            new.get("spec", {}).get(name) == [] for name in ("ingress", "egress")
        )
        new = allocated(kind, new, old, self._count)
        new = self._checked(kind, old, new)
        rules.check_metadata(kind, new)
        rules.check_spec(kind, new)
        if old is not None:
            rules.check_change(kind, old, new)
        if self.counts_generations(kind):
            before = old["metadata"].get("generation", 1) if old else 1
            changed = never_equal or self._spec(kind, old or new) != self._spec(kind, new)
            new["metadata"]["generation"] = before + int(changed and old is not None)
        owners = self._owners(kind, live, fields)
        new["metadata"]["managedFields"] = managed_fields(owners)
        if old is not None and live is not None:
            if new == old:
                return self.shown(kind, old)
            if new["metadata"].get("deletionTimestamp") and not is_kept(new):
                if not dry_run:
                    self._drop(kind, live)
                return self.shown(kind, new)
        if dry_run:
            return self.shown(kind, new)
        return self.shown(kind, self._store(kind, live, new, owners))

    # ---- checks and conversions ----------------------------------------------------------------

    def _check_subresource(self, kind: Kind, subresource: str) -> str:
        if subresource == "status" and not self.has_status(kind):
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        return subresource

    def _body(self, kind: Kind, body: Object) -> Object:
        body = clone(body)
        if (body.get("apiVersion"), body.get("kind")) != (kind.api_version, kind.kind):
            error = (
                f"the body is {body.get('apiVersion')} {body.get('kind')}, not {kind.api_version}"
            )
            raise ApiError(400, "BadRequest", f"{error} {kind.kind}")
        body.setdefault("metadata", {})
        if kind.namespaced and not body["metadata"].get("namespace"):
            raise ApiError(400, "BadRequest", f"{kind.kind} without a namespace")
        return body

    def _check_namespace(self, kind: Kind, obj: Object) -> None:
        if not kind.namespaced:
            return
        name = obj["metadata"]["namespace"]
        found = self._objects.get("namespaces", {}).get(("", name))
        if found is None:
            if self.strict_namespaces:
                raise ApiError(404, "NotFound", f'namespaces "{name}" not found')
        elif found.object["metadata"].get("deletionTimestamp"):
            message = f"unable to create new content in namespace {name}: it is being terminated"
            causes = [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]
            raise ApiError(403, "Forbidden", message, causes=causes)

    def _owners(
        self, kind: Kind, live: Stored | None, fields: dict[Manager, Fields]
    ) -> dict[Manager, Owned]:
        before = live.owners if live else {}
        time = rfc3339(self.now())
        return {
            owner: before[owner]
            if owner in before and before[owner].fields == owned
            else Owned(owned, time, kind.api_version)
            for owner, owned in fields.items()
        }

    def _spec(self, kind: Kind, obj: Object) -> Object:
        ignored = {"apiVersion", "kind", "metadata"} | (
            {"status"} if self.has_status(kind) else set()
        )
        return {name: value for name, value in obj.items() if name not in ignored}


def _identity(body: Object) -> Object:
    names = ("name", "namespace")
    metadata = {name: body["metadata"][name] for name in names if name in body["metadata"]}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata}


def _uid(number: int) -> str:
    return str(uuid.UUID(int=number, version=4))

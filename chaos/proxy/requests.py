"""The verb and the object of a request, as the API server's request info has them. Pure.

The rule kept here: parsing never fails: a request that is not for a resource has the verb
``other``.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

WRITES = frozenset({"create", "update", "patch", "apply", "delete", "deletecollection"})
VERBS = WRITES | {"get", "list", "watch", "other"}

_APPLY = "application/apply-patch+yaml"
_NAMESPACE_SUBRESOURCES = ("status", "finalize")
_NAME_SELECTOR = "metadata.name="
_Body = TypeVar("_Body")


class Request(NamedTuple):
    """A request as rules match it. A missing field is "".

    A Namespace has a name but not a namespace. A list or watch of one object has the object's
    name. ``initial``: a watch with ``sendInitialEvents``.
    """

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    dry_run: bool = False
    initial: bool = False

    @property
    def is_write(self) -> bool:
        """Whether the request changes an object; false for a dry run."""
        return self.verb in WRITES and not self.dry_run


class _Metadata(msgspec.Struct):
    name: str | None = None
    resource_version: str | None = msgspec.field(default=None, name="resourceVersion")


class _Spec(msgspec.Struct):
    holder: str | None = msgspec.field(default=None, name="holderIdentity")


class Named(msgspec.Struct):
    """The metadata of a body or an answer; "" where a field is missing."""

    name: str = ""
    resource_version: str = ""


class _Object(msgspec.Struct):
    metadata: _Metadata | None = None


class _Lease(msgspec.Struct):
    spec: _Spec | None = None


class _DeleteOptions(msgspec.Struct):
    dry_run: list[str] | None = msgspec.field(default=None, name="dryRun")


def named(body: bytes) -> Named:
    """The metadata of a JSON body; empty for an empty body, a JSON patch or YAML."""
    found = _decoded(body, _Object)
    metadata = found.metadata if found else None
    if metadata is None:
        return Named()
    return Named(metadata.name or "", metadata.resource_version or "")


def holder_of(body: bytes) -> str:
    """The holder in the body of a Lease's write, else ""."""
    found = _decoded(body, _Lease)
    return (found.spec.holder if found and found.spec else None) or ""


def request_of(method: str, target: str, content_type: str = "", body: bytes = b"") -> Request:
    """The request of ``method`` on ``target`` (path and query, still quoted)."""
    url = urlsplit(target)
    query = parse_qs(url.query, keep_blank_values=True)
    group, parts = _resource_path([unquote(part) for part in url.path.split("/") if part])
    if not parts:
        return Request("other")
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
        namespace, parts = parts[1], parts[2:]
    resource, name, subresource = [*parts, "", ""][:3]
    verb = _verb(method, name, query, content_type)
    if verb in {"list", "watch"} and not name:
        selector = query.get("fieldSelector", [""])[0]
        if selector.startswith(_NAME_SELECTOR) and "," not in selector:
            name = selector.removeprefix(_NAME_SELECTOR).removeprefix("=")
    if verb == "create" and not name:
        name = named(body).name
    dry_run = any(query.get("dryRun", ()))
    if verb in {"delete", "deletecollection"} and not dry_run:
        options = _decoded(body, _DeleteOptions)
        dry_run = bool(options and options.dry_run)
    initial = verb == "watch" and _true(query, "sendInitialEvents")
    return Request(verb, group, resource, namespace, name, subresource, dry_run, initial)


def _resource_path(parts: list[str]) -> tuple[str, list[str]]:
    """The group, and the parts after the version; no parts where the path has no resource."""
    if parts[:1] == ["api"]:
        return "", parts[2:]
    if parts[:1] == ["apis"] and len(parts) > 1:
        return parts[1], parts[3:]
    return "", []


def _verb(method: str, name: str, query: dict[str, list[str]], content_type: str) -> str:
    if method == "GET":
        if _true(query, "watch"):
            return "watch"
        return "get" if name else "list"
    if method == "PATCH":
        return "apply" if content_type.partition(";")[0].strip() == _APPLY else "patch"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    return {"POST": "create", "PUT": "update"}.get(method, "other")


def _true(query: dict[str, list[str]], name: str) -> bool:
    """A boolean of a query as the API server reads it: all but "0" and "false" are true."""
    return name in query and query[name][0].lower() not in {"0", "false"}


def _decoded(body: bytes, kind: type[_Body]) -> _Body | None:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

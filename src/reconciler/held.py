"""One object as a cache holds it: encoded, beside the values that the cache compares.

As dicts, objects take ten times the memory, and a reader that changes its copy would change other
readers'. Strings that many objects share are held once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import msgspec
import structlog

from contract.demands import Watch
from contract.metadata import key_parts
from contract.model import Object

NamespacedName = tuple[str, str]
"""(namespace, name); the namespace of a cluster-scoped object is empty."""

T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)


class Held(msgspec.Struct, frozen=True, gc=False):  # no cycles: the collector skips it
    """One object as the store holds it: encoded, beside the values that the store compares."""

    uid: str
    version: str
    owners: tuple[str, ...]
    index: str | None
    content: bytes

    def decoded(self) -> Object:
        """The object; the caller may change it."""
        obj: Object = msgspec.json.decode(self.content)
        return obj


def held_form(
    obj: Object, watch: Watch, owners: Callable[[Object], tuple[str, ...]]
) -> Held | None:
    """The object without managed fields, which can be most of it, as ``keep`` returns it."""
    metadata = obj["metadata"].items()
    whole = {**obj, "metadata": {k: value for k, value in metadata if k != "managedFields"}}
    kept = call_domain(watch.keep, whole, otherwise=whole) if watch.keep else whole
    if kept is None:
        return None
    index = call_domain(watch.index, kept, None) if watch.index else None
    # A copy, because the bytes of encode keep spare memory at their end.
    content = bytes(memoryview(msgspec.json.encode(kept)))
    uids = tuple(map(sys.intern, owners(kept)))
    return Held(sys.intern(uid_of(obj)), version_of(obj), uids, index, content)


def name_of(obj: Object) -> NamespacedName:
    """Its namespace and name, the strings that other objects have too."""
    namespace, name = key_parts(obj)
    return sys.intern(namespace), sys.intern(name)


def uid_of(obj: Object) -> str:
    """Its uid; empty in a test without one."""
    return str(obj["metadata"].get("uid", ""))


def version_of(obj: Object) -> str:
    """Its resource version."""
    return str(obj["metadata"].get("resourceVersion", ""))


def is_terminating(obj: Object) -> bool:
    """Is it marked for deletion?"""
    return "deletionTimestamp" in obj["metadata"]


def is_unchanged(old: Object | None, new: Object | None) -> bool:
    """Are both equal but for the resource version?"""
    if old is None or new is None:
        return old is new
    if {**old, "metadata": None} != {**new, "metadata": None}:
        return False
    before, after = old["metadata"], new["metadata"]
    return {**before, "resourceVersion": ""} == {**after, "resourceVersion": ""}


def call_domain(
    question: Callable[[Object], T | None], obj: Object, otherwise: T | None
) -> T | None:
    """Call ``keep`` or ``index``; log an exception and use the fallback: the watch must go on."""
    try:
        return question(obj)
    except Exception as error:  # noqa: BLE001 - pure code of a domain may raise anything
        # No traceback: its local variables are the object, and that may be a Secret.
        log.error("keep or index failed", object=key_parts(obj), error=repr(error))  # noqa: TRY400
        return otherwise

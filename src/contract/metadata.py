"""Metadata: names that fit, labels that are legal, owner references, digests. All pure.

A name made here is a function of its parts and of nothing else, so that a write whose
answer was lost cannot make a second object; two different tuples of parts never meet.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from contract.model import Kind, Object

LABEL_LIMIT = 63
"""Characters in a label value and in the name of a Service (RFC 1035 label)."""

_HASH_LENGTH = 8
_NOT_DNS = re.compile(r"[^a-z0-9-]+")
_NOT_LABEL = re.compile(r"[^A-Za-z0-9._-]+")


def digest(value: Any, length: int = 16) -> str:
    """A stable hexadecimal digest of a JSON value; key order does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def dns_name(*parts: str, limit: int = LABEL_LIMIT, always_hash: bool = False) -> str:
    """A DNS label (RFC 1035) of the parts joined by ``-``.

    Where that would be too long or had to be changed, or where ``always_hash`` requires that the
    name is made of two free parts (``a-b`` + ``c`` against ``a`` + ``b-c``), it is cut and ends
    in a hash of the parts: stable, and without collisions.
    """
    plain = "-".join(parts)
    legal = _NOT_DNS.sub("-", plain.lower()).strip("-")
    if legal == plain and len(plain) <= limit and not always_hash and plain[:1].isalpha():
        return plain
    if not legal[:1].isalpha():
        legal = f"x-{legal}".rstrip("-")
    suffix = digest(list(parts), _HASH_LENGTH)
    return f"{legal[: limit - _HASH_LENGTH - 1].rstrip('-')}-{suffix}"


def label_value(text: str) -> str:
    """The text as a legal label value: unchanged where it is one, else cut and hashed."""
    legal = _NOT_LABEL.sub("_", text).strip("._-")
    if legal == text and len(text) <= LABEL_LIMIT:
        return text
    cut = legal[: LABEL_LIMIT - _HASH_LENGTH - 1].rstrip("._-")
    suffix = digest(text, _HASH_LENGTH)
    return f"{cut}-{suffix}" if cut else suffix


def owner_reference(parent: Object, kind: Kind) -> dict[str, Any]:
    """The controller owner reference that makes an object the parent's own.

    It names the storage version of the parent's kind whatever version it was read in, so that
    reading a parent in another version changes nothing.
    """
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": parent["metadata"]["name"],
        "uid": parent["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> Mapping[str, Any] | None:
    """The owner reference marked as controller, or None."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return reference  # type: ignore[no-any-return]
    return None


def key_parts(obj: Object) -> tuple[str, str]:
    """(namespace, name); the namespace of a cluster-scoped object is empty."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def newer(version: str, other: str) -> bool:
    """Is a resource version later than another one?

    Those of one resource are comparable as integers (KEP-5504, stable since 1.35); where one is
    not a number, a different one counts as later.
    """
    if version.isdigit() and other.isdigit():
        return int(version) > int(other)
    return version != other


def known_newer(version: str, other: str) -> bool:
    """As ``newer``, but False where the two cannot be compared."""
    return version.isdigit() and other.isdigit() and int(version) > int(other)

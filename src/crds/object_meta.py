"""What the API server asks of ``metadata``, whatever the kind.

https://pkg.go.dev/k8s.io/apimachinery/pkg/api/validation#ValidateObjectMetaAccessor
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from crds import re2
from crds.refusal import Refusal, invalid, json_text, required, too_long
from crds.values import json_type

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_KEY_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_KEY_NAME})?"
_ENDS = "and must start and end with an alphanumeric character"
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    f"{_ENDS} (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    f"'-' or '.', {_ENDS} (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_NAME_CHARACTERS = f"must consist of alphanumeric characters, '-', '_' or '.', {_ENDS}"
_KEY_RULE = (
    f"{_NAME_CHARACTERS} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation "
    f"is '{_KEY_NAME}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    f"{_ENDS} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_VALUE}')"
)
_LABEL_LIMIT, _SUBDOMAIN_LIMIT, _ANNOTATIONS_LIMIT = 63, 253, 256 * 1024
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"

_OWNER, _ENTRY = "v1.OwnerReference", "v1.ManagedFieldsEntry"
_STRING, _INTEGER, _STRINGS, _TIME = "string", "int64", "map[string]string", "Time"
_FIELDS = {
    "name": _STRING,
    "generateName": _STRING,
    "namespace": _STRING,
    "selfLink": _STRING,
    "uid": "types.UID",
    "resourceVersion": _STRING,
    "generation": _INTEGER,
    "creationTimestamp": _TIME,
    "deletionTimestamp": _TIME,
    "deletionGracePeriodSeconds": _INTEGER,
    "labels": _STRINGS,
    "annotations": _STRINGS,
    "ownerReferences": f"[]{_OWNER}",
    "finalizers": "[]string",
    "managedFields": f"[]{_ENTRY}",
}
_OWNER_FIELDS = {
    "apiVersion": _STRING,
    "kind": _STRING,
    "name": _STRING,
    "uid": "types.UID",
    "controller": "bool",
    "blockOwnerDeletion": "bool",
}


def unknown_metadata_fields(metadata: Any) -> list[str]:
    """The paths of the fields of metadata that the API server drops."""
    given = metadata if isinstance(metadata, dict) else {}
    paths = [f"metadata.{name}" for name in given if name not in _FIELDS]
    for index, owner in enumerate(given.get("ownerReferences") or ()):
        at = f"metadata.ownerReferences[{index}]"
        paths += [f"{at}.{name}" for name in owner or () if name not in _OWNER_FIELDS]
    return paths


def known_metadata(metadata: Any) -> dict[str, Any]:
    """Metadata as the API server reads it: without what it does not know, without nulls."""
    if not isinstance(metadata, dict):
        return {}
    found = {k: v for k, v in metadata.items() if k in _FIELDS and v is not None}
    for name in ("labels", "annotations"):
        if name in found:
            found[name] = {key: value or "" for key, value in found[name].items()}
    return found


def undecodable(metadata: Any) -> str:
    """Why metadata is not metadata at all; empty where it can be decoded."""
    if metadata is None:
        return ""
    if not isinstance(metadata, dict):
        return f"json: cannot unmarshal {_go_type(metadata)} into Go value of type v1.ObjectMeta"
    for name, value in metadata.items():
        wanted = _FIELDS.get(name)
        if wanted and value is not None and (bad := _mismatch(value, wanted)):
            return bad.replace("{}", f"Go struct field ObjectMeta.{name} of type")
    return ""


def _go_type(value: Any) -> str:
    name = json_type(value)
    return {"integer": "number", "boolean": "bool"}.get(name, name)


def _mismatch(value: Any, wanted: str) -> str:
    """What does not fit, with a place for the field's name; empty where all fits."""
    if wanted == _TIME:
        return _not_a_time(value)
    if wanted == _STRINGS and isinstance(value, dict):
        return _first_mismatch(list(value.values()), "string")
    if wanted.startswith("[]") and isinstance(value, list):
        return _first_mismatch(value, wanted.removeprefix("[]"))
    if wanted == _OWNER and isinstance(value, dict):
        return _owner_mismatch(value)
    if wanted == _ENTRY and isinstance(value, dict):
        return ""
    fits = {_INTEGER: "integer", "bool": "boolean", _STRING: "string", "types.UID": "string"}
    if json_type(value) == fits.get(wanted) or (wanted == _INTEGER and value == _whole(value)):
        return ""
    shown = f"number {json_text(value)}" if isinstance(value, float) and wanted == _INTEGER else ""
    return f"json: cannot unmarshal {shown or _go_type(value)} into {{}} {wanted}"


def _first_mismatch(values: list[Any], wanted: str) -> str:
    found = (_mismatch(value, wanted) for value in values if value is not None)
    return next(filter(None, found), "")


def _owner_mismatch(owner: dict[str, Any]) -> str:
    for name, value in owner.items():
        wanted = _OWNER_FIELDS.get(name)
        if wanted and value is not None and (bad := _mismatch(value, wanted)):
            field = f"Go struct field OwnerReference.ownerReferences.{name} of type"
            return bad.replace("{}", field)
    return ""


def _whole(value: Any) -> int | None:
    small = isinstance(value, float) and abs(value) < 2**63
    return int(value) if small else None


def _not_a_time(value: Any) -> str:
    if not isinstance(value, str):
        return f"json: cannot unmarshal {_go_type(value)} into {{}} string"
    match = re2.compiled(_TIME_PATTERN).search(value)
    if match is None:
        return f'parsing time "{value}" as "{_TIME_LAYOUT}": cannot parse "{value}" as "2006"'
    try:
        dt.datetime.fromisoformat(f"{match[1]}+00:00")
    except ValueError as error:
        return f'parsing time "{value}": {error}'
    return ""


_TIME_LAYOUT = "2006-01-02T15:04:05Z07:00"
_TIME_PATTERN = (
    "^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})([.,][0-9]+)?"
    "(Z|[-+][0-9]{2}:[0-9]{2})$"
)


def metadata_refusals(metadata: Mapping[str, Any]) -> Iterator[Refusal]:
    """Why the API server refuses metadata that it can decode."""
    prefix = metadata.get("generateName") or ""
    masked = f"{prefix[:-2]}a" if len(prefix) > 1 and prefix.endswith("-") else prefix
    for why in _subdomain(masked) if prefix else ():
        yield invalid("metadata.generateName", prefix, why)
    # Of a name that is to be generated, all characters but the last five are known.
    name = metadata.get("name") or (f"{prefix}22222" if prefix else "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    for why in _subdomain(name, "characters") if name else ():
        yield invalid("metadata.name", name, why)
    for why in _label(metadata["namespace"]) if metadata.get("namespace") else ():
        yield invalid("metadata.namespace", metadata["namespace"], why)
    yield from _label_refusals(metadata.get("labels", {}))
    yield from _annotation_refusals(metadata.get("annotations", {}))
    yield from _owner_refusals(metadata.get("ownerReferences", []))
    yield from _finalizer_refusals(metadata.get("finalizers", []))


def _label_refusals(labels: Mapping[str, str]) -> Iterator[Refusal]:
    for key, value in labels.items():
        for why in _key(key):
            yield invalid("metadata.labels", key, why)
        for why in _label_value(value):
            yield invalid("metadata.labels", value, why)


def _annotation_refusals(annotations: Mapping[str, str]) -> Iterator[Refusal]:
    for key in annotations:
        for why in _key(key.lower()):
            yield invalid("metadata.annotations", key, why)
    if sum(_size(key) + _size(value) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        yield too_long("metadata.annotations", _ANNOTATIONS_LIMIT)


def _owner_refusals(owners: list[dict[str, Any] | None]) -> Iterator[Refusal]:
    at = "metadata.ownerReferences"
    controller = ""
    for owner in owners:
        given = owner or {}
        version = given.get("apiVersion") or ""
        if not version or version.count("/") > 1 or version.endswith("/"):
            yield invalid(f"{at}.apiVersion", version, "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not given.get(field):
                yield invalid(f"{at}.{field}", "", "must not be empty")
        if (version, given.get("kind")) == ("v1", "Event"):
            yield invalid(at, given, "/v1, Kind=Event is disallowed from being an owner")
        if given.get("controller"):
            this = f"{given.get('kind', '')}/{given.get('name', '')}"
            if controller:
                yield invalid(at, owners, _second_controller(controller, this))
            controller = controller or this


def _second_controller(first: str, second: str) -> str:
    return (
        'Only one reference can have Controller set to true. Found "true" in references for '
        f"{first} and {second}"
    )


def _finalizer_refusals(finalizers: list[Any]) -> Iterator[Refusal]:
    at = "metadata.finalizers"
    for finalizer in finalizers:
        for why in _key(finalizer or ""):
            yield invalid(at, finalizer or "", why)
    if {_ORPHAN, _FOREGROUND} <= set(finalizers):
        detail = f"finalizer {_ORPHAN} and {_FOREGROUND} cannot be both set"
        yield invalid(at, finalizers, detail)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _subdomain(text: str, unit: str = "bytes") -> Iterator[str]:
    if _size(text) > _SUBDOMAIN_LIMIT:
        yield f"must be no more than {_SUBDOMAIN_LIMIT} {unit}"
    if not _fits(_SUBDOMAIN, text):
        yield _SUBDOMAIN_RULE


def _label(text: str) -> Iterator[str]:
    if _size(text) > _LABEL_LIMIT:
        yield f"must be no more than {_LABEL_LIMIT} characters"
    if not _fits(_LABEL, text):
        yield "must not contain dots" if _fits(_SUBDOMAIN, text) else _LABEL_RULE


def _key(text: str) -> Iterator[str]:
    """The key of a label or an annotation: a name, or a DNS prefix, a slash and a name."""
    parts = text.split("/")
    if len(parts) > 2:
        yield (
            f"a valid label key {_KEY_RULE} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        )
        return
    name = parts[-1]
    if len(parts) == 2 and not parts[0]:
        yield "prefix part must be non-empty"
    elif len(parts) == 2:
        yield from (f"prefix part {why}" for why in _subdomain(parts[0]))
    if not name:
        yield "name part must be non-empty"
    elif _size(name) > _LABEL_LIMIT:
        yield f"name part must be no more than {_LABEL_LIMIT} bytes"
    if not _fits(_KEY_NAME, name):
        yield f"name part {_KEY_RULE}"


def _label_value(text: str) -> Iterator[str]:
    if _size(text) > _LABEL_LIMIT:
        yield f"must be no more than {_LABEL_LIMIT} bytes"
    if not _fits(_VALUE, text):
        yield _VALUE_RULE


def _fits(pattern: str, text: str) -> bool:
    return re2.compiled(f"^{pattern}$").search(text) is not None

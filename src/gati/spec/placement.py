"""Where pods run and what else is written on them, as the API server stores it."""

from __future__ import annotations

import re

from gati import names
from gati.contracts import JsonObject
from gati.spec.fields import Fields, Invalid, pruned

_RESERVED = ("gati.dev/", "app.kubernetes.io/")
_KEY = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def parse_labels(fields: Fields, name: str, *, free: bool = False) -> dict[str, str]:
    """Labels of the pods, or of nodes (``free``); the operator's own prefixes are not given away."""
    labels = fields.text_map(name)
    for key, value in labels.items():
        path = f"{fields.at(name)}[{key}]"
        _check_key(key, path, free=free)
        if not _VALUE.fullmatch(value):
            raise Invalid(
                path,
                "is no label value: write at most 63 letters, digits, '-', '_' and '.', the first "
                "and the last a letter or digit",
            )
    return labels


def parse_annotations(fields: Fields, name: str) -> dict[str, str]:
    """Annotations of the pods."""
    annotations = fields.text_map(name)
    for key in annotations:
        _check_key(key, f"{fields.at(name)}[{key}]", free=False)
    return annotations


def parse_tolerations(fields: Fields) -> tuple[JsonObject, ...]:
    """``spec.tolerations``; empty words mean the same as absent ones."""
    return tuple(
        {key: value for key, value in pruned(item.values).items() if value != ""}
        for item in fields.objects("tolerations")
    )


def parse_spread(fields: Fields, workload: str) -> tuple[JsonObject, ...]:
    """``spec.topologySpreadConstraints``; without a selector they count the handler's own pods."""
    selector = {"labelSelector": names.workload_selector(workload)}
    return tuple(
        selector | pruned(item.values) for item in fields.objects("topologySpreadConstraints")
    )


def _check_key(key: str, path: str, *, free: bool) -> None:
    if not _KEY.fullmatch(key):
        raise Invalid(path, "is no legal key: write a name, or a DNS prefix, a slash and a name")
    if not free and key.startswith(_RESERVED):
        raise Invalid(path, "belongs to the operator: choose a key with another prefix")

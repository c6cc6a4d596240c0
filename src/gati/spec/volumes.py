"""Volumes of the kinds that cannot reach the node, and where a container sees them."""

from __future__ import annotations

from gati.contracts import JsonObject
from gati.spec.environment import resource_field
from gati.spec.fields import Fields, Invalid, pruned
from gati.spec.resources import quantity

KINDS = ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected")
DEFAULT_MODE = 0o644
RESERVED = "gati-tmp"
"""Name of the volume that the operator mounts at /tmp."""


def parse_volumes(fields: Fields, container: str) -> tuple[JsonObject, ...]:
    """``spec.volumes`` as the API server stores them; ``container`` is whose resources they show."""
    volumes: dict[str, JsonObject] = {}
    for item in fields.objects("volumes"):
        name = item.text("name")
        if name is None:
            raise Invalid(item.at("name"), "is missing: write what volumeMounts call it")
        if name in volumes or name == RESERVED:
            owner = "the operator" if name == RESERVED else "another volume"
            raise Invalid(item.at("name"), f"is {name}, which {owner} is called: choose another")
        volumes[name] = {"name": name} | _source(item, container)
    return tuple(volumes.values())


def parse_mounts(fields: Fields, volumes: tuple[JsonObject, ...]) -> tuple[JsonObject, ...]:
    """``spec.volumeMounts``; each must name one of the volumes, and no folder may come twice."""
    names = {volume["name"] for volume in volumes}
    mounts: dict[str, JsonObject] = {}
    for item in fields.objects("volumeMounts"):
        name, folder = item.text("name"), item.text("mountPath")
        if name not in names:
            raise Invalid(
                item.at("name"), f"is {name}, but spec.volumes has no volume of that name"
            )
        if folder is None or not folder.startswith("/") or ":" in folder:
            raise Invalid(item.at("mountPath"), "must be an absolute path without a colon")
        if folder in mounts:
            raise Invalid(item.at("mountPath"), f"is {folder} for the second time")
        mount: JsonObject = pruned(item.values)
        mounts[folder] = {key: value for key, value in mount.items() if value not in (False, "")}
    return tuple(mounts.values())


def _source(fields: Fields, container: str) -> JsonObject:
    unknown = sorted(set(pruned(fields.values)) - {"name", *KINDS})
    kind = fields.one_of(*KINDS)
    if unknown or kind is None:
        given = f"{unknown[0]} is not offered" if unknown else "no kind is given"
        raise Invalid(fields.path, f"{given}: write one of {', '.join(KINDS)}")
    source = fields.object(kind)
    value: JsonObject = pruned(source.values)
    if kind == "emptyDir":
        if source.has("sizeLimit"):
            value["sizeLimit"] = quantity(source.values["sizeLimit"], source.at("sizeLimit"))
        return {kind: {key: item for key, item in value.items() if item != ""}}
    if kind == "persistentVolumeClaim":
        return {kind: {key: item for key, item in value.items() if item is not False}}
    if kind == "projected":
        value["sources"] = [_projection(item, container) for item in source.objects("sources")]
    return {kind: {"defaultMode": DEFAULT_MODE} | value}


def _projection(fields: Fields, container: str) -> JsonObject:
    projection: JsonObject = pruned(fields.values)
    if fields.has("downwardAPI"):
        files = fields.object("downwardAPI").objects("items")
        projection["downwardAPI"] = {"items": [_downward_file(item, container) for item in files]}
    return projection


def _downward_file(fields: Fields, container: str) -> JsonObject:
    file: JsonObject = pruned(fields.values)
    if fields.has("resourceFieldRef"):
        file["resourceFieldRef"] = resource_field(fields.object("resourceFieldRef"), container)
    return file

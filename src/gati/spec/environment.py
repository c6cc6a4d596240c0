"""Environment variables of a container: where they come from, as the API server stores them."""

from __future__ import annotations

import re

from gati.contracts import JsonObject
from gati.spec.fields import Fields, Invalid, pruned
from gati.spec.resources import quantity

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SOURCES = ("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef")


def parse_config(fields: Fields) -> dict[str, str]:
    """``spec.config``: each key becomes a variable, so each must be the name of one."""
    config = fields.text_map("config")
    for key in config:
        _variable_name(key, f"{fields.at('config')}[{key}]")
    return config


def parse_env(fields: Fields) -> tuple[JsonObject, ...]:
    """``spec.env``, as a list of variables or as a plain map of names to values."""
    if isinstance(fields.values.get("env"), dict):
        values = fields.text_map("env")
        for name in values:
            _variable_name(name, f"{fields.at('env')}[{name}]")
        return tuple(_plain(name, value) for name, value in values.items())
    variables = tuple(_variable(item) for item in fields.objects("env"))
    names = [variable["name"] for variable in variables]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise Invalid(f"{fields.at('env')}[{index}].name", f"is {name} for the second time")
    return variables


def parse_env_from(fields: Fields) -> tuple[JsonObject, ...]:
    """``spec.envFrom``: whole ConfigMaps and Secrets."""
    return tuple(_bundle(item) for item in fields.objects("envFrom"))


def _variable(fields: Fields) -> JsonObject:
    name = fields.text("name")
    if name is None:
        raise Invalid(fields.at("name"), "is missing: write the variable's name")
    _variable_name(name, fields.at("name"))
    if fields.one_of("value", "valueFrom") == "valueFrom":
        return {"name": name, "valueFrom": _source(fields.object("valueFrom"))}
    value = fields.values.get("value")
    if value is not None and not isinstance(value, str):
        raise Invalid(fields.at("value"), "must be a string: write it in quotes")
    return _plain(name, value)


def _plain(name: str, value: str | None) -> JsonObject:
    """An empty value is left out: the API server drops it."""
    return {"name": name, "value": value} if value else {"name": name}


def _source(fields: Fields) -> JsonObject:
    source = fields.one_of(*_SOURCES)
    if source is None:
        raise Invalid(fields.path, f"names no source: write one of {', '.join(_SOURCES)}")
    if source == "resourceFieldRef":
        return {source: resource_field(fields.object(source))}
    if source == "fieldRef":
        return {source: {"apiVersion": "v1"} | pruned(fields.object(source).values)}
    return {source: pruned(fields.object(source).values)}


def resource_field(fields: Fields, container: str = "") -> JsonObject:
    """A ``resourceFieldRef``; a volume's must name the container, a variable's need not."""
    reference: JsonObject = pruned(fields.values)
    divisor = fields.values["divisor"] if fields.has("divisor") else "0"
    reference["divisor"] = quantity(divisor, fields.at("divisor"))
    return ({"containerName": container} if container else {}) | reference


def _bundle(fields: Fields) -> JsonObject:
    if fields.one_of("configMapRef", "secretRef") is None:
        raise Invalid(fields.path, "names no source: write configMapRef or secretRef")
    bundle: JsonObject = pruned(fields.values)
    return {key: value for key, value in bundle.items() if value != ""}


def _variable_name(name: str, path: str) -> None:
    if not _VARIABLE.fullmatch(name):
        raise Invalid(
            path,
            "is no name of an environment variable: write letters, digits and _ only, and no "
            "digit first, for example LOG_LEVEL",
        )

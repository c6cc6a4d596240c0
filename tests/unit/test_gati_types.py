"""The types declare everything that the API server enforces, and explain every field."""

from __future__ import annotations

import re
from collections.abc import Iterator

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from crds.decode import Invalid, decode, plain
from crds.part import rules_of
from crds.schema import fields, part_schema, structural_schema
from gati.types import (
    Autoscaling,
    GatiHandler,
    GatiHandlerSpec,
    GatiModule,
    GatiModuleSpec,
    GatiVersion,
    GatiVersionSpec,
    Part,
)
from gati.types.environment import EnvVar
from gati.types.probes import Probes
from gati.types.scheduling import Affinity, Toleration, TopologySpreadConstraint
from gati.types.volumes import Volume, VolumeMount
from gati.types.workload import ResourceRequirements, Security
from objects.quantity import canonical

KINDS = (GatiHandler, GatiModule, GatiVersion)
WORDS = ("a", "users-1", "users.shop", "example.com/zone", "LOG_LEVEL", "v1.0.0+b5", "/etc/app")
"""Strings of which every pattern allows some."""

ROOT_FIELDS = {"apiVersion", "kind", "metadata"}

FIELDS = {
    f"{kind.__name__}:{path}": schema
    for kind in KINDS
    for path, schema, _ in fields(structural_schema(kind))
    if path not in ROOT_FIELDS
}


def every_part(part: type[Part]) -> Iterator[type[Part]]:
    for below in part.__subclasses__():
        yield below
        yield from every_part(below)


def spec_of(kind: type[Part]) -> dict:
    return structural_schema(kind)["properties"]["spec"]


def is_explained(schema: dict) -> bool:
    return bool(re.fullmatch(r"\S.+[.)]", schema.get("description", ""), re.DOTALL))


def is_bounded(schema: dict) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        return schema["maxLength"] <= 32
    match schema["type"]:
        case "string":
            return "enum" in schema or schema.get("maxLength", 0) >= 1
        case "array":
            kinds = {"atomic", "map", "set"}
            return "maxItems" in schema and schema.get("x-kubernetes-list-type") in kinds
        case "object":
            return "properties" in schema or "maxProperties" in schema
        case "integer":
            return "minimum" in schema and "maximum" in schema
    return schema["type"] == "boolean"


def test_every_field_is_explained_in_sentences():
    assert len(FIELDS) > 300
    assert [name for name, schema in FIELDS.items() if not is_explained(schema)] == []


def test_every_string_list_map_and_number_is_bounded():
    assert [name for name, schema in FIELDS.items() if not is_bounded(schema)] == []


def test_the_items_of_a_list_by_keys_must_have_those_keys():
    by_keys = {n: s for n, s in FIELDS.items() if s.get("x-kubernetes-list-map-keys")}
    assert "GatiHandler:spec.env" in by_keys
    for schema in by_keys.values():
        assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"])


@pytest.mark.parametrize("kind", KINDS)
def test_only_replicas_has_a_default_in_the_schema(kind):
    defaults = {
        path: schema["default"]
        for path, schema, _ in fields(structural_schema(kind))
        if "default" in schema
    }
    assert defaults == ({} if kind is GatiVersion else {"spec.replicas": 1})


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_must_have_a_spec(kind):
    assert structural_schema(kind)["required"] == ["spec"]


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        (GatiHandler, ("path", "handlerPath")),
        (GatiModule, ("name", "moduleName")),
        (GatiVersion, ("version", "versionId")),
        (GatiVersion, ("traffic", "routingWeight")),
    ],
)
def test_both_spellings_have_one_bound_and_exclude_each_other(kind, spellings):
    spec = spec_of(kind)
    first, second = (
        {key: value for key, value in spec["properties"][name].items() if key != "description"}
        for name in spellings
    )
    assert first == second
    rules = [rule["rule"] for rule in spec["x-kubernetes-validations"]]
    assert "!(has(self.{}) && has(self.{}))".format(*spellings) in rules


def test_a_handler_has_no_field_that_reaches_the_node():
    forbidden = {"hostPath", "hostNetwork", "hostPID", "hostIPC", "hostPort", "privileged"}
    names = {re.split(r"[.\[{]", path.rstrip("[]{}"))[-1] for path in FIELDS}
    assert "readOnlyRootFilesystem" in names
    assert names.isdisjoint(forbidden)
    volume = spec_of(GatiHandler)["properties"]["volumes"]["items"]["properties"]
    assert set(volume) == {
        "name",
        "configMap",
        "secret",
        "emptyDir",
        "persistentVolumeClaim",
        "projected",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_rules_message_is_one_line_of_terminal_width(kind):
    for _, schema, _ in fields(structural_schema(kind)):
        for rule in schema.get("x-kubernetes-validations", ()):
            assert "\n" not in rule["message"]
            assert 20 <= len(rule["message"]) <= 200
            assert rule["message"][-1] not in ".:"


PARTS = [
    Affinity,
    Autoscaling,
    EnvVar,
    GatiHandlerSpec,
    GatiModuleSpec,
    GatiVersionSpec,
    Probes,
    ResourceRequirements,
    Security,
    Toleration,
    TopologySpreadConstraint,
    Volume,
    VolumeMount,
]


@pytest.mark.parametrize("part", PARTS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_object_that_fits_schema_and_rules_is_read(part, data):
    schema = part_schema(part)
    value = data.draw(values(schema))
    refusal = None
    try:
        read = plain(decode(value, part, "spec"))
    except Invalid as error:
        refusal = error.why
    else:
        assert contains(read, value)
    assert refusal is None or refusal in MESSAGES


@pytest.mark.parametrize("part", PARTS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_object_that_the_schema_refuses_is_not_read(part, data):
    schema = part_schema(part)
    value = data.draw(values(schema))
    places = list(places_in(value))
    container, key = data.draw(st.sampled_from(places)) if places else (value, "new")
    container[key] = data.draw(st.sampled_from(JUNK))
    assume(not jsonschema.Draft7Validator(schema).is_valid(value))
    with pytest.raises(Invalid):
        decode(value, part, "spec")


JUNK = [-1, 0, 7, 10**6, 2**70, 1.5, True, "", "Not Legal", "a:b", "é", "x" * 40_000, [], {}]
JUNK += [[[]], [0] * 200, {"a b": "c"}, {"a": 1}, {f"a{index}": "" for index in range(70)}]

MESSAGES = {rule.message for part in (*every_part(Part),) for _, _, rule in rules_of(part)}


def places_in(value):
    """Each (container, key) below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from places_in(inner)


def contains(read, value):
    """Was everything read that was written? Quantities may be spelled in another way."""
    if isinstance(value, dict):
        return all(
            inner in ("", False, [], {}) or contains(read[key], inner)
            for key, inner in value.items()
        )
    if isinstance(value, list):
        return len(read) == len(value) and all(map(contains, read, value))
    return read == value or canonical(read) == canonical(value)


def test_an_older_reader_ignores_a_new_field():
    read = decode({"path": "/a", "somethingNew": 1}, GatiHandlerSpec, "spec")
    assert read.path == "/a"


def values(schema: dict) -> st.SearchStrategy:
    """Values that a structural schema allows, its CEL rules left aside."""
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(0, 2**40) | st.sampled_from(["500m", "1Gi", "1.5", "2e3"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "array":
            return st.lists(values(schema["items"]), max_size=min(3, schema["maxItems"]))
        case "object" if "properties" in schema:
            each = {name: values(value) for name, value in schema["properties"].items()}
            required = set(schema.get("required", ()))
            return st.fixed_dictionaries(
                {name: value for name, value in each.items() if name in required},
                optional={name: value for name, value in each.items() if name not in required},
            )
        case "object":
            most = min(5, schema["maxProperties"])
            keys = st.text(max_size=8)
            return st.dictionaries(keys, values(schema["additionalProperties"]), max_size=most)
    if schema.get("format") == "date-time":
        return st.sampled_from(["2025-11-22T10:00:00Z", "2025-11-22T10:00:00.123000+02:00"])
    if "pattern" in schema:
        return st.sampled_from([word for word in WORDS if re.search(schema["pattern"], word)])
    return st.text(min_size=schema.get("minLength", 0), max_size=min(20, schema["maxLength"]))

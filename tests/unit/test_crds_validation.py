"""A new object is accepted or refused as by the API server, without an API server.

``tests/cluster/test_plan_agrees.py`` asks a real API server about the same objects.
"""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crds import cel, re2
from crds.cel_quantity import Quantity, is_quantity
from crds.documents import crd_documents
from crds.pruning import stored, unknown_fields
from crds.refusal import RULES_NOT_READ, json_text, plain, quoted
from crds.schema import fields
from crds.validation import REQUEST_LIMIT, compact_json, created
from crds.values import value_refusals
from gati.resources import API
from objects_from_schema import edited, whole
from refused_objects import EVERY_PART, REFUSED, TAKEN, handler

DEFINITIONS = {each["spec"]["names"]["kind"]: each for each in crd_documents(API)}
HANDLER = DEFINITIONS["GatiHandler"]


def refusals(obj):
    return [str(refusal) for refusal in created(obj, HANDLER).refusals]


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_has_the_words_of_the_api_server(name):
    obj, expected = REFUSED[name]
    assert [each for each in refusals(obj) if each != RULES_NOT_READ] == expected


@pytest.mark.parametrize("name", TAKEN)
def test_an_object_is_stored_as_the_api_server_stores_it(name):
    obj, expected = TAKEN[name]
    answer = created(obj, HANDLER)
    assert answer.refusals == ()
    assert answer.object == {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": {"name": "users"},
        "spec": expected,
    }


def test_a_handler_with_every_part_is_accepted():
    assert refusals(EVERY_PART) == []


@pytest.mark.parametrize(
    ("spec", "read"),
    [({"replicas": "5"}, False), ({"autoscaling": {}}, False), ({"replicas": 5000}, True)],
    ids=["wrong-type", "required", "bound"],
)
def test_rules_are_read_only_where_types_fit(spec, read):
    found = refusals(handler(handlerPath="/b", **spec))
    assert any("two spellings" in each for each in found) is read
    assert (RULES_NOT_READ in found) is not read


def test_unknown_fields_are_named_by_path():
    obj = handler(unknown=1, probes={"readiness": {"x": 1}}, env=[{"name": "A", "y": {}}])
    obj["metadata"]["Labels"] = {}
    assert created({**obj, "also": 1}, HANDLER).unknown == (
        "metadata.Labels",
        "also",
        "spec.env[0].y",
        "spec.probes.readiness.x",
        "spec.unknown",
    )


@pytest.mark.parametrize("version", ["gati.dev/v2", "v1", "apps/v1", ""])
def test_a_version_that_is_not_served_is_refused(version):
    (refusal,) = refusals({**handler(), "apiVersion": version})
    assert refusal == (
        f'no matches for kind "GatiHandler" in version "{version}": write kind: GatiHandler and '
        "apiVersion: gati.dev/v1 or gati.dev/v1alpha1"
    )


def test_a_definition_that_is_not_served_is_not_matched():
    definition = copy.deepcopy(HANDLER)
    definition["spec"]["versions"][0]["served"] = False
    assert not created({**handler(), "apiVersion": "gati.dev/v1alpha1"}, definition).refusals
    assert created(handler(), definition).refusals


@given(st.data())
def test_any_object_gets_an_answer_and_stays_as_it_is(data):
    kind = data.draw(st.sampled_from(sorted(DEFINITIONS)))
    schema = DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = whole(data.draw, schema["properties"]["spec"])
    base = {"apiVersion": "gati.dev/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    obj = edited(data.draw, base, schema, data.draw(st.integers(0, 3)))
    before = json.dumps(obj)
    answer = created(obj, DEFINITIONS[kind])
    assert json.dumps(obj) == before
    if not answer.refusals:
        again = created(answer.object, DEFINITIONS[kind])
        assert (again.object, again.refusals, again.unknown) == (answer.object, (), ())


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(ANYTHING, ANYTHING)
def test_metadata_and_spec_may_be_anything(metadata, spec):
    obj = {"apiVersion": "gati.dev/v1", "kind": "GatiHandler", "metadata": metadata, "spec": spec}
    assert created(obj, HANDLER).refusals


# --- one value ---


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        ("a", {"type": "string", "format": "date-time"}, ["a"]),
        ("2025-02-30T10:00:00Z", {"type": "string", "format": "date-time"}, ["2025-02-30T10:00"]),
        ("2025-02-28T10:00:00.5+01:00", {"type": "string", "format": "date-time"}, []),
        (2**31, {"type": "integer", "format": "int32"}, ["with format int32"]),
        (True, {"type": "integer", "format": "int64"}, ["must be of type int64"]),
        (1, {"type": "number"}, []),
        (5, {"type": "integer", "minimum": 6}, ["greater than or equal to 6"]),
        (7.0, {"type": "integer", "maximum": 6}, ["less than or equal to 6"]),
        ([], {"type": "array", "minItems": 1}, ["should have at least 1 items"]),
        ({}, {"type": "object", "minProperties": 1}, ["should have at least 1 properties"]),
        ("ab", {"type": "string", "maxLength": 1}, ["may not be more than 1 byte"]),
        ("", {"type": "string", "minLength": 1, "pattern": "^a$"}, ["at least 1 chars long"]),
        (True, {"enum": [1]}, ["Unsupported value: true"]),
        (None, {"type": "string", "nullable": True}, []),
        (None, {"type": "string"}, ['must be of type string: "null"']),
        (0.5, {"x-kubernetes-preserve-unknown-fields": True}, []),
    ],
)
def test_a_value_is_held_to_its_schema(value, schema, expected):
    found = [str(refusal) for refusal in value_refusals(value, schema, "spec.a")]
    assert len(found) == len(expected)
    assert all(part in text for part, text in zip(expected, found, strict=True))


# --- the language of the rules ---


def holds(rule, self):
    return cel.compiled(rule)({"self": self})


def test_every_rule_and_pattern_of_the_crds_can_be_read():
    for definition in DEFINITIONS.values():
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for _, field, _ in [("", schema, True), *fields(schema)]:
            for rule in field.get("x-kubernetes-validations", ()):
                cel.compiled(rule["rule"])
            re2.compiled(field.get("pattern", ""))


@pytest.mark.parametrize(
    ("rule", "self", "expected"),
    [
        ("has(self.a) && self.a == 1", {"a": 1}, True),
        ("has(self.a)", {}, False),
        ("has(self.a.b)", {"a": {"b": False}}, True),
        ("!has(self.a) || self.a.b > -1", {"a": {"b": 0}}, True),
        ("self.a == self.b", {"a": True, "b": 1}, False),
        ("self.a != 'x'", {"a": 1}, True),
        ("self.all(k, k.startsWith('a'))", {"ab": 1, "b": 2}, False),
        ("self.exists(x, x.n == 'a')", [{"n": "b"}, {"n": "a"}], True),
        ("self.exists_one(x, x)", [True, True], False),
        ("[has(self.a), has(self.b)].filter(x, x).size() <= 1", {"a": 1}, True),
        ("size(self) == 2", "éé", True),
        (r"self.matches('^\\S+$')", "a\n", False),
        ("self.matches('b')", "abc", True),
        ("self.endsWith('c') && self.contains(\"b\")", "abc", True),
        ("has(self.a__dash__b) && self.a__dash__b == 'x'", {"a-b": "x"}, True),
        ("isQuantity(string(self))", 5, True),
        ("quantity(self.a).compareTo(quantity(self.b)) <= 0", {"a": "1500m", "b": "1.5"}, True),
        ("quantity(self).isLessThan(quantity('0'))", "-1", True),
        ("(self == null) == false", "a", True),
    ],
)
def test_a_rule_is_evaluated_as_by_the_api_server(rule, self, expected):
    assert holds(rule, self) is expected


def test_a_decisive_part_absorbs_the_failure_of_another():
    broken = {"a": cel.Unreadable("no int"), "b": True}
    assert holds("self.a > 1 || self.b", broken) is True
    assert holds("self.a > 1 && !self.b", broken) is False
    assert holds("[self.b].exists(x, x || self.a > 1)", broken) is True
    for rule in ("self.a > 1 && self.b", "has(self.a)", "self.missing", "self.b < 'x'"):
        with pytest.raises(cel.EvaluationError):
            holds(rule, broken)


@pytest.mark.parametrize(
    "rule",
    [
        "self.a ? 1 : 2",
        "self + 1",
        "1.5 < self",
        "self.map(x, x)",
        "lower(self)",
        "self.a[0]",
        "'\\d'",
    ],
)
def test_a_rule_beyond_the_language_is_refused_when_parsed(rule):
    with pytest.raises(cel.Unsupported):
        cel.compiled(rule)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1500m", "1.5"),
        ("1.5Ki", "1536"),
        ("1e3", "1000"),
        ("1E", "1e18"),
        ("+.5", "0.5"),
        ("-1k", "-1000"),
        (".", "0"),
        ("k", "0"),
        ("1e-10", "1e-9"),
        ("9Ei", str(2**63 - 1)),
    ],
)
def test_a_quantity_is_read_as_by_the_api_server(text, amount):
    assert Quantity.read(text) == Quantity.read(amount)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1gi", "1e", "1Kib", "\uff11", "1\n", "0x1", "--1"]
)
def test_a_text_that_is_not_a_quantity_is_known(text):
    assert not is_quantity(text)


# --- texts as Go reads and writes them ---


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a$", "a\n", False),
        (r"^\S+$", "a\vb", True),
        (r"^\S+$", "a b", False),
        (r"^[\s]$", "\v", False),
        (r"^\d$", "\u0661", False),
        (r"^\w$", "é", False),
        (r"^[$]\$$", "$$", True),
        (r"a\z", "a\n", False),
    ],
)
def test_a_pattern_is_matched_as_by_go(pattern, text, found):
    assert (re2.compiled(pattern).search(text) is not None) is found


@pytest.mark.parametrize("pattern", [r"\pL", "[[:alpha:]]", r"[\S]", r"\Qa\E"])
def test_a_pattern_that_cannot_be_translated_is_refused(pattern):
    with pytest.raises(re2.Unsupported):
        re2.compiled(pattern)


def test_values_are_written_as_go_writes_them():
    assert quoted('a"\\\n\x00\x7f\u2028é\U000e0001') == r'"a\"\\\n\x00\x7f\u2028é\U000e0001"'
    assert [plain(each) for each in (1e6, 123456.0, 0.0001, 0.00001, -1.5e30, 0.0)] == [
        "1e+06",
        "123456",
        "0.0001",
        "1e-05",
        "-1.5e+30",
        "0",
    ]
    assert plain([None, True, {"b": 1, "a": "x"}]) == "[<nil> true map[a:x b:1]]"
    assert json_text({"b": 1.0, "a": "<é&"}) == r'{"a":"\u003cé\u0026","b":1}'


@pytest.mark.parametrize("extra", [0, 1])
def test_a_request_above_the_limit_is_too_large(extra):
    size = REQUEST_LIMIT - len(compact_json(handler(args=[""]))) + extra
    found = refusals(handler(args=["é" * (size // 2) + "a" * (size % 2)]))
    too_large = "Request entity too large: limit is 3145728"
    assert (found == [too_large]) is bool(extra)


def test_a_map_of_any_values_keeps_its_keys():
    schema = {"type": "object", "properties": {"a": {}}, "additionalProperties": True}
    assert stored({"a": 1, "b": {"c": 2}}, schema) == {"a": 1, "b": {"c": 2}}
    assert unknown_fields({"b": 1}, schema) == []

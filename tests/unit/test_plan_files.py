"""``gati-operator plan -f``: any file gets an answer, with the API server's messages."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.gati import cli
from crds.documents import crd_documents
from gati.resources import API
from objects_from_schema import edited, whole
from refused_objects import EVERY_PART, REFUSED, handler

DEFINITIONS = {each["spec"]["names"]["kind"]: each for each in crd_documents(API)}
HEAD = "apiVersion: gati.dev/v1\nkind: GatiHandler\nmetadata: {name: users}\n"
NOT_READ = "some validation rules were not checked because the object was invalid"


def plan(text: str | bytes):
    """The result of ``plan -f -`` with the text as standard input."""
    return CliRunner().invoke(cli, ["plan", "-f", "-", "-o", "json"], input=text)


def with_spec(**fields: str) -> str:
    """A GatiHandler in YAML; the values of the fields are YAML too."""
    lines = {"path": "/users", "image": "registry.example/users:v1", **fields}
    return f"{HEAD}spec:\n" + "".join(f"  {name}: {value}\n" for name, value in lines.items())


def test_a_handler_is_planned():
    done = plan(with_spec())
    assert done.exit_code == 0
    assert {each["kind"] for each in json.loads(done.stdout)["items"]} >= {"Deployment", "Service"}


# kubectl, and so plan, sends 2.0 as 2: no file can hold what these rows send.
@pytest.mark.parametrize("name", [name for name in REFUSED if "whole-fraction" not in name])
def test_each_refusal_is_printed_in_the_servers_words(name):
    obj, expected = REFUSED[name]
    done = plan(json.dumps(obj))
    assert done.exit_code == 2
    assert json.loads(done.stdout)["items"] == []
    printed = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    reported = [line for line in printed if NOT_READ not in line]
    assert len(reported) == len(expected)
    for line, refusal in zip(reported, expected, strict=True):
        assert refusal.partition("\n")[0] in line


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"version": "72225e2"}, 'spec.version in body must be of type string: "integer" ('),
        ({"version": "0.5"}, 'spec.version in body must be of type string: "number" ('),
        ({"image": "y"}, 'spec.image in body must be of type string: "boolean" ('),
        ({"resources": "{limits: {cpu: 0.5}}"}, 'must be of type integer,string: "number" ('),
        (
            {"podLabels": "{a: 0o17}"},
            'spec.podLabels.a in body must be of type string: "integer" (',
        ),
    ],
)
def test_a_value_that_yaml_takes_for_a_number_is_to_be_quoted(fields, refusal):
    done = plan(with_spec(**fields))
    assert done.exit_code == 2
    assert f"{refusal}write it in quotes)" in done.stderr
    text = {name: value.replace("0.5", "'0.5'") for name, value in fields.items()}
    assert plan(with_spec(**(text if "0.5" in str(fields) else {}))).exit_code == 0


def test_a_name_that_yaml_takes_for_a_boolean_is_to_be_quoted():
    done = plan(with_spec().replace("name: users", "name: y"))
    assert done.exit_code == 2
    assert "ObjectMeta.name of type string (write it in quotes)" in done.stderr


def test_numbers_are_read_as_by_kubectl():
    done = plan(with_spec(port="0o17777", replicas="5.0", config='{"y": "1", A: "1_0"}'))
    assert done.exit_code == 0
    items = json.loads(done.stdout)["items"]
    (service,) = [each for each in items if each["kind"] == "Service"]
    (deployment,) = [each for each in items if each["kind"] == "Deployment"]
    assert service["spec"]["ports"][0]["port"] == 0o17777
    assert deployment["spec"]["replicas"] == 5


def test_an_empty_field_is_as_good_as_an_absent_one():
    empty = {name: "" for name in EVERY_PART["spec"] if name not in ("path", "image")}
    assert plan(with_spec(**empty)).stdout == plan(with_spec()).stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.replace("/v1", "/v2"), 'no matches for kind "GatiHandler" in version "gati.dev/v2"'),
        (HEAD.replace("GatiH", "gatiH"), 'no matches for kind "gatihandler" in version'),
        ("apiVersion: v1\nkind: Secret\n", "a Secret has no metadata.name"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", "holds no object of the kinds"),
        ("", "holds no object of the kinds"),
    ],
)
def test_a_file_without_a_gati_object_is_refused(text, message):
    done = plan(text.replace("gatiHandler", "gatihandler"))
    assert done.exit_code == 2
    assert message in done.stderr


def test_an_unknown_field_is_a_warning():
    done = plan(with_spec(colour="red"))
    assert done.exit_code == 0
    assert "unknown field spec.colour: the API server would drop it" in done.stderr


def test_one_refused_object_leaves_the_others_planned(tmp_path):
    (tmp_path / "a.yaml").write_text(with_spec(replicas="5000"))
    (tmp_path / "b.yml").write_text(with_spec().replace("{name: users}", "{name: shop}"))
    done = CliRunner().invoke(cli, ["plan", "-f", str(tmp_path)])
    assert done.exit_code == 2
    assert "a.yaml: GatiHandler users: spec.replicas: Invalid value: 5000" in done.stderr
    assert "handler-shop" in done.stdout
    assert "handler-users" not in done.stdout


def assert_ended_in_order(done):
    assert done.exit_code in (0, 2), done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)


@given(st.binary() | st.text().map(lambda text: f"{HEAD}{text}"))
def test_any_bytes_are_read_or_refused(text):
    assert_ended_in_order(plan(text))


@given(st.data())
@settings(max_examples=60)
def test_any_object_is_planned_or_refused(data):
    kind = data.draw(st.sampled_from(sorted(DEFINITIONS)))
    schema = DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    if kind == "GatiHandler" and data.draw(st.booleans()):
        base = EVERY_PART
    else:
        base = {**handler(), "kind": kind, "spec": whole(data.draw, schema["properties"]["spec"])}
    obj = edited(data.draw, base, schema, data.draw(st.integers(0, 2)))
    assert_ended_in_order(plan(json.dumps(obj)))

"""GatiModule and GatiVersion: accepted or not, and nothing else happens."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from contract.demands import Seen
from gati.module import ModuleController, parse_module
from gati.operator import Settings, controllers
from gati.spec.handler import Invalid
from gati.version import VersionController, parse_version
from unit.gati_objects import needed, planned

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "examples"
MODULE = {"moduleName": "db", "moduleType": "node", "runtime": "node:20", "image": "i"}


def wrapped(spec):
    return {"metadata": {"name": "x", "namespace": "n", "uid": "u", "generation": 4}, "spec": spec}


def accepted(controller, spec):
    made = planned(controller, wrapped(spec), Seen("shop"), NOW)
    assert made.children is None
    (condition,) = made.status["conditions"]
    assert made.status["observedGeneration"] == condition["observedGeneration"] == 4
    return condition["type"], condition["status"], condition["reason"]


@pytest.mark.parametrize("sample", ["gati-v1.yaml", "gati-v1alpha1.yaml"])
def test_the_samples_are_accepted(sample):
    by_kind = {one.kind.kind: one for one in controllers(Settings(default_image="i"))}
    for obj in yaml.safe_load_all((EXAMPLES / sample).read_text()):
        if obj["kind"] != "GatiHandler":
            result = accepted(by_kind[obj["kind"]], obj["spec"])
            assert result == ("Accepted", "True", "AcceptedNotManaged")


def test_nothing_is_looked_at_beside_a_module_or_a_version():
    for controller in (ModuleController(), VersionController()):
        assert needed(controller, wrapped({})) == ()
        assert controller.watches == ()


REFUSED_MODULES = [
    (None, "spec"),
    (MODULE | {"name": "db"}, "spec"),
    (MODULE | {"moduleName": 3}, "spec.moduleName"),
    (MODULE | {"image": " "}, "spec.image"),
    (MODULE | {"moduleType": "jar"}, "spec.moduleType"),
    (MODULE | {"port": 99999}, "spec.port"),
    (MODULE | {"capabilities": ["network", 3]}, "spec.capabilities[1]"),
]


@pytest.mark.parametrize(("spec", "path"), REFUSED_MODULES)
def test_a_module_that_makes_no_sense_is_not_accepted(spec, path):
    with pytest.raises(Invalid) as refusal:
        parse_module(wrapped(spec))
    assert refusal.value.path == path
    assert accepted(ModuleController(), spec) == ("Accepted", "False", "InvalidSpec")


@pytest.mark.parametrize(
    ("written", "called"), [({"name": "db"}, "db"), ({"moduleName": "db"}, "db"), ({}, "x")]
)
def test_a_module_is_called_what_either_spelling_says_or_what_its_object_is(written, called):
    spec = {"moduleType": "node", "runtime": "node:20", "image": "i", **written}
    assert parse_module(wrapped(spec)).module_name == called
    assert accepted(ModuleController(), spec) == ("Accepted", "True", "AcceptedNotManaged")


@pytest.mark.parametrize("absent", ["moduleType", "runtime", "image"])
def test_what_the_definition_leaves_optional_in_a_module_may_be_absent(absent):
    spec = {name: value for name, value in MODULE.items() if name != absent}
    assert accepted(ModuleController(), spec) == ("Accepted", "True", "AcceptedNotManaged")


REFUSED_VERSIONS = [
    (None, "spec"),
    ({"version": "1", "versionId": "1"}, "spec"),
    ({"traffic": 101}, "spec.traffic"),
    ({"routingWeight": -1}, "spec.routingWeight"),
    ({"timestamp": "yesterday"}, "spec.timestamp"),
    ({"timestamp": "2025-11-22T10:00:00"}, "spec.timestamp"),
]


@pytest.mark.parametrize(("spec", "path"), REFUSED_VERSIONS)
def test_a_version_that_makes_no_sense_is_not_accepted(spec, path):
    with pytest.raises(Invalid) as refusal:
        parse_version(wrapped(spec))
    assert refusal.value.path == path
    assert accepted(VersionController(), spec) == ("Accepted", "False", "InvalidSpec")


def test_both_spellings_of_a_version_parse_to_the_same():
    old = parse_version(wrapped({"versionId": "v1", "routingWeight": 30, "breaking": False}))
    assert old == parse_version(wrapped({"version": "v1", "traffic": 30}))

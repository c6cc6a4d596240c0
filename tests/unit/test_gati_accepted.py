"""GatiModule and GatiVersion: the status Accepted is set, and nothing else is written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from contract.demands import Seen
from crds.decode import Invalid, decode
from gati.accepted import AcceptedController
from gati.kinds import GATI_MODULE, GATI_VERSION
from gati.operator import Settings, controllers
from gati.types import GatiModuleSpec, GatiVersionSpec
from unit.gati_objects import needed, planned

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "examples"
MODULES = AcceptedController(GATI_MODULE, GatiModuleSpec)
VERSIONS = AcceptedController(GATI_VERSION, GatiVersionSpec)
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


def test_a_module_and_a_version_need_no_other_object():
    for controller in (MODULES, VERSIONS):
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
    (MODULE | {"capabilities": ["network", "network"]}, "spec.capabilities[1]"),
]


@pytest.mark.parametrize(("spec", "path"), REFUSED_MODULES)
def test_an_invalid_module_is_not_accepted(spec, path):
    with pytest.raises(Invalid) as refusal:
        decode(spec, GatiModuleSpec, "spec")
    assert refusal.value.path == path
    assert accepted(MODULES, spec) == ("Accepted", "False", "InvalidSpec")


@pytest.mark.parametrize("absent", ["moduleName", "moduleType", "runtime", "image"])
def test_a_modules_optional_fields_may_be_absent(absent):
    spec = {name: value for name, value in MODULE.items() if name != absent}
    assert accepted(MODULES, spec) == ("Accepted", "True", "AcceptedNotManaged")


REFUSED_VERSIONS = [
    (None, "spec"),
    ({"version": "1", "versionId": "1"}, "spec"),
    ({"traffic": 101}, "spec.traffic"),
    ({"routingWeight": -1}, "spec.routingWeight"),
    ({"timestamp": "yesterday"}, "spec.timestamp"),
    ({"timestamp": "2025-11-22T10:00:00"}, "spec.timestamp"),
]


@pytest.mark.parametrize(("spec", "path"), REFUSED_VERSIONS)
def test_an_invalid_version_is_not_accepted(spec, path):
    with pytest.raises(Invalid) as refusal:
        decode(spec, GatiVersionSpec, "spec")
    assert refusal.value.path == path
    assert accepted(VERSIONS, spec) == ("Accepted", "False", "InvalidSpec")


@pytest.mark.parametrize("spec", [{"version": "v1", "traffic": 30}, {"versionId": "v1"}, {}])
def test_a_version_is_accepted_in_either_spelling(spec):
    assert accepted(VERSIONS, spec) == ("Accepted", "True", "AcceptedNotManaged")

"""Every mutation of the rig can be installed in the operator's process as it is now."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import bugs
from chaos.mutations import MUTATIONS
from chaos.oracles import ORACLES
from chaos.replacement import Replacement, decode, encode
from chaos.scenarios import SCENARIOS

PROGRAM = Path(__file__).parent / "install_mutations.py"
REPLACED = [each for mutation in MUTATIONS for each in mutation.replaces]


@pytest.fixture(scope="module")
def installed() -> dict[str, str]:
    """What came of installing each mutation in a process of its own."""
    found = subprocess.run([sys.executable, PROGRAM], check=True, capture_output=True, text=True)
    return json.loads(found.stdout)


@pytest.mark.parametrize("name", [*(mutation.name for mutation in MUTATIONS), "previous"])
def test_a_mutation_replaces_its_targets_for_every_importer(name: str, installed: dict[str, str]):
    assert installed[name] == "installed"


def test_every_mutation_replaces_something():
    assert all(mutation.replaces for mutation in MUTATIONS)


def test_every_bug_belongs_to_a_mutation():
    written = {
        each for each in vars(bugs).values() if getattr(each, "__module__", "") == bugs.__name__
    }
    assert {each.by for each in REPLACED} == written


@pytest.mark.parametrize("each", REPLACED, ids=lambda each: each.target)
def test_a_bug_names_what_it_replaces_in_its_docstring(each: Replacement):
    name = each.target.rpartition(":")[2].removesuffix(".__init__").rpartition(".")[2]
    assert (each.by.__doc__ or "").startswith(f"``{name}``: ")


def test_replacements_reach_another_process_as_they_are():
    assert decode(encode(REPLACED)) == tuple(REPLACED)
    assert decode("") == ()


def test_every_mutation_names_oracles_and_a_scenario_that_exist():
    assert len(MUTATIONS) >= 15
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len({mutation.plan.id for mutation in MUTATIONS}) == len(MUTATIONS)
    for mutation in MUTATIONS:
        assert mutation.oracles
        assert set(mutation.oracles) <= set(ORACLES)
        assert mutation.plan.scenario in SCENARIOS

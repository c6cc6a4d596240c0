"""Every mutation of the rig can still be made of the present source, and is Python."""

import ast

import pytest

from chaos.mutations import MUTATIONS
from chaos.oracles import ORACLES
from chaos.scenarios import SCENARIOS
from chaos.sources import PREVIOUS, SOURCE, Edit

EDITS = {mutation.name: mutation.edits for mutation in MUTATIONS} | {"previous": PREVIOUS}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_fits_the_source_once_and_leaves_it_python(name: str):
    texts: dict[str, str] = {}
    for edit in EDITS[name]:
        text = texts.get(edit.file) or (SOURCE / edit.file).read_text("utf-8")
        texts[edit.file] = edit.apply(text)
    for file, text in texts.items():
        ast.parse(text, file)
        assert text != (SOURCE / file).read_text("utf-8")


def test_an_edit_that_fits_nowhere_says_so():
    with pytest.raises(ValueError, match="0 places for the edit"):
        Edit("gati/names.py", "no such text", "").apply("text")


def test_there_are_enough_mutations_and_each_names_an_oracle_and_a_scenario_that_exist():
    assert len(MUTATIONS) >= 15
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len({mutation.plan.id for mutation in MUTATIONS}) == len(MUTATIONS)
    for mutation in MUTATIONS:
        assert mutation.oracles
        assert set(mutation.oracles) <= set(ORACLES)
        assert mutation.plan.scenario in SCENARIOS

"""An operator of this code writes nothing over the objects of an earlier one."""

import json
import os

import pytest

from unit import recorded


@pytest.fixture(scope="module", autouse=True)
def _golden():
    if os.environ.get("UPDATE_GOLDEN"):
        recorded.record()


def test_a_recorded_spec_keeps_its_version_and_its_children():
    """After an intended change of a child: delete the rows and record them with UPDATE_GOLDEN=1."""
    changed = [
        json.dumps(row["spec"])
        for row in recorded.rows()
        if {"spec": row["spec"], **(recorded.made_of(row["spec"]) or {})} != row
    ]
    assert changed == []


def test_every_field_of_the_schema_stands_in_a_recorded_spec():
    """A field that is missing here is new: UPDATE_GOLDEN=1 pytest tests/unit/test_gati_upgrade.py."""
    covered = {path for row in recorded.rows() for path in recorded.paths(row["spec"])}
    every = {path for path, *_ in recorded.fields(recorded.SCHEMA)}
    assert {path for path in every - covered if not path.endswith(("[]", "{}"))} == set()

"""An operator of this code writes nothing over the objects of an earlier one."""

import json
import os

import pytest

from unit import recorded
from unit.gati_fields import PATHS


@pytest.fixture(scope="module", autouse=True)
def _golden():
    if os.environ.get("UPDATE_GOLDEN"):
        recorded.record()


def test_a_recorded_spec_keeps_its_version_and_its_children():
    changed = [
        json.dumps(row["spec"])
        for row in recorded.rows()
        if {"spec": row["spec"], **(recorded.made_of(row["spec"]) or {})} != row
    ]
    assert changed == []


def test_every_field_of_the_schema_stands_in_a_recorded_spec():
    """For a new field: UPDATE_GOLDEN=1 .venv/bin/pytest tests/unit/test_gati_upgrade.py."""
    covered = {path for row in recorded.rows() for path in recorded.paths(row["spec"])}
    assert {*PATHS} - covered == set()

"""Every field of a handler does something, and every field is accounted for in the version."""

import re
from pathlib import Path

import pytest

from crds.decode import Invalid
from gati.handler.resolve import resolve
from gati.reasons import FAILURES, Reason
from gati.types.handler import GatiHandlerSpec
from objects.pods import PodReason
from unit.gati_fields import PATHS, SCHEMA, pair
from unit.gati_objects import handler, plan

ONE_VALUE = {
    "probes.liveness.successThreshold",
    "probes.startup.successThreshold",
}
"""Fields in which only the default is valid."""

OTHER_EFFECTS = {"suspend": lambda made: made.children is None}
"""Fields that change no child, and what they do in place of that."""


def with_field(path, **more):
    return [handler(image="users:1") | {"spec": {**spec, **more}} for spec in pair(path)]


def written(parent):
    return [child.body for child in plan(parent, default_image="default:1").children or ()]


@pytest.mark.parametrize("path", sorted({*PATHS} - ONE_VALUE - OTHER_EFFECTS.keys()))
def test_a_changed_field_changes_what_is_made(path):
    """A field is here only if the operator honours it: the builder does not use this one."""
    # With a version of its own, so that a made one does not show the change.
    version = {} if path == "version" else {"version": "v1"}
    first, second = with_field(path, **version)
    assert resolve(first) != resolve(second)
    assert written(first) != written(second)


@pytest.mark.parametrize("path", OTHER_EFFECTS)
def test_a_field_that_changes_no_child_does_something_else(path):
    first, second = with_field(path)
    assert not OTHER_EFFECTS[path](plan(first, default_image="default:1"))
    assert OTHER_EFFECTS[path](plan(second, default_image="default:1"))


@pytest.mark.parametrize("path", sorted(ONE_VALUE))
def test_a_field_of_one_value_takes_no_other(path):
    for parent in with_field(path):
        with pytest.raises(Invalid, match="must be 1"):
            resolve(parent)


@pytest.mark.parametrize("path", sorted({*PATHS} - ONE_VALUE - {"version"}))
def test_every_other_field_counts_in_the_made_version(path):
    first, second = (resolve(parent).version for parent in with_field(path))
    counts = re.split(r"[.\[{]", path)[0] not in GatiHandlerSpec.not_versioned
    assert (first != second) == counts


def test_every_unversioned_path_is_a_field():
    assert SCHEMA["properties"].keys() >= GatiHandlerSpec.not_versioned


def test_the_conditions_page_lists_exactly_the_reasons_there_are(request):
    page = (Path(request.config.rootpath) / "docs/reference/gati-conditions.md").read_text()
    documented = set(re.findall(r"`([A-Z][A-Za-z]+)`", page)) - set(TYPES)
    reasons = {*Reason, *PodReason}
    assert documented == {str(reason) for reason in reasons}
    for reason in FAILURES:
        assert f"| `{reason}` | False |" in page


TYPES = ("Reconciling", "Stalled", "Autoscaled", "Accepted", "Running", "Failed", "Pending")
"""Of conditions and phases, that are not reasons too."""

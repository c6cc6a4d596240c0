"""The pure parts of the in-memory server, by tables and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.model import Object
from crds.documents import crd_documents
from gati.resources import API
from memoryserver.apply import (
    Item,
    Manager,
    Owned,
    apply,
    fields_v1,
    leaves,
    managed_fields,
    owners_of,
)
from memoryserver.patches import clone, merge_patch
from memoryserver.quantities import quantity
from memoryserver.shapes import shape_of
from world.kinds import DEPLOYMENT, WIDGET, WIDGET_CRD
from world.stored import releases


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("100m", "100m"),
        ("0", "0"),
        ("0.0", "0"),
        (2, "2"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("1000M", "1G"),
        ("128974848", "128974848"),
        ("1000", "1k"),
        ("1e3", "1e3"),
        ("12E", "12E"),
        ("nonsense", "nonsense"),
    ],
)
def test_quantities_have_one_spelling(written: object, stored: str) -> None:
    assert quantity(written) == stored
    assert quantity(stored) == stored


def test_fields_are_leaves_and_items() -> None:
    pod = {"containers": [{"name": "main", "image": "i", "args": ["a", "b"]}]}
    obj = {"metadata": {"name": "d"}, "spec": {"selector": {"a": {}}, "template": {"spec": pod}}}
    shape = shape_of(DEPLOYMENT)
    container = ("spec", "template", "spec", "containers", Item((("name", "main"),)))

    found = leaves(obj, shape)

    assert set(found) == {
        ("spec", "selector"),
        container,
        (*container, "name"),
        (*container, "image"),
        (*container, "args"),
    }
    shown = fields_v1(frozenset(found))
    inner = shown["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"main"}']
    assert inner == {".": {}, "f:name": {}, "f:image": {}, "f:args": {}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=10,
)


@given(json_values, json_values)
def test_a_merge_patch_is_idempotent_and_changes_no_input(value: object, patch: object) -> None:
    before = clone(value), clone(patch)
    once = merge_patch(value, patch)

    assert merge_patch(once, patch) == once
    assert (value, patch) == before


names = st.sampled_from("abcd")
specs = st.fixed_dictionaries(
    {},
    optional={
        "size": names,
        "tags": st.dictionaries(names, names, max_size=3),
        "list": st.lists(names, max_size=3),
        "named": st.lists(names, unique=True, max_size=4).map(
            lambda found: [{"name": name, "value": name} for name in found]
        ),
    },
)


def widget(spec: Object) -> Object:
    return {"metadata": {"name": "w"}, **({"spec": spec} if spec else {})}


@given(st.lists(st.tuples(st.sampled_from("xyz"), specs), max_size=6))
def test_the_last_apply_wins_and_repeats_as_a_no_op(history: list[tuple[str, Object]]) -> None:
    """After any history: what was applied last is live, twice is once, and without owners nothing
    is left."""
    schema = WIDGET_CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    shape = shape_of(WIDGET, schema)
    live: Object = widget({})
    owners: dict[Manager, Owned] = {}

    def applied(manager: str, spec: Object) -> None:
        nonlocal live, owners
        writer = Manager(manager, "Apply")
        live, fields = apply(live, widget(spec), owners, writer, shape, force=True)
        owners = {writer: Owned(owned, "", "") for writer, owned in fields.items()}

    for manager, spec in history:
        applied(manager, spec)
        wanted, found = leaves(widget(spec), shape), leaves(live, shape)
        # An empty map or list claims only that it exists; others may fill it.
        assert all(found[path] == value for path, value in wanted.items() if value not in ({}, []))
        before = clone(live), dict(owners)
        applied(manager, spec)
        assert (live, owners) == before
    for manager in "xyz":
        applied(manager, {})
    assert live == widget({})
    assert owners == {}


def test_managed_fields_are_read_back() -> None:
    schemas = {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for crd in crd_documents(API)
    }
    stored = [each for objects in releases().values() for each in objects]
    for kind, obj in stored:
        entries = obj["metadata"]["managedFields"]
        shape = shape_of(kind, schemas.get(kind.kind))
        assert managed_fields(owners_of(entries, shape)) == entries
    assert stored

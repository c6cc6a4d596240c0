"""The recorder counts what came and went, once, also where it could not look for a time."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from chaos.recorder import Frame, Recorder, counts, holder_of

Object = dict[str, Any]


def obj(name: str, uid: str = "1", version: str = "1") -> Object:
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": version}}


class Blind(Recorder):
    """Asks nobody: lists what it is given."""

    items: list[Object]

    def _ask(self, resource: str, path: str) -> Any:
        body = {"metadata": {"resourceVersion": "9"}, "items": self.items}
        return io.BytesIO(json.dumps(body).encode())


@pytest.fixture
def recorder(tmp_path: Path) -> Blind:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    cluster: Any = SimpleNamespace(ca_file=file, url="https://127.0.0.1:1", token="")
    return Blind(cluster, "n")


def listed(recorder: Blind, *items: Object) -> list[str]:
    """What one more list adds to the history."""
    before = len(recorder.frames())
    recorder.items = list(items)
    assert recorder._list("services") == "9"
    return [
        f"{frame.type} {frame.name} {frame.object['metadata']['uid']}"
        for frame in recorder.frames()[before:]
    ]


def test_the_first_list_adds_everything(recorder: Blind):
    assert listed(recorder, obj("a"), obj("b")) == ["ADDED a 1", "ADDED b 1"]
    assert [each["metadata"]["name"] for each in recorder.all("services")] == ["a", "b"]


def test_a_list_of_the_same_adds_nothing(recorder: Blind):
    listed(recorder, obj("a"))
    assert listed(recorder, obj("a")) == []


def test_an_object_that_vanished_in_a_gap_was_deleted(recorder: Blind):
    listed(recorder, obj("a"), obj("b"))
    assert listed(recorder, obj("b")) == ["DELETED a 1"]
    assert recorder.get("services", "a") is None


def test_an_object_changed_in_a_gap_was_modified_once(recorder: Blind):
    listed(recorder, obj("a"))
    assert listed(recorder, obj("a", version="7")) == ["MODIFIED a 1"]


def test_an_object_recreated_in_a_gap_was_deleted_and_added(recorder: Blind):
    listed(recorder, obj("a"))
    assert listed(recorder, obj("a", uid="2", version="7")) == ["DELETED a 1", "ADDED a 2"]
    assert counts(recorder.frames(), ("services",)) == {
        ("services", "a", "ADDED"): 2,
        ("services", "a", "DELETED"): 1,
    }


def test_resources_are_counted_apart(recorder: Blind):
    listed(recorder, obj("a"))
    recorder.items = []
    recorder._list("configmaps")
    assert recorder.get("services", "a") is not None


def test_changes_and_other_resources_are_not_counted():
    kinds = [("ADDED", "services"), ("MODIFIED", "services"), ("ADDED", "events")]
    frames = [Frame(0.0, kind, resource, obj("a")) for kind, resource in kinds]
    assert counts(frames, ("services", "configmaps")) == {("services", "a", "ADDED"): 1}


@pytest.mark.parametrize(
    "lease", [{}, {"spec": None}, {"spec": {}}, {"spec": {"holderIdentity": ""}}]
)
def test_a_lease_without_a_holder_is_held_by_nobody(lease: Object) -> None:
    assert holder_of(lease) == ""
    assert holder_of({"spec": {"holderIdentity": "a_1"}}) == "a_1"

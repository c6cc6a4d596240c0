"""The demo reads objects of other writers as the API allows them: without optional fields."""

from __future__ import annotations

from typing import Any

import pytest

from contract.model import Object
from demo import steps
from demo.cluster import ExistingCluster
from demo.kubectl import Kubectl, KubectlError
from demo.snapshot import Snapshot, condition, holds, lines

NO_DEMO: Any = None
"""For looks that read the snapshot only."""

ABOUT = {"kind": "GatiHandler", "name": "users"}
HANDLER = {"kind": "GatiHandler", "metadata": {"name": "users", "generation": 1}}
OURS = {"reason": "Created", "message": "made", "reportingComponent": "gati-operator"}
EVENT = {**OURS, "kind": "Event", "metadata": {"name": "e"}, "involvedObject": ABOUT, "source": {}}


def without(*fields: str) -> Object:
    """The Event without some of its fields; with a dot: of its involvedObject."""
    kept: Object = {**EVENT, "involvedObject": dict(ABOUT)}
    for field in fields:
        outer, _, inner = field.partition(".")
        (kept[outer] if inner else kept).pop(inner or outer)
    return kept


@pytest.mark.parametrize(
    "event",
    [
        without("involvedObject"),
        without("involvedObject.name"),
        without("involvedObject.kind"),
        without("source", "reportingComponent"),
        {**without(), "involvedObject": None, "source": None},
    ],
)
def test_an_event_that_lacks_a_field_is_not_one_of_the_handlers(event: Object) -> None:
    seen = Snapshot((HANDLER, event))
    assert seen.events("GatiHandler", "users") == []
    assert "GatiHandler users" in lines(seen)


def test_an_event_without_reason_and_message_is_shown() -> None:
    bare = without("reason", "message")
    assert lines(Snapshot((bare,))) == {"Event GatiHandler users e": "users: no reason: "}
    seen = Snapshot((bare, EVENT))
    assert "user-handler: none" in steps.told(NO_DEMO, seen).text
    assert seen.events("GatiHandler", "users") == [bare, EVENT]


def test_an_event_without_a_reason_is_not_created() -> None:
    about = {"kind": "GatiHandler", "name": steps.UPDATED}
    found = Snapshot(({**without("reason"), "involvedObject": about},))
    assert steps.told(NO_DEMO, found).text == f"{steps.UPDATED}: no reason; {steps.DELETED}: none"


def test_a_service_without_ports_is_shown() -> None:
    external = {
        "kind": "Service",
        "metadata": {"name": "handler-users"},
        "spec": {"type": "ExternalName", "externalName": "users.example.com"},
    }
    shown = lines(Snapshot((HANDLER, external)))
    assert shown["Service handler-users"] == "no address, no port"


def test_a_condition_without_type_or_status_does_not_hold() -> None:
    body = {"status": {"conditions": [{"status": "True"}, {"type": "Ready"}]}}
    assert condition(body, "Ready") == {"type": "Ready"}
    assert not holds(body, "Ready")


def test_a_lease_without_a_spec_is_held_by_nobody() -> None:
    lease = {"kind": "Lease", "metadata": {"name": steps.LEASE}}
    assert steps.holder_of(lease) == steps.holder_of(None) == ""
    assert steps.holder_of({**lease, "spec": {"holderIdentity": "a"}}) == "a"


def test_a_context_whose_cluster_is_missing_is_named(tmp_path: Any) -> None:
    class Found(Kubectl):
        def read(self, *arguments: str) -> Any:
            return {"clusters": None, "contexts": [{"name": "none"}], "users": None}

    class Existing(ExistingCluster):
        kubectl = Found(("kubectl",))

    existing = Existing("none", "1", tmp_path, update_definitions=False)
    with pytest.raises(KubectlError, match="context none names no cluster"):
        existing.intent()

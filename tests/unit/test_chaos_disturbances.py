"""What a disturbance requires of a run, and what it must not touch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from chaos import disturbances
from chaos.disturbances import (
    ACTIONS,
    ALL_BUT_LEASES,
    IMPAIRING,
    NEED_A_SECOND_APISERVER,
)
from chaos.plan import Disturbance

ROOT = Path(__file__).parents[2]


class Calls:
    """A proxy, or a second API server, that writes down what is asked of it."""

    url = "https://127.0.0.1:1"

    def __init__(self) -> None:
        self.made: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: self.made.append((name, *args, *options.items()))

    @property
    def names(self) -> list[str]:
        return [each[0] for each in self.made]


def disturbed(action: str, **fields: Any) -> Calls:
    """What one action asks of the proxy and of the second API server, in this order."""
    calls = Calls()
    run = SimpleNamespace(
        replicas=[SimpleNamespace(proxy=calls)],
        cluster=SimpleNamespace(url="https://127.0.0.1:2", ca_file=Path("ca")),
        second_apiserver=lambda: calls,
        kill=lambda _replica: calls.made.append(("kill",)),
    )
    ACTIONS[action](cast("Any", run), Disturbance(at="scale", action=action, **fields))
    return calls


def test_the_sets_name_actions_that_exist():
    assert set(ACTIONS) >= NEED_A_SECOND_APISERVER | IMPAIRING


def test_cut_all_but_lease_cuts_each_resource_of_the_role():
    documents = yaml.safe_load_all((ROOT / "deploy/gati/rbac.yaml").read_text("utf-8"))
    bound = {
        resource.partition("/")[0]
        for document in documents
        for rule in document.get("rules", ())
        for resource in rule.get("resources", ())
    }
    assert set(ALL_BUT_LEASES) | {"leases"} >= bound


def test_refused_connections_are_cut_first():
    assert disturbed("refuse").names == ["refuse", "cut", "accept"]


def test_a_stale_server_is_behind_before_anybody_reads_from_it():
    calls = disturbed("stale-apiserver")
    assert calls.names == ["freeze_etcd_link", "redirect", "kill", "thaw_etcd_link", "redirect"]
    first, second = (each for each in calls.made if each[0] == "redirect")
    assert first[-1] == ("reads_only", True)
    assert second == ("redirect", "https://127.0.0.1:2", Path("ca"))


def test_an_operator_is_moved_to_a_stale_server_alive(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(disturbances, "DONE_SECONDS", 0.0)
    monkeypatch.setattr(disturbances, "CATCH_UP_SECONDS", 0.0)
    calls = disturbed("backward-apiserver")
    assert calls.names[:2] == ["freeze_etcd_link", "redirect"]
    assert "kill" not in calls.names
    assert calls.names[-1] == "redirect"

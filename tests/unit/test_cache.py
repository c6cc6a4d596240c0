"""A newer object replaces an older one and never the reverse, in any order of answers and frames."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.demands import Need, Watch
from contract.model import Kind, Object
from contract.ownership import owner_uids
from reconciler.cache import Store
from reconciler.client.api import WatchEvent

POD = Kind("", "v1", "Pod", "pods")


def pod(name: str = "a", version: int | str = 1, uid: str = "", **more: Any) -> Object:
    metadata = {"namespace": "n", "name": name, "uid": uid or f"uid-{name}", **more}
    return {"kind": "Pod", "metadata": {**metadata, "resourceVersion": str(version)}}


def owned_by(uid: str) -> list[dict[str, Any]]:
    return [{"kind": "X", "name": "x", "uid": uid, "controller": True}]


class Changes(list[tuple[str, str, str]]):
    """What a store announced: (name, old version, new version)."""

    def __call__(self, old: Object | None, new: Object | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        versions = [each["metadata"]["resourceVersion"] if each else "" for each in (old, new)]
        self.append((name, *versions))


def made(watch: Watch | None = None, **options: Any) -> tuple[Store, Changes]:
    store, changes = Store(watch or Watch(POD), **options), Changes()
    store.on_change.append(changes)
    return store, changes


def held(store: Store, name: str = "a") -> Object:
    """The object that the store holds under that name; there must be one."""
    found = store.get("n", name)
    assert found is not None
    return found


def names(store: Store) -> list[str]:
    return sorted(name for _, name in store)


# Own writes against the watch


def test_an_own_write_is_announced_once():
    store, changes = made()
    store.replace(store.cut([]), "10")
    store.put(pod(version=11, labels={"x": "1"}))
    store.observe(WatchEvent("ADDED", pod(version=11, labels={"x": "1"})))
    assert changes == [("a", "", "11")]


def test_an_older_frame_does_not_undo_an_own_write():
    store, _ = made()
    store.replace(store.cut([pod(version=10)]), "10")
    store.put(pod(version=13, labels={"x": "mine"}))
    store.observe(WatchEvent("MODIFIED", pod(version=12, labels={"x": "theirs"})))
    assert held(store)["metadata"]["labels"] == {"x": "mine"}


def test_a_late_answer_does_not_restore_a_deleted_object():
    store, _ = made()
    store.replace(store.cut([pod(version=10)]), "10")
    store.observe(WatchEvent("DELETED", pod(version=12)))
    store.put(pod(version=11))
    assert names(store) == []


def test_frames_before_an_own_delete_do_not_restore_the_object():
    store, changes = made()
    store.replace(store.cut([pod(version=10)]), "10")
    store.remove(pod(version=10))
    store.observe(WatchEvent("MODIFIED", pod(version=11)))
    store.put(pod(version=12))
    assert changes[-1] == ("a", "10", "")
    assert names(store) == []
    store.observe(WatchEvent("DELETED", pod(version=13)))
    assert store.remembered() == 0
    store.observe(WatchEvent("ADDED", pod(version=14, uid="other")))
    assert names(store) == ["a"]


def test_a_list_before_an_own_delete_does_not_restore_the_object():
    store, _ = made()
    store.replace(store.cut([pod(version=10)]), "10")
    store.remove(pod(version=10))
    store.replace(store.cut([pod(version=10)]), "11")
    assert names(store) == []


def test_a_terminating_object_stays_in_the_store():
    store, _ = made()
    store.replace(store.cut([pod(version=10, finalizers=["f"])]), "10")
    store.put(pod(version=11, finalizers=["f"], deletionTimestamp="2026-01-01T00:00:00Z"))
    held = store.get("n", "a")
    assert held is not None
    assert "deletionTimestamp" in held["metadata"]
    store.replace(store.cut([pod("b", 11)]), "11")
    store.remove(pod("b", 11))
    store.observe(WatchEvent("MODIFIED", pod("b", 12, deletionTimestamp="2026-01-01T00:00:00Z")))
    assert names(store) == ["b"]


def test_a_deletion_of_another_uid_leaves_the_object():
    store, _ = made()
    store.replace(store.cut([pod(version=10, uid="old")]), "10")
    store.put(pod(version=13, uid="new"))
    store.observe(WatchEvent("MODIFIED", pod(version=11, uid="old")))
    store.observe(WatchEvent("DELETED", pod(version=12, uid="old")))
    assert held(store)["metadata"]["uid"] == "new"


def test_an_older_deletion_does_not_undo_an_own_write():
    store, _ = made()
    store.replace(store.cut([pod(version=10)]), "10")
    store.put(pod(version=13))  # somebody took the label off at 12, and we put it on again
    store.observe(WatchEvent("DELETED", pod(version=12)))
    assert names(store) == ["a"]


def test_a_new_uid_is_announced_as_deletion_and_addition():
    store, changes = made()
    store.replace(store.cut([pod(version=10, uid="old")]), "10")
    changes.clear()
    store.observe(WatchEvent("MODIFIED", pod(version=12, uid="new")))
    assert changes == [("a", "10", ""), ("a", "", "12")]


def test_an_own_delete_of_an_older_version_counts():
    store, _ = made()
    store.replace(store.cut([pod(version=10)]), "10")
    store.observe(WatchEvent("MODIFIED", pod(version=11)))
    store.remove(pod(version=10))
    assert names(store) == []


def test_a_delete_answered_after_its_frame_is_not_remembered():
    store, changes = made()
    store.replace(store.cut([pod(version=10)]), "10")
    store.observe(WatchEvent("DELETED", pod(version=11)))
    store.remove(pod(version=10))
    assert store.remembered() == 0
    store.put(pod(version=12, uid="next"))
    store.remove(pod(version=10))
    assert names(store) == ["a"]
    assert changes[-1] == ("a", "", "12")


def test_unconfirmed_own_deletes_are_bounded():
    store, _ = made()
    for number in range(10_500):
        store.put(pod(str(number)))
        store.remove(pod(str(number)))
    assert store.remembered() == 10_000
    store.replace(store.cut([]), "10")
    assert store.remembered() == 0


# Lists


def test_a_list_announces_only_differences():
    store, changes = made()
    store.replace(store.cut([pod("a", 1), pod("b", 2), pod("c", 3)]), "10")
    changes.clear()
    store.replace(store.cut([pod("a", 1), pod("b", 12, labels={"x": "1"}), pod("d", 11)]), "12")
    assert sorted(changes) == [("b", "2", "12"), ("c", "3", ""), ("d", "", "11")]
    assert names(store) == ["a", "b", "d"]


def test_a_list_does_not_undo_later_own_writes():
    store, changes = made()
    store.replace(store.cut([pod("a", 5)]), "10")
    store.put(pod("a", 12))
    store.put(pod("b", 13))
    changes.clear()
    store.replace(store.cut([pod("a", 5)]), "11")
    assert (names(store), changes) == (["a", "b"], [])
    assert held(store)["metadata"]["resourceVersion"] == "12"


def test_a_list_after_a_restored_backup_replaces_newer_versions():
    store, _ = made()
    store.replace(store.cut([pod("a", 90), pod("b", 95)]), "100")
    store.replace(store.cut([pod("a", 40)]), "50", reset=True)
    assert names(store) == ["a"]
    assert held(store)["metadata"]["resourceVersion"] == "40"


def test_versions_that_are_not_numbers_converge():
    store, _ = made()
    store.replace(store.cut([pod("a", "x1"), pod("b", "x2")]), "y1")
    store.observe(WatchEvent("MODIFIED", pod("a", "x3", labels={"x": "1"})))
    store.observe(WatchEvent("DELETED", pod("b", "x4")))
    assert names(store) == ["a"]
    assert held(store)["metadata"]["resourceVersion"] == "x3"
    store.observe(WatchEvent("DELETED", pod("a", "x5", uid="former")))
    assert names(store) == ["a"]
    store.replace(store.cut([]), "y2")
    assert names(store) == []


def test_scopes_are_listed_apart_and_synced_together():
    store, _ = made(scopes=("n", "m"))
    synced: list[bool] = []
    store.on_synced.append(lambda: synced.append(store.synced))
    store.replace(store.cut([pod("a")]), "1", "n")
    assert not store.synced
    assert store.scope_synced("n")
    other = pod("b")
    other["metadata"]["namespace"] = "m"
    store.replace(store.cut([other]), "2", "m")
    assert (store.synced, names(store)) == (True, ["a", "b"])
    store.replace(store.cut([]), "3", "m")
    assert names(store) == ["a"]
    store.unsync("n")
    assert (store.synced, names(store), synced) == (False, ["a"], [False, True, False])


# What is kept, and found


def test_managed_fields_are_dropped_from_a_copy():
    store, _ = made()
    given = pod(managedFields=[{"manager": "m"}])
    store.put(given)
    assert "managedFields" not in held(store)["metadata"]
    assert "managedFields" in given["metadata"]


def test_a_version_alone_is_stored_and_not_announced():
    store, changes = made()
    store.put(pod(version=1, managedFields=[1]))
    store.put(pod(version=2, managedFields=[2]))
    assert changes == [("a", "", "1")]
    assert held(store)["metadata"]["resourceVersion"] == "2"


def test_keep_cuts_objects_and_drops_them():
    def keep(obj: Object) -> Object | None:
        if obj["metadata"].get("labels"):
            return None
        return {"metadata": obj["metadata"]}

    store, changes = made(Watch(POD, keep=keep))
    store.put(pod(version=1))
    assert "kind" not in held(store)
    store.observe(WatchEvent("MODIFIED", pod(version=2, labels={"x": "1"})))
    assert changes == [("a", "", "1"), ("a", "1", "")]
    store.observe(WatchEvent("MODIFIED", pod(version=3)))
    assert changes[2:] == [("a", "", "3")]


def test_children_are_found_by_owner_as_it_changes():
    store, _ = made(owners=lambda obj: owner_uids(obj, "x.org"))
    store.put(pod("b", 1, ownerReferences=owned_by("u")))
    store.put(pod("a", 2, ownerReferences=owned_by("u")))
    assert [each["metadata"]["name"] for each in store.owned("u")] == ["a", "b"]
    store.put(pod("a", 3, ownerReferences=owned_by("v")))
    store.put(pod("b", 4))
    assert store.owned("u") == ()
    assert len(store.owned("v")) == 1
    for gone in (pod("a", 5), pod("b", 6)):
        store.observe(WatchEvent("DELETED", gone))
    assert (store.owned("v"), store.remembered()) == ((), 0)


def test_the_owner_may_be_read_from_elsewhere():
    store, _ = made(owners=lambda obj: (obj["metadata"]["annotations"]["owner"],))
    store.put(pod(annotations={"owner": "u"}))
    assert len(store.owned("u")) == 1


def test_needs_are_answered_by_name_and_by_index():
    def index(obj: Object) -> str | None:
        return obj["metadata"].get("labels", {}).get("app")

    store, _ = made(Watch(POD, index=index))
    store.put(pod("a", 1, labels={"app": "x"}))
    store.put(pod("b", 2, labels={"app": "x"}))
    assert store.needed(Need(POD, "n", name="a")) == (store.get("n", "a"),)
    assert store.needed(Need(POD, "n", name="z")) == ()
    assert len(store.needed(Need(POD, "n", index="x"))) == 2
    assert store.needed(Need(POD, "other", index="x")) == ()
    store.put(pod("a", 3, labels={"app": "y"}))
    assert [each["metadata"]["name"] for each in store.indexed("n", "x")] == ["b"]
    for gone in (pod("a", 5), pod("b", 6)):
        store.observe(WatchEvent("DELETED", gone))
    assert (store.indexed("n", "x"), store.remembered()) == ((), 0)


def choke(_obj: Object) -> Any:
    raise KeyError("spec")


@pytest.mark.parametrize("watch", [Watch(POD, keep=choke), Watch(POD, index=choke)])
def test_an_error_in_keep_or_index_does_not_end_the_watch(watch):
    store, _ = made(watch)
    store.put(pod())
    assert names(store) == ["a"]


def test_readers_get_copies():
    store, _ = made()
    given = pod(labels={"x": "1"})
    store.put(given)
    given["metadata"]["labels"]["x"] = held(store)["metadata"]["labels"]["x"] = "2"
    assert held(store)["metadata"]["labels"] == {"x": "1"}


def test_an_object_takes_little_more_memory_than_its_json():
    items = [{"name": str(number), "value": "x", "ref": {"at": number}} for number in range(100)]
    size = len(json.dumps(items))
    store, _ = made()
    tracemalloc.start()
    try:
        for name in map(str, range(200)):
            store.put(pod(name) | {"items": json.loads(json.dumps(items))})
        put, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        listing = (
            pod(name) | {"items": json.loads(json.dumps(items))} for name in map(str, range(200))
        )
        store.replace(store.cut(listing), "10")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert put < 200 * (size + 2000)
    assert peak < 2 * 200 * (size + 2000)


# Any order


@given(st.data())
def test_answers_and_frames_in_any_order_converge(data):
    """A history of one name, its frames in order; answers to own writes in between, anywhere."""
    history: list[WatchEvent] = []
    alive, uid = False, 0
    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    for version in range(1, data.draw(st.integers(2, 9)) + 1):
        if not alive:
            alive, uid = True, uid + 1
            kind = "ADDED"
        elif data.draw(st.booleans()):
            kind = "MODIFIED"
        else:
            alive, kind = False, "DELETED"
        history.append(WatchEvent(kind, pod("a", version, str(uid), labels={"v": str(version)})))
    written = [event for event in history if event.type != "DELETED" and data.draw(st.booleans())]
    moments = {
        id(event): data.draw(st.integers(history.index(event), len(history))) for event in written
    }
    listed = data.draw(st.integers(0, len(history)))
    store, changes = made()
    for at in range(len(history) + 1):
        if at == listed:
            last = history[at - 1] if at else None
            items = [last.object] if last and last.type != "DELETED" else []
            store.replace(store.cut(items), str(at))
        elif at > listed:
            store.observe(history[at - 1])
        for event in written:
            if moments[id(event)] == at:
                store.put(event.object)
    store.observe(WatchEvent("BOOKMARK", pod("", len(history))))
    expected = [history[-1].object] if history[-1].type != "DELETED" else []
    held = [(store.get(*key) or {})["metadata"]["labels"] for key in store]
    assert held == [each["metadata"]["labels"] for each in expected]
    for (_, _, new), (_, old, _) in itertools.pairwise(changes):
        assert new == old, "announcements are a chain without gaps"

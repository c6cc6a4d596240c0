"""Which parent owns an object, by every mark and in every place; and the marks of a child."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.model import Key, Kind, Object
from contract.ownership import Owner, is_left_behind, is_own, may_refer, owner_uids, stamp
from contract.plan import Child
from objects.kinds import CONFIG_MAP, NAMESPACE

KIND = Kind("example.com", "v1", "Widget", "widgets")
PARENT: Object = {"metadata": {"name": "w", "namespace": "shop", "uid": "parent"}}
OWNER = Owner.of(KIND, PARENT, ["system"]).owning(["w-space"])
CLUSTER_PARENT: Object = {"metadata": {"name": "w", "uid": "parent"}}
CLUSTER_OWNER = Owner.of(KIND, CLUSTER_PARENT)

OURS = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "parent"}
EARLIER = OURS | {"uid": "earlier"}
THEIRS = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "w", "uid": "theirs"}
MARK = {"example.com/owner-uid": "parent"}
FORMER_MARK = {"example.com/owner-uid": "earlier"}
KEPT = {"example.com/kept-for": "widgets.example.com/shop/w"}
ADOPT = {"example.com/adopt": "w"}


def an_object(
    reference: Object | None = None,
    annotations: dict[str, str] | None = None,
    namespace: str = "shop",
    **metadata: Any,
) -> Object:
    found: Object = {"metadata": {"name": "x", "namespace": namespace, **metadata}}
    if not namespace:
        del found["metadata"]["namespace"]
    if reference is not None:
        found["metadata"]["ownerReferences"] = [{**reference, "controller": True}]
    if annotations is not None:
        found["metadata"]["annotations"] = annotations
    return found


@pytest.mark.parametrize(
    ("reference", "annotations", "namespace", "own"),
    [
        pytest.param(None, None, "shop", False, id="a name alone"),
        pytest.param(OURS, None, "shop", True, id="controller reference"),
        pytest.param(EARLIER, None, "shop", False, id="reference of an earlier parent"),
        pytest.param(THEIRS, None, "shop", False, id="reference of another controller"),
        pytest.param(None, MARK, "shop", True, id="mark"),
        pytest.param(None, MARK, "system", True, id="mark in a place of its watches"),
        pytest.param(None, MARK, "", True, id="mark on a cluster-scoped object"),
        pytest.param(None, FORMER_MARK, "shop", False, id="mark of an earlier parent"),
        pytest.param(THEIRS, MARK, "shop", False, id="forged mark on another's object"),
        pytest.param(EARLIER, MARK, "shop", False, id="forged mark on an earlier parent's"),
        pytest.param(OURS, FORMER_MARK, "shop", True, id="reference beside a wrong mark"),
        pytest.param(None, MARK, "victim", False, id="mark in a foreign namespace"),
        pytest.param(OURS, MARK, "victim", False, id="copied manifest in a foreign namespace"),
        pytest.param(None, KEPT, "victim", False, id="kept mark in a foreign namespace"),
        pytest.param(None, {**ADOPT}, "victim", False, id="adopt in a foreign namespace"),
        pytest.param(None, FORMER_MARK, "w-space", True, id="any mark in its own namespace"),
        pytest.param(THEIRS, MARK, "w-space", True, id="mark beside a tenant's reference"),
        pytest.param(None, None, "w-space", False, id="a tenant's object in its own namespace"),
        pytest.param(None, KEPT, "shop", True, id="kept for the same identity"),
        pytest.param(
            None,
            {"example.com/kept-for": "widgets.example.com/other/w"},
            "shop",
            False,
            id="kept for a parent of another namespace",
        ),
        pytest.param(None, ADOPT, "shop", True, id="released"),
        pytest.param(EARLIER, ADOPT, "shop", True, id="released by an earlier parent"),
        pytest.param(THEIRS, ADOPT, "shop", False, id="adopt on another controller's object"),
        pytest.param(None, ADOPT, "system", False, id="a bare name across namespaces"),
        pytest.param(
            None, {"example.com/adopt": "shop/w"}, "system", True, id="namespace and name across"
        ),
        pytest.param(
            None, {"example.com/adopt": "other/w"}, "system", False, id="another parent's name"
        ),
    ],
)
def test_an_object_is_own_by_mark_and_place(reference, annotations, namespace, own):
    assert is_own(an_object(reference, annotations, namespace), OWNER) is own


def test_an_owner_reference_without_controller_proves_nothing():
    obj = an_object()
    obj["metadata"]["ownerReferences"] = [OURS, {**OURS, "controller": False}]
    assert not is_own(obj, OWNER)


@given(
    reference=st.sampled_from([None, OURS, EARLIER, THEIRS]),
    annotations=st.sampled_from([{}, MARK, FORMER_MARK, KEPT, ADOPT, {**MARK, **KEPT, **ADOPT}]),
    namespace=st.sampled_from(["victim", "default", "kube-system", "w-space2"]),
)
def test_nothing_outside_the_parents_places_is_ever_its_own(reference, annotations, namespace):
    assert not is_own(an_object(reference, annotations, namespace), OWNER)


@pytest.mark.parametrize(
    ("reference", "left"),
    [
        (EARLIER, True),
        (OURS, False),
        (THEIRS, False),
        ({**EARLIER, "apiVersion": "other.com/v1"}, False),
        ({**EARLIER, "name": "other"}, False),
        (None, False),
    ],
)
def test_only_an_earlier_parent_of_the_name_leaves_orphans(reference, left):
    assert is_left_behind(an_object(reference), OWNER) is left


def test_the_controller_reference_is_the_first_claim():
    assert owner_uids(an_object(THEIRS, MARK), KIND.group) == ("theirs", "parent")


@pytest.mark.parametrize(
    ("owner", "kind", "namespace", "refers"),
    [
        (OWNER, CONFIG_MAP, "shop", True),
        (OWNER, CONFIG_MAP, "system", False),
        (OWNER, NAMESPACE, "", False),
        (CLUSTER_OWNER, CONFIG_MAP, "shop", True),
        (CLUSTER_OWNER, NAMESPACE, "", True),
    ],
)
def test_no_reference_crosses_namespaces(owner, kind, namespace, refers):
    assert may_refer(Key(kind, namespace, "x"), owner) is refers


def a_child(namespace: str = "shop", **options: Any) -> Child:
    metadata = {"name": "x", "namespace": namespace, "annotations": {"theirs": "1"}}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return Child(CONFIG_MAP, body, **options)


@pytest.mark.parametrize("namespace", ["shop", "system", "w-space"])
@pytest.mark.parametrize("hold", ["owned", "kept"])
def test_a_stamped_child_is_the_parents_own(hold, namespace):
    child = a_child(namespace, hold=hold)
    before = child.body["metadata"].copy()
    owner = OWNER if hold == "owned" or namespace != "w-space" else OWNER.owning(["w-space"])
    assert is_own(stamp(child, owner, PARENT), owner)
    assert child.body["metadata"] == before


def test_a_kept_child_is_own_to_a_later_parent_and_to_no_other():
    stamped = stamp(a_child(hold="kept"), OWNER, PARENT)
    assert "ownerReferences" not in stamped["metadata"]
    later = {"metadata": {**PARENT["metadata"], "uid": "later"}}
    other = {"metadata": {**PARENT["metadata"], "name": "other"}}
    assert is_own(stamped, Owner.of(KIND, later))
    assert not is_own(stamped, Owner.of(KIND, other))


def test_a_shared_child_is_not_marked():
    child = a_child(hold="shared")
    assert stamp(child, OWNER, PARENT) == child.body


def test_the_intent_digest_changes_with_the_body_and_the_owner():
    def mark(child, owner=OWNER):
        return stamp(child, owner, PARENT)["metadata"]["annotations"]["example.com/intent"]

    other = Child(CONFIG_MAP, {**a_child().body, "data": {"a": "1"}})
    assert mark(a_child()) == mark(a_child())
    assert len({mark(a_child()), mark(other), mark(a_child(hold="kept"))}) == 3
    assert mark(a_child(yields=(("data", "a"),))) != mark(a_child())

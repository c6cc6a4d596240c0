"""A step is compared but for the fields masked by name, and each mask hides something."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from chaos.snapshot import MASKS, difference, identity, masked, snapshot

MANAGER = "gati-operator"
UID = "01234567-89ab-cdef-0123-456789abcdef"
OTHER = "fedcba98-7654-3210-fedc-ba9876543210"

Object = dict[str, Any]


def field(manager: str, fields: Object, time: str = "t1") -> Object:
    return {"manager": manager, "operation": "Apply", "time": time, "fieldsV1": fields}


def service() -> Object:
    owner = {"kind": "GatiHandler", "name": "web", "uid": UID}
    owned: Object = {"f:metadata": {"f:ownerReferences": {f'k:{{"uid":"{UID}"}}': {}}}}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "handler-web",
            "namespace": "chaos-1",
            "uid": UID,
            "resourceVersion": "1",
            "creationTimestamp": "t1",
            "generation": 1,
            "labels": {"app": "web"},
            "annotations": {
                "gati.dev/intent": "1",
                "gati.dev/owner-uid": UID,
                "deployment.kubernetes.io/revision": "1",
                "mine": "yes",
            },
            "ownerReferences": [owner],
            "managedFields": [field(MANAGER, owned), field("kubectl", {"f:spec": {}})],
        },
        "spec": {
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1"],
            "type": "NodePort",
            "ports": [{"port": 80, "nodePort": 30001}],
        },
        "status": {"loadBalancer": {}},
    }


def handler() -> Object:
    conditions = [
        {"type": "Ready", "status": "True", "lastTransitionTime": "t1"},
        {"type": "Autoscaled", "status": "True", "lastTransitionTime": "t1"},
    ]
    return {
        "kind": "GatiHandler",
        "metadata": {"name": "web", "generation": 2},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 2, "conditions": conditions},
    }


def _as_if_made_later(*objects: Object) -> None:
    for obj in objects:
        obj["metadata"] |= {"uid": OTHER, "resourceVersion": "2", "creationTimestamp": "t2"}


def _conditions(obj: Object) -> list[Object]:
    found: list[Object] = obj["status"]["conditions"]
    return found


def _root_certificate(objects: list[tuple[str, Object]]) -> None:
    # Objects of a list have no kind.
    objects.append(("configmaps", {"metadata": {"name": "kube-root-ca.crt"}}))


# Of each mask: what it hides, as a change that makes no difference.

HIDDEN: dict[str, Callable[[Object, Object], object]] = {
    "metadata.uid, resourceVersion, creationTimestamp": _as_if_made_later,
    "metadata.namespace": lambda s, _h: s["metadata"].update(namespace="chaos-2"),
    "metadata.managedFields[].time": lambda s, _h: s["metadata"]["managedFields"][0].update(
        time="t2"
    ),
    "managers other than the operator's": lambda s, _h: s["metadata"]["managedFields"].reverse(),
    "ownerReferences[].uid": lambda s, _h: s["metadata"]["ownerReferences"][0].update(uid=OTHER),
    "uids in metadata.managedFields[].fieldsV1": lambda s, _h: s["metadata"]["managedFields"][
        0
    ].update(fieldsV1={"f:metadata": {"f:ownerReferences": {f'k:{{"uid":"{OTHER}"}}': {}}}}),
    "values of the annotations gati.dev/intent and gati.dev/owner-uid": lambda s, _h: s["metadata"][
        "annotations"
    ].update({"gati.dev/intent": "2", "gati.dev/owner-uid": OTHER}),
    "spec.clusterIP(s), spec.ports[].nodePort": lambda s, _h: s["spec"].update(
        clusterIP="10.0.0.2", clusterIPs=["10.0.0.2"], ports=[{"port": 80, "nodePort": 30002}]
    ),
    "status of children": lambda s, _h: s.update(status={"loadBalancer": {"ingress": []}}),
    "conditions[].lastTransitionTime": lambda _s, h: _conditions(h)[0].update(
        lastTransitionTime="t2"
    ),
    "order of conditions": lambda _s, h: _conditions(h).reverse(),
    "metadata.generation of children": lambda s, _h: s["metadata"].update(generation=2),
    "deployment.kubernetes.io/revision": lambda s, _h: s["metadata"]["annotations"].pop(
        "deployment.kubernetes.io/revision"
    ),
}

# The same places, and those beside them, as a change that must be seen.

SEEN: dict[str, Callable[[Object, Object], object]] = {
    "services/handler-web.metadata.labels.app": lambda s, _h: s["metadata"]["labels"].update(
        app="x"
    ),
    "services/handler-web.metadata.annotations.mine": lambda s, _h: s["metadata"][
        "annotations"
    ].pop("mine"),
    "services/handler-web.metadata.annotations.gati.dev/intent": lambda s, _h: s["metadata"][
        "annotations"
    ].pop("gati.dev/intent"),
    "services/handler-web.metadata.ownerReferences": lambda s, _h: s["metadata"].pop(
        "ownerReferences"
    ),
    "services/handler-web.metadata.ownerReferences[0].name": lambda s, _h: s["metadata"][
        "ownerReferences"
    ][0].update(name="api"),
    "services/handler-web.metadata.managedFields[0].fieldsV1.f:ports": lambda s, _h: s["metadata"][
        "managedFields"
    ][0]["fieldsV1"].update({"f:ports": {}}),
    "services/handler-web.metadata.managedFields": lambda s, _h: s["metadata"]["managedFields"].pop(
        0
    ),
    "services/handler-web.metadata.finalizers": lambda s, _h: s["metadata"].update(
        finalizers=["x"]
    ),
    "services/handler-web.metadata.deletionTimestamp": lambda s, _h: s["metadata"].update(
        deletionTimestamp="t1"
    ),
    "services/handler-web.spec.ports[0].port": lambda s, _h: s["spec"]["ports"][0].update(port=81),
    "gatihandlers/web.metadata.generation": lambda _s, h: h["metadata"].update(generation=3),
    "gatihandlers/web.spec.replicas": lambda _s, h: h["spec"].update(replicas=2),
    "gatihandlers/web.status.observedGeneration": lambda _s, h: h["status"].update(
        observedGeneration=1
    ),
    "gatihandlers/web.status.conditions[1].status": lambda _s, h: _conditions(h)[0].update(
        status="False"
    ),
}


def of(change: Callable[[Object, Object], object] | None = None) -> list[tuple[str, Object]]:
    pair = service(), handler()
    if change:
        change(*pair)
    return [("services", pair[0]), ("gatihandlers", pair[1])]


@pytest.mark.parametrize("mask", HIDDEN)
def test_a_mask_hides_what_it_names(mask: str):
    assert of(HIDDEN[mask]) != of()
    assert difference(snapshot(of(), MANAGER), snapshot(of(HIDDEN[mask]), MANAGER)) == []


@pytest.mark.parametrize("mask", HIDDEN)
def test_a_masked_difference_is_seen_without_its_mask(mask: str, monkeypatch: pytest.MonkeyPatch):
    others = {name: each for name, each in MASKS.items() if name != mask}
    monkeypatch.setattr("chaos.snapshot.MASKS", others)
    assert difference(snapshot(of(), MANAGER), snapshot(of(HIDDEN[mask]), MANAGER)) != []


@pytest.mark.parametrize("place", SEEN)
def test_every_other_field_is_compared_and_named(place: str):
    found = difference(snapshot(of(), MANAGER), snapshot(of(SEEN[place]), MANAGER))
    assert [line.split(": ")[0] for line in found] == [place]


def test_the_root_certificate_of_a_namespace_is_not_compared():
    objects = of()
    _root_certificate(objects)
    assert snapshot(objects, MANAGER) == snapshot(of(), MANAGER)


def test_every_mask_is_tried_here():
    assert {*HIDDEN, "kube-root-ca.crt"} == set(MASKS)


def test_an_entry_of_managed_fields_without_a_manager_is_hidden():
    obj = service()
    obj["metadata"]["managedFields"].append({"fieldsType": "FieldsV1"})
    assert masked(obj, MANAGER, status=False) == masked(service(), MANAGER, status=False)


def test_masking_leaves_the_object_as_it_was():
    before = service()
    after = copy.deepcopy(before)
    masked(after, MANAGER, status=False)
    assert after == before


@pytest.mark.parametrize(
    ("expected", "found", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {}, ["a: missing"]),
        ({}, {"a": {"b": 1}}, ['a: {"b": 1} is not expected']),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b: 2, expected 1"]),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a[1]: 3, expected 2"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a: [1, 2], expected [1]"]),
        ({"a": {}}, {"a": None}, ["a: null, expected {}"]),
        ({"a": "x"}, {"a": "y" * 500}, [f'a: "{"y" * 158}…, expected "x"']),
    ],
)
def test_a_difference_names_its_place(expected: Object, found: Object, lines: list[str]):
    assert difference(expected, found) == lines


def test_an_entry_of_managed_fields_may_name_no_manager():
    obj = service()
    obj["metadata"]["managedFields"].append({"fieldsType": "FieldsV1"})
    assert masked(obj, MANAGER, status=False) == masked(service(), MANAGER, status=False)
    writers = ["", *sorted({each["manager"] for each in service()["metadata"]["managedFields"]})]
    assert f"written by {writers}, " in identity(obj)

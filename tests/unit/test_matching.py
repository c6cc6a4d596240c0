"""The comparison of an intent with what is live."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objects.matching import content_digest, differences

CONTAINER = {"name": "handler", "image": "a:1", "ports": [{"name": "http", "containerPort": 3000}]}
LIVE = {
    "name": "handler",
    "image": "a:1",
    "imagePullPolicy": "IfNotPresent",
    "ports": [{"name": "http", "containerPort": 3000, "protocol": "TCP"}],
}


def workload(*containers):
    return {"spec": {"containers": list(containers)}}


@pytest.mark.parametrize(
    ("intent", "live", "expected"),
    [
        pytest.param(workload(CONTAINER), workload(LIVE), [], id="defaults are ignored"),
        pytest.param(
            workload(CONTAINER),
            workload({"name": "sidecar", "image": "x"}, LIVE),
            [],
            id="an injected container is not ours",
        ),
        pytest.param(
            workload(CONTAINER),
            workload({**LIVE, "image": "a:2"}),
            ["spec.containers[handler].image"],
            id="a changed field is named by its path",
        ),
        pytest.param(
            workload(CONTAINER), workload(), ["spec.containers[handler]"], id="a container is gone"
        ),
        pytest.param(
            {"spec": {"args": ["a", "b"]}},
            {"spec": {"args": ["a", "b", "c"]}},
            ["spec.args"],
            id="lists of scalars are one value",
        ),
        pytest.param({"a": {}}, {}, [], id="empty and absent are alike"),
        pytest.param({"a": {"b": 1}}, {}, ["a"], id="an absent map is named once"),
        pytest.param(
            {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
            {"ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]},
            [],
            id="ports are keyed by number and protocol",
        ),
        pytest.param({"a": 0}, {}, ["a"], id="zero is a value"),
        pytest.param({"a": False}, {}, ["a"], id="false is a value"),
    ],
)
def test_differences_are_named_by_their_path(intent, live, expected):
    assert differences(intent, live) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "env", "name"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_a_value_does_not_differ_from_itself(value):
    assert differences(value, value) == []


@given(st.dictionaries(st.sampled_from("abc"), JSON), st.dictionaries(st.sampled_from("xyz"), JSON))
def test_fields_outside_the_intent_are_ignored(intent, others):
    assert differences(intent, {**others, **intent}) == []


def test_the_content_digest_ignores_fields_of_the_server():
    obj = {"metadata": {"name": "a", "resourceVersion": "1", "generation": 1}, "spec": {"x": 1}}
    later = {
        "metadata": {"name": "a", "resourceVersion": "9", "generation": 4},
        "spec": {"x": 1},
        "status": {"ready": True},
    }
    assert content_digest(obj) == content_digest(later)
    assert content_digest(obj) != content_digest({**obj, "spec": {"x": 2}})

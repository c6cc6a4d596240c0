"""Parsing a GatiHandler: defaults, both spellings, and refusals that say what to write."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gati.contracts import Autoscaling, Probes, ProbeSpec, Security
from gati.spec.handler import Invalid, parse_handler
from unit.gati_objects import handler

WORDS = st.text("abcdefghij-", min_size=1, max_size=20)


def test_a_handler_with_only_a_path_gets_every_default():
    spec = parse_handler({"metadata": {"name": "users"}, "spec": {"path": "/users/:id"}})
    assert (spec.port, spec.replicas, spec.suspend, spec.image) == (3000, 1, False, None)
    assert spec.resources == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi"},
    }
    assert spec.probes == Probes(
        readiness=ProbeSpec("httpGet", 5, 10, 3, 3, path="/health"),
        liveness=ProbeSpec("httpGet", 15, 20, 5, 3, path="/health"),
    )
    assert spec.security == Security("Restricted", 65532, 65532, 65532, True)
    assert spec.termination_grace_period_seconds == 30
    assert spec.autoscaling is None


@given(WORDS, st.integers(0, 9), st.none() | WORDS)
def test_both_spellings_of_the_path_parse_to_the_same(path, replicas, image):
    new = handler(path=f"/{path}", replicas=replicas, image=image)
    old = handler(path=None, handlerPath=f"/{path}", replicas=replicas, image=image)
    assert parse_handler(new) == parse_handler(old)


def test_null_means_absent_everywhere():
    written = handler()
    nulls = dict.fromkeys(("version", "port", "resources", "probes", "env", "volumes", "affinity"))
    with_nulls = written | {"spec": written["spec"] | nulls}
    assert parse_handler(with_nulls) == parse_handler(written)


@pytest.mark.parametrize(
    ("given_resources", "requests", "limits"),
    [
        ({}, ("100m", "128Mi"), ("500m", "512Mi")),
        ({"requests": {"cpu": "250m"}}, ("250m", "128Mi"), ("500m", "512Mi")),
        ({"limits": {"memory": "1024Mi"}}, ("100m", "128Mi"), ("500m", "1Gi")),
        ({"requests": {"cpu": 2}}, ("2", "128Mi"), ("2", "512Mi")),
        ({"limits": {"cpu": "50m"}}, ("50m", "128Mi"), ("50m", "512Mi")),
        ({"limits": {"memory": "64Mi"}}, ("100m", "64Mi"), ("500m", "64Mi")),
    ],
)
def test_resources_are_filled_in_key_by_key_and_never_cross(given_resources, requests, limits):
    resources = parse_handler(handler(resources=given_resources)).resources
    assert (resources["requests"]["cpu"], resources["requests"]["memory"]) == requests
    assert (resources["limits"]["cpu"], resources["limits"]["memory"]) == limits


def test_a_probe_keeps_the_defaults_of_what_it_does_not_say():
    probes = parse_handler(handler(probes={"readiness": {"tcpSocket": {}}})).probes
    assert probes.readiness == ProbeSpec("tcpSocket", 5, 10, 3, 3)
    assert probes.liveness == ProbeSpec("httpGet", 15, 20, 5, 3, path="/health")


def test_a_startup_probe_asks_as_readiness_does():
    given_probes = {"readiness": {"grpc": {"service": "s"}}, "startup": {"periodSeconds": 2}}
    startup = parse_handler(handler(probes=given_probes)).probes.startup
    assert startup == ProbeSpec("grpc", 0, 2, 3, 30, service="s")


def test_a_disabled_probe_is_left_out():
    probes = parse_handler(handler(probes={"liveness": {"disabled": True}})).probes
    assert probes.liveness is None
    assert probes.readiness is not None


def test_a_startup_probe_beside_a_disabled_readiness_asks_in_the_standard_way():
    given_probes = {"readiness": {"disabled": True}, "startup": {"failureThreshold": 7}}
    startup = parse_handler(handler(probes=given_probes)).probes.startup
    assert startup == ProbeSpec("httpGet", 0, 10, 3, 7, path="/health")


def test_the_baseline_profile_leaves_the_choice_to_the_image():
    security = parse_handler(handler(security={"profile": "Baseline"})).security
    assert security == Security("Baseline", None, None, None, read_only_root_filesystem=False)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"enabled": True, "maxReplicas": 5}, Autoscaling(1, 5, 70)),
        (
            {"enabled": True, "minReplicas": 2, "maxReplicas": 10, "targetCPU": 60},
            Autoscaling(2, 10, 60),
        ),
        ({"enabled": False, "maxReplicas": 5}, None),
        ({"minReplicas": 2}, None),
    ],
)
def test_autoscaling_has_defaults_and_is_off_unless_enabled(block, expected):
    assert parse_handler(handler(autoscaling=block)).autoscaling == expected


def test_env_may_be_a_plain_map():
    as_map = parse_handler(handler(env={"B": "2", "A": "1"}))
    as_list = parse_handler(handler(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
    assert as_map.env == as_list.env


REFUSED = [
    ({"path": None}, "spec.path", "is missing"),
    ({"path": ""}, "spec.path", "must not be empty"),
    ({"path": "users"}, "spec.path", "write /users"),
    ({"handlerPath": "/x"}, "spec", "path and handlerPath: write only one"),
    ({"version": 1.0}, "spec.version", "write it in quotes"),
    ({"port": 0}, "spec.port", "from 1 to 65535"),
    ({"port": 99999}, "spec.port", "from 1 to 65535"),
    ({"port": "80"}, "spec.port", "whole number"),
    ({"port": True}, "spec.port", "whole number"),
    ({"replicas": -1}, "spec.replicas", "write a number from 0"),
    ({"suspend": "yes"}, "spec.suspend", "true or false"),
    ({"resources": []}, "spec.resources", "must be an object"),
    ({"resources": {"limits": {"cpu": "lots"}}}, "spec.resources.limits.cpu", "500m"),
    ({"resources": {"limits": {"cpu": True}}}, "spec.resources.limits.cpu", "a quantity"),
    (
        {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1000m"}}},
        "spec.resources.requests.cpu",
        "more than the limit of 1",
    ),
    ({"autoscaling": {"enabled": True}}, "spec.autoscaling.maxReplicas", "is missing"),
    (
        {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}},
        "spec.autoscaling.minReplicas",
        "more than maxReplicas",
    ),
    ({"config": {"a-b": "1"}}, "spec.config[a-b]", "LOG_LEVEL"),
    ({"config": {1: "A"}}, "spec.config", "write it in quotes"),
    ({"config": {"A": 1}}, "spec.config[A]", "write it in quotes"),
    ({"env": [{"value": "1"}]}, "spec.env[0].name", "is missing"),
    ({"env": [{"name": "A"}, {"name": "A"}]}, "spec.env[1].name", "second time"),
    ({"env": [{"name": "A", "value": 1}]}, "spec.env[0].value", "in quotes"),
    ({"env": [{"name": "A", "value": "", "valueFrom": {}}]}, "spec.env[0]", "only one"),
    ({"env": [{"name": "A", "valueFrom": {}}]}, "spec.env[0].valueFrom", "names no source"),
    ({"envFrom": [{"prefix": "X"}]}, "spec.envFrom[0]", "configMapRef or secretRef"),
    ({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}, "spec.volumes[0]", "not offered"),
    ({"volumes": [{"name": "a"}]}, "spec.volumes[0]", "no kind is given"),
    (
        {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]},
        "spec.volumes[1].name",
        "another volume",
    ),
    ({"volumes": [{"name": "gati-tmp", "emptyDir": {}}]}, "spec.volumes[0].name", "the operator"),
    (
        {"volumeMounts": [{"name": "a", "mountPath": "/a"}]},
        "spec.volumeMounts[0].name",
        "no volume of that name",
    ),
    ({"podLabels": {"gati.dev/workload": "x"}}, "spec.podLabels", "belongs to the operator"),
    ({"podLabels": {"app.kubernetes.io/name": "x"}}, "spec.podLabels", "belongs to the operator"),
    ({"podLabels": {"a": "not a value"}}, "spec.podLabels[a]", "is no label value"),
    ({"podAnnotations": {"a b": "x"}}, "spec.podAnnotations", "no legal key"),
    ({"imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy", "IfNotPresent"),
    ({"imagePullSecrets": [{}]}, "spec.imagePullSecrets[0].name", "is missing"),
    ({"security": {"runAsUser": 0}}, "spec.security.runAsUser", "profile: Baseline"),
    ({"probes": {"readiness": {"httpGet": {}, "grpc": {}}}}, "spec.probes.readiness", "only one"),
    (
        {"probes": {"liveness": {"successThreshold": 2}}},
        "spec.probes.liveness.successThreshold",
        "must be 1",
    ),
]


@pytest.mark.parametrize(("change", "path", "why"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_what_cannot_be_honoured_is_refused_with_its_path_and_a_way_out(change, path, why):
    with pytest.raises(Invalid) as refusal:
        parse_handler(handler(**change))
    assert refusal.value.path.startswith(path)
    assert why in refusal.value.why


@pytest.mark.parametrize("spec", [None, [], "text", 3])
def test_an_object_without_a_spec_is_invalid_and_no_crash(spec):
    with pytest.raises(Invalid, match="spec: is missing"):
        parse_handler({"metadata": {"name": "x"}, "spec": spec})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = [
    "path",
    "version",
    "image",
    "port",
    "replicas",
    "suspend",
    "autoscaling",
    "resources",
    "config",
    "env",
    "envFrom",
    "command",
    "args",
    "imagePullPolicy",
    "imagePullSecrets",
    "serviceAccountName",
    "volumes",
    "volumeMounts",
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "podLabels",
    "podAnnotations",
    "terminationGracePeriodSeconds",
    "probes",
    "security",
]
INNER = [
    "requests",
    "limits",
    "cpu",
    "name",
    "value",
    "valueFrom",
    "enabled",
    "readiness",
    "httpGet",
    "port",
    "emptyDir",
    "sizeLimit",
    "configMap",
    "projected",
    "sources",
    "downwardAPI",
    "items",
    "resourceFieldRef",
    "divisor",
    "profile",
]
NESTED = st.recursive(
    JSON,
    lambda inner: (
        st.dictionaries(st.sampled_from(INNER), inner, max_size=4) | st.lists(inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(FIELDS), NESTED, max_size=5))
def test_whatever_stands_in_a_field_parses_or_is_refused_but_never_crashes(fields):
    with contextlib.suppress(Invalid):
        parse_handler(handler(**fields))


def version(**spec):
    return parse_handler(handler(**spec)).version


def test_a_version_is_kept_as_it_is_written():
    assert version(version="1.0.0+build.5") == "1.0.0+build.5"


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 7},
        {"suspend": True},
        {"autoscaling": {"enabled": True, "maxReplicas": 9}},
        {"path": "/other"},
        {"resources": {}},
        {"env": []},
    ],
)
def test_a_made_version_does_not_change_with_what_runs_the_same(change):
    assert version(**change) == version()


@pytest.mark.parametrize(
    "change",
    [{"image": "other"}, {"env": {"A": "1"}}, {"config": {"A": "1"}}, {"args": ["x"]}, {"port": 1}],
)
def test_a_made_version_changes_with_what_runs(change):
    assert version(**change) != version()


def test_a_made_version_does_not_depend_on_how_a_quantity_is_spelled():
    one = version(resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}})
    assert one == version(resources={"limits": {"memory": "1Gi", "cpu": 1}})


def test_a_made_version_is_for_ever():
    """A release of the operator that computes another one restarts every such handler."""
    assert version() == "auto-ca6ccc2d"

"""A GatiHandler resolved: defaults, both spellings, and refusals that name a valid value."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crds.decode import Invalid, plain
from crds.part import Part, rules_of
from crds.schema import fields, structural_schema
from gati.handler.resolve import resolve
from gati.types import GatiHandler
from gati.types.probes import GRPCAction, HTTPGetAction, Probe, TCPSocketAction
from gati.types.workload import Security
from unit.gati_objects import handler

WORDS = st.text("abcdefghij-", min_size=1, max_size=20)
HEALTH = HTTPGetAction(path="/health")
READINESS = Probe(
    http_get=HEALTH,
    initial_delay_seconds=5,
    period_seconds=10,
    timeout_seconds=3,
    failure_threshold=3,
)
LIVENESS = Probe(
    http_get=HEALTH,
    initial_delay_seconds=15,
    period_seconds=20,
    timeout_seconds=5,
    failure_threshold=3,
)


def spec_of(**spec):
    return resolve(handler(**spec)).spec


def resources_of(**spec):
    return plain(spec_of(**spec).resources)


def test_a_handler_with_only_a_path_gets_every_default():
    found = resolve({"metadata": {"name": "users"}, "spec": {"path": "/users/:id"}})
    spec = found.spec
    assert (spec.port, spec.replicas, spec.suspend, found.image) == (3000, 1, False, None)
    assert plain(spec.resources) == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi"},
    }
    assert (spec.probes.readiness, spec.probes.liveness) == (READINESS, LIVENESS)
    assert not spec.probes.startup
    assert spec.security == Security(
        profile="Restricted",
        run_as_user=65532,
        run_as_group=65532,
        fs_group=65532,
        read_only_root_filesystem=True,
    )
    assert spec.termination_grace_period_seconds == 30
    assert not spec.autoscaling


@given(WORDS, st.integers(0, 9), st.none() | WORDS)
def test_both_spellings_of_the_path_become_one(path, replicas, image):
    new = resolve(handler(path=f"/{path}", replicas=replicas, image=image))
    old = resolve(handler(path=None, handlerPath=f"/{path}", replicas=replicas, image=image))
    assert (new.path, new.version, new.image) == (old.path, old.version, old.image)
    assert new.spec.replicas == old.spec.replicas == replicas


def test_null_means_absent_everywhere():
    written = handler()
    nulls = dict.fromkeys(("version", "port", "resources", "probes", "env", "volumes", "affinity"))
    with_nulls = written | {"spec": written["spec"] | nulls}
    assert resolve(with_nulls) == resolve(written)
    inner = handler(resources={"requests": {"cpu": None}}, env=[{"name": "A", "value": None}])
    outer = handler(resources={"requests": {}}, env=[{"name": "A"}])
    assert resolve(inner) == resolve(outer)


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
    resources = resources_of(resources=given_resources)
    assert (resources["requests"]["cpu"], resources["requests"]["memory"]) == requests
    assert (resources["limits"]["cpu"], resources["limits"]["memory"]) == limits


def test_a_probe_has_defaults_for_its_absent_fields():
    probes = spec_of(probes={"readiness": {"tcpSocket": {}}}).probes
    assert probes.readiness == Probe(
        tcp_socket=TCPSocketAction(),
        initial_delay_seconds=5,
        period_seconds=10,
        timeout_seconds=3,
        failure_threshold=3,
    )
    assert probes.liveness == LIVENESS


STARTUPS = [
    # the other probes, the startup probe, how it asks, its period, its failures
    (
        {"readiness": {"grpc": {"service": "s"}}},
        {"periodSeconds": 2},
        GRPCAction(service="s"),
        2,
        30,
    ),
    ({"readiness": {"disabled": True}}, {"failureThreshold": 7}, HEALTH, 10, 7),
    (
        {"readiness": {"tcpSocket": {}}},
        {"httpGet": {"path": "/s"}},
        HTTPGetAction(path="/s"),
        10,
        30,
    ),
]


@pytest.mark.parametrize(("others", "startup", "action", "period", "failures"), STARTUPS)
def test_a_startup_probe_has_the_check_of_readiness(others, startup, action, period, failures):
    found = spec_of(probes={**others, "startup": startup}).probes.startup
    assert [one for one in (found.http_get, found.tcp_socket, found.grpc) if one] == [action]
    assert (found.period_seconds, found.failure_threshold) == (period, failures)
    assert (found.initial_delay_seconds, found.timeout_seconds) == (0, 3)


def test_the_baseline_profile_leaves_the_choice_to_the_image():
    assert spec_of(security={"profile": "Baseline"}).security == Security(
        profile="Baseline", read_only_root_filesystem=False
    )


def test_autoscaling_has_defaults():
    found = spec_of(autoscaling={"enabled": True, "maxReplicas": 5}).autoscaling
    assert (found.min_replicas, found.max_replicas, found.target_cpu) == (1, 5, 70)


def projected(source):
    return {"volumes": [{"name": "p", "projected": {"sources": [source]}}]}


BOTH = {
    "fieldRef": {"fieldPath": "metadata.uid"},
    "resourceFieldRef": {"resource": "limits.cpu"},
}
MOUNT = {"name": "a", "mountPath": "/a"}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
REFUSED = [
    ({"path": None}, "spec", "a handler needs a path: write for example path: /users"),
    ({"path": ""}, "spec.path", "starts with '/'"),
    ({"path": "users"}, "spec.path", "write for example /users/:id"),
    ({"path": "/a b"}, "spec.path", "no white space"),
    ({"handlerPath": "/x"}, "spec", "two spellings of one field: write only path"),
    ({"image": ""}, "spec.image", "must not be empty"),
    ({"image": "a b"}, "spec.image", "write for example registry.example/users:v1.2.0"),
    ({"version": "v" * 129}, "spec.version", "has 129 characters: at most 128 are allowed"),
    ({"version": 1.0}, "spec.version", "write it in quotes"),
    ({"port": 0}, "spec.port", "from 1 to 65535"),
    ({"port": 99999}, "spec.port", "from 1 to 65535"),
    ({"port": "80"}, "spec.port", "whole number"),
    ({"port": True}, "spec.port", "whole number"),
    ({"replicas": -1}, "spec.replicas", "write a number from 0 to 1000"),
    ({"replicas": 5000}, "spec.replicas", "is 5000: write a number from 0 to 1000"),
    (
        {"terminationGracePeriodSeconds": 3601},
        "spec.terminationGracePeriodSeconds",
        "write a number from 0 to 3600",
    ),
    (
        {"probes": {"readiness": {"failureThreshold": 2000}}},
        "spec.probes.readiness.failureThreshold",
        "write a number from 1 to 1000",
    ),
    (
        {"probes": {"readiness": {"successThreshold": 3000}}},
        "spec.probes.readiness.successThreshold",
        "write a number from 1 to 1000",
    ),
    ({"serviceAccountName": "Not Legal"}, "spec.serviceAccountName", "is not a valid name"),
    ({"priorityClassName": "BAD NAME"}, "spec.priorityClassName", "is not a valid name"),
    (
        {"autoscaling": {"enabled": True, "maxReplicas": 9000}},
        "spec.autoscaling.maxReplicas",
        "write a number from 1 to 1000",
    ),
    ({"args": ["x"] * 200}, "spec.args", "has 200 items: at most 128 are allowed"),
    (
        {"tolerations": [{"operator": "Foo"}]},
        "spec.tolerations[0].operator",
        "write one of Equal, Exists",
    ),
    ({"volumes": [{"name": "Bad Name", "emptyDir": {}}]}, "spec.volumes[0].name", "not a valid"),
    ({"config": {f"A{index}": "" for index in range(65)}}, "spec.config", "has 65 entries"),
    ({"suspend": "yes"}, "spec.suspend", "true or false"),
    ({"resources": []}, "spec.resources", "must be an object"),
    ({"resources": {"limits": {"cpu": "lots"}}}, "spec.resources.limits.cpu", "500m"),
    ({"resources": {"limits": {"cpu": True}}}, "spec.resources.limits.cpu", "a quantity"),
    ({"resources": {"limits": {"cpu": 0.5}}}, "spec.resources.limits.cpu", "for example 500m"),
    ({"resources": {"limits": {"cpu": "10E"}}}, "spec.resources.limits.cpu", "more than the API"),
    *(
        (
            {"resources": {"requests": {name: more}, "limits": {name: less}}},
            "spec.resources",
            f"requests.{name} is more than limits.{name}",
        )
        for name, more, less in (
            ("cpu", "2", "1000m"),
            ("memory", "2Gi", "1024Mi"),
            ("ephemeral-storage", "2Gi", "1Gi"),
        )
    ),
    ({"autoscaling": {"enabled": True}}, "spec.autoscaling", "write maxReplicas beside enabled"),
    ({"autoscaling": {"maxReplicas": 2}}, "spec.autoscaling.enabled", "is missing: true makes"),
    (
        {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}},
        "spec.autoscaling",
        "minReplicas is more than maxReplicas",
    ),
    ({"config": {"a-b": "1"}}, "spec.config[a-b]", "LOG_LEVEL"),
    ({"config": {1: "A"}}, "spec.config", "write it in quotes"),
    ({"config": {"A": 1}}, "spec.config[A]", "write it in quotes"),
    ({"env": [{"value": "1"}]}, "spec.env[0].name", "is missing"),
    ({"env": [{"name": "1A"}]}, "spec.env[0].name", "is not a valid name of an environment var"),
    ({"env": [{"name": "A"}, {"name": "A"}]}, "spec.env[1].name", "duplicates an earlier item"),
    ({"env": [{"name": "A", "value": 1}]}, "spec.env[0].value", "in quotes"),
    (
        {"env": [{"name": "A", "value": "", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}]},
        "spec.env[0]",
        "not both",
    ),
    ({"env": [{"name": "A", "valueFrom": {}}]}, "spec.env[0].valueFrom", "names one source"),
    ({"env": {"A": "1"}}, "spec.env", "must be a list, not an object"),
    ({"env": [None]}, "spec.env[0]", "must be an object, not null"),
    ({"envFrom": [{"prefix": "X"}]}, "spec.envFrom[0]", "configMapRef and secretRef"),
    ({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}, "spec.volumes[0]", "not offered"),
    ({"volumes": [{"name": "a"}]}, "spec.volumes[0]", "exactly one kind of volume"),
    (
        {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]},
        "spec.volumes[1].name",
        "duplicates an earlier item",
    ),
    (
        {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "big"}}]},
        "spec.volumes[0].emptyDir.sizeLimit",
        "'big' is not a quantity",
    ),
    ({"volumes": [{"name": "gati-tmp", "emptyDir": {}}]}, "spec.volumes[0]", "the operator"),
    (projected({}), "spec.volumes[0].projected.sources[0]", "exactly one of configMap, secret"),
    (
        projected({"downwardAPI": {"items": [{"path": "a"}]}}),
        "spec.volumes[0].projected.sources[0].downwardAPI.items[0]",
        "name what the file holds",
    ),
    (
        projected({"downwardAPI": {"items": [{"path": "a", **BOTH}]}}),
        "spec.volumes[0].projected.sources[0].downwardAPI.items[0]",
        "fieldRef or resourceFieldRef, not both",
    ),
    (
        {"volumeMounts": [{"name": "a", "mountPath": "/a"}]},
        "spec.volumeMounts[0].name",
        "each of volumeMounts names one of volumes",
    ),
    (
        {"volumes": [{"name": "a", "emptyDir": {}}], "volumeMounts": [MOUNT, MOUNT]},
        "spec.volumeMounts[1].mountPath",
        "duplicates an earlier item",
    ),
    (
        {"volumeMounts": [{"name": "a", "mountPath": "a:b"}]},
        "spec.volumeMounts[0].mountPath",
        "an absolute path without a colon",
    ),
    ({"podLabels": {"gati.dev/workload": "x"}}, "spec.podLabels[gati.dev/w", "operator's own"),
    ({"podLabels": {"app.kubernetes.io/name": "x"}}, "spec.podLabels[app", "operator's own"),
    ({"podLabels": {"a": "", "b": "not a value"}}, "spec.podLabels[b]", "not a valid label value"),
    ({"podLabels": {"a" * 64: ""}}, f"spec.podLabels[{'a' * 64}]", "is not a valid key"),
    ({"podAnnotations": {"a b": "x"}}, "spec.podAnnotations[a b]", "write for example team"),
    ({"nodeSelector": {"a b": "x"}}, "spec.nodeSelector[a b]", "is not a valid key"),
    ({"tolerations": [{}]}, "spec.tolerations[0]", "write operator: Exists with it"),
    (
        {"tolerations": [{"operator": "Exists", "value": "a"}]},
        "spec.tolerations[0]",
        "leave value out",
    ),
    (
        {"tolerations": [{"key": "a", "tolerationSeconds": 1}]},
        "spec.tolerations[0]",
        "effect: NoExecute only",
    ),
    (
        {"topologySpreadConstraints": [{**SPREAD, "minDomains": 2}]},
        "spec.topologySpreadConstraints[0]",
        "whenUnsatisfiable: DoNotSchedule only",
    ),
    (
        {"topologySpreadConstraints": [SPREAD, SPREAD]},
        "spec.topologySpreadConstraints[1]",
        "duplicates an earlier item",
    ),
    ({"imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy", "IfNotPresent"),
    ({"imagePullSecrets": [{}]}, "spec.imagePullSecrets[0].name", "is missing"),
    ({"security": {"runAsUser": 0}}, "spec.security", "runAsUser: 0 is root: write a uid of 1"),
    (
        {"probes": {"readiness": {"tcpSocket": {}, "grpc": {}}}},
        "spec.probes.readiness",
        "asks in one way",
    ),
    (
        {"probes": {"startup": {"successThreshold": 2}}},
        "spec.probes.startup.successThreshold",
        "must be 1",
    ),
    (
        {"probes": {"liveness": {"successThreshold": 2}}},
        "spec.probes.liveness.successThreshold",
        "must be 1",
    ),
]


@pytest.mark.parametrize(("change", "path", "why"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_an_invalid_spec_is_refused_with_path_and_remedy(change, path, why):
    with pytest.raises(Invalid) as refusal:
        resolve(handler(**change))
    assert refusal.value.path.startswith(path)
    assert why in refusal.value.why


@pytest.mark.parametrize(
    ("spec", "why"),
    [(None, "spec: is missing"), ([], "spec: must be an object, not a list"), (3, "not a number")],
)
def test_an_object_without_a_spec_is_refused(spec, why):
    with pytest.raises(Invalid, match=why):
        resolve({"metadata": {"name": "x"}, "spec": spec})


def parts(part=Part):
    for below in part.__subclasses__():
        yield below
        yield from parts(below)


def test_every_rule_of_the_schema_refuses_something_here_too():
    schema = structural_schema(GatiHandler)
    everywhere = [field for _, field, _ in fields(schema)]
    rules = {r["rule"]: r for f in everywhere for r in f.get("x-kubernetes-validations", ())}
    in_python = {rule.rule for part in parts() for _, _, rule in rules_of(part)}
    quantities = {rule for rule in rules if rule.startswith("isQuantity(string(self))")}
    assert rules.keys() - in_python == quantities, "decoded as Quantity"
    refused = {message(handler(**change)) for change, *_ in REFUSED}
    assert {r["message"] for rule, r in rules.items() if rule not in quantities} <= refused


def message(parent):
    with pytest.raises(Invalid) as refusal:
        resolve(parent)
    return refusal.value.why


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)

PATHS = [path for path, *_ in fields(structural_schema(GatiHandler)["properties"]["spec"])]
FIELDS = sorted({path for path in PATHS if path.isalpha()} - {"handlerPath"})
INNER = sorted({path.rpartition(".")[2].strip("[]{}") for path in PATHS if "." in path})
NESTED = st.recursive(
    JSON,
    lambda inner: (
        st.dictionaries(st.sampled_from(INNER), inner, max_size=4) | st.lists(inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(FIELDS), NESTED, max_size=5))
def test_any_value_of_a_field_is_read_or_refused(fields):
    with contextlib.suppress(Invalid):
        resolve(handler(**fields))


def version(**spec):
    return resolve(handler(**spec)).version


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
    [
        {"image": "other"},
        {"env": [{"name": "A"}]},
        {"config": {"A": "1"}},
        {"args": ["x"]},
        {"port": 1},
    ],
)
def test_a_made_version_changes_with_what_runs(change):
    assert version(**change) != version()


def test_a_made_version_ignores_the_spelling_of_quantities():
    one = version(resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}})
    assert one == version(resources={"limits": {"memory": "1Gi", "cpu": 1}})


def test_a_made_version_never_changes():
    """A release of the operator that computes another one restarts every such handler."""
    assert version() == "auto-ca6ccc2d"

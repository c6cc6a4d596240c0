"""What a handler becomes: golden objects, names and labels that fit, selectors that never meet."""

import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contract.demands import Seen
from contract.model import Object
from crds.part import ONE_WORD, matches
from gati import names
from gati.handler.controller import HandlerController
from gati.handler.resolve import resolve
from unit.gati_objects import NOW, child, children, handler, kinds, plan, planned, stamped

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?(\.[a-z0-9]{1,20}){0,4}", fullmatch=True)
LONG_NAMES = st.integers(50, 120).map(lambda length: "n" * length)
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
MEANT_EMPTY = {"emptyDir"}

FULL: Object = {
    "port": 8080,
    "config": {"LOG_LEVEL": "info", "EMPTY": ""},
    "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 4},
    "env": [
        {"name": "EMPTY", "value": ""},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ],
    "envFrom": [{"configMapRef": {"name": "shared"}, "prefix": None}],
    "command": ["node"],
    "args": [],
    "imagePullSecrets": [{"name": "registry"}],
    "volumes": [
        {"name": "cache", "emptyDir": {"sizeLimit": "1024Ki", "medium": ""}},
        {"name": "files", "configMap": {"name": "files", "items": None}},
    ],
    "volumeMounts": [{"name": "cache", "mountPath": "/cache", "readOnly": False, "subPath": ""}],
    "nodeSelector": {},
    "tolerations": [{"key": "gpu", "value": ""}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "podLabels": {"team": "shop"},
    "podAnnotations": {"note": "x"},
    "probes": {"readiness": {"grpc": {}}, "liveness": {"initialDelaySeconds": 0}},
}


def pod_spec(**spec):
    return child(plan(handler(**spec)), "Deployment")["spec"]["template"]["spec"]


def container(**spec):
    return pod_spec(**spec)["containers"][0]


@pytest.mark.parametrize("sample", ["gati-v1", "gati-v1alpha1"])
def test_the_samples_become_the_golden_manifests(sample):
    """After an intended change: UPDATE_GOLDEN=1 pytest tests/unit/test_gati_manifests.py."""
    parent = next(yaml.safe_load_all((EXAMPLES / f"{sample}.yaml").read_text()))
    parent["metadata"] |= {"uid": "the-uid", "namespace": "default", "generation": 1}
    wanted = plan(parent, default_image="registry.example/default:1")
    made = yaml.safe_dump_all([one.body for one in children(wanted)], sort_keys=True)
    golden = HERE / "golden" / f"{sample}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(made)
    assert made == golden.read_text()


def empties(value, path=""):
    if isinstance(value, dict):
        for key, item in value.items():
            if item is None or (item in ({}, []) and key not in MEANT_EMPTY):
                yield f"{path}.{key}"
            yield from empties(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from empties(item, f"{path}[{index}]")


@pytest.mark.parametrize("spec", [{}, FULL, {"security": {"profile": "Baseline"}}])
def test_no_manifest_holds_a_null_or_an_empty_map_or_list(spec):
    assert [path for one in children(plan(handler(**spec))) for path in empties(one.body)] == []


def test_values_that_the_api_server_drops_are_not_sent():
    full = container(**FULL)
    assert full["env"][0] == {"name": "EMPTY"}
    assert {"name": "cache", "mountPath": "/cache"} in full["volumeMounts"]
    assert "initialDelaySeconds" not in full["livenessProbe"]
    pod = pod_spec(**FULL)
    assert pod["tolerations"] == [{"key": "gpu"}]
    assert pod["volumes"][0] == {"name": "cache", "emptyDir": {"sizeLimit": "1Mi"}}


def test_defaults_inside_exchangeable_blocks_are_sent():
    full = container(**FULL)
    assert full["env"][1]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert full["readinessProbe"]["grpc"] == {"port": 8080, "service": ""}
    assert full["livenessProbe"]["httpGet"]["scheme"] == "HTTP"
    assert pod_spec(**FULL)["volumes"][1]["configMap"]["defaultMode"] == 0o644
    assert pod_spec()["serviceAccountName"] == "default"


@given(NAMES | LONG_NAMES)
def test_every_name_and_label_is_legal(name):
    made = plan(handler(name, config={"A": "1"}, autoscaling=FULL["autoscaling"]))
    for one in children(made):
        metadata = one.body["metadata"]
        assert DNS_LABEL.fullmatch(metadata["name"])
        assert all(LABEL_VALUE.fullmatch(value) for value in metadata["labels"].values())
        template = one.body.get("spec", {}).get("template", {"metadata": {"labels": {}}})
        assert all(LABEL_VALUE.fullmatch(v) for v in template["metadata"]["labels"].values())


@given(st.text(min_size=1, max_size=128).filter(matches(ONE_WORD)))
def test_the_version_label_is_legal_for_any_version(version):
    deployment = child(plan(handler(version=version)), "Deployment")
    assert LABEL_VALUE.fullmatch(deployment["metadata"]["labels"]["gati.dev/version"])
    assert deployment["metadata"]["annotations"]["gati.dev/version"] == version


@pytest.mark.parametrize("version", ["1.0.0+build.5", "tsv:1732186200-users-042"])
def test_a_version_that_is_not_a_label_is_whole_in_an_annotation(version):
    metadata = child(plan(handler(version=version)), "Deployment")["spec"]["template"]["metadata"]
    assert metadata["labels"]["gati.dev/version"] != version
    assert metadata["annotations"]["gati.dev/version"] == version


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


@given(NAMES | LONG_NAMES, NAMES | LONG_NAMES)
def test_two_handlers_of_one_version_never_share_pods(one, other):
    if one == other:
        return
    spec: Object = {"version": "v1", "replicas": 2}
    mine, theirs = plan(handler(one, **spec)), plan(handler(other, **spec))
    pods = child(theirs, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert not selects(child(mine, "Service")["spec"]["selector"], pods)
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert not selects(child(mine, kind)["spec"]["selector"]["matchLabels"], pods)


@given(LONG_NAMES)
def test_a_forged_shortened_name_is_another_handler(name):
    forged = names.handler_value(name)
    if forged != name:
        assert names.handler_value(forged) != forged


@pytest.mark.parametrize("kind", ["Deployment", "Service", "PodDisruptionBudget"])
def test_a_selector_matches_the_pods_of_every_version(kind):
    first, second = plan(handler(version="v1")), plan(handler(version="v2"))
    selector = child(first, kind)["spec"]["selector"]
    assert selector == child(second, kind)["spec"]["selector"]
    labels = child(second, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert selects(selector.get("matchLabels", selector), labels)


def test_a_new_version_writes_the_deployment_and_nothing_else():
    first = children(plan(handler(version="v1", config={"A": "1"})))
    second = children(plan(handler(version="v2", config={"A": "1"})))
    differing = {a.kind.kind for a, b in zip(first, second, strict=True) if a.body != b.body}
    assert differing == {"Deployment"}


def test_a_changed_path_rolls_no_pod():
    first, second = plan(handler(path="/a")), plan(handler(path="/b"))
    assert child(first, "Deployment") == child(second, "Deployment")
    assert child(second, "Service")["metadata"]["annotations"] == {"gati.dev/path": "/b"}


def test_every_child_belongs_to_the_handler():
    parent = handler(**FULL)
    for one in children(plan(parent)):
        (owner,) = stamped(parent, one)["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == ("uid-of-users", True)
        assert one.body["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "gati-operator"


def test_pods_keep_the_restricted_profile():
    pod = pod_spec()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_no_token_is_mounted_unless_an_account_is_named():
    assert pod_spec()["automountServiceAccountToken"] is False
    assert "automountServiceAccountToken" not in pod_spec(serviceAccountName="mine")


def test_a_read_only_root_comes_with_a_writable_tmp():
    mounts = container()["volumeMounts"]
    assert mounts == [{"name": "gati-tmp", "mountPath": "/tmp"}]
    own = {"volumes": [{"name": "t", "emptyDir": {}}]} | {
        "volumeMounts": [{"name": "t", "mountPath": "/tmp"}]
    }
    assert container(**own)["volumeMounts"] == own["volumeMounts"]
    assert "volumeMounts" not in container(security={"readOnlyRootFilesystem": False})


@pytest.mark.parametrize(("grace", "seconds"), [(30, 5), (10, 5), (8, 4), (2, 1)])
def test_a_terminating_pod_answers_for_a_while(grace, seconds):
    hook = container(terminationGracePeriodSeconds=grace)["lifecycle"]["preStop"]
    assert hook == {"sleep": {"seconds": seconds}}
    assert seconds < grace


DIGEST = f"sha256:{'0' * 64}"
PULL_POLICIES = [
    ("users", "Always"),
    ("users:latest", "Always"),
    ("users:1", "IfNotPresent"),
    ("users:latest-1", "IfNotPresent"),
    ("registry.example:5000/shop/users", "Always"),
    ("registry.example:5000/shop/users:latest", "Always"),
    ("registry.example:5000/shop/users:1", "IfNotPresent"),
    (f"users@{DIGEST}", "IfNotPresent"),
    (f"users:1@{DIGEST}", "IfNotPresent"),
    (f"users:latest@{DIGEST}", "Always"),
    (f"registry.example:5000/users@{DIGEST}", "IfNotPresent"),
]


@pytest.mark.parametrize(("image", "policy"), PULL_POLICIES)
def test_the_pull_policy_follows_the_tag_and_is_written_out(image, policy):
    assert container(image=image)["imagePullPolicy"] == policy
    assert container(image=image, imagePullPolicy="Never")["imagePullPolicy"] == "Never"


def test_the_pull_policy_follows_the_default_images_tag():
    wanted = plan(handler(image=None), default_image="users:latest")
    (found,) = child(wanted, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert found["imagePullPolicy"] == "Always"


def test_a_grace_period_of_0_has_no_wait_before_the_stop():
    assert "lifecycle" not in container(terminationGracePeriodSeconds=0)


def test_a_rolling_update_starts_a_pod_before_it_stops_one():
    strategy = child(plan(handler()), "Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"]["maxUnavailable"] == 0


def test_the_progress_deadline_stays_above_the_min_ready_seconds():
    spec = child(plan(handler(minReadySeconds=3600)), "Deployment")["spec"]
    assert spec["minReadySeconds"] == 3600
    assert spec["progressDeadlineSeconds"] == 4200


def test_a_deployment_without_min_ready_seconds_stays_as_it_was():
    spec = child(plan(handler()), "Deployment")["spec"]
    assert "minReadySeconds" not in spec
    assert spec["progressDeadlineSeconds"] == 600


def test_own_config_is_overridden_by_later_sources():
    wanted = plan(handler(config={"A": "1"}, envFrom=[{"secretRef": {"name": "s"}}]))
    assert child(wanted, "ConfigMap")["data"] == {"A": "1"}
    sources = child(wanted, "Deployment")["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    assert sources == [{"configMapRef": {"name": "handler-users"}}, {"secretRef": {"name": "s"}}]


@pytest.mark.parametrize(("replicas", "budget"), [(0, False), (1, False), (2, True)])
def test_a_disruption_budget_is_made_for_two_or_more(replicas, budget):
    wanted = plan(handler(replicas=replicas))
    assert ("PodDisruptionBudget" in kinds(wanted)) is budget


def test_a_spread_constraint_counts_the_handlers_own_pods():
    (constraint,) = pod_spec(**FULL)["topologySpreadConstraints"]
    assert constraint["labelSelector"] == {"matchLabels": {"gati.dev/workload": "handler-users"}}


def test_a_long_name_is_whole_in_an_annotation_of_the_pods():
    name = "n" * 100
    metadata = child(plan(handler(name)), "Deployment")["spec"]["template"]["metadata"]
    assert metadata["labels"]["gati.dev/handler"] != name
    assert metadata["annotations"]["gati.dev/handler"] == name


@given(st.dictionaries(st.from_regex(r"[A-Z]{1,8}", fullmatch=True), st.text(), max_size=4))
def test_two_plans_of_one_handler_are_equal(env):
    parent = handler(**FULL | {"env": [{"name": key, "value": env[key]} for key in env]})
    again = handler(**FULL | {"env": [{"name": key, "value": env[key]} for key in env]})
    controller = HandlerController()
    assert planned(controller, parent, Seen("shop"), NOW) == planned(
        controller, again, Seen("shop"), NOW
    )
    assert resolve(parent) == resolve(again)

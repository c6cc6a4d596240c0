"""A real API server accepts the CRDs, and refuses invalid objects with a message that helps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

from crds.documents import crds_yaml
from devcluster import Cluster
from devcluster.errors import DevclusterError
from gati.resources import API

ROOT = Path(__file__).parents[2]
CRDS = ("gatihandlers.gati.dev", "gatimodules.gati.dev", "gativersions.gati.dev")
VERSIONS = ("v1", "v1alpha1")

SAMPLES = [
    document
    for name in ("gati-v1.yaml", "gati-v1alpha1.yaml")
    for document in yaml.safe_load_all((ROOT / "examples" / name).read_text(encoding="utf-8"))
]


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Cluster:
    """The cluster with the CRDs as they are shipped; several workers may do this at once."""
    files = str(ROOT / "deploy/gati/crds")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", files)
    wait_until(lambda: all(conditions_of(cluster, name).get("Established") for name in CRDS))
    wait_until(lambda: all(is_published(cluster, version) for version in VERSIONS))
    return cluster


def conditions_of(cluster: Cluster, name: str) -> dict[str, str]:
    crd = json.loads(cluster.kubectl("get", "crd", name, "-o", "json"))
    found = crd.get("status", {}).get("conditions") or ()
    return {each["type"]: each["status"] for each in found if each["status"] == "True"}


def is_published(cluster: Cluster, version: str) -> bool:
    """Is the schema to be read by those who explain and validate? A moment later than it counts."""
    try:
        return "GatiVersion" in cluster.kubectl(
            "get", "--raw", f"/openapi/v3/apis/gati.dev/{version}"
        )
    except DevclusterError:
        return False


@pytest.fixture
def apply(served: Cluster, namespace: str) -> Callable[..., str]:
    """Applies one object to this test's namespace; raises DevclusterError with kubectl's message."""

    def run(document: dict, *flags: str) -> str:
        placed = {**document, "metadata": {**document["metadata"], "namespace": namespace}}
        return served.kubectl("apply", *flags, "-f", "-", input=json.dumps(placed))

    return run


def of(kind: str, **spec: object) -> dict:
    metadata = {"name": "users"}
    return {"apiVersion": "gati.dev/v1", "kind": kind, "metadata": metadata, "spec": spec}


def handler(**spec: object) -> dict:
    return of("GatiHandler", **spec)


@pytest.mark.parametrize("name", CRDS)
def test_the_crd_is_established_and_structural(served, name):
    assert set(conditions_of(served, name)) == {"Established", "NamesAccepted"}
    crd = json.loads(served.kubectl("get", "crd", name, "-o", "json"))
    assert crd["status"]["storedVersions"] == ["v1"]


def test_the_printed_stream_is_applied_without_a_change(served):
    answer = served.kubectl(
        "diff", "--server-side", "--force-conflicts", "-f", "-", input=crds_yaml(API)
    )
    assert answer == ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["metadata"]["name"])
def test_every_example_is_served_in_both_versions(served, namespace, apply, sample, version):
    apply({**sample, "apiVersion": f"gati.dev/{version}"}, "--validate=strict")
    for read in VERSIONS:
        resource = f"{sample['kind'].lower()}s.{read}.gati.dev"
        name = sample["metadata"]["name"]
        live = json.loads(served.kubectl("get", resource, name, "-n", namespace, "-o", "json"))
        assert live["apiVersion"] == f"gati.dev/{read}"
        assert live["spec"] == sample["spec"]


GOOD = {
    "path-only": handler(path="/a"),
    "path-of-v1alpha1-only": handler(handlerPath="/a"),
    "integers-as-quantities": handler(
        path="/a", resources={"requests": {"cpu": 1}, "limits": {"cpu": "1000m"}}
    ),
    "root-with-baseline": handler(path="/a", security={"runAsUser": 0, "profile": "Baseline"}),
    "tolerates-everything": handler(path="/a", tolerations=[{"operator": "Exists"}]),
    "stopped": handler(path="/a", replicas=0, suspend=True),
    "version-with-plus": handler(path="/a", version="1.0.0+build.5"),
    "version-with-colons": handler(path="/a", version="tsv:1732250000-users-001"),
    "volumes": handler(
        path="/a",
        volumes=[
            {"name": "a", "emptyDir": {}},
            {"name": "b", "projected": {"sources": [{"configMap": {"name": "x"}}]}},
        ],
        volumeMounts=[{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}],
    ),
    "probes": handler(
        path="/a",
        probes={
            "readiness": {"grpc": {}, "successThreshold": 2},
            "liveness": {"disabled": True},
            "startup": {},
        },
    ),
    "spread": handler(
        path="/a",
        topologySpreadConstraints=[
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
            }
        ],
    ),
    "module-without-anything": of("GatiModule"),
    "version-without-anything": of("GatiVersion"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_valid_object_is_accepted(apply, name):
    assert "created" in apply(GOOD[name], "--dry-run=server", "--validate=strict")


BAD = {
    "no-spec": (
        {k: v for k, v in handler().items() if k != "spec"},
        "spec: Required value",
    ),
    "no-path": (handler(replicas=1), "a handler needs a path: write for example path: /users"),
    "two-paths": (
        handler(path="/a", handlerPath="/a"),
        "path and handlerPath are two spellings of one field: write only path (gati.dev/v1) or",
    ),
    "relative-path": (handler(path="users"), "a path starts with '/'"),
    "port-0": (
        handler(path="/a", port=0),
        "spec.port in body should be greater than or equal to 1",
    ),
    "port-99999": (
        handler(path="/a", port=99999),
        "spec.port in body should be less than or equal to 65535",
    ),
    "replicas-below-0": (handler(path="/a", replicas=-1), "greater than or equal to 0"),
    "empty-image": (
        handler(path="/a", image=""),
        "write for example registry.example/users:v1.2.0",
    ),
    "min-above-max": (
        handler(path="/a", autoscaling={"enabled": True, "minReplicas": 5, "maxReplicas": 2}),
        "minReplicas is more than maxReplicas: lower minReplicas or raise maxReplicas",
    ),
    "no-max": (
        handler(path="/a", autoscaling={"enabled": True}),
        "autoscaling needs an upper bound: write maxReplicas beside enabled: true",
    ),
    "no-enabled": (
        handler(path="/a", autoscaling={"maxReplicas": 2}),
        "spec.autoscaling.enabled: Required value",
    ),
    "cpu-over-100": (
        handler(path="/a", autoscaling={"enabled": True, "maxReplicas": 2, "targetCPU": 101}),
        "less than or equal to 100",
    ),
    "no-quantity": (
        handler(path="/a", resources={"requests": {"cpu": "lots"}}),
        "not a quantity of 0 or more: write for example 500m or 2 (cpu)",
    ),
    "negative-quantity": (
        handler(path="/a", resources={"limits": {"memory": "-1Mi"}}),
        "not a quantity of 0 or more",
    ),
    "request-above-limit": (
        handler(path="/a", resources={"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}),
        "requests.cpu is more than limits.cpu: raise the limit or lower the request",
    ),
    "disk-request-above-limit": (
        handler(
            path="/a",
            resources={
                "requests": {"ephemeral-storage": "2Gi"},
                "limits": {"ephemeral-storage": "1Gi"},
            },
        ),
        "requests.ephemeral-storage is more than limits.ephemeral-storage",
    ),
    "unknown-resource": (
        handler(path="/a", resources={"requests": {"gpu": 1}}),
        'unknown field "spec.resources.requests.gpu"',
    ),
    "config-key": (handler(path="/a", config={"a-b": "x"}), "write letters, digits and _ only"),
    "value-and-source": (
        handler(
            path="/a",
            env=[{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}],
        ),
        "write value or valueFrom, not both",
    ),
    "no-source": (
        handler(path="/a", env=[{"name": "A", "valueFrom": {}}]),
        "valueFrom names one source",
    ),
    "variable-twice": (handler(path="/a", env=[{"name": "A"}, {"name": "A"}]), "Duplicate value"),
    "host-path": (
        handler(path="/a", volumes=[{"name": "a", "hostPath": {"path": "/"}}]),
        'unknown field "spec.volumes[0].hostPath"',
    ),
    "no-kind-of-volume": (
        handler(path="/a", volumes=[{"name": "a"}]),
        "write exactly one kind of volume",
    ),
    "own-volume": (
        handler(path="/a", volumes=[{"name": "gati-tmp", "emptyDir": {}}]),
        "choose another name",
    ),
    "mount-of-nothing": (
        handler(path="/a", volumeMounts=[{"name": "a", "mountPath": "/a"}]),
        "each of volumeMounts names one of volumes: add the volume or correct the name",
    ),
    "own-label": (
        handler(path="/a", podLabels={"gati.dev/workload": "x"}),
        "are the operator's own: use another prefix",
    ),
    "own-annotation": (
        handler(path="/a", podAnnotations={"app.kubernetes.io/name": "x"}),
        "are the operator's own: use another prefix",
    ),
    "illegal-label": (handler(path="/a", podLabels={"a b": "x"}), "write for example team"),
    "two-ways-to-probe": (
        handler(path="/a", probes={"readiness": {"grpc": {}, "tcpSocket": {}}}),
        "write one of httpGet, tcpSocket and grpc",
    ),
    "liveness-twice": (
        handler(path="/a", probes={"liveness": {"successThreshold": 2}}),
        "liveness.successThreshold must be 1",
    ),
    "root": (
        handler(path="/a", security={"runAsUser": 0}),
        "runAsUser: 0 is root: write a uid of 1 or more, or profile: Baseline",
    ),
    "toleration-of-nothing": (handler(path="/a", tolerations=[{}]), "write operator: Exists"),
    "free-pod-spec": (
        handler(path="/a", hostNetwork=True),
        'unknown field "spec.hostNetwork"',
    ),
    "weight-101": (of("GatiVersion", traffic=101), "less than or equal to 100"),
    "weight-101-of-v1alpha1": (of("GatiVersion", routingWeight=101), "less than or equal to 100"),
    "two-weights": (
        of("GatiVersion", traffic=1, routingWeight=1),
        "traffic and routingWeight are two spellings of one field",
    ),
    "two-versions": (
        of("GatiVersion", version="1", versionId="1"),
        "version and versionId are two spellings of one field",
    ),
    "no-time": (of("GatiVersion", timestamp="yesterday"), "must be of type date-time"),
    "two-names": (
        of("GatiModule", name="a", moduleName="a"),
        "name and moduleName are two spellings of one field",
    ),
    "module-type": (of("GatiModule", moduleType="python"), '"node", "oci", "wasm"'),
    "module-without-spec": (
        {k: v for k, v in of("GatiModule").items() if k != "spec"},
        "spec: Required value",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_object_is_refused_with_a_message(apply, name):
    document, message = BAD[name]
    with pytest.raises(DevclusterError) as refusal:
        apply(document, "--dry-run=server", "--validate=strict")
    assert message in str(refusal.value)


def test_explain_shows_descriptions_and_types(served):
    text = served.kubectl("explain", "gatihandler.spec.autoscaling")
    assert "Let the number of pods follow the load." in text
    assert "Percent of requests.cpu" in text
    assert "<integer>" in text
    assert "-required-" in text
    recursive = served.kubectl(
        "explain", "gh.spec", "--recursive", "--api-version=gati.dev/v1alpha1"
    )
    assert "handlerPath" in recursive


def test_kubectl_get_knows_the_short_names_and_the_category(served, namespace, apply):
    for sample in SAMPLES:
        apply(sample)
    table = served.kubectl("get", "gh,gm,gv", "-n", namespace)
    handlers, modules, versions = (part.splitlines()[0].split() for part in table.split("\n\n"))
    assert handlers == ["NAME", "VERSION", "READY", "DESIRED", "PHASE", "AGE"]
    assert modules == ["NAME", "TYPE", "RUNTIME", "PHASE", "AGE"]
    assert versions == ["NAME", "HANDLER", "VERSION", "WEIGHT", "ACTIVE", "PHASE", "AGE"]
    names = served.kubectl("get", "gati", "-n", namespace, "-o", "name").split()
    assert len(names) == len(SAMPLES)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_columns_find_both_spellings_in_either_version(served, namespace, apply, version):
    for sample in SAMPLES:
        apply(sample)
    handlers = served.kubectl(
        "get", f"gatihandlers.{version}.gati.dev", "-n", namespace, "-o", "wide", "--no-headers"
    )
    assert {line.split()[-1] for line in handlers.splitlines()} == {"/users/:id", "/api/users"}
    versions = served.kubectl(
        "get", f"gativersions.{version}.gati.dev", "-n", namespace, "--no-headers"
    )
    assert all("100" in line.split() for line in versions.splitlines())


def test_a_handler_without_replicas_can_be_scaled(served, namespace, apply):
    apply(handler(path="/a"))
    assert served.kubectl("scale", "gh", "users", "--replicas=4", "-n", namespace)
    path = "{.spec.replicas}"
    assert served.kubectl("get", "gh", "users", "-n", namespace, "-o", f"jsonpath={path}") == "4"


def test_the_scale_subresource_has_replicas_and_selector(served, namespace, apply):
    apply(handler(path="/a", replicas=2))
    status = {"status": {"replicas": 3, "selector": "gati.dev/workload=handler-users"}}
    served.kubectl(
        "patch", "gh", "users", "-n", namespace, "--subresource=status", "--type=merge",
        "-p", json.dumps(status),
    )  # fmt: skip
    scale = json.loads(
        served.kubectl("get", "gh", "users", "-n", namespace, "--subresource=scale", "-o", "json")
    )
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 3, "selector": "gati.dev/workload=handler-users"}


def test_the_status_is_written_only_through_its_subresource(served, namespace, apply):
    apply({**handler(path="/a"), "status": {"phase": "Running"}})
    assert served.kubectl("get", "gh", "users", "-n", namespace, "-o", "jsonpath={.status}") == ""


@pytest.fixture(scope="module")
def ruled(served: Cluster) -> Cluster:
    """The cluster with the shipped roles, once they are part of the cluster's own."""
    file = str(ROOT / "deploy/gati/rbac.yaml")
    served.kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
    for role, verb in (("view", "list"), ("edit", "create"), ("admin", "deletecollection")):
        wait_until(partial(has_right, served, role, verb))
    return served


def rights_on_handlers(cluster: Cluster, role: str) -> set[str]:
    rules = json.loads(cluster.kubectl("get", "clusterrole", role, "-o", "json"))["rules"]
    return {verb for rule in rules if "gatihandlers" in rule["resources"] for verb in rule["verbs"]}


def has_right(cluster: Cluster, role: str, verb: str) -> bool:
    return verb in rights_on_handlers(cluster, role)


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        ("view", [("list", "gatihandlers")], [("patch", "gatihandlers")]),
        (
            "edit",
            [("create", "gatihandlers"), ("patch", "gatihandlers/scale")],
            [("patch", "gatihandlers/status"), ("deletecollection", "gativersions")],
        ),
        (
            "admin",
            [("deletecollection", "gativersions"), ("patch", "gatihandlers/scale")],
            [("update", "gatimodules/status")],
        ),
    ],
)
def test_the_roles_of_the_cluster_reach_the_kinds(ruled, namespace, role, allowed, refused):
    ruled.kubectl(
        "create", "rolebinding", "r", f"--clusterrole={role}", "--user=someone", "-n", namespace
    )

    def can(verb: str, resource: str) -> bool:
        name, _, subresource = resource.partition("/")
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "someone",
                "resourceAttributes": {
                    "namespace": namespace,
                    "verb": verb,
                    "group": "gati.dev",
                    "resource": name,
                    "subresource": subresource,
                },
            },
        }
        answer = ruled.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(review))
        return json.loads(answer)["status"]["allowed"]

    for verb, resource in allowed:
        wait_until(partial(can, verb, resource))
    for verb, resource in refused:
        assert not can(verb, resource)


def test_the_api_server_takes_the_operators_deployment(ruled):
    file = str(ROOT / "deploy/gati/operator.yaml")
    answer = ruled.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", file)
    assert "gati-operator" in answer

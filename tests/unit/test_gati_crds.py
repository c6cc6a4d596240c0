"""The generated CRDs are valid for an API server, and the files match the types."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from commands.gati import cli
from commands.generate import generated_files, main, outdated
from contract.demands import Seen
from contract.plan import Right
from crds.documents import crd_documents, crds_yaml
from crds.schema import fields, structural_schema
from gati import operator
from gati.resources import API, RESOURCES
from gati.types import GROUP, STORAGE_VERSION
from reconciler.rights import rights
from unit.gati_objects import planned

ROOT = Path(__file__).parents[2]
LIMIT = 200_000

CRDS = [pytest.param(document, id=document["metadata"]["name"]) for document in crd_documents(API)]

V1 = [
    {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": {"name": "users-api"},
        "spec": {
            "path": "/users/:id",
            "replicas": 3,
            "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 10, "targetCPU": 70},
        },
    },
    {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiVersion",
        "metadata": {"name": "users-v2"},
        "spec": {
            "handler": "users-api",
            "timestamp": "2025-11-22T10:00:00Z",
            "active": True,
            "traffic": 100,
        },
    },
]

V1ALPHA1 = [
    {
        "apiVersion": "gati.dev/v1alpha1",
        "kind": "GatiHandler",
        "metadata": {"name": "user-handler", "namespace": "default"},
        "spec": {
            "handlerPath": "/api/users",
            "version": "v1.0.0",
            "replicas": 2,
            "image": "my-app:v1.0.0",
            "port": 3000,
            "resources": {
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"cpu": "500m", "memory": "512Mi"},
            },
        },
    },
    {
        "apiVersion": "gati.dev/v1alpha1",
        "kind": "GatiModule",
        "metadata": {"name": "db-module", "namespace": "default"},
        "spec": {
            "moduleName": "database",
            "moduleType": "node",
            "runtime": "node:20",
            "replicas": 1,
            "image": "db-module:v1.0.0",
            "port": 50051,
            "capabilities": ["network", "storage"],
        },
    },
    {
        "apiVersion": "gati.dev/v1alpha1",
        "kind": "GatiVersion",
        "metadata": {"name": "user-handler-v1", "namespace": "default"},
        "spec": {
            "versionId": "v1.0.0",
            "breaking": False,
            "routingWeight": 100,
            "transformers": [],
        },
    },
]


def read(path: str) -> list[dict]:
    return list(yaml.safe_load_all((ROOT / path).read_text(encoding="utf-8")))


# --- the examples ---


@pytest.mark.parametrize(
    ("path", "content"), [("examples/gati-v1.yaml", V1), ("examples/gati-v1alpha1.yaml", V1ALPHA1)]
)
def test_the_examples_have_not_changed_since_publication(path, content):
    assert read(path) == content


@pytest.mark.parametrize("sample", V1 + V1ALPHA1, ids=lambda sample: sample["metadata"]["name"])
def test_the_schema_has_every_field_of_the_examples(sample):
    kind = next(each for each in RESOURCES if each.kind.kind == sample["kind"])
    schema = structural_schema(kind.type)
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(sample, schema)
    assert set(sample["spec"]) <= set(schema["properties"]["spec"]["properties"])


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("GatiHandler", None),
        ("GatiHandler", {"path": "/a", "port": 0}),
        ("GatiHandler", {"path": "/a", "port": 65536}),
        ("GatiHandler", {"path": "/a", "replicas": -1}),
        ("GatiHandler", {"path": "/a", "autoscaling": {"maxReplicas": 2}}),
        ("GatiHandler", {"path": "/a", "autoscaling": {"enabled": True, "targetCPU": 101}}),
        ("GatiHandler", {"path": "/a", "security": {"profile": "Privileged"}}),
        ("GatiHandler", {"path": "/a", "config": {"A": 1}}),
        ("GatiModule", {"moduleType": "python"}),
        ("GatiVersion", {"traffic": 101}),
    ],
)
def test_the_schema_refuses_an_invalid_object(kind, spec):
    resource = next(each for each in RESOURCES if each.kind.kind == kind)
    document = {"metadata": {}} | ({} if spec is None else {"spec": spec})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, structural_schema(resource.type))


# --- the documents ---


@pytest.mark.parametrize("crd", CRDS)
def test_both_versions_have_one_schema_and_no_conversion(crd):
    spec = crd["spec"]
    v1, v1alpha1 = spec["versions"]
    assert (v1["name"], v1["served"], v1["storage"]) == ("v1", True, True)
    assert (v1alpha1["name"], v1alpha1["served"], v1alpha1["storage"]) == ("v1alpha1", True, False)
    assert v1["schema"] == v1alpha1["schema"]
    assert spec["conversion"] == {"strategy": "None"}
    assert "status" in v1["subresources"]


def test_the_names_are_what_users_type():
    names = {crd["spec"]["names"]["kind"]: crd["spec"]["names"] for crd in crd_documents(API)}
    assert {kind: (n["plural"], n["shortNames"], n["categories"]) for kind, n in names.items()} == {
        "GatiHandler": ("gatihandlers", ["gh"], ["gati"]),
        "GatiModule": ("gatimodules", ["gm"], ["gati"]),
        "GatiVersion": ("gativersions", ["gv"], ["gati"]),
    }


def test_the_runtime_reads_the_version_that_is_stored():
    assert {resource.kind.version for resource in RESOURCES} == {STORAGE_VERSION}


@pytest.mark.parametrize("crd", CRDS)
def test_the_schema_is_structural(crd):
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    text = json.dumps(schema)
    for word in ("$ref", "$defs", "title", "oneOf", "allOf", '"null"', '"additionalProperties": f'):
        assert word not in text
    for path, field, _ in fields(schema):
        if field.get("x-kubernetes-int-or-string"):
            assert field["anyOf"] == [{"type": "integer"}, {"type": "string"}]
            assert "type" not in field
        else:
            assert isinstance(field["type"], str), path
            assert "anyOf" not in field, path


@pytest.mark.parametrize("crd", CRDS)
def test_each_document_is_small_enough_for_client_side_apply(crd):
    assert len(json.dumps(crd)) < LIMIT


def test_the_scale_subresource_points_at_fields_that_exist():
    (handler,) = (crd for crd in crd_documents(API) if crd["spec"]["names"]["shortNames"] == ["gh"])
    for version in handler["spec"]["versions"]:
        paths = {f".{path}" for path, *_ in fields(version["schema"]["openAPIV3Schema"])}
        assert set(version["subresources"]["scale"].values()) <= paths


def test_the_yaml_stream_holds_the_same_documents():
    assert list(yaml.safe_load_all(crds_yaml(API))) == crd_documents(API)


# --- the generated files ---


def test_the_committed_files_are_what_the_types_say():
    assert outdated(ROOT) == []
    for name in generated_files():
        assert (ROOT / name).stat().st_size < LIMIT


@pytest.fixture
def written(tmp_path):
    result = CliRunner().invoke(main, ["--root", str(tmp_path)])
    assert (result.exit_code, result.output) == (0, "")
    return tmp_path


def check(root: Path) -> tuple[int, list[str]]:
    result = CliRunner().invoke(main, ["--check", "--root", str(root)])
    return result.exit_code, result.output.splitlines()


def test_the_check_is_silent_about_what_was_just_written(written):
    assert check(written) == (0, [])


@pytest.mark.parametrize("name", generated_files())
def test_the_check_names_a_file_that_was_changed_by_hand(written, name):
    path = written / name
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    code, (line,) = check(written)
    assert code == 1
    assert name in line
    assert "make generate" in line
    assert path.read_text(encoding="utf-8").endswith("\n\n")


def test_the_check_names_a_missing_file_and_a_stray_file(written):
    (written / "deploy/gati/crds/gatimodules.yaml").unlink()
    (written / "deploy/gati/crds/gatigone.yaml").write_text("kind: Gone\n", encoding="utf-8")
    code, (line,) = check(written)
    assert code == 1
    assert "gatimodules.yaml" in line
    assert "gatigone.yaml" in line


def test_the_reference_names_every_field():
    page = generated_files()["docs/reference/gati-crds.md"]
    for resource in RESOURCES:
        for path, field, _ in fields(structural_schema(resource.type)["properties"]["spec"]):
            if not path.endswith(("[]", "{}")):
                assert f"spec.{path}" in page
                assert field["description"].split("<")[0].split("|")[0] in page


# --- what the operator and its users may do ---


def rules_of(name: str, kind: str = "ClusterRole") -> set[Right]:
    (role,) = (
        document
        for document in read("deploy/gati/rbac.yaml")
        if (document["kind"], document["metadata"]["name"]) == (kind, name)
    )
    return {
        Right(group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_operator_has_exactly_its_controllers_rights():
    needed = rights(operator.controllers(operator.Settings()))
    assert rules_of("gati-operator") == set(needed)


def test_the_operator_holds_its_lease_in_its_own_namespace():
    assert rules_of("gati-operator-lease", "Role") == {
        Right("coordination.k8s.io", "leases", verb) for verb in ("get", "create", "update")
    }


def test_no_role_has_wildcards_secrets_or_escalation():
    for document in read("deploy/gati/rbac.yaml"):
        for rule in document.get("rules", ()):
            names = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert not names & {"*", "secrets", "escalate", "bind", "impersonate"}
            assert not any(name.startswith("*") for name in names)


def test_users_get_their_rights_through_the_roles_of_the_cluster():
    roles = {
        document["metadata"]["name"]: document["metadata"]["labels"]
        for document in read("deploy/gati/rbac.yaml")
        if document["kind"] == "ClusterRole"
    }
    for role in ("view", "edit", "admin"):
        assert roles[f"gati-{role}"][f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
    assert Right(GROUP, "gatihandlers/scale", "patch") in rules_of("gati-edit")
    assert {right.verb for right in rules_of("gati-view")} == {"get", "list", "watch"}
    for role in ("view", "edit", "admin"):
        writes = {r.resource for r in rules_of(f"gati-{role}") if r.verb in {"patch", "update"}}
        assert not any(resource.endswith("/status") for resource in writes)


def test_the_operators_pod_is_restricted():
    (deployment,) = read("deploy/gati/operator.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["serviceAccountName"] == "gati-operator"
    assert deployment["spec"]["template"]["metadata"]["labels"].items() >= (
        deployment["spec"]["selector"]["matchLabels"].items()
    )


def test_the_operator_accepts_the_arguments_of_its_pod():
    (deployment,) = read("deploy/gati/operator.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    command, *arguments = container["args"]
    context = cli.commands[command].make_context("gati-operator", arguments)
    assert context.params["health_address"] == ":8080"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports[container["readinessProbe"]["httpGet"]["port"]] == 8080


# --- a status the operator writes fits the schema ---


@pytest.mark.parametrize("sample", V1 + V1ALPHA1, ids=lambda sample: sample["metadata"]["name"])
def test_the_schema_allows_the_examples_statuses(sample):
    controller = next(
        each
        for each in operator.controllers(operator.Settings(default_image="app:1"))
        if each.kind.kind == sample["kind"]
    )
    metadata = {"namespace": "default", "uid": "1", "generation": 1} | sample["metadata"]
    parent = {**sample, "metadata": metadata}
    plan = planned(controller, parent, Seen("shop"), datetime(2026, 1, 1, tzinfo=UTC))
    resource = next(each for each in RESOURCES if each.kind == controller.kind)
    schema = structural_schema(resource.type)["properties"]["status"]
    jsonschema.validate(plan.status, schema)
    assert set(plan.status) <= set(schema["properties"])

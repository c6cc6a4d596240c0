"""Handlers of earlier releases: their specs, the versions made for them, digests of their children.

``golden/versions.json`` holds what the operator made of each spec when the row was recorded. A
later operator that makes anything else of one of them rewrites objects and restarts pods at the
upgrade, so a recorded row is never changed. ``python -m unit.recorded`` (with the folders
``tests`` and ``src`` on the path) adds rows for the fields that no row has yet.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from contract.demands import Seen
from contract.metadata import digest
from contract.model import Object
from contract.plan import Child
from crds.schema import fields, structural_schema
from gati.handler.controller import HandlerController
from gati.types import GatiHandler
from unit.gati_objects import IMAGE, NOW, key, planned, stamped

GOLDEN = Path(__file__).parent / "golden" / "versions.json"
EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS = 320

SCHEMA = structural_schema(GatiHandler)["properties"]["spec"]


def parent_of(spec: Object) -> Object:
    """The handler of a recorded spec, as the API server returns it."""
    metadata = {"name": "users", "namespace": "shop", "uid": "uid-of-users", "generation": 1}
    return {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": metadata,
        "spec": spec,
    }


def made_of(spec: Object) -> dict[str, Any] | None:
    """Version and children of a spec, new and over a live Deployment; None where it is invalid."""
    parent = parent_of(spec)
    controller = HandlerController(default_image=IMAGE)
    children = planned(controller, parent, Seen("shop"), NOW).children
    if children is None:
        return None
    deployment = next(child for child in children if child.kind.kind == "Deployment").body
    live = {**deployment, "spec": {**deployment["spec"], "replicas": 2}}
    seen = Seen("shop", children={key("Deployment", "handler-users"): live})
    later = planned(controller, parent, seen, NOW).children or ()
    return {
        "version": deployment["metadata"]["annotations"]["gati.dev/version"],
        "children": {child.kind.kind: _digest(child, parent) for child in children},
        "over a live one": {
            child.kind.kind: found
            for child in later
            if (found := _digest(child, parent)) not in {_digest(one, parent) for one in children}
        },
    }


def rows() -> list[dict[str, Any]]:
    """The recorded rows: each a spec and what was made of it."""
    found: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


def paths(spec: Object) -> set[str]:
    """The paths of the fields that a spec holds, list items as ``[]``, as the schema names them."""
    known = {path for path, *_ in fields(SCHEMA)}
    return {path for path in _paths(spec, "") if path in known}


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            at = f"{path}.{name}".lstrip(".")
            yield at
            yield from _paths(inner, at)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, f"{path}[]")


def _digest(child: Child, parent: Object) -> str:
    return digest(stamped(parent, child), 12)


# --- specs ---

QUANTITIES: tuple[Any, ...] = (
    "500m", "1000m", "1", 1, 2, "0.5", ".5", "1.50", "1024Mi", "1Gi", "0.5Gi", "1536Mi", "128Mi",
    "134217728", 268435456, "1e3", "12e0", "100n", "0", 0, "1k", "1500m", "64Mi", "5.",
)  # fmt: skip
WORDS = ("a", "users-1", "users.shop", "example.com/zone", "LOG_LEVEL", "v1.0.0+b5", "/etc/app")
ONE_OF = (
    ("path", "handlerPath"),
    ("value", "valueFrom"),
    ("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef"),
    ("configMapRef", "secretRef"),
    ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"),
    ("configMap", "secret", "downwardAPI"),
    ("fieldRef", "resourceFieldRef"),
    ("httpGet", "tcpSocket", "grpc"),
)
"""Of each of these groups a generated object holds at most one field."""

WRITTEN: tuple[Object, ...] = (
    {"path": "/users"},
    {"handlerPath": "/users"},
    {"path": "/users/:id", "image": "registry.example:5000/shop/users"},
    {"path": "/u", "image": "users@sha256:" + "0" * 64, "replicas": 0},
    {"path": "/u", "port": 3000, "replicas": 1, "suspend": False},
    {"path": "/u", "port": None, "resources": None, "env": None, "probes": None, "affinity": None},
    {"path": "/u", "resources": {"requests": None, "limits": {"cpu": None}}},
    {"path": "/u", "resources": {}, "env": [], "config": {}, "args": [], "security": {}},
    {"path": "/u", "resources": {"requests": {"cpu": 2}}},
    {"path": "/u", "resources": {"limits": {"memory": "64Mi"}}},
    {"path": "/u", "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}},
    {"path": "/u", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}},
    {"path": "/u", "resources": {"limits": {"ephemeral-storage": "0.5Gi"}}},
    {"path": "/u", "version": "1.0.0+build.5", "image": "users:latest"},
    {"path": "/u", "version": "tsv:1732186200-users-042"},
    {"path": "/u", "terminationGracePeriodSeconds": 0},
    {"path": "/u", "terminationGracePeriodSeconds": 3600},
    {"path": "/u", "security": {"profile": "Baseline"}},
    {"path": "/u", "security": {"profile": "Baseline", "runAsUser": 0, "fsGroup": 0}},
    {"path": "/u", "security": {"readOnlyRootFilesystem": False, "runAsGroup": 0}},
    {"path": "/u", "probes": {"readiness": {"disabled": True}, "startup": {}}},
    {"path": "/u", "probes": {"readiness": {"grpc": {"service": "s"}}, "startup": {"grpc": {}}}},
    {"path": "/u", "probes": {"readiness": {"tcpSocket": {}, "successThreshold": 2}}},
    {"path": "/u", "probes": {"liveness": {"initialDelaySeconds": 0, "httpGet": {"path": "/l"}}}},
    {"path": "/u", "probes": {"liveness": {"disabled": False, "successThreshold": 1}}},
    {"path": "/u", "autoscaling": {"enabled": True, "maxReplicas": 5}, "replicas": 9},
    {"path": "/u", "autoscaling": {"enabled": False, "minReplicas": 3}, "replicas": 3},
    {
        "path": "/u",
        "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 4, "targetCPU": 50},
    },
    {"path": "/u", "config": {"B": "2", "A": "", "LOG_LEVEL": "info"}},
    {"path": "/u", "env": [{"name": "A", "value": ""}, {"name": "B", "value": None}]},
    {
        "path": "/u",
        "env": [
            {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {
                "name": "D",
                "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1000m"}},
            },
            {
                "name": "C",
                "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": False}},
            },
            {
                "name": "S",
                "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}},
            },
        ],
    },
    {
        "path": "/u",
        "config": {"A": "1"},
        "envFrom": [
            {"prefix": "", "configMapRef": {"name": "c", "optional": True}},
            {"prefix": "X_", "secretRef": {"name": "s"}},
        ],
    },
    {
        "path": "/u",
        "volumes": [
            {"name": "e", "emptyDir": {}},
            {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Ki"}},
            {"name": "d", "emptyDir": {"medium": "", "sizeLimit": 1048576}},
            {"name": "c", "configMap": {"name": "c", "items": [], "optional": False}},
            {"name": "s", "secret": {"secretName": "s", "defaultMode": 256}},
            {"name": "p", "persistentVolumeClaim": {"claimName": "p", "readOnly": False}},
            {"name": "q", "persistentVolumeClaim": {"claimName": "q", "readOnly": True}},
            {
                "name": "j",
                "projected": {
                    "sources": [
                        {"configMap": {"name": "c", "items": [{"key": "k", "path": "p"}]}},
                        {"secret": {"name": "s", "optional": True}},
                        {
                            "downwardAPI": {
                                "items": [
                                    {"path": "a", "fieldRef": {"fieldPath": "metadata.uid"}},
                                    {
                                        "path": "b",
                                        "resourceFieldRef": {
                                            "resource": "limits.memory",
                                            "divisor": "1024Ki",
                                        },
                                        "mode": 256,
                                    },
                                ]
                            }
                        },
                        {"downwardAPI": {}},
                    ]
                },
            },
            {"name": "k", "projected": {"sources": [], "defaultMode": 0}},
        ],
        "volumeMounts": [
            {"name": "e", "mountPath": "/tmp/"},
            {"name": "c", "mountPath": "/c", "subPath": "", "readOnly": False},
            {"name": "c", "mountPath": "/d", "subPath": "x", "readOnly": True},
        ],
    },
    {"path": "/u", "imagePullPolicy": "Never", "imagePullSecrets": [{"name": "b"}, {"name": "a"}]},
    {"path": "/u", "serviceAccountName": "mine", "priorityClassName": "high"},
    {"path": "/u", "command": ["node", ""], "args": ["--x", ""]},
    {"path": "/u", "nodeSelector": {"zone": "", "a": "b"}},
    {"path": "/u", "tolerations": [{"operator": "Exists"}, {"key": "a", "value": ""}]},
    {
        "path": "/u",
        "tolerations": [
            {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 0},
            {"key": "c", "operator": "Equal", "value": None},
        ],
    },
    {"path": "/u", "affinity": {"nodeAffinity": {}}},
    {
        "path": "/u",
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}
            }
        },
    },
    {
        "path": "/u",
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "labelSelector": {"matchLabels": {}},
                            "namespaceSelector": {},
                            "namespaces": [],
                            "topologyKey": "kubernetes.io/hostname",
                        },
                    }
                ]
            }
        },
    },
    {
        "path": "/u",
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
            {
                "maxSkew": 2,
                "topologyKey": "host",
                "whenUnsatisfiable": "DoNotSchedule",
                "minDomains": 3,
                "nodeAffinityPolicy": "Ignore",
                "nodeTaintsPolicy": "Honor",
            },
        ],
    },
    {"path": "/u", "podLabels": {"team": "shop", "example.com/a": ""}, "podAnnotations": {"n": ""}},
)  # fmt: skip
"""Specs with every spelling that once had an effect of its own."""


def examples() -> Iterator[Object]:
    """The specs of the published examples."""
    for path in sorted(EXAMPLES.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document["kind"] == "GatiHandler":
                yield document["spec"]


def generated(seed: int) -> Object:
    """A spec with some of the fields of the schema; most are valid, some are not."""
    dice = random.Random(seed)
    names = sorted(SCHEMA["properties"].keys() - {"path", "handlerPath", "volumeMounts"})
    chosen = dice.sample(names, dice.randint(1, 6))
    if "volumes" in chosen:
        chosen.append("volumeMounts")
    spec: Object = {dice.choice(("path", "handlerPath")): dice.choice(("/", "/users", "/a/:id"))}
    for name in chosen:
        spec[name] = _value(SCHEMA["properties"][name], name, dice)
    for mount in spec.get("volumeMounts") or ():
        if spec["volumes"]:
            mount["name"] = dice.choice(spec["volumes"])["name"]
    return spec


def _value(schema: dict[str, Any], name: str, dice: random.Random) -> Any:
    if schema.get("x-kubernetes-int-or-string"):
        return dice.choice(QUANTITIES)
    if "enum" in schema:
        return dice.choice(schema["enum"])
    match schema["type"]:
        case "boolean":
            return dice.random() < 0.5
        case "integer":
            edges = (schema["minimum"], schema["minimum"] + 1, schema["maximum"])
            return dice.choice((*edges, dice.randint(schema["minimum"], schema["maximum"])))
        case "array":
            items = [_value(schema["items"], name, dice) for _ in range(dice.randint(0, 3))]
            for key in schema.get("x-kubernetes-list-map-keys", ()):
                for index, item in enumerate(items):
                    item[key] = f"/m{index}" if key == "mountPath" else f"n{index}"
            return items
        case "object" if "properties" in schema:
            return _object(schema, dice)
        case "object":
            keys = dice.sample(("A", "LOG_LEVEL", "team", "b"), dice.randint(0, 3))
            return {key: _value(schema["additionalProperties"], key, dice) for key in keys}
    words = [word for word in (*WORDS, "") if _fits(word, schema)]
    return dice.choice(words)


def _object(schema: dict[str, Any], dice: random.Random) -> Object:
    required = set(schema.get("required", ()))
    optional = sorted(schema["properties"].keys() - required)
    chosen = {name for name in optional if dice.random() < 0.5}
    for group in ONE_OF:
        if set(group) <= schema["properties"].keys():
            chosen = {*(chosen - set(group)), dice.choice(group)}
    made: Object = {}
    for name in sorted(required | chosen):
        null = name not in required and dice.random() < 0.05
        made[name] = None if null else _value(schema["properties"][name], name, dice)
    return made


def _fits(word: str, schema: dict[str, Any]) -> bool:
    return jsonschema.Draft7Validator(schema).is_valid(word)


def without_nulls(value: Any) -> Any:
    """The value as the API server stores it: a field that is null is not there."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value


def is_stored(spec: Object) -> bool:
    """Does the API server take the spec? By its schema, and by the rules that plans once ignored."""
    spec = without_nulls(spec)
    if not jsonschema.Draft7Validator(SCHEMA).is_valid(spec):
        return False
    scaling = spec.get("autoscaling", {})
    volumes = [volume.get("projected", {}) for volume in spec.get("volumes", ())]
    sources = [source for volume in volumes for source in volume.get("sources", ())]
    files = [item for one in sources for item in one.get("downwardAPI", {}).get("items", ())]
    return (
        scaling.get("minReplicas", 0) <= scaling.get("maxReplicas", 1000)
        and all(len(one) == 1 for one in sources)
        and all(len({"fieldRef", "resourceFieldRef"} & one.keys()) == 1 for one in files)
        and all(map(_is_toleration, spec.get("tolerations", ())))
        and all(
            "minDomains" not in one or one["whenUnsatisfiable"] == "DoNotSchedule"
            for one in spec.get("topologySpreadConstraints", ())
        )
    )


def _is_toleration(value: Object) -> bool:
    exists = value.get("operator") == "Exists"
    timed = "tolerationSeconds" in value
    return (
        ("key" in value or exists)
        and not ("value" in value and exists)
        and not (timed and value.get("effect") != "NoExecute")
    )


def specs() -> Iterator[Object]:
    """All specs of a recording: the examples, the written ones, then generated ones."""
    yield from examples()
    yield from (spec for spec in WRITTEN if is_stored(spec))
    for seed in range(10 * ROWS):
        spec = generated(seed)
        if is_stored(spec):
            yield spec


def record() -> None:
    """Adds rows: all where there are none, else those with a field that no row has."""
    found = rows() if GOLDEN.exists() else []
    covered = {path for row in found for path in paths(row["spec"])}
    wanted = 0 if found else ROWS
    for spec in specs():
        if len(found) < wanted or paths(spec) - covered:
            made = made_of(spec)
            if made is not None:
                covered |= paths(spec)
                found.append({"spec": spec, **made})
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in found)
    GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    record()

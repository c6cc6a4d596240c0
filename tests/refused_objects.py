"""Objects that a Kubernetes API server refuses or accepts, with its messages.

One table for two tests: without a cluster they are what ``crds.validation`` must answer, with a
cluster the API server is asked whether these are its messages.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def handler(**spec: Any) -> Object:
    """A GatiHandler; its spec holds a path and what is given."""
    return {
        "apiVersion": "gati.dev/v1",
        "kind": "GatiHandler",
        "metadata": {"name": "users"},
        "spec": {"path": "/users", **spec},
    }


REFUSED: dict[str, tuple[Object, list[str]]] = {
    "replicas-above-the-bound": (
        handler(replicas=5000),
        [
            "spec.replicas: Invalid value: 5000: spec.replicas in body should be less than or equal to 1000"
        ],
    ),
    "grace-period-above-the-bound": (
        handler(terminationGracePeriodSeconds=3601),
        [
            "spec.terminationGracePeriodSeconds: Invalid value: 3601: spec.terminationGracePeriodSeconds in body should be less than or equal to 3600"
        ],
    ),
    "failure-threshold-above-the-bound": (
        handler(probes={"readiness": {"failureThreshold": 2000}}),
        [
            "spec.probes.readiness.failureThreshold: Invalid value: 2000: spec.probes.readiness.failureThreshold in body should be less than or equal to 1000"
        ],
    ),
    "success-threshold-above-the-bound": (
        handler(probes={"readiness": {"successThreshold": 3000}}),
        [
            "spec.probes.readiness.successThreshold: Invalid value: 3000: spec.probes.readiness.successThreshold in body should be less than or equal to 1000"
        ],
    ),
    "service-account-with-a-space": (
        handler(serviceAccountName="Not Legal"),
        [
            "spec.serviceAccountName: Invalid value: \"Not Legal\": spec.serviceAccountName in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'"
        ],
    ),
    "priority-class-with-a-space": (
        handler(priorityClassName="BAD NAME"),
        [
            "spec.priorityClassName: Invalid value: \"BAD NAME\": spec.priorityClassName in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'"
        ],
    ),
    "autoscaling-above-the-bound": (
        handler(autoscaling={"enabled": True, "maxReplicas": 9000}),
        [
            "spec.autoscaling.maxReplicas: Invalid value: 9000: spec.autoscaling.maxReplicas in body should be less than or equal to 1000"
        ],
    ),
    "too-many-arguments": (
        handler(args=["a"] * 200),
        ["spec.args: Too many: 200: must have at most 128 items"],
    ),
    "toleration-with-an-unknown-operator": (
        handler(tolerations=[{"operator": "Foo"}]),
        [
            'spec.tolerations[0].operator: Unsupported value: "Foo": supported values: "Equal", "Exists"'
        ],
    ),
    "volume-with-a-space": (
        handler(volumes=[{"name": "Bad Name", "emptyDir": {}}]),
        [
            "spec.volumes[0].name: Invalid value: \"Bad Name\": spec.volumes[0].name in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'"
        ],
    ),
    "fraction-for-an-integer": (
        handler(port=5.5),
        [
            'spec.port: Invalid value: "number": spec.port in body must be of type integer: "number"',
            'Invalid value: "": Checked value must be of type integer (default format) in spec.port',
        ],
    ),
    "whole-fraction-that-a-rule-reads": (
        handler(autoscaling={"enabled": True, "maxReplicas": 3.0}),
        [
            'spec.autoscaling: Invalid value: "object": invalid data, expected int, got float64 evaluating rule: autoscaling needs an upper bound: write maxReplicas beside enabled: true'
        ],
    ),
    "whole-fraction-that-scale-reads": (
        handler(replicas=2.0),
        [
            ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: 2 is of the type float64, expected int64"
        ],
    ),
    "text-for-replicas": (
        handler(replicas="5"),
        [
            'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"',
            ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: 5 is of the type string, expected int64",
        ],
    ),
    "number-for-text": (
        handler(version=7222500),
        [
            'spec.version: Invalid value: "integer": spec.version in body must be of type string: "integer"'
        ],
    ),
    "fraction-for-a-quantity": (
        handler(resources={"requests": {"cpu": 0.5}}),
        [
            'spec.resources.requests.cpu: Invalid value: "number": spec.resources.requests.cpu in body must be of type integer,string: "number"',
            'Invalid value: "": "spec.resources.requests.cpu" must validate at least one schema (anyOf)',
            'spec.resources.requests.cpu: Invalid value: "number": spec.resources.requests.cpu in body must be of type integer: "number"',
            'Invalid value: "": Checked value must be of type integer (default format) in spec.resources.requests.cpu',
        ],
    ),
    "boolean-for-a-quantity": (
        handler(resources={"requests": {"cpu": True}}),
        [
            'spec.resources.requests.cpu: Invalid value: "boolean": spec.resources.requests.cpu in body must be of type integer,string: "boolean"',
            'Invalid value: "": "spec.resources.requests.cpu" must validate at least one schema (anyOf)',
            'spec.resources.requests.cpu: Invalid value: "boolean": spec.resources.requests.cpu in body must be of type integer: "boolean"',
        ],
    ),
    "negative-quantity": (
        handler(resources={"requests": {"memory": "-1Mi"}}),
        [
            'spec.resources.requests.memory: Invalid value: "-1Mi": not a quantity of 0 or more: write for example 500m or 2 (cpu), 128Mi or 1Gi (memory)'
        ],
    ),
    "request-above-the-limit": (
        handler(resources={"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}),
        [
            "spec.resources: Invalid value: requests.cpu is more than limits.cpu: raise the limit or lower the request"
        ],
    ),
    "quantity-of-33-characters": (
        handler(resources={"requests": {"cpu": "1" * 33}}),
        ["spec.resources.requests.cpu: Too long: may not be more than 32 bytes"],
    ),
    "null-in-a-list": (
        handler(args=["a", None]),
        [
            'spec.args[1]: Invalid value: "null": spec.args[1] in body must be of type string: "null"'
        ],
    ),
    "null-in-a-keyed-list": (
        handler(env=[None]),
        ['spec.env[0]: Invalid value: "null": spec.env[0] in body must be of type object: "null"'],
    ),
    "spec-that-is-null": ({**handler(), "spec": None}, ["spec: Required value"]),
    "spec-that-is-a-list": (
        {**handler(), "spec": []},
        [
            'spec: Invalid value: "array": spec in body must be of type object: "array"',
            ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: [] is of the type []interface {}, expected map[string]interface{}",
        ],
    ),
    "name-of-a-variable-given-twice": (
        handler(env=[{"name": "A"}, {"name": "A"}, {"name": "A"}]),
        ['spec.env[1]: Duplicate value: {"name":"A"}'],
    ),
    "constraint-given-twice": (
        handler(
            topologySpreadConstraints=[
                {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}
            ]
            * 2
        ),
        [
            'spec.topologySpreadConstraints[1]: Duplicate value: {"topologyKey":"z","whenUnsatisfiable":"ScheduleAnyway"}'
        ],
    ),
    "variable-without-a-name": (
        handler(env=[{"value": "1"}]),
        ["spec.env[0].name: Required value"],
    ),
    "empty-key-of-a-secret": (
        handler(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": ""}}}]),
        [
            'spec.env[0].valueFrom.secretKeyRef.key: Invalid value: "": spec.env[0].valueFrom.secretKeyRef.key in body should be at least 1 chars long'
        ],
    ),
    "too-many-entries": (
        handler(config={f"A{i}": "" for i in range(65)}),
        ["spec.config: Too many: 65: must have at most 64 items"],
    ),
    "other-case-of-a-word": (
        handler(imagePullPolicy="always"),
        [
            'spec.imagePullPolicy: Unsupported value: "always": supported values: "Always", "IfNotPresent", "Never"'
        ],
    ),
    "number-for-a-word": (
        handler(imagePullPolicy=3),
        [
            'spec.imagePullPolicy: Invalid value: "integer": spec.imagePullPolicy in body must be of type string: "integer"',
            'spec.imagePullPolicy: Unsupported value: 3: supported values: "Always", "IfNotPresent", "Never"',
        ],
    ),
    "129-characters-of-two-bytes": (
        handler(version="é" * 129),
        ["spec.version: Too long: may not be more than 128 bytes"],
    ),
    "line-break-at-the-end": (
        handler(priorityClassName="a\n"),
        [
            "spec.priorityClassName: Invalid value: \"a\\n\": spec.priorityClassName in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'"
        ],
    ),
    "no-path": (
        {**handler(), "spec": {"replicas": 1}},
        [
            "spec: Invalid value: a handler needs a path: write for example path: /users (or handlerPath: /users, the spelling of gati.dev/v1alpha1)"
        ],
    ),
    "two-spellings": (
        handler(handlerPath="/b"),
        [
            "spec: Invalid value: path and handlerPath are two spellings of one field: write only path (gati.dev/v1) or only handlerPath (gati.dev/v1alpha1)"
        ],
    ),
    "path-that-is-null": (
        handler(path=None),
        [
            "spec: Invalid value: a handler needs a path: write for example path: /users (or handlerPath: /users, the spelling of gati.dev/v1alpha1)"
        ],
    ),
    "key-of-config-with-a-dash": (
        handler(config={"a-b": "x", "A": "x"}),
        [
            "spec.config: Invalid value: each key of config becomes an environment variable: write letters, digits and _ only, and no digit first, for example LOG_LEVEL"
        ],
    ),
    "label-of-the-operator": (
        handler(podLabels={"gati.dev/workload": "x"}),
        [
            "spec.podLabels: Invalid value: keys that start with gati.dev/ or app.kubernetes.io/ are the operator's own: use another prefix"
        ],
    ),
    "mount-of-no-volume": (
        handler(volumeMounts=[{"name": "a", "mountPath": "/a"}]),
        [
            "spec: Invalid value: each of volumeMounts names one of volumes: add the volume or correct the name"
        ],
    ),
    "bound-broken-and-rule-broken": (
        handler(path="x", replicas=-1),
        [
            "spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0",
            ".spec.replicas: Invalid value: -1: should be a non-negative integer",
            "spec.path: Invalid value: \"x\": a path starts with '/' and holds no white space: write for example /users/:id",
        ],
    ),
    "name-in-capitals": (
        {**handler(), "metadata": {"name": "X"}},
        [
            "metadata.name: Invalid value: \"X\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    "no-name": (
        {**handler(), "metadata": {}},
        ["metadata.name: Required value: name or generateName is required"],
    ),
    "label-that-is-not-text": (
        {**handler(), "metadata": {"name": "x", "labels": {"a": 1}}},
        [
            'GatiHandler in version "v1" cannot be handled as a GatiHandler: json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string'
        ],
    ),
    "label-with-spaces": (
        {**handler(), "metadata": {"name": "x", "labels": {"a b": "c d"}}},
        [
            "metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "metadata.labels: Invalid value: \"c d\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ],
    ),
}
"""What is sent, and each refusal. Where one of them stops the reading of rules, the server says that
too; it is left out here."""

TAKEN: dict[str, tuple[Object, Object]] = {
    "null-is-absent": (
        handler(env=None, autoscaling=None, config={"A": None}, imagePullPolicy=None),
        {"path": "/users", "replicas": 1, "env": None, "autoscaling": None, "config": {}},
    ),
    "null-gets-the-default": (handler(replicas=None), {"path": "/users", "replicas": 1}),
    "unknown-fields-are-dropped": (
        handler(unknown=1, probes={"readiness": {"x": 1}}),
        {"path": "/users", "replicas": 1, "probes": {"readiness": {}}},
    ),
    "128-characters-of-two-bytes": (
        handler(version="é" * 128),
        {"path": "/users", "replicas": 1, "version": "é" * 128},
    ),
    "whole-fraction": (handler(port=80.0), {"path": "/users", "replicas": 1, "port": 80}),
    "quantities-in-many-spellings": (
        handler(resources={"requests": {"cpu": "1e3", "memory": "."}, "limits": {"cpu": "1k"}}),
        {
            "path": "/users",
            "replicas": 1,
            "resources": {"requests": {"cpu": "1e3", "memory": "."}, "limits": {"cpu": "1k"}},
        },
    ),
    "status-is-left-out": (
        {**handler(), "status": {"phase": 3}},
        {"path": "/users", "replicas": 1},
    ),
}
"""What is sent, and the spec that is stored."""

EVERY_PART = handler(
    path="/users/:id",
    version="v1.2.0",
    image="registry.example/users:v1",
    port=8080,
    replicas=2,
    suspend=False,
    autoscaling={"enabled": True, "minReplicas": 1, "maxReplicas": 5, "targetCPU": 50},
    resources={
        "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"},
        "limits": {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "2Gi"},
    },
    config={"LOG_LEVEL": "info"},
    env=[
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {
            "name": "C",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}},
        },
    ],
    envFrom=[{"configMapRef": {"name": "x"}}, {"secretRef": {"name": "y"}, "prefix": "P_"}],
    command=["/run"],
    args=["-v", "é"],
    imagePullPolicy="Always",
    imagePullSecrets=[{"name": "pull"}],
    serviceAccountName="acc",
    volumes=[
        {"name": "a", "emptyDir": {"sizeLimit": "1Gi"}},
        {
            "name": "b",
            "projected": {
                "sources": [
                    {"configMap": {"name": "x", "items": [{"key": "k", "path": "p"}]}},
                    {
                        "downwardAPI": {
                            "items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]
                        }
                    },
                ]
            },
        },
        {"name": "c", "secret": {"secretName": "s"}},
        {"name": "d", "persistentVolumeClaim": {"claimName": "p"}},
    ],
    volumeMounts=[
        {"name": "a", "mountPath": "/a"},
        {"name": "b", "mountPath": "/b", "readOnly": True},
    ],
    nodeSelector={"pool": "web"},
    tolerations=[
        {"operator": "Exists"},
        {
            "key": "k",
            "operator": "Equal",
            "value": "v",
            "effect": "NoExecute",
            "tolerationSeconds": 3,
        },
    ],
    affinity={
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"a": "b"}},
                }
            ]
        },
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
                ]
            }
        },
    },
    topologySpreadConstraints=[
        {
            "maxSkew": 1,
            "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "minDomains": 2,
        }
    ],
    priorityClassName="high",
    podLabels={"team": "x"},
    podAnnotations={"example.com/a": "b"},
    terminationGracePeriodSeconds=20,
    probes={
        "readiness": {"httpGet": {"path": "/ready"}, "periodSeconds": 3, "successThreshold": 2},
        "liveness": {"tcpSocket": {}},
        "startup": {"grpc": {}},
    },
    security={"profile": "Baseline", "runAsUser": 0},
)
"""A GatiHandler that the API server takes, with something in each part that a spec has."""

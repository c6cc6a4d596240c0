"""What a server adds to an object, and the fields that it lets nobody change.

An apply of the same intent must not look like a change, although the stored object has more
fields than were written: defaults, normal forms of quantities, allocated addresses.
"""

from __future__ import annotations

from contract.model import Kind, Object
from world.conformance.transcript import Transcript, config_map, scenario
from world.kinds import (
    AUTOSCALER,
    BUDGET,
    CONFIG_MAP,
    DEPLOYMENT,
    INGRESS,
    JOB,
    LEASE,
    LIMIT_RANGE,
    NETWORK_POLICY,
    QUOTA,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    body,
    deployment,
)

SELECTOR = {"matchLabels": {"app": "x"}}
POD_SPEC: Object = {
    "containers": [
        {
            "name": "main",
            "image": "app",
            "ports": [{"containerPort": 80, "hostPort": 0, "name": ""}],
            "env": [
                {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "EMPTY", "value": ""},
            ],
            "readinessProbe": {"tcpSocket": {"port": 80}, "initialDelaySeconds": 0},
            "resources": {"limits": {"cpu": "0.5", "memory": "1536Mi"}},
            "tty": False,
            "command": [],
        }
    ],
    "serviceAccountName": "default",
    "volumes": [
        {"name": "a", "configMap": {"name": "a"}},
        {"name": "b", "emptyDir": {"sizeLimit": "1024Mi"}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "x"}}]}},
        {"name": "d", "secret": {"secretName": "x"}},
    ],
    "nodeSelector": {},
    "tolerations": [],
}
TEMPLATE: Object = {"metadata": {"labels": {"app": "x"}}, "spec": POD_SPEC}


async def applied_twice(
    t: Transcript, kind: Kind, spec: Object | None = None, **top: object
) -> None:
    """The second apply of one intent is not a change."""
    obj = body(kind, "x", spec, **top)
    await t.apply(kind, obj).leaves("created")
    await t.apply(kind, obj).leaves("unchanged")


@scenario
async def a_workload_with_defaults_is_applied_once(t: Transcript) -> None:
    await applied_twice(
        t, DEPLOYMENT, {"selector": SELECTOR, "template": TEMPLATE, "paused": False}
    )
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
    stateful_set = {
        "selector": SELECTOR,
        "template": TEMPLATE,
        "serviceName": "x",
        "volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": claim}],
    }
    await applied_twice(t, STATEFUL_SET, stateful_set)
    template = {"spec": {**POD_SPEC, "restartPolicy": "Never"}}
    await applied_twice(t, JOB, {"template": template, "suspend": True})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    cpu = {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1000m"}}
    autoscaler = {
        "scaleTargetRef": target,
        "maxReplicas": 3,
        "metrics": [{"type": "Resource", "resource": cpu}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}},
    }
    await applied_twice(t, AUTOSCALER, autoscaler)
    await applied_twice(t, BUDGET, {"maxUnavailable": 1, "selector": SELECTOR})


@scenario
async def a_network_object_with_defaults_is_applied_once(t: Transcript) -> None:
    service = {"ports": [{"port": 80, "name": "http"}], "selector": {"a": "b"}}
    await applied_twice(t, SERVICE, service)
    policy = {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}
    await applied_twice(t, NETWORK_POLICY, policy)
    backend = {"service": {"name": "x", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    await applied_twice(t, INGRESS, {"rules": [{"host": "a.b", "http": {"paths": [path]}}]})


@scenario
async def a_limit_or_right_with_defaults_is_applied_once(t: Transcript) -> None:
    await applied_twice(t, SECRET, stringData={"a": "b"}, data={"c": "ZA=="})
    subjects = [
        {"kind": "ServiceAccount", "name": "x", "namespace": "default"},
        {"kind": "User", "name": "u"},
    ]
    role = {"apiGroup": ROLE_BINDING.group, "kind": "Role", "name": "x"}
    await applied_twice(t, ROLE_BINDING, roleRef=role, subjects=subjects)
    await applied_twice(t, QUOTA, {"hard": {"requests.cpu": "1000m", "limits.memory": "2048Mi"}})
    await applied_twice(
        t, LIMIT_RANGE, {"limits": [{"type": "Container", "default": {"cpu": "500m"}}]}
    )
    await applied_twice(t, LEASE, {"holderIdentity": "x", "leaseDurationSeconds": 15})


@scenario
async def a_service_keeps_its_cluster_ip(t: Transcript) -> None:
    ports = [{"port": 80, "name": "http"}]
    made = body(SERVICE, "s", {"ports": ports, "selector": {"a": "b"}})
    first = await t.apply(SERVICE, made).leaves("created")
    moved = body(SERVICE, "s", {"ports": [{"port": 81}], "selector": {"a": "b"}})
    await t.apply(SERVICE, moved).leaves("changed")
    spec = {"ports": ports, "selector": {"a": "c"}, "type": "NodePort"}
    await t.api.create(CONFIG_MAP, t.placed(CONFIG_MAP, config_map("moves-the-counters")))
    last = await t.replace(SERVICE, body(SERVICE, "s", spec)).leaves("changed")
    assert first["spec"]["clusterIP"] == last["spec"]["clusterIP"]
    headless = {"ports": ports, "clusterIP": "None", "selector": {"a": "b"}}
    await t.apply(SERVICE, body(SERVICE, "h", headless)).leaves("created")
    assert await t.value(SERVICE, "h", "spec", "clusterIP") == "None"
    selected = body(SERVICE, "h", {**headless, "selector": {"a": "c"}})
    await t.apply(SERVICE, selected).leaves("changed")
    bare = body(SERVICE, "n", {"ports": ports, "clusterIP": "None"})
    await t.apply(SERVICE, bare).leaves("created")
    external = {"type": "ExternalName", "externalName": "a.test"}
    await t.apply(SERVICE, body(SERVICE, "e", external)).leaves("created")


@scenario
async def an_empty_rule_list_is_a_change_at_each_apply(t: Transcript) -> None:
    policy = body(NETWORK_POLICY, "p", {"podSelector": {}, "policyTypes": ["Ingress"]})
    empty = {**policy, "spec": {**policy["spec"], "ingress": []}}
    await t.apply(NETWORK_POLICY, empty).leaves("created")
    await t.apply(NETWORK_POLICY, empty).leaves("changed")
    assert await t.value(NETWORK_POLICY, "p", "metadata", "generation") == 2
    await t.apply(NETWORK_POLICY, empty).leaves("changed")
    assert await t.value(NETWORK_POLICY, "p", "metadata", "generation") == 3
    await t.apply(NETWORK_POLICY, policy).leaves("changed")
    await t.apply(NETWORK_POLICY, policy).leaves("unchanged")
    await t.apply(NETWORK_POLICY, policy).leaves("unchanged")


@scenario
async def a_post_owns_the_defaults_too(t: Transcript) -> None:
    await t.create(DEPLOYMENT, deployment("d", replicas=2)).leaves("created")
    read = await t.live(DEPLOYMENT, "d")
    read["spec"]["template"]["spec"]["containers"][0]["image"] = "app:2"
    template = {"spec": {"template": read["spec"]["template"]}}
    await t.patch(DEPLOYMENT, "d", template).leaves("changed")
    await t.apply(DEPLOYMENT, deployment("d")).leaves("changed")


@scenario
async def immutable_fields_are_refused(t: Transcript) -> None:
    refused = "422 Invalid FieldValueInvalid"
    await t.apply(DEPLOYMENT, deployment("d")).leaves("created")
    other = deployment("d")
    other["spec"]["selector"] = {"matchLabels": {"app": "d", "more": "x"}}
    other["spec"]["template"]["metadata"]["labels"]["more"] = "x"
    await t.apply(DEPLOYMENT, other).leaves(f"{refused} spec.selector")

    def job(image: str) -> Object:
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}
        return body(JOB, "j", {"template": {"spec": pod}})

    await t.apply(JOB, job("a:1")).leaves("created")
    await t.apply(JOB, job("a:2")).leaves(f"{refused} spec.template")

    def binding(role: str) -> Object:
        reference = {"apiGroup": ROLE_BINDING.group, "kind": "Role", "name": role}
        return body(ROLE_BINDING, "b", roleRef=reference)

    await t.apply(ROLE_BINDING, binding("a")).leaves("created")
    await t.apply(ROLE_BINDING, binding("b")).leaves(f"{refused} roleRef")
    wrong = deployment("e")
    wrong["spec"]["selector"] = {"matchLabels": {"app": "z"}}
    await t.apply(DEPLOYMENT, wrong).leaves(f"{refused} spec.template.metadata.labels")

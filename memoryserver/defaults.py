"""Defaulting: the changes that the API server makes to an object before storing it. Pure.

It covers the changes that break naive comparisons: defaulted fields, canonical quantities, and
zeros and empty strings that are dropped; and only kinds that operators write.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any

from contract.model import Kind, Object
from crds.pruning import stored
from memoryserver.pod_defaults import (
    pod,
    set_defaults,
    spell_quantities,
    spell_resources,
    template,
)
from memoryserver.quantities import quantity
from memoryserver.shapes import is_built_in


def normalised(kind: Kind, obj: Object, schema: dict[str, Any] | None = None) -> Object:
    """``obj`` as the server stores it; the input is not changed."""
    if not is_built_in(kind):
        if not schema:
            return dict(_without_nulls(obj))
        return {**stored(obj, schema, root=True), "metadata": _without_nulls(obj["metadata"])}
    result: Object = _without_empties(obj, "", kind.kind)
    for fill in _FILLERS.get(kind.kind, ()):
        fill(result)
    return result


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {n: _without_nulls(child) for n, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_without_nulls(child) for child in value]
    return value


# Maps of strings: their empty values are kept.
_STRING_MAPS = frozenset(
    """labels annotations data stringData binaryData matchLabels nodeSelector parameters
    selector requests limits hard default defaultRequest min max""".split()  # noqa: SIM905 a word list
)
# Pointers in the server's Go types: an empty value differs from a missing one.
_KEPT_EMPTY = frozenset({"storageClassName", "ingressClassName", "type", "volumeName"})
_DROPPED_ZEROS = frozenset(
    """hostPort nodePort initialDelaySeconds minReadySeconds readOnly stdin stdinOnce tty
    hostNetwork hostPID hostIPC paused publishNotReadyAddresses""".split()  # noqa: SIM905 a word list
)


def _without_empties(value: Any, name: str, parent: str) -> Any:
    """The value without nulls, empty strings, lists and string maps, as by Go's ``omitempty``."""
    if isinstance(value, list):
        return [_without_empties(child, name, parent) for child in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for field, child in value.items():
        kept = _without_empties(child, field, name)
        if kept is None or (kept == [] and isinstance(child, list)):
            continue
        if kept == "" and name not in _STRING_MAPS and field not in _KEPT_EMPTY:
            continue
        if kept == {} and field in _STRING_MAPS - {"selector"}:
            continue
        if not kept and field in _DROPPED_ZEROS:
            continue
        result[field] = kept
    return result


# ---- defaults of the built-in kinds -----------------------------------------------------------


def _deployment(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    set_defaults(
        spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={}
    )
    _rolling(spec["strategy"], maxUnavailable="25%", maxSurge="25%")


def _rolling(strategy: Object, **values: Any) -> None:
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        set_defaults(strategy.setdefault("rollingUpdate", {}), **values)


def _stateful_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    set_defaults(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    _rolling(spec.setdefault("updateStrategy", {}), partition=0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    set_defaults(retention, whenDeleted="Retain", whenScaled="Retain")
    for claim in spec.get("volumeClaimTemplates", ()):
        set_defaults(claim, apiVersion="v1", kind="PersistentVolumeClaim")
        _claim(claim)


def _daemon_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("revisionHistoryLimit", 10)
    _rolling(spec.setdefault("updateStrategy", {}), maxUnavailable=1, maxSurge=0)


def _job_spec(spec: Object) -> None:
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    set_defaults(
        spec,
        parallelism=1,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        podReplacementPolicy="TerminatingOrFailed",
        manualSelector=False,
    )


def _job(obj: Object) -> None:
    spec, metadata = obj.setdefault("spec", {}), obj["metadata"]
    _job_spec(spec)
    if metadata.get("uid") and not spec["manualSelector"]:
        own = {
            f"{prefix}{name}": value
            for prefix in ("batch.kubernetes.io/", "")
            for name, value in (("controller-uid", metadata["uid"]), ("job-name", metadata["name"]))
        }
        uid_label = "batch.kubernetes.io/controller-uid"
        spec.setdefault("selector", {"matchLabels": {uid_label: metadata["uid"]}})
        template = spec.setdefault("template", {}).setdefault("metadata", {})
        template["labels"] = (template.get("labels") or {}) | own
        if not metadata.get("labels"):
            metadata["labels"] = dict(template["labels"])


def _cron_job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    set_defaults(spec, concurrencyPolicy="Allow", suspend=False)
    set_defaults(spec, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    job = spec.setdefault("jobTemplate", {})
    job.setdefault("metadata", {})
    template(job)


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    set_defaults(spec, type="ClusterIP", sessionAffinity="None")
    for port in spec.get("ports", ()):
        set_defaults(port, protocol="TCP", targetPort=port.get("port"))
    if spec["type"] != "ExternalName":
        # Headless and without selector: the endpoints may have either family.
        both = spec.get("clusterIP") == "None" and not spec.get("selector")
        set_defaults(spec, ipFamilies=["IPv4", "IPv6"] if both else ["IPv4"])
        set_defaults(spec, ipFamilyPolicy="RequireDualStack" if both else "SingleStack")
        set_defaults(spec, internalTrafficPolicy="Cluster")
        if "clusterIP" in spec:
            spec.setdefault("clusterIPs", [spec["clusterIP"]])
    if spec["type"] in {"LoadBalancer", "NodePort"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _autoscaler(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    behavior = spec.get("behavior")
    if behavior is not None:
        percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
        up, down = behavior.setdefault("scaleUp", {}), behavior.setdefault("scaleDown", {})
        set_defaults(up, stabilizationWindowSeconds=0, selectPolicy="Max")
        set_defaults(
            up, policies=[{"type": "Pods", "value": 4, "periodSeconds": 15}, dict(percent)]
        )
        set_defaults(down, selectPolicy="Max", policies=[dict(percent)])
    for metric in spec.get("metrics", ()):
        for source in metric.values():
            target = source.get("target", {}) if isinstance(source, dict) else {}
            for name in ("value", "averageValue"):
                if name in target:
                    target[name] = quantity(target[name])


def _network_policy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    egress = ["Egress"] if spec.get("egress") else []
    spec.setdefault("policyTypes", ["Ingress", *egress])
    for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
        for port in rule.get("ports", ()):
            port.setdefault("protocol", "TCP")


def _secret(obj: Object) -> None:
    obj.setdefault("type", "Opaque")
    for name, text in obj.pop("stringData", {}).items():
        obj.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()


def _namespace(obj: Object) -> None:
    labels = obj["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")


def _claim(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    spell_resources(spec.setdefault("resources", {}))
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def _quota(obj: Object) -> None:
    spell_quantities(obj.get("spec", {}).get("hard"))


def _limit_range(obj: Object) -> None:
    for limit in obj.get("spec", {}).get("limits", ()):
        for name in ("min", "max", "default", "defaultRequest"):
            spell_quantities(limit.get(name))
        if limit.get("type") == "Container":
            default = (limit.get("max") or {}) | (limit.get("default") or {})
            request = (
                (default or {}) | (limit.get("min") or {}) | (limit.get("defaultRequest") or {})
            )
            for name, value in (("default", default), ("defaultRequest", request)):
                if value:
                    limit[name] = value


def _binding(obj: Object) -> None:
    obj.get("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
    for subject in obj.get("subjects", ()):
        if subject.get("kind") != "ServiceAccount":
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


_FILLERS: dict[str, Iterable[Callable[[Object], None]]] = {
    "Deployment": (_deployment, template),
    "ReplicaSet": (lambda obj: set_defaults(obj.setdefault("spec", {}), replicas=1), template),
    "StatefulSet": (_stateful_set, template),
    "DaemonSet": (_daemon_set, template),
    "Job": (_job, template),
    "CronJob": (
        _cron_job,
        lambda obj: template(obj["spec"]["jobTemplate"]),
    ),
    "Pod": (pod,),
    "Service": (_service,),
    "HorizontalPodAutoscaler": (_autoscaler,),
    "NetworkPolicy": (_network_policy,),
    "Secret": (_secret,),
    "Namespace": (_namespace,),
    "PersistentVolumeClaim": (_claim,),
    "ResourceQuota": (_quota,),
    "LimitRange": (_limit_range,),
    "RoleBinding": (_binding,),
    "ClusterRoleBinding": (_binding,),
}

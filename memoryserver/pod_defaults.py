"""Defaulting of pods and pod templates. The functions change the given object."""

from __future__ import annotations

from typing import Any

from contract.model import Object
from memoryserver.quantities import quantity


def set_defaults(target: Object, **values: Any) -> None:
    for name, value in values.items():
        target.setdefault(name, value)


def spell_quantities(target: Object | None) -> None:
    for name, value in (target or {}).items():
        target[name] = quantity(value)  # type: ignore[index]


def spell_resources(resources: Object) -> None:
    spell_quantities(resources.get("limits"))
    spell_quantities(resources.get("requests"))


def _probe(probe: Object) -> None:
    set_defaults(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
    if "httpGet" in probe:
        set_defaults(probe["httpGet"], path="/", scheme="HTTP")


def _container(container: Object) -> None:
    name, _, digest = container.get("image", "").partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    latest = tag == "latest" or not (tag or digest)
    set_defaults(
        container,
        imagePullPolicy="Always" if latest else "IfNotPresent",
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    spell_resources(container["resources"])
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _probe(container[name])
    for hook in container.get("lifecycle", {}).values():
        if "httpGet" in hook:
            set_defaults(hook["httpGet"], path="/", scheme="HTTP")
    for variable in container.get("env", ()):
        source = variable.get("valueFrom", {})
        if "fieldRef" in source:
            source["fieldRef"].setdefault("apiVersion", "v1")
        if "resourceFieldRef" in source:
            source["resourceFieldRef"].setdefault("divisor", "0")


def _volume(volume: Object) -> None:
    for source in ("configMap", "secret", "projected", "downwardAPI"):
        if source in volume:
            volume[source].setdefault("defaultMode", 420)
    if "sizeLimit" in volume.get("emptyDir", {}):
        volume["emptyDir"]["sizeLimit"] = quantity(volume["emptyDir"]["sizeLimit"])
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def pod_spec(spec: Object) -> None:
    set_defaults(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    if "serviceAccountName" in spec:
        spec["serviceAccount"] = spec["serviceAccountName"]
    for name in ("initContainers", "containers"):
        for container in spec.get(name, ()):
            _container(container)
    for volume in spec.get("volumes", ()):
        _volume(volume)


def template(obj: Object) -> None:
    template = obj.get("spec", {}).get("template")
    if template is not None:
        template.setdefault("metadata", {})
        pod_spec(template.setdefault("spec", {}))


def pod(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    pod_spec(spec)
    for container in spec.get("containers", ()):
        # In pods only: a pod template keeps its requests.
        if limits := container["resources"].get("limits"):
            requests = container["resources"].get("requests") or {}
            container["resources"]["requests"] = limits | requests
    set_defaults(spec, priority=0, enableServiceLinks=True, preemptionPolicy="PreemptLowerPriority")
    obj.setdefault("status", {}).setdefault("phase", "Pending")

"""Scenarios of GatiHandler: one handler, three in parallel, operator upgrades, races, rivals."""

from __future__ import annotations

import threading
import time
from typing import Any

from chaos.scenario import Scenario, Stage, Step
from contract.model import Object
from harness.objects import condition

WEB: dict[str, Any] = {
    "image": "web:v1.0.0",
    "version": "v1.0.0",
    "replicas": 1,
    "config": {"GREETING": "hello"},
    "env": [
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "canary", "key": "password"}}}
    ],
}
UPDATED = WEB | {"image": "web:v1.1.0", "version": "v1.1.0"}
SCALED = UPDATED | {"replicas": 2}
AUTOSCALED = SCALED | {
    "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 4, "targetCPU": 70}
}
CHILD = "handler-web"


def _image(stage: Stage, name: str = CHILD) -> str:
    found = stage.get("deployments", name)
    return "" if found is None else found["spec"]["template"]["spec"]["containers"][0]["image"]


def _reason(stage: Stage, name: str, kind: str = "Ready") -> str:
    found = stage.get("gatihandlers", name)
    current = (found or {}).get("metadata", {}).get("generation", 0) >= stage.memory.get(name, 1)
    shown = condition(found, kind)
    observed = found and shown.get("observedGeneration") == found["metadata"]["generation"]
    return shown.get("reason", "") if current and observed else ""


def _uid_before(stage: Stage, resource: str, name: str) -> str:
    """The uid of an object before the step's change; empty where there is no such object."""

    def uid() -> str:
        found = stage.objects.get(resource, name)
        return "" if found is None else found["metadata"]["uid"]

    return str(stage.remember(f"{resource}/{name}", uid))


def _is_new(stage: Stage, resource: str, name: str) -> bool:
    found = stage.get(resource, name)
    return found is not None and found["metadata"]["uid"] != stage.memory[f"{resource}/{name}"]


def _version(obj: Object) -> int:
    """The resource version as a number: versions are comparable (KEP-5504)."""
    return int(obj["metadata"]["resourceVersion"])


def _replicas(stage: Stage, name: str, count: int) -> bool:
    found = stage.get("gatihandlers", name) or {}
    return stage.is_ready(name) and found["status"].get("readyReplicas") == count


def _set_image(stage: Stage) -> Object:
    """Another field manager changes a field of the operator."""
    container = {"name": "handler", "image": "evil:latest"}
    spec = {"template": {"spec": {"containers": [container]}}}
    path = f"{stage.objects.path('deployments', CHILD)}?fieldManager=somebody"
    stage.memory["drifted"] = stage.objects.cluster.api.json(
        "PATCH", path, {"spec": spec}, "application/strategic-merge-patch+json"
    )["metadata"]["generation"]
    return {}


def _is_repaired(stage: Stage, image: str, replicas: int) -> bool:
    found = stage.get("deployments", CHILD) or {"metadata": {"generation": 0}}
    repaired = found["metadata"]["generation"] > stage.memory["drifted"]
    return repaired and _image(stage) == image and _replicas(stage, "web", replicas)


def _delete_service(stage: Stage) -> None:
    stage.objects.delete("services", CHILD, uid=_uid_before(stage, "services", CHILD))


_MANAGED_BY = "app.kubernetes.io/managed-by"


def _remove_ownership(stage: Stage) -> None:
    """Without its label the Deployment is DELETED for the operator's watch."""
    _uid_before(stage, "deployments", CHILD)
    patch = {"metadata": {"labels": {_MANAGED_BY: None}, "ownerReferences": None}}
    stage.memory["disowned"] = _version(stage.objects.merge("deployments", CHILD, patch))


def _ownership_is_back(stage: Stage) -> bool:
    found = stage.get("deployments", CHILD)
    return (
        found is not None
        and _version(found) > stage.memory["disowned"]
        and found["metadata"]["uid"] == stage.memory[f"deployments/{CHILD}"]
        and _MANAGED_BY in found["metadata"]["labels"]
        and "ownerReferences" in found["metadata"]
    )


def _without_times(status: Object) -> Object:
    """A comparable status: without transition times, conditions sorted by type."""
    conditions = [{**each, "lastTransitionTime": ""} for each in status.get("conditions") or ()]
    return {**status, "conditions": sorted(conditions, key=lambda each: str(each["type"]))}


def _wipe_status(stage: Stage) -> None:
    stage.remember(
        "status", lambda: _without_times(stage.objects.existing("gatihandlers", "web")["status"])
    )
    wiped = stage.objects.merge("gatihandlers", "web", {"status": None}, "status")
    stage.memory["wiped"] = _version(wiped)


def _status_is_back(stage: Stage) -> bool:
    """The status is derived from live objects, so the operator writes the same status again."""
    found = stage.get("gatihandlers", "web")
    return (
        found is not None
        and _version(found) > stage.memory["wiped"]
        and _without_times(found["status"]) == stage.memory["status"]
    )


def _create_conflict(stage: Stage) -> None:
    # The port has a name, so that the server would accept a second port by apply.
    ports = [{"name": "mine", "port": 9, "targetPort": 9}]
    metadata = {"name": "handler-api", "annotations": {"chaos/foreign": "a user's own"}}
    stage.objects.apply(
        "services",
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
    )
    stage.handler("api", **WEB)


def _resolve_conflict(stage: Stage) -> None:
    stage.objects.delete("services", "handler-api")
    stage.handler("api", **UPDATED)


def _gone(stage: Stage, name: str) -> bool:
    return stage.get("gatihandlers", name) is None and not stage.has_children(name)


def _scale_deployment(stage: Stage) -> None:
    """Scale the Deployment of a suspended handler, which the operator must not revert."""
    stage.objects.merge("deployments", CHILD, {"spec": {"replicas": 3}})


LIFE = Scenario(
    "handler-life",
    (
        Step("create", lambda s: s.handler("web", **WEB), lambda s: _replicas(s, "web", 1)),
        Step(
            "update",
            lambda s: s.handler("web", **UPDATED),
            lambda s: s.is_ready("web") and _image(s) == UPDATED["image"],
        ),
        Step("scale", lambda s: s.handler("web", **SCALED), lambda s: _replicas(s, "web", 2)),
        Step(
            "autoscale",
            lambda s: s.handler("web", **AUTOSCALED),
            lambda s: s.is_ready("web") and _reason(s, "web", "Autoscaled") != "",
        ),
        Step(
            "stop-autoscaling",
            lambda s: s.handler("web", **SCALED),
            lambda s: (
                s.is_ready("web")
                and s.get("horizontalpodautoscalers", CHILD) is None
                and _reason(s, "web", "Autoscaled") == ""
            ),
        ),
        Step("conflict", _create_conflict, lambda s: _reason(s, "api") == "NameConflict"),
        Step("resolve-conflict", _resolve_conflict, lambda s: _replicas(s, "api", 1)),
        Step(
            "delete-second",
            lambda s: s.objects.delete("gatihandlers", "api"),
            lambda s: _gone(s, "api"),
        ),
        Step("drift", _set_image, lambda s: _is_repaired(s, UPDATED["image"], 2)),
        Step("delete-service", _delete_service, lambda s: _is_new(s, "services", CHILD)),
        Step("remove-ownership", _remove_ownership, _ownership_is_back),
        Step("wipe-status", _wipe_status, _status_is_back),
        Step(
            "suspend",
            lambda s: s.handler("web", **SCALED, suspend=True),
            lambda s: _reason(s, "web", "Suspended") != "",
        ),
        Step(
            "change-while-suspended",
            _scale_deployment,
            lambda s: (s.get("gatihandlers", "web") or {})["status"]["readyReplicas"] == 3,
        ),
        Step("resume", lambda s: s.handler("web", **SCALED), lambda s: _replicas(s, "web", 2)),
        Step(
            "delete", lambda s: s.objects.delete("gatihandlers", "web"), lambda s: _gone(s, "web")
        ),
    ),
)

_TRIO = ("red", "green", "blue")


def _all(stage: Stage, **spec: Any) -> None:
    for name in _TRIO:
        stage.handler(name, **spec)


def _delete_deployments(stage: Stage) -> None:
    for name in _TRIO:
        _uid_before(stage, "deployments", f"handler-{name}")
        stage.objects.delete("deployments", f"handler-{name}")


def _delete_all(stage: Stage) -> None:
    for name in _TRIO:
        stage.objects.delete("gatihandlers", name)


THREE = Scenario(
    "three-handlers",
    (
        Step(
            "create",
            lambda s: _all(s, **WEB),
            lambda s: all(_replicas(s, name, 1) for name in _TRIO),
        ),
        Step(
            "update",
            lambda s: _all(s, **SCALED),
            lambda s: all(_replicas(s, name, 2) for name in _TRIO),
        ),
        Step(
            "delete-deployments",
            _delete_deployments,
            lambda s: all(
                _is_new(s, "deployments", f"handler-{name}") and _replicas(s, name, 2)
                for name in _TRIO
            ),
        ),
        Step("delete", _delete_all, lambda s: all(_gone(s, name) for name in _TRIO)),
    ),
)


def _is_written_by(stage: Stage, release: str) -> bool:
    """Do the Services have the label of the previous release, or not, as ``release`` writes?"""
    labels = [
        ((stage.get("services", f"handler-{name}") or {}).get("metadata") or {}).get("labels", {})
        for name in ("web", "api")
    ]
    previous = release == "previous"
    return all(("gati.dev/previous-release" in each) == previous for each in labels)


def _pod_templates(stage: Stage) -> list[Any]:
    """The pod templates of both handlers; a change restarts pods."""
    deployments = (stage.get("deployments", f"handler-{name}") for name in ("web", "api"))
    return [(each or {}).get("spec", {}).get("template") for each in deployments]


def _change_release(stage: Stage, name: str) -> None:
    stage.memory["templates"] = _pod_templates(stage)
    stage.release(name)


def _restarts_no_pod(stage: Stage) -> bool:
    return bool(stage.memory["templates"] == _pod_templates(stage))


def _has_upgraded(stage: Stage) -> bool:
    return _is_written_by(stage, "current") and _restarts_no_pod(stage)


def _delete_both(stage: Stage) -> None:
    for name in ("web", "api"):
        stage.objects.delete("gatihandlers", name)


def _create_both(stage: Stage) -> None:
    stage.handler("web", **SCALED)
    stage.handler("api", **WEB)


UPGRADE = Scenario(
    "operator-upgrade",
    (
        Step(
            "create-with-previous",
            _create_both,
            lambda s: (
                _is_written_by(s, "previous") and _replicas(s, "web", 2) and _replicas(s, "api", 1)
            ),
        ),
        Step("upgrade", lambda s: _change_release(s, "current"), _has_upgraded),
        Step(
            "downgrade",
            lambda s: _change_release(s, "previous"),
            lambda s: _is_written_by(s, "previous") and _restarts_no_pod(s),
        ),
        Step("upgrade-again", lambda s: _change_release(s, "current"), _has_upgraded),
        Step(
            "update",
            lambda s: s.handler("web", **(SCALED | {"image": "web:v2", "version": "v2"})),
            lambda s: _image(s) == "web:v2" and _replicas(s, "web", 2),
        ),
        Step(
            "delete",
            _delete_both,
            lambda s: _gone(s, "web") and _gone(s, "api"),
        ),
    ),
    prepare=lambda s: s.release("previous"),
)


def _edit_and_delete(stage: Stage) -> None:
    """Delete the handler while the operator reconciles an edit."""
    stage.handler("web", **UPDATED)
    time.sleep(0.5)
    stage.objects.delete("gatihandlers", "web")


def _replace_autoscaler(stage: Stage) -> None:
    """Replace the operator's autoscaler by a user's autoscaler of the same name."""
    stage.handler("web", **SCALED)
    time.sleep(0.5)
    if stage.objects.get("horizontalpodautoscalers", CHILD):
        stage.objects.delete("horizontalpodautoscalers", CHILD)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": CHILD}
    metadata = {"name": CHILD, "annotations": {"chaos/foreign": "a user's own"}}
    spec = {"minReplicas": 2, "maxReplicas": 3, "scaleTargetRef": target}
    stage.objects.create("horizontalpodautoscalers", {"metadata": metadata, "spec": spec})


EDITED_AND_DELETED = Scenario(
    "edited-and-deleted",
    (
        Step("create", lambda s: s.handler("web", **WEB), lambda s: _replicas(s, "web", 1)),
        Step("edit-and-delete", _edit_and_delete, lambda s: _gone(s, "web")),
        Step("wait", lambda _s: None, lambda s: _gone(s, "web")),
    ),
)
"""An object is deleted while an apply for it is in flight: the apply must not recreate it."""

AUTOSCALER_REPLACED = Scenario(
    "autoscaler-replaced",
    (
        Step("create", lambda s: s.handler("web", **AUTOSCALED), lambda s: _replicas(s, "web", 2)),
        Step(
            "replace-autoscaler",
            _replace_autoscaler,
            lambda s: s.is_ready("web") and _reason(s, "web", "Autoscaled") == "UsersAutoscaler",
        ),
        Step(
            "delete", lambda s: s.objects.delete("gatihandlers", "web"), lambda s: _gone(s, "web")
        ),
    ),
)
"""An object is replaced by a foreign one of the same name while its delete is in flight."""

IMAGES_REWRITTEN = Scenario(
    "images-rewritten",
    (
        Step(
            "create",
            lambda s: s.handler("web", **WEB),
            lambda s: _replicas(s, "web", 1) and _image(s) == f"mirror.local/{WEB['image']}",
        ),
        Step(
            "update",
            lambda s: s.handler("web", **UPDATED),
            lambda s: s.is_ready("web") and _image(s) == f"mirror.local/{UPDATED['image']}",
        ),
        Step(
            "drift",
            _set_image,
            lambda s: _is_repaired(s, f"mirror.local/{UPDATED['image']}", 1),
        ),
        Step(
            "delete", lambda s: s.objects.delete("gatihandlers", "web"), lambda s: _gone(s, "web")
        ),
    ),
)
"""With an admission webhook that rewrites every image to a mirror."""


DEPLOYMENT_REWRITTEN = Scenario(
    "deployment-rewritten",
    (
        Step("create", lambda s: s.handler("web", **WEB), lambda s: _replicas(s, "web", 1)),
        Step(
            "update",
            lambda s: s.handler("web", **UPDATED),
            lambda s: _replicas(s, "web", 1) and _image(s) == UPDATED["image"],
        ),
        Step(
            "delete", lambda s: s.objects.delete("gatihandlers", "web"), lambda s: _gone(s, "web")
        ),
    ),
    resources=("gatihandlers", "services", "configmaps"),
)
"""With an admission webhook that changes every write of a Deployment in another way."""


def _contest(stage: Stage) -> None:
    """A rival changes the image again after each repair of the operator."""
    stage.handler("web", **WEB)
    ended = stage.memory["contest-ended"] = threading.Event()

    def revert() -> None:
        while not ended.wait(0.05):
            if _image(stage) == WEB["image"]:
                _set_image(stage)

    threading.Thread(target=revert, daemon=True).start()


CONTESTED = Scenario(
    "contested",
    (
        Step("contest", _contest, lambda s: _reason(s, "web", "Contested") != ""),
        Step(
            "end-contest",
            lambda s: s.memory["contest-ended"].set(),
            lambda s: (
                _replicas(s, "web", 1)
                and _image(s) == WEB["image"]
                and _reason(s, "web", "Contested") == ""
            ),
        ),
        Step(
            "delete", lambda s: s.objects.delete("gatihandlers", "web"), lambda s: _gone(s, "web")
        ),
    ),
)
"""A rival field manager reverts every repair of a field."""

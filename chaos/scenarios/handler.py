"""GatiHandler: its whole life, three of them at once, and an upgrade of the operator below it."""

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
BUMPED = WEB | {"image": "web:v1.1.0", "version": "v1.1.0"}
SCALED = BUMPED | {"replicas": 2}
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
    told = condition(found, kind)
    fresh = found and told.get("observedGeneration") == found["metadata"]["generation"]
    return told.get("reason", "") if current and fresh else ""


def _remember(stage: Stage, resource: str, name: str) -> None:
    found = stage.objects.get(resource, name)
    stage.memory[f"{resource}/{name}"] = "" if found is None else found["metadata"]["uid"]


def _is_new(stage: Stage, resource: str, name: str) -> bool:
    found = stage.get(resource, name)
    return found is not None and found["metadata"]["uid"] != stage.memory[f"{resource}/{name}"]


def _version(obj: Object) -> int:
    """Where the object stands in the history of its control plane (KEP-5504: comparable)."""
    return int(obj["metadata"]["resourceVersion"])


def _replicas(stage: Stage, name: str, count: int) -> bool:
    found = stage.get("gatihandlers", name) or {}
    return stage.is_ready(name) and found["status"].get("readyReplicas") == count


def _set_image(stage: Stage) -> Object:
    """Somebody else's hand on a field of ours."""
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
    if not stage.again:
        _remember(stage, "services", CHILD)
    stage.objects.delete("services", CHILD, uid=stage.memory[f"services/{CHILD}"])


_MANAGED_BY = "app.kubernetes.io/managed-by"


def _strip_marks(stage: Stage) -> None:
    """Without its label the Deployment drops out of the operator's watch, as if deleted."""
    _remember(stage, "deployments", CHILD)
    patch = {"metadata": {"labels": {_MANAGED_BY: None}, "ownerReferences": None}}
    stage.memory["stripped"] = _version(stage.objects.merge("deployments", CHILD, patch))


def _marks_are_back(stage: Stage) -> bool:
    found = stage.get("deployments", CHILD)
    return (
        found is not None
        and _version(found) > stage.memory["stripped"]
        and found["metadata"]["uid"] == stage.memory[f"deployments/{CHILD}"]
        and _MANAGED_BY in found["metadata"]["labels"]
        and "ownerReferences" in found["metadata"]
    )


def _without_times(status: Object) -> Object:
    """A status as it can be compared: conditions are a map, and when they changed is a clock."""
    conditions = [{**each, "lastTransitionTime": ""} for each in status.get("conditions") or ()]
    return {**status, "conditions": sorted(conditions, key=lambda each: str(each["type"]))}


def _wipe_status(stage: Stage) -> None:
    if not stage.again:
        stage.memory["status"] = _without_times(
            stage.objects.existing("gatihandlers", "web")["status"]
        )
    wiped = stage.objects.merge("gatihandlers", "web", {"status": None}, "status")
    stage.memory["wiped"] = _version(wiped)


def _status_is_back(stage: Stage) -> bool:
    """All of it follows from what is there, so the same comes back as was wiped."""
    found = stage.get("gatihandlers", "web")
    return (
        found is not None
        and _version(found) > stage.memory["wiped"]
        and _without_times(found["status"]) == stage.memory["status"]
    )


def _clash(stage: Stage) -> None:
    # With a name of its own, so that the server would let another's port be added to it.
    ports = [{"name": "mine", "port": 9, "targetPort": 9}]
    metadata = {"name": "handler-api", "annotations": {"chaos/foreign": "a user's own"}}
    stage.objects.apply(
        "services",
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
    )
    stage.handler("api", **WEB)


def _unclash(stage: Stage) -> None:
    stage.objects.delete("services", "handler-api")
    stage.handler("api", **BUMPED)


def _gone(stage: Stage, name: str) -> bool:
    return stage.get("gatihandlers", name) is None and not stage.has_children(name)


def _scale_deployment(stage: Stage) -> None:
    """While the handler is suspended its Deployment is the user's to play with."""
    stage.objects.merge("deployments", CHILD, {"spec": {"replicas": 3}})


LIFE = Scenario(
    "handler-life",
    (
        Step("create", lambda s: s.handler("web", **WEB), lambda s: _replicas(s, "web", 1)),
        Step(
            "bump",
            lambda s: s.handler("web", **BUMPED),
            lambda s: s.is_ready("web") and _image(s) == BUMPED["image"],
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
        Step("clash", _clash, lambda s: _reason(s, "api") == "NameConflict"),
        Step("unclash", _unclash, lambda s: _replicas(s, "api", 1)),
        Step(
            "delete-second",
            lambda s: s.objects.delete("gatihandlers", "api"),
            lambda s: _gone(s, "api"),
        ),
        Step("drift", _set_image, lambda s: _is_repaired(s, BUMPED["image"], 2)),
        Step("lose-service", _delete_service, lambda s: _is_new(s, "services", CHILD)),
        Step("strip-marks", _strip_marks, _marks_are_back),
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


def _lose_deployments(stage: Stage) -> None:
    for name in _TRIO:
        _remember(stage, "deployments", f"handler-{name}")
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
            "bump",
            lambda s: _all(s, **SCALED),
            lambda s: all(_replicas(s, name, 2) for name in _TRIO),
        ),
        Step(
            "lose-deployments",
            _lose_deployments,
            lambda s: all(
                _is_new(s, "deployments", f"handler-{name}") and _replicas(s, name, 2)
                for name in _TRIO
            ),
        ),
        Step("delete", _delete_all, lambda s: all(_gone(s, name) for name in _TRIO)),
    ),
)


def _is_marked(stage: Stage, *, old: bool) -> bool:
    """Does the Service carry what only the previous release of the operator wrote?"""
    labels = [
        ((stage.get("services", f"handler-{name}") or {}).get("metadata") or {}).get("labels", {})
        for name in ("web", "api")
    ]
    return all(("gati.dev/previous-release" in each) == old for each in labels)


def _pods_of(stage: Stage) -> list[Any]:
    """What decides which pods run: a change of it would restart them."""
    deployments = (stage.get("deployments", f"handler-{name}") for name in ("web", "api"))
    return [(each or {}).get("spec", {}).get("template") for each in deployments]


def _change_release(stage: Stage, name: str) -> None:
    stage.memory["pods"] = _pods_of(stage)
    stage.release(name)


def _runs_on(stage: Stage) -> bool:
    return bool(stage.memory["pods"] == _pods_of(stage))


def _has_upgraded(stage: Stage) -> bool:
    return _is_marked(stage, old=False) and _runs_on(stage)


def _delete_both(stage: Stage) -> None:
    for name in ("web", "api"):
        stage.objects.delete("gatihandlers", name)


def _both(stage: Stage) -> None:
    stage.handler("web", **SCALED)
    stage.handler("api", **WEB)


UPGRADE = Scenario(
    "operator-upgrade",
    (
        Step(
            "create-with-the-previous",
            _both,
            lambda s: _is_marked(s, old=True) and _replicas(s, "web", 2) and _replicas(s, "api", 1),
        ),
        Step("upgrade", lambda s: _change_release(s, "current"), _has_upgraded),
        Step(
            "downgrade",
            lambda s: _change_release(s, "previous"),
            lambda s: _is_marked(s, old=True) and _runs_on(s),
        ),
        Step("upgrade-again", lambda s: _change_release(s, "current"), _has_upgraded),
        Step(
            "bump",
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
    """The user thinks better of it while the edit is still being carried out."""
    stage.handler("web", **BUMPED)
    time.sleep(0.5)
    stage.objects.delete("gatihandlers", "web")


def _replace_autoscaler(stage: Stage) -> None:
    """The user takes scaling over, with an autoscaler that has the name of the operator's."""
    stage.handler("web", **SCALED)
    time.sleep(0.5)
    if stage.objects.get("horizontalpodautoscalers", CHILD):
        stage.objects.delete("horizontalpodautoscalers", CHILD)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": CHILD}
    metadata = {"name": CHILD, "annotations": {"chaos/foreign": "a user's own"}}
    spec = {"minReplicas": 2, "maxReplicas": 3, "scaleTargetRef": target}
    stage.objects.create("horizontalpodautoscalers", {"metadata": metadata, "spec": spec})


HURRIED = Scenario(
    "edited-and-deleted",
    (
        Step("create", lambda s: s.handler("web", **WEB), lambda s: _replicas(s, "web", 1)),
        Step("edit-and-delete", _edit_and_delete, lambda s: _gone(s, "web")),
        Step("go-on", lambda _s: None, lambda s: _gone(s, "web")),
    ),
)
"""An object goes while a write for it is on its way: the write must not bring it back."""

TAKEN_OVER = Scenario(
    "autoscaler-taken-over",
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
"""An object is replaced by a foreign one of its name while its delete is on its way."""

MIRRORED = Scenario(
    "mirrored",
    (
        Step(
            "create",
            lambda s: s.handler("web", **WEB),
            lambda s: _replicas(s, "web", 1) and _image(s) == f"mirror.local/{WEB['image']}",
        ),
        Step(
            "bump",
            lambda s: s.handler("web", **BUMPED),
            lambda s: s.is_ready("web") and _image(s) == f"mirror.local/{BUMPED['image']}",
        ),
        Step(
            "drift",
            _set_image,
            lambda s: _is_repaired(s, f"mirror.local/{BUMPED['image']}", 1),
        ),
        Step(
            "delete", lambda s: s.objects.delete("gatihandlers", "web"), lambda s: _gone(s, "web")
        ),
    ),
)
"""Under an admission webhook that sends every image through a mirror."""


DISTORTED = Scenario(
    "distorted",
    (
        Step("create", lambda s: s.handler("web", **WEB), lambda s: _replicas(s, "web", 1)),
        Step(
            "bump",
            lambda s: s.handler("web", **BUMPED),
            lambda s: _replicas(s, "web", 1) and _image(s) == BUMPED["image"],
        ),
        Step(
            "delete", lambda s: s.objects.delete("gatihandlers", "web"), lambda s: _gone(s, "web")
        ),
    ),
    resources=("gatihandlers", "services", "configmaps"),
)
"""Under an admission webhook that makes something else of a Deployment at each write."""


def _fight(stage: Stage) -> None:
    """Somebody changes the image back as soon as the operator has repaired it."""
    stage.handler("web", **WEB)
    peace = stage.memory["peace"] = threading.Event()

    def fight() -> None:
        while not peace.wait(0.05):
            if _image(stage) == WEB["image"]:
                _set_image(stage)

    threading.Thread(target=fight, daemon=True).start()


CONTESTED = Scenario(
    "contested",
    (
        Step("fight", _fight, lambda s: _reason(s, "web", "Contested") != ""),
        Step(
            "peace",
            lambda s: s.memory["peace"].set(),
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
"""Somebody else insists on a field of ours."""

"""One table of what an API server does, run against the in-memory one and against a real one.

A scenario writes and reads through an ``Api`` and leaves a transcript: one word for what became
of each write, what it chose to look at, and every object that it wrote, field ownership included.
The table states the words; ``transcripts/`` holds the objects as a real server answered them, so
that the in-memory one is held to both without a cluster. To record them again, for a new release:
``RECORD_TRANSCRIPTS=1 pytest tests/cluster/test_memory_conformance.py``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.model import Kind, Object
from memoryserver.patches import clone
from reconciler.client.api import JSON_PATCH, MERGE_PATCH, Api, ApiError
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
    WIDGET,
    body,
    deployment,
)

MANAGER = "tester"
"""The field manager of POST, PUT and patches in every scenario."""

# Controllers of a real cluster write the status of these while a scenario runs.
_CONTROLLED = frozenset(
    {
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job",
        "PodDisruptionBudget",
        "ResourceQuota",
        "StatefulSet",
    }
)


@dataclass
class Transcript:
    """What happened in one scenario, by one server."""

    api: Api
    namespace: str
    words: list[Any] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)

    # ---- writes: each leaves a word and, where it succeeded, the object -------------------------

    async def apply(self, kind: Kind, obj: Object, manager: str = "one", **options: Any) -> Object:
        obj = self.placed(kind, obj)
        call = self.api.apply(kind, obj, manager=manager, **options)
        return await self._write(kind, obj["metadata"]["name"], call)

    async def create(self, kind: Kind, obj: Object) -> Object:
        obj = self.placed(kind, obj)
        return await self._write(kind, obj["metadata"].get("name", ""), self.api.create(kind, obj))

    async def replace(self, kind: Kind, obj: Object, subresource: str = "") -> Object:
        obj = self.placed(kind, obj)
        call = self.api.replace(kind, obj, subresource=subresource)
        return await self._write(kind, obj["metadata"]["name"], call)

    async def patch(self, kind: Kind, name: str, patch: Any, subresource: str = "") -> Object:
        content_type = JSON_PATCH if isinstance(patch, list) else MERGE_PATCH
        call = self.api.patch(
            kind, self.namespace, name, patch, content_type=content_type, subresource=subresource
        )
        return await self._write(kind, name, call, scale=subresource == "scale")

    async def delete(self, kind: Kind, name: str, *, uid: str = "", version: str = "") -> None:
        uid = uid or (await self.live(kind, name))["metadata"]["uid"]
        call = self.api.delete(kind, self.namespace, name, uid=uid, resource_version=version)
        try:
            await call
        except ApiError as error:
            self.words.append(word_of(error))
            return
        left = await self.api.get(kind, self.namespace, name)
        self.words.append("deleted" if left is None else "deleting")

    # ---- reading --------------------------------------------------------------------------------

    async def live(self, kind: Kind, name: str) -> Object:
        obj = await self.api.get(kind, self.namespace, name)
        assert obj is not None, f"{kind} {name} is missing after {self.words}"
        return obj

    async def look(self, kind: Kind, name: str, *path: str) -> None:
        """Take a value of the live object into the transcript."""
        value: Any = await self.live(kind, name)
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        self.words.append(value)

    async def events(self, kind: Kind, count: int, **watch: Any) -> None:
        """Take the next events of a watch into the transcript: type, name, labels."""
        seen: list[Any] = []
        async with aclosing(self.api.watch(kind, self.namespace, **watch)) as events:  # type: ignore[type-var]
            async with asyncio.timeout(10):
                async for event in events:
                    metadata = event.object["metadata"]
                    if event.type == "BOOKMARK":
                        end = (metadata.get("annotations") or {}).get("k8s.io/initial-events-end")
                        seen += [f"BOOKMARK {end}"] if end else []
                    else:
                        seen.append(f"{event.type} {metadata['name']} {metadata.get('labels', {})}")
                    if len(seen) == count:
                        break
        self.words += seen

    def placed(self, kind: Kind, obj: Object) -> Object:
        """A copy in this scenario's namespace."""
        obj = clone(obj)
        if kind.namespaced:
            obj["metadata"].setdefault("namespace", self.namespace)
        return obj

    async def _write(
        self, kind: Kind, name: str, call: Awaitable[Object], *, scale: bool = False
    ) -> Object:
        before = await self.api.get(kind, self.namespace, name) if name else None
        try:
            result = await call
        except ApiError as error:
            self.words.append(word_of(error))
            return {}
        if scale:  # the answer is a Scale
            result = await self.live(kind, name)
        shown, dry = cleaned(result), result.get("metadata", {})
        if before is None:
            self.words.append("created")
        elif kind.kind in _CONTROLLED:
            self.words.append("changed" if cleaned(before) != shown else "unchanged")
        else:
            moved = before["metadata"]["resourceVersion"] != dry["resourceVersion"]
            self.words.append("changed" if moved else "unchanged")
        self.objects.append(shown)
        return result


def word_of(error: ApiError) -> str:
    """An error as one line: its code, reason, and the reasons and fields of its causes."""
    causes = {f"{c.get('reason', '')} {c.get('field', '')}".strip() for c in error.causes}
    return " ".join([str(error.code), error.reason, *sorted(causes)]).strip()


def cleaned(obj: Object) -> Object:
    """An object without what differs from server to server and from run to run."""
    obj = clone(obj)
    metadata = obj["metadata"]
    own_uid = metadata.get("uid", "")
    owners = {
        f"{e['manager']} {e['operation']} {e.get('subresource', '')}".strip(): e["fieldsV1"]
        for e in metadata.pop("managedFields", None) or ()
        if e["manager"] != "kube-controller-manager"
    }
    for name in ("uid", "creationTimestamp", "deletionTimestamp"):
        if name in metadata:
            metadata[name] = "<set>"
    for name in ("namespace", "resourceVersion"):
        metadata.pop(name, None)
    for annotation in ("deployment.kubernetes.io/revision",):
        (metadata.get("annotations") or {}).pop(annotation, None)
    if not metadata.get("annotations"):
        metadata.pop("annotations", None)
    if obj["kind"] in _CONTROLLED:
        obj.pop("status", None)
    if obj["kind"] == "Service":
        spec = obj["spec"]
        if spec.get("clusterIP", "None") != "None":
            spec["clusterIP"], spec["clusterIPs"] = "<ip>", ["<ip>"]
        for port in spec.get("ports", ()):
            if "nodePort" in port:
                port["nodePort"] = "<port>"
    shown: Object = _without(obj, own_uid)
    return {**shown, "owners": _without(owners, own_uid)}


def _without(value: Any, uid: str) -> Any:
    if isinstance(value, dict):
        # The server writes nulls where its types have no omitempty.
        return {n: _without(child, uid) for n, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_without(child, uid) for child in value]
    return "<uid>" if uid and value == uid else value


@dataclass(frozen=True)
class Scenario:
    """A script and the transcript that every API server leaves of it."""

    name: str
    script: Callable[[Transcript], Awaitable[None]]
    words: tuple[Any, ...]

    @property
    def recorded(self) -> list[Object]:
        """The objects that a real server answered."""
        return list(json.loads(self._record.read_text()))

    def record(self, objects: list[Object]) -> None:
        """Keep what a real server answered."""
        text = json.dumps(objects, indent=1, sort_keys=True, ensure_ascii=False)
        self._record.write_text(f"{text}\n")

    @property
    def _record(self) -> Path:
        return Path(__file__).with_name("transcripts") / f"{self.name}.json"


SCENARIOS: list[Scenario] = []


def leaves(*words: Any) -> Callable[[Callable[[Transcript], Awaitable[None]]], None]:
    """Take a script into the table, with the words it leaves."""

    def take(script: Callable[[Transcript], Awaitable[None]]) -> None:
        SCENARIOS.append(Scenario(script.__name__, script, words))

    return take


def config_map(name: str = "x", /, **data: str) -> Object:
    return body(CONFIG_MAP, name, data=data) if data else body(CONFIG_MAP, name)


def with_metadata(obj: Object, **metadata: Any) -> Object:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


# ---- create, replace, delete ------------------------------------------------------------------


@leaves("created", "409 AlreadyExists", "500", "422 Invalid FieldValueInvalid metadata.name")
async def a_post_creates_once(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1"))
    await t.create(CONFIG_MAP, config_map(a="2"))
    await t.create(CONFIG_MAP, with_metadata(config_map("y"), resourceVersion="5"))
    await t.create(CONFIG_MAP, config_map("Not_Legal"))


@leaves("created", "changed", "unchanged", "409 Conflict", "409 Conflict", "404 NotFound")
async def a_put_is_guarded_by_version_and_uid(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1"))
    await t.replace(CONFIG_MAP, config_map(a="2"))
    await t.replace(CONFIG_MAP, config_map(a="2"))
    await t.replace(CONFIG_MAP, with_metadata(config_map(a="3"), resourceVersion="1"))
    await t.replace(CONFIG_MAP, with_metadata(config_map(a="3"), uid="another"))
    await t.replace(CONFIG_MAP, config_map("missing", a="1"))


@leaves("created", "changed", "409 Conflict", "changed")
async def a_put_of_what_was_read_is_accepted_once(t: Transcript) -> None:
    read = await t.create(CONFIG_MAP, config_map(a="1"))
    await t.replace(CONFIG_MAP, {**read, "data": {"a": "2"}})
    await t.replace(CONFIG_MAP, {**read, "data": {"a": "3"}})
    await t.replace(CONFIG_MAP, {**await t.live(CONFIG_MAP, "x"), "data": {"a": "3"}})


@leaves(
    "created",
    "422 Invalid FieldValueInvalid metadata.resourceVersion",
    "409 Conflict",
    "created",
    "422 Invalid FieldValueInvalid metadata.resourceVersion",
)
async def a_put_of_a_custom_resource_or_a_lease_needs_a_version(t: Transcript) -> None:
    await t.create(WIDGET, body(WIDGET, "w", {"size": "1"}))
    await t.replace(WIDGET, body(WIDGET, "w", {"size": "2"}))
    await t.replace(WIDGET, with_metadata(body(WIDGET, "w", {"size": "2"}), resourceVersion="1"))
    await t.create(LEASE, body(LEASE, "l", {"holderIdentity": "a"}))
    await t.replace(LEASE, body(LEASE, "l", {"holderIdentity": "b"}))


@leaves("created", "409 Conflict", "409 Conflict", "deleted", "404 NotFound")
async def a_delete_has_preconditions(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1"))
    await t.delete(CONFIG_MAP, "x", uid="another")
    await t.delete(CONFIG_MAP, "x", version="1")
    await t.delete(CONFIG_MAP, "x")
    await t.delete(CONFIG_MAP, "x", uid="another")


@leaves(
    "created",
    "deleting",
    2,
    "deleting",
    2,
    "422 Invalid FieldValueForbidden metadata.finalizers",
    "409 AlreadyExists",
    "changed",
    "unchanged",
    None,
)
async def finalizers_keep_an_object_that_is_deleted(t: Transcript) -> None:
    await t.create(WIDGET, body(WIDGET, "w", {}, metadata={"finalizers": ["a.test/b"]}))
    await t.delete(WIDGET, "w")
    await t.look(WIDGET, "w", "metadata", "generation")
    await t.delete(WIDGET, "w")
    await t.look(WIDGET, "w", "metadata", "generation")
    more = {"metadata": {"finalizers": ["a.test/b", "a.test/c"]}}
    await t.patch(WIDGET, "w", more)
    await t.create(WIDGET, body(WIDGET, "w", {}))
    await t.apply(WIDGET, body(WIDGET, "w", {"size": "1"}))
    # The last one: the answer has the version from before, the object is gone.
    await t.patch(WIDGET, "w", {"metadata": {"finalizers": None}})
    t.words.append(await t.api.get(WIDGET, t.namespace, "w"))


# ---- patches ------------------------------------------------------------------------------------


@leaves(
    "created",
    "422 Invalid",
    "changed",
    "422 Invalid",
    "422 Invalid",
    "400 BadRequest",
    "422 Invalid FieldValueInvalid metadata.uid",
    "409 Conflict",
    "changed",
    "unchanged",
    "404 NotFound",
)
async def a_json_patch_tests_and_fails_whole(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1"))
    failing = {"op": "test", "path": "/data/a", "value": "2"}
    change = {"op": "replace", "path": "/data/a", "value": "3"}
    await t.patch(CONFIG_MAP, "x", [change, failing])
    await t.patch(CONFIG_MAP, "x", [{"op": "replace", "path": "/data/none", "value": "1"}])
    await t.patch(CONFIG_MAP, "x", [{"op": "remove", "path": "/data/neither"}])
    await t.patch(CONFIG_MAP, "x", [{"op": "add", "path": "/none/a", "value": "1"}])
    await t.patch(CONFIG_MAP, "x", [{"op": "add", "path": "/metadata/name", "value": "y"}])
    await t.patch(CONFIG_MAP, "x", [{"op": "replace", "path": "/metadata/uid", "value": "y"}])
    version = {"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}
    await t.patch(CONFIG_MAP, "x", [version])
    labels = {"op": "add", "path": "/metadata/labels", "value": {"a/b": "c"}}
    await t.patch(CONFIG_MAP, "x", [labels])
    await t.patch(CONFIG_MAP, "x", [{"op": "test", "path": "/metadata/labels/a~1b", "value": "c"}])
    await t.patch(CONFIG_MAP, "missing", [labels])


@leaves("created", "changed", {"b": "2"}, "409 Conflict", "unchanged", "changed", None)
async def a_merge_patch_merges_and_removes_by_null(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1"))
    await t.patch(CONFIG_MAP, "x", {"data": {"a": None, "b": "2"}})
    await t.look(CONFIG_MAP, "x", "data")
    await t.patch(CONFIG_MAP, "x", {"metadata": {"resourceVersion": "1"}, "data": {"c": "3"}})
    await t.patch(CONFIG_MAP, "x", {"data": {"b": "2"}})
    await t.patch(CONFIG_MAP, "x", {"data": None})
    await t.look(CONFIG_MAP, "x", "data")


# ---- server-side apply --------------------------------------------------------------------------


@leaves("created", "unchanged", "unchanged", "changed", {"b": "2"})
async def an_apply_creates_and_repeats_without_a_write(t: Transcript) -> None:
    await t.apply(CONFIG_MAP, config_map(a="1"))
    await t.apply(CONFIG_MAP, config_map(a="1"))
    await t.apply(CONFIG_MAP, config_map(b="2"), dry_run=True)
    await t.apply(CONFIG_MAP, config_map(b="2"))
    await t.look(CONFIG_MAP, "x", "data")


@leaves("created", "409 Conflict", "409 Conflict", {"a": "1"})
async def version_1_makes_an_apply_create_only(t: Transcript) -> None:
    once = with_metadata(config_map(a="1"), resourceVersion="1")
    await t.apply(CONFIG_MAP, once)
    await t.apply(CONFIG_MAP, once)
    await t.apply(CONFIG_MAP, {**once, "data": {"a": "2"}}, "two")
    await t.look(CONFIG_MAP, "x", "data")


@leaves(
    "created",
    "422 Invalid FieldValueInvalid metadata.uid",
    "409 Conflict",
    "unchanged",
    "deleted",
    "409 Conflict",
    "created",
)
async def a_uid_guards_an_apply_against_resurrection(t: Transcript) -> None:
    made = await t.apply(CONFIG_MAP, config_map(a="1"))
    await t.apply(CONFIG_MAP, with_metadata(config_map(a="2"), uid="another"))
    both = with_metadata(config_map(a="2"), uid="another", resourceVersion="1")
    await t.apply(CONFIG_MAP, both)
    mine = with_metadata(config_map(a="1"), uid=made["metadata"]["uid"])
    await t.apply(CONFIG_MAP, mine)
    await t.delete(CONFIG_MAP, "x")
    await t.apply(CONFIG_MAP, mine)
    version = {"resourceVersion": made["metadata"]["resourceVersion"]}
    await t.apply(CONFIG_MAP, with_metadata(config_map(a="1"), **version))


@leaves(
    "created",
    "409 Conflict FieldManagerConflict .data.a",
    "changed",
    "changed",
    {"a": "1", "b": "2"},
    "changed",
    {"a": "3", "b": "2"},
    "409 Conflict FieldManagerConflict .data.a",
)
async def a_changed_value_conflicts_an_equal_one_is_shared(t: Transcript) -> None:
    await t.apply(CONFIG_MAP, config_map(a="1"))
    await t.apply(CONFIG_MAP, config_map(a="2"), "two", force=False)
    await t.apply(CONFIG_MAP, config_map(a="1", b="2"), "two", force=False)
    await t.apply(CONFIG_MAP, config_map(), "one")
    await t.look(CONFIG_MAP, "x", "data")
    await t.apply(CONFIG_MAP, config_map(a="3"), "three", force=True)
    await t.look(CONFIG_MAP, "x", "data")
    await t.apply(CONFIG_MAP, config_map(a="1"), "one", force=False)


@leaves("created", "changed", "changed", None, "unchanged")
async def the_last_owner_takes_the_field_along(t: Transcript) -> None:
    await t.apply(CONFIG_MAP, config_map(a="1"))
    await t.apply(CONFIG_MAP, with_metadata(config_map(), labels={"l": "m"}), "two")
    await t.apply(CONFIG_MAP, config_map())
    await t.look(CONFIG_MAP, "x", "data")
    await t.apply(CONFIG_MAP, config_map(), "three")


@leaves("created", "changed", {"a": "1", "b": "2"}, "changed", {"a": "1", "c": "3"})
async def what_a_post_made_stays_when_an_apply_drops_it(t: Transcript) -> None:
    await t.create(CONFIG_MAP, config_map(a="1"))
    await t.apply(CONFIG_MAP, config_map(a="1", b="2"))
    await t.look(CONFIG_MAP, "x", "data")
    await t.apply(CONFIG_MAP, config_map(c="3"))
    await t.look(CONFIG_MAP, "x", "data")


@leaves("created", "changed", "409 Conflict FieldManagerConflict .data.a", "changed", "changed")
async def an_update_takes_what_it_changes(t: Transcript) -> None:
    await t.apply(CONFIG_MAP, config_map(a="1", b="2"))
    await t.patch(CONFIG_MAP, "x", {"data": {"a": "9"}})
    await t.apply(CONFIG_MAP, config_map(a="1", b="2"), force=False)
    await t.apply(CONFIG_MAP, config_map(a="1", b="2"))
    await t.patch(CONFIG_MAP, "x", [{"op": "remove", "path": "/data/b"}])


@leaves("400 BadRequest", "created")
async def an_apply_carries_no_managed_fields(t: Transcript) -> None:
    await t.apply(CONFIG_MAP, with_metadata(config_map(), managedFields=[]))
    await t.apply(CONFIG_MAP, with_metadata(config_map(), managedFields=None))


@leaves("created", 5, "changed", 1, 2)
async def dropping_the_only_owned_replicas_resets_them(t: Transcript) -> None:
    await t.apply(DEPLOYMENT, deployment("d", replicas=5))
    await t.look(DEPLOYMENT, "d", "spec", "replicas")
    await t.apply(DEPLOYMENT, deployment("d"))
    await t.look(DEPLOYMENT, "d", "spec", "replicas")
    await t.look(DEPLOYMENT, "d", "metadata", "generation")


@leaves(
    "created",
    "changed",
    "changed",
    5,
    "changed",
    "changed",
    3,
    "409 Conflict FieldManagerConflict .spec.replicas",
    "changed",
)
async def replicas_are_handed_over_by_a_second_manager(t: Transcript) -> None:
    await t.apply(DEPLOYMENT, deployment("d", replicas=5))
    await t.apply(DEPLOYMENT, body(DEPLOYMENT, "d", {"replicas": 5}), "handover")
    await t.apply(DEPLOYMENT, deployment("d"))
    await t.look(DEPLOYMENT, "d", "spec", "replicas")
    await t.patch(DEPLOYMENT, "d", {"spec": {"replicas": 4}}, "scale")
    await t.patch(DEPLOYMENT, "d", {"spec": {"replicas": 3}}, "scale")
    await t.look(DEPLOYMENT, "d", "spec", "replicas")
    await t.apply(DEPLOYMENT, deployment("d", replicas=1), force=False)
    await t.apply(DEPLOYMENT, deployment("d", replicas=1))


@leaves("created", "changed", "changed", 6)
async def a_scale_of_replicas_that_nobody_owns_leaves_no_owner(t: Transcript) -> None:
    await t.apply(DEPLOYMENT, deployment("d"))
    await t.patch(DEPLOYMENT, "d", {"spec": {"replicas": 7}}, "scale")
    await t.apply(DEPLOYMENT, deployment("d", replicas=6), force=False)
    await t.look(DEPLOYMENT, "d", "spec", "replicas")


@leaves("created", "changed", "changed", "changed")
async def list_items_belong_to_whoever_names_them(t: Transcript) -> None:
    main: Object = {
        "name": "main",
        "image": "app:1",
        "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
        "env": [{"name": "A", "value": ""}, {"name": "B", "value": "1"}],
        "livenessProbe": {"httpGet": {"path": "/health", "port": 80}},
        "resources": {"requests": {"cpu": "1000m"}, "limits": {"cpu": "1.5", "memory": "1024Mi"}},
        "securityContext": {"runAsNonRoot": True},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    made = deployment("d", main)
    made["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
    await t.apply(DEPLOYMENT, made)
    containers = "/spec/template/spec/containers"
    await t.patch(
        DEPLOYMENT,
        "d",
        [
            {"op": "replace", "path": f"{containers}/0/image", "value": "app:2"},
            {"op": "add", "path": f"{containers}/0/env/-", "value": {"name": "Z", "value": "z"}},
            {"op": "add", "path": f"{containers}/-", "value": {"name": "side", "image": "s:1"}},
        ],
    )
    await t.apply(DEPLOYMENT, deployment("d", {"name": "main", "image": "app:1"}))
    await t.apply(DEPLOYMENT, deployment("d", {"name": "other", "image": "app:1"}))


@leaves("created", "changed", "changed", "changed")
async def keyed_lists_keep_the_order_of_the_last_apply(t: Transcript) -> None:
    def named(*names: str) -> Object:
        return body(WIDGET, "w", {"named": [{"name": name} for name in names]})

    await t.apply(WIDGET, named("a", "b"))
    await t.apply(WIDGET, named("c", "b", "d"), "two")
    await t.apply(WIDGET, named("b", "a"))
    await t.apply(WIDGET, named("a"))


@leaves("created", "changed", "changed", "changed", None)
async def an_emptied_struct_goes_with_its_defaults(t: Transcript) -> None:
    spec = {"size": "1", "nested": {"a": "1"}, "tags": {"x": "1"}, "list": ["a"]}
    await t.apply(WIDGET, body(WIDGET, "w", spec))
    await t.apply(WIDGET, body(WIDGET, "w", {"size": "1", "nested": {}, "tags": {}}))
    await t.apply(WIDGET, body(WIDGET, "w", {"size": "1"}))
    await t.apply(WIDGET, body(WIDGET, "w"))
    await t.look(WIDGET, "w", "spec")


@leaves("created", "changed", "changed", 1, "changed", 1, "changed", 1)
async def owner_references_and_finalizers_are_granular(t: Transcript) -> None:
    # Owners of a kind that nobody serves: the garbage collector cannot look whether they are gone.
    def owned(*uids: str, finalizer: str = "") -> Object:
        owners = [
            {"apiVersion": "none.test/v1", "kind": "None", "name": "none", "uid": uid}
            for uid in uids
        ]
        return with_metadata(
            body(WIDGET, "w", {}),
            ownerReferences=owners,
            **({"finalizers": [finalizer]} if finalizer else {}),
        )

    await t.apply(WIDGET, owned("1", finalizer="a.test/one"))
    await t.apply(WIDGET, owned("2", finalizer="a.test/two"), "two")
    await t.apply(WIDGET, owned("1", finalizer="a.test/one"), "three")
    await t.look(WIDGET, "w", "metadata", "generation")
    await t.apply(WIDGET, body(WIDGET, "w", {}))
    await t.look(WIDGET, "w", "metadata", "generation")
    await t.apply(WIDGET, body(WIDGET, "w", {}), "three")
    await t.look(WIDGET, "w", "metadata", "generation")


@leaves(
    "422 Invalid FieldValueInvalid metadata.ownerReferences",
    "422 Invalid FieldValueInvalid metadata.ownerReferences.uid",
)
async def owner_references_are_checked(t: Transcript) -> None:
    def owner(**more: Any) -> Object:
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": "n", "uid": "1", **more}

    two = [owner(controller=True), owner(controller=True, uid="2")]
    await t.apply(CONFIG_MAP, with_metadata(config_map(), ownerReferences=two))
    await t.create(CONFIG_MAP, with_metadata(config_map(), ownerReferences=[owner(uid="")]))


# ---- status, generation -------------------------------------------------------------------------


@leaves("created", 1, "changed", 1, "unchanged", "changed", 1, "changed", {"phase": "b"}, 1)
async def status_is_a_world_of_its_own(t: Transcript) -> None:
    await t.apply(WIDGET, body(WIDGET, "w", {"size": "1"}, status={"phase": "lost"}))
    await t.look(WIDGET, "w", "metadata", "generation")
    status = {"phase": "a", "conditions": [{"type": "Ready", "status": "True"}]}
    both = body(WIDGET, "w", {"size": "lost"}, status=status, metadata={"labels": {"a": "lost"}})
    await t.apply(WIDGET, both, "status", subresource="status")
    await t.look(WIDGET, "w", "metadata", "generation")
    await t.apply(WIDGET, both, "status", subresource="status")
    await t.patch(WIDGET, "w", {"status": {"phase": "b"}, "spec": {"size": "lost"}}, "status")
    await t.look(WIDGET, "w", "metadata", "generation")
    await t.apply(WIDGET, body(WIDGET, "w", status={}), "status", subresource="status")
    await t.look(WIDGET, "w", "status")
    await t.look(WIDGET, "w", "metadata", "generation")


@leaves("404 NotFound", "404 NotFound", "created", "unchanged", "changed", 2, "changed", 2)
async def generation_follows_the_spec_only(t: Transcript) -> None:
    status = body(WIDGET, "w", status={"phase": "a"})
    await t.apply(WIDGET, status, subresource="status")
    await t.apply(CONFIG_MAP, config_map(), subresource="status")
    await t.create(WIDGET, body(WIDGET, "w", {"size": "1"}, status={"phase": "lost"}))
    await t.patch(WIDGET, "w", {"status": {"phase": "lost"}})
    await t.patch(WIDGET, "w", {"spec": {"size": "2", "replicas": None, "tags": {}}})
    await t.look(WIDGET, "w", "metadata", "generation")
    await t.patch(WIDGET, "w", {"metadata": {"labels": {"a": "b"}}})
    await t.look(WIDGET, "w", "metadata", "generation")


@leaves("created", "changed", 4, "changed", "409 Conflict FieldManagerConflict .spec.replicas")
async def a_custom_resource_scales(t: Transcript) -> None:
    await t.create(WIDGET, body(WIDGET, "w", {"size": "1"}))
    await t.patch(WIDGET, "w", {"spec": {"replicas": 4}}, "scale")
    await t.look(WIDGET, "w", "spec", "replicas")
    await t.apply(WIDGET, body(WIDGET, "w", {"replicas": 4}))
    await t.apply(WIDGET, body(WIDGET, "w", {"replicas": 5}), force=False)


@leaves("created", "changed", {"phase": "Pending"})
async def fields_a_schema_does_not_know_are_pruned(t: Transcript) -> None:
    spec = {"size": "1", "nested": {"unknown": 1}, "unknown": {"a": 1}}
    await t.create(WIDGET, body(WIDGET, "w", spec))
    status = {"status": {"phase": "Pending", "unknown": True}}
    await t.patch(WIDGET, "w", status, "status")
    await t.look(WIDGET, "w", "status")


@leaves("500", "500", "500", "created", "500", "changed")
async def an_apply_of_what_the_schema_does_not_declare_is_refused(t: Transcript) -> None:
    await t.apply(WIDGET, body(WIDGET, "w", {"unknown": 1}))
    await t.apply(WIDGET, body(WIDGET, "w", {"size": 1}))
    await t.apply(WIDGET, body(WIDGET, "w", {"named": [{"name": "a", "unknown": "b"}]}))
    await t.apply(WIDGET, body(WIDGET, "w", {"size": "1", "tags": {"any": "b"}}))
    unknown = body(WIDGET, "w", status={"unknown": 1})
    await t.apply(WIDGET, unknown, "status", subresource="status")
    known = body(WIDGET, "w", status={"replicas": 1})
    await t.apply(WIDGET, known, "status", subresource="status")


# ---- defaults and immutable fields --------------------------------------------------------------


@leaves(*["created", "unchanged"] * 13)
async def a_stored_object_says_more_than_was_written(t: Transcript) -> None:
    template: Object = {
        "metadata": {"labels": {"app": "x"}},
        "spec": {
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
        },
    }
    job_template = {"spec": {**template["spec"], "restartPolicy": "Never"}}
    selector = {"matchLabels": {"app": "x"}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
    cpu = {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1000m"}}
    web = {"service": {"name": "x", "port": {"number": 80}}}
    rule = {"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": web}]}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
    templates = [{"metadata": {"name": "v"}, "spec": claim}]
    objects: list[tuple[Kind, Object]] = [
        (DEPLOYMENT, {"spec": {"selector": selector, "template": template, "paused": False}}),
        (
            STATEFUL_SET,
            {
                "spec": {
                    "selector": selector,
                    "template": template,
                    "serviceName": "x",
                    "volumeClaimTemplates": templates,
                }
            },
        ),
        (JOB, {"spec": {"template": job_template, "suspend": True}}),
        (SERVICE, {"spec": {"ports": [{"port": 80, "name": "http"}], "selector": {"a": "b"}}}),
        (
            AUTOSCALER,
            {
                "spec": {
                    "scaleTargetRef": target,
                    "maxReplicas": 3,
                    "metrics": [{"type": "Resource", "resource": cpu}],
                    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}},
                }
            },
        ),
        (
            NETWORK_POLICY,
            {"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}},
        ),
        (INGRESS, {"spec": {"rules": [rule]}}),
        (BUDGET, {"spec": {"maxUnavailable": 1, "selector": selector}}),
        (SECRET, {"stringData": {"a": "b"}, "data": {"c": "ZA=="}}),
        (
            ROLE_BINDING,
            {
                "roleRef": {"apiGroup": ROLE_BINDING.group, "kind": "Role", "name": "x"},
                "subjects": [
                    {"kind": "ServiceAccount", "name": "x", "namespace": "default"},
                    {"kind": "User", "name": "u"},
                ],
            },
        ),
        (QUOTA, {"spec": {"hard": {"requests.cpu": "1000m", "limits.memory": "2048Mi"}}}),
        (LIMIT_RANGE, {"spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"}}]}}),
        (LEASE, {"spec": {"holderIdentity": "x", "leaseDurationSeconds": 15}}),
    ]
    for kind, top in objects:
        obj = {**body(kind, "x"), **top}
        await t.apply(kind, obj)
        await t.apply(kind, obj)


@leaves("created", "changed", "changed", True, "created", "None", "changed", "created", "created")
async def a_service_keeps_its_address(t: Transcript) -> None:
    ports = [{"port": 80, "name": "http"}]
    first = await t.apply(SERVICE, body(SERVICE, "s", {"ports": ports, "selector": {"a": "b"}}))
    await t.apply(SERVICE, body(SERVICE, "s", {"ports": [{"port": 81}], "selector": {"a": "b"}}))
    spec = {"ports": ports, "selector": {"a": "c"}, "type": "NodePort"}
    await t.api.create(CONFIG_MAP, t.placed(CONFIG_MAP, config_map("moves-the-counters")))
    await t.replace(SERVICE, body(SERVICE, "s", spec))
    last = await t.live(SERVICE, "s")
    t.words.append(first["spec"]["clusterIP"] == last["spec"]["clusterIP"])
    headless = {"ports": ports, "clusterIP": "None", "selector": {"a": "b"}}
    await t.apply(SERVICE, body(SERVICE, "h", headless))
    await t.look(SERVICE, "h", "spec", "clusterIP")
    await t.apply(SERVICE, body(SERVICE, "h", {**headless, "selector": {"a": "c"}}))
    await t.apply(SERVICE, body(SERVICE, "n", {"ports": ports, "clusterIP": "None"}))
    external = {"type": "ExternalName", "externalName": "a.test"}
    await t.apply(SERVICE, body(SERVICE, "e", external))


@leaves("created", "changed", 2, "changed", 3, "changed", "unchanged", "unchanged")
async def an_empty_rule_list_is_never_converged(t: Transcript) -> None:
    policy = body(NETWORK_POLICY, "p", {"podSelector": {}, "policyTypes": ["Ingress"]})
    empty = {**policy, "spec": {**policy["spec"], "ingress": []}}
    await t.apply(NETWORK_POLICY, empty)
    for _ in range(2):
        await t.apply(NETWORK_POLICY, empty)
        await t.look(NETWORK_POLICY, "p", "metadata", "generation")
    for _ in range(3):
        await t.apply(NETWORK_POLICY, policy)


@leaves("created", "changed", "changed")
async def a_post_owns_the_defaults_too(t: Transcript) -> None:
    await t.create(DEPLOYMENT, deployment("d", replicas=2))
    read = await t.live(DEPLOYMENT, "d")
    read["spec"]["template"]["spec"]["containers"][0]["image"] = "app:2"
    del read["spec"]["revisionHistoryLimit"]
    await t.patch(DEPLOYMENT, "d", {"spec": {"template": read["spec"]["template"]}})
    await t.apply(DEPLOYMENT, deployment("d"))


@leaves(
    "created",
    "422 Invalid FieldValueInvalid spec.selector",
    "created",
    "422 Invalid FieldValueInvalid spec.template",
    "created",
    "422 Invalid FieldValueInvalid roleRef",
    "422 Invalid FieldValueInvalid spec.template.metadata.labels",
)
async def some_fields_never_change(t: Transcript) -> None:
    await t.apply(DEPLOYMENT, deployment("d"))
    other = deployment("d")
    other["spec"]["selector"] = {"matchLabels": {"app": "d", "more": "x"}}
    other["spec"]["template"]["metadata"]["labels"]["more"] = "x"
    await t.apply(DEPLOYMENT, other)

    def job(image: str) -> Object:
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}
        return body(JOB, "j", {"template": {"spec": pod}})

    await t.apply(JOB, job("a:1"))
    await t.apply(JOB, job("a:2"))

    def binding(role: str) -> Object:
        reference = {"apiGroup": ROLE_BINDING.group, "kind": "Role", "name": role}
        return body(ROLE_BINDING, "b", roleRef=reference)

    await t.apply(ROLE_BINDING, binding("a"))
    await t.apply(ROLE_BINDING, binding("b"))
    wrong = deployment("e")
    wrong["spec"]["selector"] = {"matchLabels": {"app": "z"}}
    await t.apply(DEPLOYMENT, wrong)


@leaves("404 NotFound", "404 NotFound")
async def a_namespace_must_exist(t: Transcript) -> None:
    await t.create(CONFIG_MAP, with_metadata(config_map(), namespace="not-there"))
    await t.apply(CONFIG_MAP, with_metadata(config_map(), namespace="not-there"))


# ---- list and watch -----------------------------------------------------------------------------


@leaves(
    *["created"] * 3,
    *(["a"], ["a", "b"], ["a", "b", "c"], ["c"], ["c"], ["b", "c"], ["a"], ["b"], []),
    "400 BadRequest",
    "400 BadRequest",
)
async def lists_are_selected(t: Transcript) -> None:
    for name, own in (("a", {"x": "1", "y": ""}), ("b", {"x": "2"}), ("c", {"z": "1"})):
        await t.create(CONFIG_MAP, with_metadata(config_map(name), labels=own))
    for labels, fields in (
        ("x=1", ""),
        ("x in (1, 2)", ""),
        ("kept!=1", ""),
        ("!x", ""),
        ("x notin (1,2),z", ""),
        ("x!=1", ""),
        ("x,y=", ""),
        ("", "metadata.name=b"),
        ("x=1", "metadata.name=b"),
        ("x in (", ""),
        ("", "data.a=1"),
    ):
        try:
            found = await t.api.list(CONFIG_MAP, t.namespace, labels=labels, fields=fields)
        except ApiError as error:
            t.words.append(word_of(error))
        else:
            names = [item["metadata"]["name"] for item in found.items]
            t.words.append([name for name in names if not name.startswith("kube-")])


@leaves(
    *("created", "created", "changed", "changed", "changed", "deleted"),
    *("ADDED a {'x': '1'}", "MODIFIED a {'x': '1'}", "DELETED a {'x': '1'}"),
    *("ADDED a {'x': '1'}", "DELETED a {'x': '1'}"),
)
async def leaving_the_selection_is_a_deletion(t: Transcript) -> None:
    start = (await t.api.list(WIDGET, t.namespace)).resource_version
    await t.create(WIDGET, body(WIDGET, "a", {}, metadata={"labels": {"x": "1"}}))
    await t.create(WIDGET, body(WIDGET, "b", {}, metadata={"labels": {"x": "2"}}))
    await t.patch(WIDGET, "a", {"spec": {"size": "1"}})
    await t.patch(WIDGET, "a", {"metadata": {"labels": {"x": "2"}}})
    await t.patch(WIDGET, "a", {"metadata": {"labels": {"x": "1"}}})
    await t.delete(WIDGET, "a")
    await t.events(WIDGET, 5, labels="x=1", resource_version=start)


@leaves(
    *("created", "created"),
    *("ADDED a {}", "ADDED b {}", "BOOKMARK true"),
    *("ADDED a {}", "BOOKMARK true"),
    *("ADDED a {}", "ADDED b {}"),
)
async def a_watch_can_begin_with_what_is_there(t: Transcript) -> None:
    await t.create(WIDGET, body(WIDGET, "a", {}))
    await t.create(WIDGET, body(WIDGET, "b", {}))
    await t.events(WIDGET, 3, initial_events=True)
    await t.events(WIDGET, 2, initial_events=True, fields="metadata.name=a")
    await t.events(WIDGET, 2)


@leaves("created", "deleted", "created", "ADDED a {}", "DELETED a {}", "ADDED a {}", "410 Expired")
async def a_watch_resumes_or_is_told_that_it_is_too_old(t: Transcript) -> None:
    start = (await t.api.list(WIDGET, t.namespace)).resource_version
    await t.create(WIDGET, body(WIDGET, "a", {}))
    await t.delete(WIDGET, "a")
    await t.create(WIDGET, body(WIDGET, "a", {}))
    await t.events(WIDGET, 3, resource_version=start)
    try:
        await t.events(WIDGET, 1, resource_version="1")
    except ApiError as error:
        t.words.append(word_of(error))


NOT_SERVED = Kind("none.test", "v1", "Nothing", "nothings")


@leaves("404", "404", "404", "404")
async def a_kind_that_is_not_served_is_404_for_every_verb(t: Transcript) -> None:
    nothing = with_metadata(body(NOT_SERVED, "n"), namespace=t.namespace)
    for call in (
        t.api.get(NOT_SERVED, t.namespace, "n"),
        t.api.list(NOT_SERVED, t.namespace),
        t.api.apply(NOT_SERVED, nothing, manager="one"),
        t.api.create(NOT_SERVED, nothing),
    ):
        try:
            await call
        except ApiError as error:
            t.words.append(str(error.code))

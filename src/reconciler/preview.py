"""What a controller would do for an object, without doing it.

Offline it is what the plan says when nothing exists yet; against a cluster it is what a server-side
dry run of each write answers, compared with what is there. Nothing is ever written.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from contract import ownership
from contract.metadata import key_parts
from contract.model import Child, Controller, Need, Object, Plan, Seen, Watch
from objects.documents import dump
from reconciler.client.api import Api

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_UID = "00000000-0000-0000-0000-000000000000"
"""Stands for the uid that the API server will give; never printed."""

_NOISE = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that a write would change: what would happen, and the text of it."""

    action: str
    kind: str
    namespace: str
    name: str
    text: str


def imagine(parent: Object, controller: Controller, beside: Iterable[Object] = ()) -> Plan:
    """The plan for a parent that was just created in an empty cluster holding ``beside``.

    Missing metadata is made up; ``printable`` takes it out of the children again.
    """
    kind = controller.kind
    metadata = {"namespace": "default", "uid": NO_UID, "generation": 1, **parent["metadata"]}
    imagined = {**parent, "apiVersion": kind.api_version, "metadata": metadata}
    watches = {watch.kind.kind: watch for watch in controller.watches}
    objects = tuple(beside)
    needed = {
        need: tuple(_select(need, watches[need.kind.kind], objects))
        for need in controller.needs(imagined)
    }
    return controller.plan(imagined, Seen(needed=needed), EPOCH)


def printable(child: Child) -> Object:
    """The child as a manifest: without the owner, whose uid is not known yet.

    Applied by hand with a wrong owner uid, the garbage collector would delete it at once.
    """
    metadata = {k: v for k, v in child.body["metadata"].items() if k != "ownerReferences"}
    return {**child.body, "metadata": metadata}


async def compare(
    api: Api, parent: Object, controller: Controller, manager: str
) -> tuple[Plan, list[Difference]]:
    """What would change in the cluster if this parent were applied. Raises ApiError, Unreachable.

    The server is asked to judge the parent itself too, so that a spec it would refuse is refused.
    """
    kind = controller.kind
    body = {**parent, "apiVersion": kind.api_version}
    body.pop("status", None)
    live = await api.get(kind, *key_parts(parent))
    judged = await api.apply(kind, body, manager="kubectl", dry_run=True)
    if live is not None:
        judged["status"] = live.get("status", {})
    judged["metadata"].setdefault("uid", NO_UID)
    seen = await _look(api, judged, controller)
    plan = controller.plan(judged, seen, datetime.now(UTC))
    if plan.children is None:
        return plan, []
    claimed = await _claim(api, plan.children, judged, seen, kind.group)
    if claimed != seen:
        plan, seen = controller.plan(judged, claimed, datetime.now(UTC)), claimed
    found = []
    for child in plan.children or ():
        difference = await _difference(api, child, judged, kind.group, manager)
        if difference is not None:
            found.append(difference)
    wanted = {child.id for child in plan.children or ()}
    for (kind_name, name), obj in seen.children.items():
        if (kind_name, name) not in wanted:
            text = _diff(obj, None, kind_name)
            found.append(Difference("delete", kind_name, key_parts(obj)[0], name, text))
    return plan, found


async def _look(api: Api, parent: Object, controller: Controller) -> Seen:
    """As the loop's gathering, but read from the API and not from a cache."""
    group, namespace = controller.kind.group, key_parts(parent)[0]
    uid = parent["metadata"]["uid"]
    children = {}
    watches = {watch.kind.kind: watch for watch in controller.watches}
    for watch in controller.watches:
        if watch.child:
            listing = await api.list(watch.kind, namespace, labels=watch.labels)
            for obj in listing.items:
                if ownership.owner_uid(obj, group) == uid:
                    children[watch.kind.kind, obj["metadata"]["name"]] = obj
    needed = {}
    for need in controller.needs(parent):
        watch = watches[need.kind.kind]
        listing = await api.list(need.kind, need.namespace, labels=watch.labels)
        needed[need] = tuple(_select(need, watch, listing.items))
    return Seen(children=children, needed=needed)


async def _claim(api: Api, wanted: Iterable[Child], parent: Object, seen: Seen, group: str) -> Seen:
    """As the loop: what has a wanted name and is the parent's by another mark counts as seen."""
    found = {}
    for child in wanted:
        if child.id not in seen.children:
            live = await api.get(child.kind, *key_parts(child.body))
            if live is not None and ownership.is_own(live, parent, group):
                found[child.id] = live
    return replace(seen, children={**seen.children, **found})


def _select(need: Need, watch: Watch, objects: Iterable[Object]) -> Iterable[Object]:
    for obj in objects:
        if obj.get("kind") not in (need.kind.kind, None):
            continue
        namespace, name = key_parts(obj)
        kept = watch.keep(obj) if watch.keep else obj
        if kept is None or (namespace or "default") != need.namespace:
            continue
        by_index = watch.index(kept) if watch.index else None
        if need.name == name or (need.index is not None and need.index == by_index):
            yield kept


async def _difference(
    api: Api, child: Child, parent: Object, group: str, manager: str
) -> Difference | None:
    namespace, name = key_parts(child.body)
    live = await api.get(child.kind, namespace, name)
    kind = child.kind.kind
    if live is None:
        return Difference("create", kind, namespace, name, _diff(None, printable(child), kind))
    if not ownership.is_own(live, parent, group):
        text = f"{kind} {name} is there and not ours: {ownership.describe_owner(live)}\n"
        return Difference("conflict", kind, namespace, name, text)
    body = ownership.stamp(child, parent, group)
    answer = await api.apply(child.kind, body, manager=manager, dry_run=True)
    if child.yields:
        _keep_yielded(live, answer, child.yields)
    text = _diff(live, answer, kind)
    return Difference("change", kind, namespace, name, text) if text else None


def _keep_yielded(live: Object, answer: Object, paths: Iterable[tuple[str, ...]]) -> None:
    """A dry run does not see the hand-over that would come before: the value stays."""
    for path in paths:
        source, destination = live, answer
        for step in path[:-1]:
            source, destination = source.get(step) or {}, destination.setdefault(step, {})
        if path[-1] in source:
            destination[path[-1]] = source[path[-1]]


def _diff(old: Object | None, new: Object | None, kind: str) -> str:
    """A unified diff of two objects as YAML; Secrets' values never appear."""
    before, after = (_clean(obj).splitlines(keepends=True) for obj in (old, new))
    name = key_parts(new or old or {})[1]
    lines = difflib.unified_diff(before, after, f"live/{kind}/{name}", f"planned/{kind}/{name}")
    return "".join(lines)


def _clean(obj: Object | None) -> str:
    if obj is None:
        return ""
    metadata = obj["metadata"]
    kept = {k: v for k, v in metadata.items() if k not in _NOISE}
    return dump([{k: v for k, v in ({**obj, "metadata": kept}).items() if k != "status"}])

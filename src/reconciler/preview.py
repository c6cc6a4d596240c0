"""What a controller would do for an object, without doing it.

Offline it is what the plan wants when nothing exists yet; against a cluster it is what a
server-side dry run of each write answers, compared with what is there. Nothing is ever written.
What a plan sees is gathered by ``look`` as in a pass; only the caches are filled by one list each.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contract import ownership
from contract.demands import Watch
from contract.facts import Ask, Fact
from contract.metadata import key_parts
from contract.model import Kind, Object
from contract.plan import Child, Controller, Plan
from objects.documents import dump
from reconciler.cache import Store
from reconciler.child_write import copy_value
from reconciler.client.api import Api, ApiError
from reconciler.converge import NOTHING, Step, decide
from reconciler.look import ROUNDS, Look, change_set, find, look
from reconciler.parents import is_marked, with_marks
from reconciler.target import ChangeSet
from reconciler.watches import cached_form

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


class Lists:
    """Caches that are filled by one list each. See ``look.Library``.

    No source is asked: what a plan would learn from one stays unknown.
    """

    def __init__(self) -> None:
        self._stores: dict[Watch, Store] = {}
        self._absent: set[Watch] = set()

    def store(self, watch: Watch) -> Store | None:
        """See ``look.Library``."""
        return self._stores.get(cached_form(watch))

    def absent(self, watch: Watch) -> bool:
        """See ``look.Library``."""
        return cached_form(watch) in self._absent

    def fact(self, ask: Ask, now: datetime) -> Fact:
        """See ``look.Library``."""
        return Fact(trouble=f"{ask.source} is not asked by plan", final=True)

    def hold(self, watch: Watch, objects: Iterable[Object], group: str) -> None:
        """The cache of a watch holds these objects."""
        form = cached_form(watch)
        store = Store(form, owners=lambda obj: ownership.owner_uids(obj, group))
        store.replace(store.cut(objects), "")
        self._stores[form] = store

    def miss(self, watch: Watch) -> None:
        """The kind of an optional watch is not there."""
        self._absent.add(cached_form(watch))


def imagine(parent: Object, controller: Controller, beside: Iterable[Object] = ()) -> Plan:
    """The plan for a parent that was just created in an empty cluster holding ``beside``.

    Missing metadata is made up; ``printable`` takes it out of the children again. Optional kinds
    are taken for absent.
    """
    kind = controller.kind
    metadata = {"namespace": "default", "uid": NO_UID, "generation": 1, **parent["metadata"]}
    imagined = {**parent, "apiVersion": kind.api_version, "metadata": metadata}
    spec = controller.read(imagined)
    library = Lists()
    objects = tuple(beside)
    while True:
        sight = look(controller, imagined, spec, EPOCH, library)
        if not sight.unfilled:
            return _settled(controller, imagined, spec, sight, EPOCH)[1]
        for watch in sight.unfilled:
            if watch.optional:
                library.miss(watch)
            else:
                library.hold(watch, _of_kind(watch.kind, objects), kind.group)


def _of_kind(kind: Kind, objects: Iterable[Object]) -> Iterable[Object]:
    for obj in objects:
        if obj.get("kind") == kind.kind and obj.get("apiVersion") == kind.api_version:
            place = {"namespace": "default"} if kind.namespaced else {}
            yield {**obj, "metadata": {**place, **obj["metadata"]}}


def _settled(
    controller: Controller, parent: Object, spec: Any, sight: Look, now: datetime
) -> tuple[Object, Plan]:
    """The plan once everything that it records is stored, and the parent that carries it."""
    plan = controller.plan(parent, spec, sight.seen, now)
    for _ in range(ROUNDS):
        if is_marked(parent, plan, controller.kind.group):
            break
        parent = with_marks(parent, plan, controller.kind.group)
        plan = controller.plan(parent, spec, sight.seen, now)
    return parent, plan


def printable(child: Child) -> Object:
    """The child as a manifest: without marks and owner, whose uid is not known yet.

    Applied by hand with a wrong owner uid, the garbage collector would delete it at once.
    """
    return child.body


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
    now = datetime.now(UTC)
    spec = controller.read(judged)
    sight = await _look(api, judged, controller, spec, now)
    judged, plan = _settled(controller, judged, spec, sight, now)
    if plan.children is None:
        return plan, []

    async def get(child: Child) -> Object | None:
        return await api.get(child.kind, *key_parts(child.body))

    sight, objects, more = await find(sight, plan.children, get)
    if more:
        judged, plan = _settled(controller, judged, spec, sight, now)
    return plan, await _differences(api, change_set(judged, sight, objects, plan), manager)


async def _look(api: Api, parent: Object, controller: Controller, spec: Any, now: datetime) -> Look:
    """As a pass looks, with caches that are filled by a list of the parent's namespace."""
    library = Lists()
    while True:
        sight = look(controller, parent, spec, now, library)
        if not sight.unfilled:
            return sight
        for watch in sight.unfilled:
            namespace = watch.namespace or key_parts(parent)[0]
            try:
                listing = await api.list(
                    watch.kind,
                    namespace if watch.kind.namespaced else None,
                    labels=watch.labels,
                )
            except ApiError as error:
                if not watch.optional or error.code not in (403, 404):
                    raise
                library.miss(watch)
            else:
                library.hold(watch, listing.items, controller.kind.group)


async def _differences(api: Api, changes: ChangeSet, manager: str) -> list[Difference]:
    """What a pass writes, as ``converge`` decides it; nothing is deleted beside what blocks."""
    found: list[Difference] = []
    blocked = False
    for child in changes.wanted:
        live = await api.get(child.kind, *key_parts(child.body))
        body = ownership.stamp(child, changes.owner, changes.parent)
        step = decide(child, body, live, changes.owner, NOTHING, 0.0).step
        blocked = blocked or step in (Step.WAIT, Step.FOREIGN)
        if (
            live is not None
            and child.hold != "shared"
            and not ownership.is_own(live, changes.owner)
        ):
            action, text = "conflict", _clash(child, live)
        else:
            action, text = await _difference(api, child, body, live, step, manager)
        if text:
            found.append(Difference(action, child.kind.kind, *key_parts(child.body), text))
    for kind, obj in () if blocked else changes.surplus:
        if "deletionTimestamp" not in obj["metadata"]:
            text = _diff(obj, None, kind.kind)
            found.append(Difference("delete", kind.kind, *key_parts(obj), text))
    return found


async def _difference(
    api: Api, child: Child, body: Object, live: Object | None, step: Step, manager: str
) -> tuple[str, str]:
    """What a step would do, and the text of it; empty where it writes nothing."""
    kind = child.kind.kind
    if step is Step.WAIT:
        return "", ""
    if live is None:
        return "create", _diff(None, printable(child), kind)
    if step is Step.REPLACE:
        return "replace", _diff(live, printable(child), kind)
    answer = await api.apply(child.kind, body, manager=manager, dry_run=True)
    for path in child.yields:
        # A dry run does not see the hand-over that would come before: the value stays.
        copy_value(live, answer, path)
    return "change", _diff(live, answer, kind)


def _clash(child: Child, live: Object) -> str:
    name = key_parts(child.body)[1]
    return f"{child.kind} {name} is there and not ours: {ownership.describe_owner(live)}\n"


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

"""Rejects worlds that no cluster can be in, so that no test passes on an impossible one.

Works on plain objects: on what a server holds, and on what a test makes up for a plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from contract.model import Object
from contract.status import parse_time
from memoryserver import Server

_STATUSES = frozenset({"True", "False", "Unknown"})


class ImpossibleWorld(AssertionError):
    """The objects contradict themselves or one another; the test is wrong, or the fake is."""


def check(objects: Iterable[Object], now: datetime | None = None) -> None:
    """Raises ImpossibleWorld with one line for each contradiction."""
    if found := list(contradictions(objects, now)):
        raise ImpossibleWorld("\n".join(found))


def check_server(server: Server) -> None:
    """The same for everything that a server holds."""
    objects = [obj for kind in server.kinds() for obj in server.list(kind).items]
    check(objects, server.now())


def contradictions(objects: Iterable[Object], now: datetime | None = None) -> Iterator[str]:
    """What cannot be, one line each."""
    objects = list(objects)
    homes = {obj["metadata"]["uid"]: _home(obj) for obj in objects if obj["metadata"].get("uid")}
    for obj in objects:
        place = f"{obj.get('kind')} {_home(obj)}/{obj['metadata'].get('name')}"
        for what in (
            *_metadata(obj, now),
            *_owners(obj, homes),
            *_status(obj, now),
        ):
            yield f"{place}: {what}"
    yield from _together(objects)


def _home(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def _metadata(obj: Object, now: datetime | None) -> Iterator[str]:
    metadata = obj["metadata"]
    for name in ("name", "uid", "resourceVersion", "creationTimestamp"):
        if not metadata.get(name):
            yield f"has no metadata.{name}"
    if not obj.get("apiVersion") or not obj.get("kind"):
        yield "has no apiVersion and kind"
    deleted, created = metadata.get("deletionTimestamp"), metadata.get("creationTimestamp")
    if deleted and not metadata.get("finalizers") and obj.get("kind") not in {"Namespace", "Pod"}:
        yield "is being deleted and has no finalizer: it would be gone"
    if deleted and created and parse_time(deleted) < parse_time(created):
        yield "was deleted before it was created"
    if created and now and parse_time(created) > now:
        yield "was created in the future"


def _owners(obj: Object, homes: dict[str, str]) -> Iterator[str]:
    owners = obj["metadata"].get("ownerReferences") or ()
    for owner in owners:
        missing = [n for n in ("apiVersion", "kind", "name", "uid") if not owner.get(n)]
        if missing:
            yield f"has an owner reference without {', '.join(missing)}"
        home = homes.get(owner.get("uid", ""))
        if home and home != _home(obj):
            yield f"has an owner in another namespace ({home}): it would be collected"
        if owner.get("uid") and owner.get("uid") == obj["metadata"].get("uid"):
            yield "owns itself"
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        yield "has two controllers"
    if any(count > 1 for count in Counter(owner.get("uid") for owner in owners).values()):
        yield "names one owner twice"


def _status(obj: Object, now: datetime | None) -> Iterator[str]:
    status, generation = obj.get("status") or {}, obj["metadata"].get("generation", 0)
    if status.get("observedGeneration", 0) > generation:
        yield f"observed generation {status['observedGeneration']}, and has {generation}"
    conditions = status.get("conditions") or ()
    if any(count > 1 for count in Counter(c.get("type") for c in conditions).values()):
        yield "has a condition twice"
    for condition in conditions:
        name = f"condition {condition.get('type')}"
        if condition.get("status") not in _STATUSES:
            yield f"{name} is {condition.get('status')!r}"
        if condition.get("observedGeneration", 0) > generation:
            yield f"{name} observed generation {condition['observedGeneration']}, not {generation}"
        moment = condition.get("lastTransitionTime")
        if moment and now and parse_time(moment) > now:
            yield f"{name} changed in the future"
    counts = [status.get(n, 0) for n in ("availableReplicas", "readyReplicas", "replicas")]
    if obj.get("kind") in {"Deployment", "ReplicaSet", "StatefulSet"} and counts != sorted(counts):
        yield f"has {counts[0]} available of {counts[1]} ready of {counts[2]} replicas"


def _together(objects: list[Object]) -> Iterator[str]:
    names = Counter((o.get("kind"), _home(o), o["metadata"].get("name")) for o in objects)
    uids = Counter(obj["metadata"].get("uid") for obj in objects)
    yield from (f"{' '.join(map(str, key))}: exists twice" for key, n in names.items() if n > 1)
    yield from (f"uid {uid}: belongs to two objects" for uid, n in uids.items() if uid and n > 1)
    targets: Counter[tuple[str, str, str]] = Counter()
    selectors: Counter[tuple[str, str]] = Counter()
    for obj in objects:
        if obj.get("kind") == "HorizontalPodAutoscaler":
            target = obj["spec"]["scaleTargetRef"]
            targets[_home(obj), target["kind"], target["name"]] += 1
        elif obj.get("kind") == "Deployment" and "selector" in obj.get("spec", {}):
            selectors[_home(obj), repr(obj["spec"]["selector"])] += 1
    for where, count in targets.items():
        if count > 1:
            yield f"{'/'.join(where)}: two autoscalers fight over it"
    for (home, selector), count in selectors.items():
        if count > 1:
            yield f"two Deployments in {home} fight over the pods of {selector}"


_VOLATILE = frozenset(
    """uid resourceVersion creationTimestamp deletionTimestamp generation observedGeneration
    lastTransitionTime lastUpdateTime managedFields clusterIP clusterIPs nodePort time""".split()  # noqa: SIM905
)


def stable(value: Any) -> Any:
    """Without what differs from run to run: for comparing the states of two worlds."""
    if isinstance(value, dict):
        return {name: stable(child) for name, child in value.items() if name not in _VOLATILE}
    if isinstance(value, list):
        return [stable(child) for child in value]
    return value

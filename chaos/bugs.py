"""The bugs of the mutations: functions that replace functions of the operator.

Each takes the replaced function as ``original``, then the arguments of the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from contract.model import Key, Kind, Object
from contract.ownership import Owner, annotations_of, owner_annotation
from contract.plan import Child, Controller
from contract.status import Condition
from gati.handler.controller import HandlerController
from gati.handler.resolve import Handler, Invalid
from gati.kinds import GROUP
from objects.kinds import DEPLOYMENT
from reconciler.apply import KubernetesTarget
from reconciler.cache import Store
from reconciler.child_write import ChildWrite
from reconciler.client.api import Api, ApiError, Unreachable
from reconciler.client.client import Client
from reconciler.client.credentials import Proof
from reconciler.client.transport import Call, Transport
from reconciler.contention import Repairs
from reconciler.converge import Decision, Step
from reconciler.held import Held, NamespacedName
from reconciler.loop import Outcome, Reconciler
from reconciler.phases import Ended, Event, Progress, Wait
from reconciler.process.leader import LeaderThread
from reconciler.process.lease import Elector
from reconciler.process.lease_record import LEASE
from reconciler.queue import WorkQueue
from reconciler.target import Action, Change
from reconciler.workers import Workers

# Ownership, and which objects the operator writes.


def treat_every_object_as_own(original: Callable[..., bool], obj: Object, owner: Owner) -> bool:
    """``is_own``: every object passes the check of ownership."""
    return True


def select_every_class(
    original: Callable[..., bool], workers: Workers, controller: Controller, parent: Object
) -> bool:
    """``_is_selected``: the label operator-class of a parent is ignored."""
    metadata = parent["metadata"]
    label = f"{controller.kind.group}/operator-class"
    labels = {**(metadata.get("labels") or {}), label: workers._operator_class}
    return original(workers, controller, {**parent, "metadata": {**metadata, "labels": labels}})


def ignore_suspend(
    original: Callable[..., Handler | Invalid], controller: HandlerController, parent: Object
) -> Handler | Invalid:
    """``read``: spec.suspend is read as false."""
    read = original(controller, parent)
    if isinstance(read, Invalid):
        return read
    return replace(read, spec=msgspec.structs.replace(read.spec, suspend=False))


def omit_owner_references(original: Callable[..., Object], *args: Any, **options: Any) -> Object:
    """``stamp``: children have no owner reference."""
    body = original(*args, **options)
    metadata = {name: each for name, each in body["metadata"].items() if name != "ownerReferences"}
    return {**body, "metadata": metadata}


# Writes of children.


async def apply_without_uid(
    original: Callable[..., Awaitable[Object]],
    client: Client,
    kind: Kind,
    body: Object,
    *,
    subresource: str = "",
    **options: Any,
) -> Object:
    """``apply``: the apply does not carry the uid of the live object."""
    if not subresource:
        metadata = {name: value for name, value in body["metadata"].items() if name != "uid"}
        body = {**body, "metadata": metadata}
    return await original(client, kind, body, subresource=subresource, **options)


def delete_without_preconditions(original: Callable[..., bytes], body: Any) -> bytes:
    """``encode``: a delete is sent without preconditions."""
    if isinstance(body, dict) and body.get("kind") == "DeleteOptions":
        body = {name: value for name, value in body.items() if name != "preconditions"}
    return original(body)


async def delete_what_left_the_watch(
    original: Callable[..., Awaitable[Object | None]],
    target: KubernetesTarget,
    kind: Kind,
    namespace: str,
    name: str,
    *,
    acting_as: str = "",
) -> Object | None:
    """``get``: a child that is on the server but not in the cache is deleted."""
    live = await original(target, kind, namespace, name, acting_as=acting_as)
    if live is None or owner_annotation(GROUP) not in annotations_of(live):
        return live
    await target.delete(kind, namespace, name)
    return None


async def skip_the_hand_over(
    original: Callable[..., Awaitable[bool]], write: ChildWrite, live: Object
) -> bool:
    """``_hand_over``: yielded fields are dropped, so the server sets their defaults."""
    return False


def apply_without_a_difference(
    original: Callable[..., Decision], *args: Any, **options: Any
) -> Decision:
    """``decide``: a child without drift is applied, too."""
    decision = original(*args, **options)
    return replace(decision, step=Step.CONFIGURE) if decision.step is Step.UNCHANGED else decision


def recreate_a_deployment(
    original: Callable[..., Decision], child: Child, *args: Any, **options: Any
) -> Decision:
    """``decide``: a Deployment that differs is deleted, and the next pass creates another one."""
    decision = original(child, *args, **options)
    if decision.step is not Step.CONFIGURE or child.kind != DEPLOYMENT:
        return decision
    return replace(decision, step=Step.REPLACE)


def count_a_failed_write_as_done(
    original: Callable[..., Change], kind: Kind, key: Key, error: ApiError | Unreachable
) -> Change:
    """``_trouble``: a failed write counts as done."""
    change = original(kind, key, error)
    return Change(kind, key, Action.UNCHANGED) if change.action is Action.FAILED else change


def repair_at_once(original: Callable[..., float], repairs: Repairs, now: float) -> float:
    """``wait``: a contested object is repaired after every change of the rival, without backoff."""
    return 0.0


# Status.


def renew_transition_times(
    original: Callable[..., list[Object]],
    wanted: Iterable[Condition],
    old: Iterable[Object],
    generation: int,
    now: datetime,
) -> list[Object]:
    """``conditions``: the times of the stored conditions are not kept."""
    return original(wanted, (), generation, now)


def observe_the_next_generation(
    original: Callable[..., Object], parent: Object, *args: Any, **options: Any
) -> Object:
    """``status``: observedGeneration is one above the generation that was read."""
    metadata = parent["metadata"]
    later = {**metadata, "generation": metadata.get("generation", 0) + 1}
    return original({**parent, "metadata": later}, *args, **options)


def show_only_what_was_stored(
    original: Callable[..., Object], parent: Object, *args: Any, **options: Any
) -> Object:
    """``status``: after the first generation, the fields of what runs are only kept, not set."""
    status = original(parent, *args, **options)
    stored = parent.get("status") or {}
    if parent["metadata"].get("generation") == 1:
        return status
    what_runs = {"version", "image", "templateHash"} - set(stored)
    return {name: value for name, value in status.items() if name not in what_runs}


# Waits and passes.


def back_off_a_millisecond(
    original: Callable[..., None], queue: WorkQueue[Key], *, rng: Any = None, **_backoff: float
) -> None:
    """``WorkQueue``: base and limit of the backoff are ignored."""
    original(queue, base=0.001, limit=0.001, rng=rng)


def ignore_retry_after(original: Callable[..., Outcome], *args: Any, **options: Any) -> Outcome:
    """``outcome``: the Retry-After of the server is ignored."""
    return replace(original(*args, **options), retry_after=0.0)


async def leak_a_task(
    original: Callable[..., Awaitable[Outcome]], reconciler: Reconciler, *args: Any, **options: Any
) -> Outcome:
    """``reconcile``: each call starts a task that outlives it."""
    asyncio.get_running_loop().create_task(asyncio.sleep(3600))
    return await original(reconciler, *args, **options)


# Watches and requests.


def keep_what_is_not_listed(
    original: Callable[..., None],
    store: Store,
    listed: Mapping[NamespacedName, Held],
    version: str,
    scope: str | None = None,
    *,
    reset: bool = False,
) -> None:
    """``replace``: a list removes no object from the cache."""
    held = {key: one for key, one in store._objects.items() if store._scope(key[0]) == scope}
    original(store, {**held, **listed}, version, scope, reset=reset)


def watch_for_a_day(
    original: Callable[..., AbstractAsyncContextManager[Any]],
    transport: Transport,
    call: Call,
    *,
    seconds: float,
    quiet: float,
) -> AbstractAsyncContextManager[Any]:
    """``stream``: a watch has neither a timeout nor a limit of silence."""
    return original(transport, call, seconds=86400.0, quiet=86400.0)


def resume_after_410(
    original: Callable[..., tuple[Progress, Wait]], progress: Progress, event: Event
) -> tuple[Progress, Wait]:
    """``next_phase``: a 410 does not make the reflector list again."""
    following, wait = original(progress, event)
    if isinstance(event, Ended) and event.code == 410:
        following = replace(following, phase=progress.phase)
    return following, wait


def raise_at_an_error_frame(original: Callable[..., object], line: bytes) -> object:
    """``event_of``: an ERROR event raises an exception that is not handled."""
    try:
        return original(line)
    except ApiError as error:
        raise RuntimeError(str(error)) from None


async def print_the_token(
    original: Callable[..., Awaitable[Any]],
    transport: Transport,
    purpose: str,
    call: Call,
    limits: object,
    proof: Proof,
) -> Any:
    """``_send``: the credentials of the request are printed."""
    print("sending", call, proof.authorization, flush=True)
    return await original(transport, purpose, call, limits, proof)


# The Lease.


async def release_a_lost_lease(
    original: Callable[..., Awaitable[None]], elector: Elector, api: Api
) -> None:
    """``_renew``: a replica that lost the Lease clears the holder, without reading it first."""
    try:
        await original(elector, api)
    except Exception:
        lease = await api.get(LEASE, elector.namespace, elector.name)
        await api.replace(LEASE, elector._body(lease, holder="", seconds=1))
        raise


def allow_every_write(original: Callable[..., float], elector: Elector) -> None:
    """``guard``: writes are sent also without the Lease."""


def lead_before_the_lease(original: Callable[..., None], leader: LeaderThread) -> None:
    """``start``: reconciling begins before the Lease is acquired."""
    original(leader)
    leader.elector._on_started()


def ignore_the_loss_of_the_lease(
    original: Callable[..., None], leader: LeaderThread, *args: Any, **options: Any
) -> None:
    """``LeaderThread``: ``on_lost`` is never called."""
    original(leader, *args, **{**options, "on_lost": lambda _reason: None})

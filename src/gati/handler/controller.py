"""GatiHandler: the children of one handler and its status. Two pure functions.

What cannot be honoured changes nothing that runs: an invalid spec, a missing image and a
suspended handler leave the children alone. The children never depend on what became of the
last write, so that two plans over the same objects are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from contract.demands import Demand, Need, Seen, Watch
from contract.model import Kind, Object
from contract.ownership import Owner, is_released
from contract.plan import NO_RIGHTS, Child, Plan
from contract.status import find
from gati import names
from gati.handler import configuration, pod_problems
from gati.handler.autoscaling import (
    Scaling,
    bounds,
    enabled,
    scaling,
    target_of,
    users_autoscaler,
)
from gati.handler.build.autoscaler import autoscaler
from gati.handler.build.config_map import config_map
from gati.handler.build.deployment import deployment
from gati.handler.build.disruption_budget import disruption_budget
from gati.handler.build.service import service
from gati.handler.resolve import Handler, Invalid, is_suspended, resolve
from gati.handler.status.conditions import (
    SUSPENDED,
    contested_conditions,
    scaling_conditions,
    status,
)
from gati.handler.status.events import notes
from gati.handler.status.judge import Verdict, judge, obstacle
from gati.handler.status.observe import Observed, observe
from gati.kinds import GATI_HANDLER
from gati.reasons import Reason
from objects.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)

CONFLICT_INTERVAL = timedelta(seconds=30)
"""How soon a name held by a foreign object is read again."""

_MANAGED = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
_CONFIGURATION, _WORKLOAD, _AROUND = range(3)
"""Waves: pods do not start without their ConfigMap, and an autoscaler acts on a Deployment by
its name, which must be ours by then."""


def _without_status(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name != "status"}


def _workload_of_pod(pod: Object) -> str | None:
    label: str | None = (pod["metadata"].get("labels") or {}).get(names.WORKLOAD)
    return label


WATCHES: tuple[Watch, ...] = (
    Watch(CONFIG_MAP, child=True, keep=configuration.keep),
    Watch(DEPLOYMENT, child=True, removable=False, labels=_MANAGED),
    Watch(SERVICE, child=True, removable=False, labels=_MANAGED),
    Watch(
        HORIZONTAL_POD_AUTOSCALER,
        child=True,
        keep=_without_status,
        index=target_of,
    ),
    Watch(POD_DISRUPTION_BUDGET, child=True, labels=_MANAGED, keep=_without_status),
    Watch(
        POD,
        labels=names.WORKLOAD,
        keep=pod_problems.keep,
        index=_workload_of_pod,
    ),
)
"""Autoscalers and ConfigMaps of everybody are watched: a user's autoscaler may target the handler's
Deployment, a user's ConfigMap may configure the handler's pods."""


@dataclass(frozen=True)
class HandlerController:
    """The controller of GatiHandlers. ``default_image`` runs where a spec names no image."""

    default_image: str | None = None

    kind = GATI_HANDLER
    watches = WATCHES
    rights = NO_RIGHTS

    def read(self, parent: Object) -> Handler | Invalid:
        """The handler that the object asks for, or why it cannot be honoured."""
        try:
            handler = resolve(parent)
        except Invalid as error:
            return error.with_traceback(None)  # its frames would stay as long as the value
        if handler.image is not None:
            return handler
        return replace(handler, image=self.default_image or None)

    def needs(
        self, parent: Object, spec: Handler | Invalid, seen: Seen, now: datetime
    ) -> tuple[Demand, ...]:
        """Its pods' problems, the autoscalers that target it, the ConfigMaps it refers to."""
        namespace = parent["metadata"].get("namespace", "default")
        workload = names.workload(parent["metadata"]["name"])
        config_maps = () if isinstance(spec, Invalid) else configuration.references(spec)
        return (
            Need(POD, namespace, index=workload),
            Need(HORIZONTAL_POD_AUTOSCALER, namespace, index=workload),
            *(Need(CONFIG_MAP, namespace, name=name) for name in config_maps),
        )

    def plan(self, parent: Object, spec: Handler | Invalid, seen: Seen, now: datetime) -> Plan:
        """The children of a handler that can be honoured, and in every case the status."""
        observed = observe(_deployment(parent, seen))
        if isinstance(spec, Invalid):
            if is_suspended(parent):
                return _suspended(parent, None, seen, observed, now)
            return _left_alone(parent, None, Reason.INVALID_SPEC, str(spec), observed, now)
        if spec.spec.suspend:
            return _suspended(parent, spec, seen, observed, now)
        if spec.image is None:
            return _left_alone(parent, spec, Reason.IMAGE_MISSING, _IMAGE_MISSING, observed, now)
        return _managed(parent, spec, seen, observed, now)


def _managed(
    parent: Object, handler: Handler, seen: Seen, observed: Observed, now: datetime
) -> Plan:
    scale = scaling(handler, _others_autoscalers(parent, handler, seen))
    problem = pod_problems.worst(_needed(seen, POD))
    settled = _was_ready(parent, observed)
    verdict = judge(observed, scale.least(observed.desired), problem, settled=settled)
    blocked = obstacle(seen, handler.name)
    if blocked is not None:
        verdict = replace(blocked, serving=verdict.serving)
    more = scaling_conditions(scale) + contested_conditions(seen)
    new = status(parent, verdict, observed, now, handler=handler, more=more)
    children = _children(handler, seen, observed, scale)
    return Plan(
        status=new,
        children=tuple(children),
        notes=notes(parent, new),
        again_at=now + CONFLICT_INTERVAL if seen.foreign else None,
    )


def _children(handler: Handler, seen: Seen, observed: Observed, scale: Scaling) -> Iterator[Child]:
    workload = handler.workload
    live = seen.child(DEPLOYMENT, workload)
    retained = configuration.retained(seen.child(CONFIG_MAP, workload), live, observed)
    own_config = config_map(handler, retained)
    if own_config is not None:
        yield Child(CONFIG_MAP, own_config, wave=_CONFIGURATION)
    replicas = scale.replicas(observed.desired if observed.exists else None)
    digest = configuration.config_digest(handler, _needed(seen, CONFIG_MAP))
    yield Child(
        DEPLOYMENT,
        deployment(handler, replicas, digest),
        wave=_WORKLOAD,
        yields=_REPLICAS if replicas is None else (),
    )
    yield Child(SERVICE, service(handler), wave=_WORKLOAD)
    autoscaling = enabled(handler)
    if autoscaling is not None and not scale.foreign:
        yield Child(HORIZONTAL_POD_AUTOSCALER, autoscaler(handler, autoscaling), wave=_AROUND)
    if scale.floor >= 2:
        yield Child(POD_DISRUPTION_BUDGET, disruption_budget(handler), wave=_AROUND)


def _suspended(
    parent: Object, handler: Handler | None, seen: Seen, observed: Observed, now: datetime
) -> Plan:
    verdict = Verdict(False, Reason.SUSPENDED, "suspended before there was a Deployment")
    if observed.exists:
        problem = pod_problems.worst(_needed(seen, POD))
        verdict = judge(observed, _live_minimum(observed, seen), problem)
    new = status(parent, verdict, observed, now, handler=handler, more=(SUSPENDED,))
    return Plan(status=new, notes=notes(parent, new))


def _left_alone(
    parent: Object,
    handler: Handler | None,
    reason: Reason,
    message: str,
    observed: Observed,
    now: datetime,
) -> Plan:
    """The plan for what cannot be honoured: it changes nothing that runs."""
    verdict = Verdict(False, reason, message, stalled=reason)
    new = status(parent, verdict, observed, now, handler=handler)
    return Plan(status=new, notes=notes(parent, new))


_REPLICAS = (("spec", "replicas"),)
_IMAGE_MISSING = (
    "spec.image: is missing, and the operator runs without --default-image: write the image "
    "that runs this handler"
)


def _was_ready(parent: Object, observed: Observed) -> bool:
    """Was the stored status Ready for the present generation and this template?"""
    ready = find(parent, "Ready")
    current = ready.get("observedGeneration") == parent["metadata"].get("generation")
    same = (parent.get("status") or {}).get("templateHash", "") == observed.template
    return bool(current and same and ready["status"] == "True")


def _needed(seen: Seen, kind: Kind) -> Iterable[Object]:
    return [obj for need, found in seen.needed.items() if need.kind == kind for obj in found]


def _others_autoscalers(parent: Object, handler: Handler, seen: Seen) -> Iterable[Object]:
    """The autoscalers that target the Deployment and are not this handler's own.

    Its own may have lost its owner reference and be proven by another mark. One that is handed
    over becomes its own, where it asks for one: a child is found by its name before it is written.
    """
    others = [
        autoscaler
        for autoscaler in _needed(seen, HORIZONTAL_POD_AUTOSCALER)
        if seen.child(HORIZONTAL_POD_AUTOSCALER, autoscaler["metadata"]["name"]) is None
    ]
    if enabled(handler) is None:
        return others
    return [
        autoscaler
        for autoscaler in others
        if autoscaler["metadata"]["name"] != handler.workload
        or not is_released(autoscaler, Owner.of(GATI_HANDLER, parent))
    ]


def _deployment(parent: Object, seen: Seen) -> Object | None:
    return seen.child(DEPLOYMENT, names.workload(parent["metadata"]["name"]))


def _live_minimum(observed: Observed, seen: Seen) -> int:
    """Minimum replicas read from the live objects; for a suspended or invalid spec."""
    autoscalers = list(_needed(seen, HORIZONTAL_POD_AUTOSCALER))
    autoscaler = users_autoscaler(autoscalers) or next(iter(autoscalers), None)
    return observed.desired if autoscaler is None else bounds(autoscaler)[0]

"""GatiHandler: what one handler becomes, and what its status says. Two pure functions.

What cannot be honoured changes nothing that runs: an invalid spec, a missing image and a
suspended handler leave the children alone. The children never depend on what became of the
last write, so that two plans over the same objects are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from contract.demands import Demand, Need, Seen, Watch
from contract.model import Kind, Object
from contract.ownership import Owner, is_released
from contract.plan import NO_RIGHTS, Child, Plan
from contract.status import find
from gati import names
from gati import reasons as r
from gati.contracts import HandlerSpec, ManifestGenerator
from gati.handler import configuration, pod_problems
from gati.handler.autoscaling import Scaling, bounds, scaling, target_of, users_autoscaler
from gati.handler.manifests import (
    KubernetesManifests,
    complete,
    horizontal_pod_autoscaler,
    pod_disruption_budget,
)
from gati.handler.readiness import Observed, Verdict, judge, observe
from gati.handler.status import (
    SUSPENDED,
    contested_conditions,
    notes,
    obstacle,
    scaling_conditions,
    status,
)
from gati.kinds import GATI_HANDLER
from gati.spec.fields import Invalid
from gati.spec.handler import is_suspended, parse_handler
from objects.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)

CONFLICT_INTERVAL = timedelta(seconds=30)
"""How soon a name that somebody else holds is looked at again."""

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
"""Autoscalers and ConfigMaps are watched whosever they are: a user's autoscaler may target our
Deployment, a user's ConfigMap may configure our pods."""


@dataclass(frozen=True)
class HandlerController:
    """The controller of GatiHandlers. ``default_image`` runs where a spec names no image."""

    default_image: str | None = None
    manifests: ManifestGenerator[HandlerSpec] = field(default_factory=KubernetesManifests)

    kind = GATI_HANDLER
    watches = WATCHES
    rights = NO_RIGHTS

    def read(self, parent: Object) -> HandlerSpec | Invalid:
        """The spec as it is run, or why it cannot be."""
        try:
            spec = parse_handler(parent)
        except Invalid as error:
            return error
        return spec if spec.image is not None else replace(spec, image=self.default_image or None)

    def needs(
        self, parent: Object, spec: HandlerSpec | Invalid, seen: Seen, now: datetime
    ) -> tuple[Demand, ...]:
        """Its pods' problems, the autoscalers that target it, the ConfigMaps it refers to."""
        namespace = parent["metadata"].get("namespace", "default")
        workload = names.workload(parent["metadata"]["name"])
        always = (
            Need(POD, namespace, index=workload),
            Need(HORIZONTAL_POD_AUTOSCALER, namespace, index=workload),
        )
        return always if isinstance(spec, Invalid) else always + _config_needs(spec)

    def plan(self, parent: Object, spec: HandlerSpec | Invalid, seen: Seen, now: datetime) -> Plan:
        """The children of a handler that can be honoured, and in every case the status."""
        if isinstance(spec, Invalid):
            if is_suspended(parent):
                return self._suspended(parent, None, seen, now)
            return self._left_alone(parent, seen, now, r.INVALID_SPEC, str(spec))
        if spec.suspend:
            return self._suspended(parent, spec, seen, now)
        if spec.image is None:
            return self._left_alone(parent, seen, now, r.IMAGE_MISSING, _IMAGE_MISSING, spec)
        return self._managed(parent, spec, seen, now)

    def _managed(self, parent: Object, spec: HandlerSpec, seen: Seen, now: datetime) -> Plan:
        workload = names.workload(spec.name)
        live = seen.child(DEPLOYMENT, workload)
        scale = scaling(spec, workload, _others_autoscalers(parent, spec, seen))
        problem = pod_problems.worst(_needed(seen, POD))
        observed = observe(live)
        verdict = judge(
            observed, scale.least(observed.desired), problem, settled=_was_ready(parent, observed)
        )
        blocked = obstacle(seen, spec.name)
        if blocked is not None:
            verdict = replace(blocked, serving=verdict.serving)
        more = scaling_conditions(scale) + contested_conditions(seen)
        new = status(parent, verdict, observed, now, spec=spec, more=more)
        return Plan(
            status=new,
            children=tuple(self._children(parent, spec, seen, scale)),
            notes=notes(parent, new),
            again_at=now + CONFLICT_INTERVAL if seen.foreign else None,
        )

    def _children(
        self, parent: Object, spec: HandlerSpec, seen: Seen, scale: Scaling
    ) -> Iterator[Child]:
        def child(kind: Kind, content: Any, wave: int) -> Child:
            return Child(kind, complete(kind, spec, content), wave=wave)

        workload = names.workload(spec.name)
        live = seen.child(DEPLOYMENT, workload)
        before = configuration.still_read(seen.child(CONFIG_MAP, workload), live)
        config_map = self.manifests.config_map(spec) or before
        if config_map is not None:
            yield child(CONFIG_MAP, config_map, _CONFIGURATION)
        replicas = scale.replicas(None if live is None else live["spec"].get("replicas", 1))
        digest = configuration.config_digest(spec, _needed(seen, CONFIG_MAP))
        content = self.manifests.deployment(spec, replicas=replicas, config_digest=digest)
        deployment = child(DEPLOYMENT, {"spec": content}, _WORKLOAD)
        yield deployment if replicas is not None else replace(deployment, yields=_REPLICAS)
        yield child(SERVICE, {"spec": self.manifests.service(spec)}, _WORKLOAD)
        if spec.autoscaling is not None and not scale.foreign:
            autoscaler = horizontal_pod_autoscaler(spec.autoscaling, spec)
            yield child(HORIZONTAL_POD_AUTOSCALER, autoscaler, _AROUND)
        if scale.floor >= 2:
            yield child(POD_DISRUPTION_BUDGET, pod_disruption_budget(spec), _AROUND)

    def _suspended(
        self, parent: Object, spec: HandlerSpec | None, seen: Seen, now: datetime
    ) -> Plan:
        observed = observe(_deployment(parent, seen))
        verdict = Verdict(False, r.SUSPENDED, "suspended before there was a Deployment")
        if observed.exists:
            problem = pod_problems.worst(_needed(seen, POD))
            verdict = judge(observed, _present_floor(parent, seen), problem)
        new = status(parent, verdict, observed, now, spec=spec, more=(SUSPENDED,))
        return Plan(status=new, notes=notes(parent, new))

    def _left_alone(
        self,
        parent: Object,
        seen: Seen,
        now: datetime,
        reason: str,
        message: str,
        spec: HandlerSpec | None = None,
    ) -> Plan:
        observed = observe(_deployment(parent, seen))
        verdict = Verdict(False, reason, message, stalled=reason)
        new = status(parent, verdict, observed, now, spec=spec)
        return Plan(status=new, notes=notes(parent, new))


_REPLICAS = (("spec", "replicas"),)
_IMAGE_MISSING = (
    "spec.image: is missing, and the operator runs without --default-image: write the image "
    "that runs this handler"
)


def _was_ready(parent: Object, observed: Observed) -> bool:
    """Did the stored status say Ready of the present generation and of this template?"""
    ready = find(parent, "Ready")
    current = ready.get("observedGeneration") == parent["metadata"].get("generation")
    same = parent.get("status", {}).get("templateHash", "") == observed.template
    return bool(current and same and ready["status"] == "True")


def _needed(seen: Seen, kind: Kind) -> Iterable[Object]:
    return [obj for need, found in seen.needed.items() if need.kind == kind for obj in found]


def _others_autoscalers(parent: Object, spec: HandlerSpec, seen: Seen) -> Iterable[Object]:
    """The autoscalers that target the Deployment and are not this handler's own.

    Its own may have lost its owner reference and be proven by another mark. One that is handed
    over becomes its own, where it asks for one: a child is found by its name before it is written.
    """
    others = [
        autoscaler
        for autoscaler in _needed(seen, HORIZONTAL_POD_AUTOSCALER)
        if seen.child(HORIZONTAL_POD_AUTOSCALER, autoscaler["metadata"]["name"]) is None
    ]
    if spec.autoscaling is None:
        return others
    return [
        autoscaler
        for autoscaler in others
        if autoscaler["metadata"]["name"] != names.workload(spec.name)
        or not is_released(autoscaler, Owner.of(GATI_HANDLER, parent))
    ]


def _config_needs(spec: HandlerSpec) -> tuple[Need, ...]:
    return tuple(
        Need(CONFIG_MAP, spec.namespace, name=name) for name in configuration.references(spec)
    )


def _deployment(parent: Object, seen: Seen) -> Object | None:
    return seen.child(DEPLOYMENT, names.workload(parent["metadata"]["name"]))


def _present_floor(parent: Object, seen: Seen) -> int:
    """The least number of replicas by what runs, where the spec does not count."""
    live = _deployment(parent, seen)
    autoscalers = list(_needed(seen, HORIZONTAL_POD_AUTOSCALER))
    autoscaler = users_autoscaler(autoscalers) or next(iter(autoscalers), None)
    if autoscaler is not None:
        return bounds(autoscaler)[0]
    return 0 if live is None else int(live["spec"].get("replicas", 1))

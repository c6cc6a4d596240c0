"""Who owns ``replicas``: exactly one of the handler, its own autoscaler, or a user's autoscaler.

An autoscaler does nothing for a Deployment that stands at 0, and the API resets a field that
nobody claims; so replicas are ours until the Deployment runs at least one, then handed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contract.metadata import controller_of
from contract.model import Object
from gati.contracts import Autoscaling, HandlerSpec, JsonObject


@dataclass(frozen=True, slots=True)
class Scaling:
    """Who scales, and between which bounds. ``autoscaler`` names the one that does, or is empty.

    ``foreign`` says that it is a user's own. ``floor`` is the least number of replicas that is
    acceptable; with ``to_zero`` the autoscaler may also stop them all, and start them again.
    """

    floor: int
    initial: int
    autoscaler: str = ""
    foreign: bool = False
    to_zero: bool = False

    def replicas(self, live: int | None) -> int | None:
        """Replicas to write, where ``live`` are on the Deployment now; None leaves them alone."""
        if not self.autoscaler or live is None:
            return self.initial
        return self.floor if live < 1 and not self.to_zero else None

    def least(self, live: int) -> int:
        """The floor, where the Deployment asks for ``live`` replicas now."""
        return 0 if self.to_zero and live < 1 else self.floor


def scaling(spec: HandlerSpec, workload: str, autoscalers: Iterable[Object]) -> Scaling:
    """Who scales this handler, given the autoscalers that target its Deployment.

    A user's autoscaler goes before the handler's own: two of them would fight.
    """
    foreign = users_autoscaler(autoscalers)
    if foreign is not None:
        low, high = bounds(foreign)
        initial = max(low, min(high, spec.replicas))
        name, to_zero = foreign["metadata"]["name"], _scales_to_zero(foreign)
        return Scaling(low, initial, name, foreign=True, to_zero=to_zero)
    if spec.autoscaling is not None:
        low, high = spec.autoscaling.min_replicas, spec.autoscaling.max_replicas
        return Scaling(low, max(low, min(high, spec.replicas)), workload)
    return Scaling(spec.replicas, spec.replicas)


def users_autoscaler(autoscalers: Iterable[Object]) -> Object | None:
    """The first of the autoscalers that no GatiHandler made, by name."""
    users = [autoscaler for autoscaler in autoscalers if not _of_a_handler(autoscaler)]
    return min(users, key=lambda autoscaler: str(autoscaler["metadata"]["name"]), default=None)


def bounds(autoscaler: Object) -> tuple[int, int]:
    """(least, most) replicas of an autoscaler."""
    spec = autoscaler["spec"]
    low = int(spec.get("minReplicas", 1))
    return low, int(spec.get("maxReplicas", low))


def target_of(autoscaler: Object) -> str | None:
    """The name of the Deployment that an autoscaler scales, or None where it scales another kind."""
    target = autoscaler.get("spec", {}).get("scaleTargetRef") or {}
    group = str(target.get("apiVersion", "")).partition("/")[0]
    return target.get("name") if (group, target.get("kind")) == ("apps", "Deployment") else None


def autoscaler_spec(autoscaling: Autoscaling, workload: str) -> JsonObject:
    """``spec`` of a HorizontalPodAutoscaler on the CPU use of the Deployment of that name."""
    aim = {"type": "Utilization", "averageUtilization": autoscaling.target_cpu}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": aim}}],
    }


def _scales_to_zero(autoscaler: Object) -> bool:
    """KEDA stops the pods of an idle target itself; the autoscaler it made knows nothing of it."""
    controller = controller_of(autoscaler)
    return controller is not None and controller.get("kind") == "ScaledObject"


def _of_a_handler(autoscaler: Object) -> bool:
    controller = controller_of(autoscaler)
    return controller is not None and controller.get("kind") == "GatiHandler"

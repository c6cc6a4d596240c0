"""Who owns ``replicas``: exactly one of the handler, its own autoscaler, or a user's autoscaler.

An autoscaler does nothing for a Deployment that stands at 0, and the API resets a field that
nobody claims; so replicas are ours until the Deployment runs at least one, then handed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import UNSET

from contract.metadata import controller_of
from contract.model import Object
from gati.handler.resolve import Handler
from gati.types.workload import Autoscaling


@dataclass(frozen=True, slots=True)
class Scaling:
    """Who scales, and between which bounds. ``autoscaler`` names the one that does, or is empty.

    ``foreign`` means that it is a user's own. ``floor`` is the least number of replicas that is
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


def scaling(handler: Handler, autoscalers: Iterable[Object]) -> Scaling:
    """Who scales this handler, given the autoscalers that target its Deployment.

    A user's autoscaler goes before the handler's own: two of them would fight.
    """
    foreign = users_autoscaler(autoscalers)
    if foreign is not None:
        low, high = bounds(foreign)
        initial = max(low, min(high, handler.spec.replicas))
        name, to_zero = foreign["metadata"]["name"], _scales_to_zero(foreign)
        return Scaling(low, initial, name, foreign=True, to_zero=to_zero)
    replicas, own = handler.spec.replicas, enabled(handler)
    if own is not None:
        low = own.min_replicas
        high = low if own.max_replicas is UNSET else own.max_replicas
        return Scaling(low, max(low, min(high, replicas)), handler.workload)
    return Scaling(replicas, replicas)


def enabled(handler: Handler) -> Autoscaling | None:
    """``spec.autoscaling`` where it is switched on."""
    own = handler.spec.autoscaling
    return own if own is not UNSET and own.enabled else None


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
    """The name of the Deployment that an autoscaler scales; None where it scales another kind."""
    target = autoscaler.get("spec", {}).get("scaleTargetRef") or {}
    group = str(target.get("apiVersion", "")).partition("/")[0]
    return target.get("name") if (group, target.get("kind")) == ("apps", "Deployment") else None


def _scales_to_zero(autoscaler: Object) -> bool:
    """KEDA stops the pods of an idle target itself; the autoscaler it made knows nothing of it."""
    controller = controller_of(autoscaler)
    return controller is not None and controller.get("kind") == "ScaledObject"


def _of_a_handler(autoscaler: Object) -> bool:
    controller = controller_of(autoscaler)
    return controller is not None and controller.get("kind") == "GatiHandler"

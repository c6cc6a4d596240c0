"""Is the handler doing its work? Read off the Deployment; no history, no clock.

Ready: the Deployment's present generation is rolled out (no pod of an older template is left)
and at least the floor of replicas is available. An autoscaler that adds pods above its minimum
makes nothing unready.
"""

from __future__ import annotations

from dataclasses import dataclass

from contract.demands import Seen
from contract.model import Key
from contract.ownership import adopt_annotation
from gati.handler.status.observe import Observed
from gati.kinds import GATI_HANDLER, GROUP
from gati.reasons import Reason, refusal_reason
from objects.pods import Problem


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the conditions show. ``stalled`` is the reason why it cannot go on, or empty."""

    ready: bool
    reason: str
    message: str
    stalled: str = ""
    serving: bool = False
    """Are enough replicas available, of whatever version?"""


def judge(
    observed: Observed, floor: int, problem: Problem | None, *, settled: bool = False
) -> Verdict:
    """The verdict on a Deployment that should have at least ``floor`` replicas available.

    ``problem`` is why pods do not start, where one was seen. ``settled`` means that the handler was
    Ready in its present generation and with this very template: then the counts remain valid even
    if the Deployment's observedGeneration lags. The template is compared as well because
    --default-image can change it without a new generation of the handler.
    """
    serving = observed.exists and observed.available >= max(floor, 1)
    counted = observed.current or settled
    rolled_out = counted and observed.replicas == observed.updated >= floor
    if rolled_out and observed.available >= floor:
        if observed.desired == 0:
            return Verdict(True, Reason.SCALED_TO_ZERO, "no replica is asked for")
        return Verdict(True, Reason.READY, _count(observed, floor), serving=serving)
    progress = _progress(observed)
    cause = observed.failure or problem
    stuck = observed.current and observed.deadline_exceeded
    stalled = Reason.PROGRESS_DEADLINE_EXCEEDED if stuck else ""
    if cause is not None:
        return Verdict(False, cause.reason, f"{progress}: {cause.message}", stalled, serving)
    if stuck:
        late = f"{progress}: no progress within the Deployment's deadline, see its pods"
        return Verdict(False, stalled, late, stalled, serving)
    return Verdict(False, Reason.PROGRESSING, progress, serving=serving)


def _progress(observed: Observed) -> str:
    if not observed.exists:
        return "the Deployment is not there yet"
    if not observed.current:
        return "waiting for the Deployment to be rolled out"
    if observed.paused:
        command = f"kubectl rollout resume deployment/{observed.paused}"
        return f"the Deployment is paused, so nothing is rolled out: {command}"
    if observed.replicas > observed.updated:
        return f"rolling out, {observed.updated} of {observed.desired} replicas updated"
    return _count(observed)


def _count(observed: Observed, floor: int = 0) -> str:
    available, desired = observed.available, observed.desired
    count = f"{available} of {desired} replicas ready"
    if observed.ready > available:
        # kubectl shows these pods as ready; they have not been ready for long enough.
        ready = f"{observed.ready} ready, waiting for minReadySeconds"
        count = f"{available} of {desired} replicas available, {ready}"
    # Fewer than asked for is no contradiction to Ready, but has to be explained.
    return f"{count}, {floor} needed" if 0 < floor <= available < desired else count


def obstacle(seen: Seen, handler: str) -> Verdict | None:
    """What stops the handler from being written as it should be; None where nothing does."""
    if seen.foreign:
        clashes = [
            _clash(key.kind.kind, key.name, owner, handler)
            for key, owner in sorted(seen.foreign.items(), key=by_name)
        ]
        return Verdict(False, Reason.NAME_CONFLICT, "; ".join(clashes), Reason.NAME_CONFLICT)
    for key, refusal in sorted(seen.refused.items(), key=by_name):
        reason = refusal_reason(refusal.message, Reason.API_REFUSED)
        message = f"the API server refuses {key.kind} {key.name}: {refusal.message}"
        return Verdict(False, reason, message, reason)
    return None


def by_name(item: tuple[Key, object]) -> tuple[str, str]:
    """The order in which a status lists objects."""
    return item[0].kind.kind, item[0].name


def _clash(kind: str, name: str, owner: str, handler: str) -> str:
    return (
        f"{kind} {name} exists already and is not this {GATI_HANDLER}'s ({owner}): give this one "
        f"another name, delete that {kind}, or hand it over with the annotation "
        f"{adopt_annotation(GROUP)}={handler} on it"
    )

"""Every plan of the rig but the crash points: which fault, where, in which scenario.

One function for each group; the F numbers are those of docs/chaos.md. An entry in ``SUBJECTS``
gives the scenario of a new kind the faults of requests and watches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.plan import Disturbance, Plan, random_plan
from chaos.proxy.rules import Rule


@dataclass(frozen=True)
class Subject:
    """Where the faults of requests and watches are injected: a scenario, a step, the child
    resources that the operator writes in the step, and the parent resource with the status.
    """

    scenario: str
    step: str
    written: tuple[str, ...]
    parent: str


SUBJECTS: tuple[Subject, ...] = (
    Subject("handler-life", "scale", ("deployments", "poddisruptionbudgets"), "gatihandlers"),
)

UNAIDED = ("--resync=0",)
"""No resync: the operator must requeue what a fault has prevented."""

PAGE = "<html><body><h1>502 Bad Gateway</h1></body></html>"
BUSY = "Too many requests, please try again later.\n"


def undisturbed(scenarios: Sequence[str], seconds: float) -> Iterator[Plan]:
    """Each scenario once without a fault, and with a long window without writes at its end (O3)."""
    for scenario in scenarios:
        yield Plan(group="quiet", name=scenario, scenario=scenario, quiet=seconds)


def calm(scenarios: Sequence[str], runs: int) -> Iterator[Plan]:
    """Runs without a fault, in which no oracle may report a finding."""
    for number in range(runs):
        scenario = scenarios[number % len(scenarios)]
        yield Plan(group="calm", name=f"run {number}", scenario=scenario, quiet=2.0, seed=number)


def request_faults(subject: Subject) -> Iterator[Plan]:
    """F15 to F19, and F06: faults of one write, for each resource that a step writes."""
    targets = [(resource, "") for resource in subject.written] + [(subject.parent, "status")]
    for resource, subresource in targets:
        for rule in _write_faults(resource, subresource):
            path = f"{resource}/{subresource}".rstrip("/")
            what = " ".join(str(each) for each in (rule.code or "", rule.note) if each)
            yield Plan(
                group="requests",
                flags=UNAIDED,
                name=f"{path}: {rule.phase} {rule.fault} {what}".strip(),
                scenario=subject.scenario,
                rules=(rule,),
                at=subject.step,
            )
    for code in (500, 503):
        rule = Rule(verb="get", phase="before", fault="respond", code=code)
        # The operator sends a get only for a name that is not in the cache.
        yield Plan(
            group="requests",
            flags=UNAIDED,
            name=f"get: {code}",
            scenario=subject.scenario,
            rules=(rule,),
            strikes=False,
        )


def _write_faults(resource: str, subresource: str) -> Iterator[Rule]:
    def rule(**fields: object) -> Rule:
        return Rule(verb="write", resource=resource, subresource=subresource, **fields)  # type: ignore[arg-type]

    yield rule(phase="before", fault="drop")
    yield rule(phase="before", fault="delay", seconds=3.0)
    yield rule(phase="before", fault="respond", code=409)
    yield rule(phase="before", fault="respond", code=409, count=3, note="three times")
    yield rule(phase="before", fault="respond", code=429, retry_after=2.0, note="Retry-After")
    yield rule(phase="before", fault="respond", code=429, text=BUSY, note="text, no header")
    yield rule(phase="before", fault="respond", code=500, count=3, note="three times")
    yield rule(phase="before", fault="respond", code=502, text=PAGE, note="HTML")
    yield rule(phase="before", fault="respond", code=503, text="", note="once")
    yield rule(phase="before", fault="late", seconds=2.0, note="504, committed later")
    yield rule(phase="before", fault="hang", seconds=4.0, note="half-open, then reset")
    yield rule(phase="committed", fault="drop")
    yield rule(phase="committed", fault="truncate")
    yield rule(phase="committed", fault="delay", seconds=3.0)
    yield rule(phase="committed", fault="respond", code=504)
    yield rule(phase="committed", fault="respond", code=500)
    yield rule(phase="committed", fault="duplicate")
    yield rule(phase="committed", fault="replay", seconds=1.5)


def watch_faults(subject: Subject) -> Iterator[Plan]:
    """F01 to F13: faults of one watch event, and of the request that opens a watch."""
    for resource in (subject.parent, subject.written[0]):
        for rule in _frame_faults(resource):
            yield Plan(
                group="watches",
                flags=UNAIDED,
                name=f"{resource}: {rule.fault} {rule.code or ''} {rule.note}".strip(),
                scenario=subject.scenario,
                rules=(rule,),
                at=subject.step,
            )
        for rule in _opening_faults(resource):
            yield Plan(
                group="watches",
                flags=UNAIDED,
                name=f"{resource}: opened, {rule.fault} {rule.code or ''} {rule.note}".strip(),
                scenario=subject.scenario,
                rules=(rule,),
            )
        for times in (1, 2):
            yield Plan(
                group="watches",
                flags=UNAIDED,
                name=f"{resource}: a stale relist, {'once' if times == 1 else 'twice'}",
                scenario=subject.scenario,
                rules=tuple(_stale_relist(resource, times)),
            )
    # After the end of the initial list a cut makes the watch resume, so the second watch request
    # is the resumed one.
    for code in (410, 500):
        yield Plan(
            group="watches",
            flags=UNAIDED,
            name=f"{subject.parent}: cut, then {code} at the resume",
            scenario=subject.scenario,
            rules=(
                Rule(
                    verb="watch",
                    resource=subject.parent,
                    phase="stream",
                    fault="cut",
                    frame="INITIAL-END",
                ),
                Rule(
                    verb="watch",
                    resource=subject.parent,
                    phase="before",
                    fault="respond",
                    code=code,
                    first=2,
                ),
            ),
        )


def _frame_faults(resource: str) -> Iterator[Rule]:
    def rule(**fields: object) -> Rule:
        return Rule(verb="watch", resource=resource, phase="stream", **fields)  # type: ignore[arg-type]

    yield rule(fault="cut")
    yield rule(fault="reset")
    yield rule(fault="truncate")
    yield rule(fault="duplicate")
    yield rule(fault="replay")
    yield rule(fault="delay", seconds=4.0, note="stale events")
    yield rule(fault="gone", note="410 as a frame")
    yield rule(fault="gone", count=4, note="410 four times")
    yield rule(fault="error", code=500)
    yield rule(fault="silence", seconds=6.0, note="half-open, then reset")


def _opening_faults(resource: str) -> Iterator[Rule]:
    def rule(**fields: object) -> Rule:
        return Rule(verb="watch", resource=resource, **fields)  # type: ignore[arg-type]

    yield rule(phase="before", fault="respond", code=410)
    yield rule(phase="before", fault="respond", code=429, text=BUSY)
    yield rule(phase="before", fault="respond", code=503, text=PAGE)
    yield rule(phase="stream", fault="swallow", frame="INITIAL-END", note="the end of the list")
    for fault in ("reset", "truncate"):
        yield rule(
            phase="stream", fault=fault, frame="INITIAL-END", note="before the end of the list"
        )


def _stale_relist(resource: str, times: int) -> Iterator[Rule]:
    """A watch has to relist, and gets the first list again, once or twice.

    Only plain lists are recorded, so the WatchList is refused at the start. One stale list is a
    server that lags; the operator accepts the second one, as after a restored backup.
    """
    yield Rule(verb="watch", resource=resource, phase="before", fault="respond", code=400)
    yield Rule(
        verb="watch", resource=resource, phase="stream", fault="gone", frame="MODIFIED", first=2
    )
    yield Rule(verb="list", resource=resource, phase="before", fault="stale", first=2, count=times)


def half_open(subject: Subject) -> Iterator[Plan]:
    """F02: the operator itself ends a half-open watch or write (limit of silence: 90 s)."""
    yield Plan(
        group="half-open",
        name=f"{subject.parent}: a watch that stays silent",
        scenario=subject.scenario,
        at=subject.step,
        rules=(Rule(verb="watch", resource=subject.parent, phase="stream", fault="silence"),),
        patience=200.0,
    )
    yield Plan(
        group="half-open",
        name=f"{subject.written[0]}: a write that is never answered",
        scenario=subject.scenario,
        at=subject.step,
        rules=(Rule(verb="write", resource=subject.written[0], phase="committed", fault="hang"),),
        patience=120.0,
    )


def connection_faults(subject: Subject) -> Iterator[Plan]:
    """F01, F17, F20, F21: all connections, the token, the certificate."""
    for action, seconds in (
        ("cut", 3.0),
        ("refuse", 3.0),
        ("silence", 5.0),
        ("rotate-certificate", 0.0),
        ("rotate-token", 0.0),
    ):
        yield Plan(
            group="connections",
            flags=UNAIDED,
            name=action,
            scenario=subject.scenario,
            disturbances=(Disturbance(at=subject.step, action=action, seconds=seconds),),
        )


def process_faults(subject: Subject) -> Iterator[Plan]:
    """F28, F29, F35 with one replica: frozen, loop blocked, clock wrong, killed, stopped."""
    for action, seconds, lead in (
        ("freeze-leader", 5.0, 1.0),
        ("block-loop", 4.0, 1.0),
        ("jump-clock", 3600.0, 0.0),
        ("kill-leader", 1.0, 0.0),
        ("stop-leader", 1.0, 0.0),
    ):
        disturbance = Disturbance(at=subject.step, action=action, seconds=seconds, lead=lead)
        yield Plan(
            group="processes",
            flags=UNAIDED,
            name=action,
            scenario=subject.scenario,
            disturbances=(disturbance,),
        )


LEASE_OFFSETS = tuple(0.5 * number for number in range(1, 13))
"""Seconds between the leader's first hanging Lease request and the user's change. The renew
deadline is 2 s and the lease 3 s, so the change comes before the deadline, between deadline and
expiry, between expiry and take-over, and after the take-over."""
SHORT_CUTS = (0.5, 1.0, 1.5, 2.5, 4.0)
"""Seconds for which the leader's Lease requests hang, from the user's change on: less than the
renew deadline, less than the lease, and until after the take-over."""


def leader_faults(subject: Subject) -> Iterator[Plan]:
    """F27 to F29 with two replicas: at most one writes, whatever happens to the Lease."""

    def plan(name: str, action: str, seconds: float, lead: float = 0.0, **fields: object) -> Plan:
        disturbance = Disturbance(at=subject.step, action=action, seconds=seconds, lead=lead)
        return Plan(
            group="leader",
            name=name,
            scenario=subject.scenario,
            replicas=2,
            disturbances=(disturbance,),
            **fields,  # type: ignore[arg-type]
        )

    for lead in LEASE_OFFSETS:
        yield plan(f"cut-lease, a change after {lead:g} s", "cut-lease", 6.5, lead)
    for seconds in SHORT_CUTS:
        yield plan(f"cut-lease for {seconds:g} s", "cut-lease", seconds)
    long = {"timing": (15.0, 10.0, 2.0), "patience": 90.0}
    yield plan("cut-lease at 15/10/2", "cut-lease", 17.0, 11.0, **long)
    yield plan("lose-lease-answers", "lose-lease-answers", 4.0, 1.0)
    yield plan("cut-all-but-lease", "cut-all-but-lease", 4.0, 1.0)
    yield plan("freeze-leader for less than a lease", "freeze-leader", 1.0)
    for lead in (1.0, 5.0):
        yield plan(f"freeze-leader, a change after {lead:g} s", "freeze-leader", 6.0, lead)
    yield plan("block-loop", "block-loop", 5.0, 1.0)
    yield plan("jump-clock", "jump-clock", 3600.0)
    yield plan("kill-leader", "kill-leader", 2.0)
    yield plan("stop-leader", "stop-leader", 2.0)
    yield plan("delete-lease", "delete-lease", 0.0)
    yield plan("overwrite-lease", "overwrite-lease", 0.0)


def control_plane_faults(subject: Subject) -> Iterator[Plan]:
    """F03, F11, F13, F23: plans that break the control plane, each alone on one."""
    steps = (
        (subject.step, "delete-service") if subject.scenario == "handler-life" else (subject.step,)
    )
    for action, seconds, lead in (
        ("kill-apiserver", 1.0, 0.0),
        ("freeze-apiserver", 6.0, 0.0),
        ("freeze-etcd", 6.0, 0.0),
        ("compact", 0.0, 0.0),
        ("no-controller-manager", 5.0, 0.0),
        ("switch-apiserver", 4.0, 1.0),
        ("stale-apiserver", 5.0, 1.0),
        ("backward-apiserver", 5.0, 1.0),
    ):
        for step in steps:
            yield Plan(
                group="control-plane",
                name=f"{action} in {step}",
                scenario=subject.scenario,
                disturbances=(Disturbance(at=step, action=action, seconds=seconds, lead=lead),),
                exclusive=True,
                patience=120.0,
            )


def races() -> Iterator[Plan]:
    """F18, F31: a write that arrives after its object was deleted or replaced."""
    yield Plan(
        group="races",
        name="an apply arrives after its object was deleted",
        scenario="edited-and-deleted",
        at="edit-and-delete",
        rules=(LATE_APPLY,),
    )
    yield Plan(
        group="races",
        name="a delete arrives after its object was replaced",
        scenario="autoscaler-replaced",
        at="replace-autoscaler",
        rules=(LATE_DELETE,),
    )


LATE_APPLY = Rule(
    verb="apply", resource="deployments", dry_run=False, phase="before", fault="delay", seconds=3.0
)
LATE_DELETE = Rule(
    verb="delete",
    resource="horizontalpodautoscalers",
    phase="before",
    fault="delay",
    seconds=3.0,
)


def others() -> Iterator[Plan]:
    """F22, F30: admission webhooks that change writes, and a rival field manager."""
    yield Plan(
        group="others",
        name="a webhook rewrites images",
        scenario="images-rewritten",
        webhook="rewrite-image",
    )
    yield Plan(
        group="others",
        name="a webhook changes each write differently",
        scenario="deployment-rewritten",
        webhook="never-agrees",
    )
    yield Plan(group="others", name="a rival reverts each repair", scenario="contested")


def random_faults(scenarios: Sequence[str], seeds: int) -> Iterator[Plan]:
    """Two to four faults in one run, drawn by a seed."""
    for number in range(seeds):
        yield random_plan(number, scenarios[number % len(scenarios)])

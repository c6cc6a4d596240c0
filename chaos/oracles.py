"""The oracles: pure functions of a run's evidence, independent of any single plan.

Some oracles compare the run with an undisturbed one; the others check rules that hold in every
run. A plan leaves out an oracle only with a reason (``waived``).
"""

from __future__ import annotations

import base64
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from chaos.evidence import MANAGER, Evidence, Exit, Finding, Sample
from chaos.proxy.trace import Entry
from chaos.recorder import counts
from contract.model import Object
from harness.objects import CHILDREN

Oracle = Callable[[Evidence], Iterator[str]]

PARENTS = ("gatihandlers",)
"""The resources whose status the operator writes."""
COUNTED = (*PARENTS, *CHILDREN)
BACKOFF = (0.2, 5.0)
"""The backoff's base and limit of the rig's operators (seconds)."""
RESYNC = 1.0
"""The resync period of the rig's operators (seconds)."""
EVENTS = 10
"""Retries without backoff: a watch event requeues its key at once. A step changes its object once,
and a rollout its children a few times."""


def end_state(evidence: Evidence) -> Iterator[str]:
    """Every step ends in the same state as in the undisturbed run."""
    for step in evidence.steps:
        for problem in step.problems:
            yield f"{step.name}: {problem}"
    if evidence.reference and not any(step.problems for step in evidence.steps):
        ended = {step.name for step in evidence.steps}
        for name in evidence.reference.snapshots:
            if name not in ended:
                yield f"{name}: the step was not reached"


def object_counts(evidence: Evidence) -> Iterator[str]:
    """Each object is created and deleted as often as in the undisturbed run.

    Fewer creates or deletes are a finding only in a run that reached its end.
    """
    if evidence.reference is None:
        return
    found = Counter({"/".join(k): n for k, n in counts(evidence.frames, COUNTED).items()})
    expected = Counter(evidence.reference.counts)
    complete = not any(step.problems for step in evidence.steps)
    for key in sorted({*found, *expected}):
        if key.split("/")[1] == "kube-root-ca.crt":
            continue
        more, less = found[key] > expected[key], found[key] < expected[key]
        if more or (less and complete):
            yield f"{key}: {found[key]} times, undisturbed {expected[key]}"


def quiescence(evidence: Evidence) -> Iterator[str]:
    """The operator writes nothing once everything has converged."""
    for quiet in evidence.quiets:
        if quiet.restless:
            yield f"after {quiet.step} the operator continues to write"
            continue
        late = [each for each in evidence.writes() if quiet.began <= each.at < quiet.ended]
        for entry in late[:5]:
            yield f"{_what(entry)} {entry.at - quiet.began:.1f} s after {quiet.step} had converged"


def foreign(evidence: Evidence) -> Iterator[str]:
    """Foreign objects never change: same uid, content and field managers."""
    for key, before in evidence.foreign_before.items():
        after = evidence.foreign_after.get(key, "gone")
        if after != before:
            yield f"{key} was {before} and is {after}"
    yield from dict.fromkeys(_trespasses(evidence))


FOREIGN = ("chaos/canary", "chaos/foreign")
"""Annotations of objects that are not the operator's."""


def _trespasses(evidence: Evidence) -> Iterator[str]:
    """Writes to foreign objects, also those that were reverted before the end."""
    for frame in evidence.frames:
        metadata = frame.object["metadata"]
        marked = any(each in (metadata.get("annotations") or {}) for each in FOREIGN)
        managers = [each.get("manager", "") for each in metadata.get("managedFields") or ()]
        if marked and frame.type != "DELETED" and any(m.startswith(MANAGER) for m in managers):
            yield f"{frame.resource}/{frame.name} is foreign, but {MANAGER} wrote it"


def single_writer(evidence: Evidence) -> Iterator[str]:
    """Only the holder of the Lease writes, and only until the lease expires."""
    if evidence.plan.replicas == 1:
        return
    holder, renewed = "", -math.inf
    for entry in sorted(evidence.entries, key=_moment):
        if entry.resource == "leases":
            if not entry.is_write or entry.server_code not in (200, 201):
                continue
            if entry.holder == "" and holder not in ("", entry.replica):
                yield f"{entry.replica} cleared the Lease of {holder}"
            early = entry.at - renewed < evidence.lease_seconds - 0.05
            if entry.holder and holder not in ("", entry.replica) and early:
                yield f"{entry.replica} took the Lease {entry.at - renewed:.1f} s after a renewal"
            holder = entry.replica if entry.holder else ""
            renewed = entry.at
        elif entry.is_write and (entry.forwarded or entry.server_code):
            late = entry.at - renewed
            if entry.replica != holder:
                has = f"while {holder} held" if holder else "while no replica held"
                yield f"{entry.replica} sent {_what(entry)} {has} the Lease"
            elif late > evidence.lease_seconds:
                yield f"{entry.replica} sent {_what(entry)} {late:.1f} s after its last renewal"


def _moment(entry: Entry) -> float:
    """The time that counts: the end of a write of the Lease, the arrival of any other write."""
    return entry.ended or entry.at if entry.resource == "leases" else entry.at


def bounded_retries(evidence: Evidence) -> Iterator[str]:
    """Failed requests are retried with backoff, and not before Retry-After.

    The backoff grows with each failure of the same request, until the request succeeds or the
    process ends. So each series of failures is judged alone, in every interval within it.
    """
    tries: defaultdict[tuple[str, str, str, str], list[Entry]] = defaultdict(list)
    for entry in sorted(evidence.entries, key=lambda each: each.at):
        if entry.resource != "leases" and entry.ended:
            name = entry.name if entry.verb not in ("list", "watch") else ""
            key = (entry.replica, f"{entry.verb} {entry.resource}", name, entry.subresource)
            tries[key].append(entry)
    for (replica, what, name, subresource), entries in tries.items():
        target = f"{what} {name} {subresource}".strip()
        ends = [end.at for end in evidence.exits if end.replica == replica]
        for dry_run in (False, True):
            of_one_kind = [each for each in entries if each.dry_run == dry_run]
            yield from (f"{target} {text}" for text in _excess(of_one_kind, ends))
        yield from _impatience(evidence, entries, ends)


def _excess(entries: list[Entry], ends: list[float]) -> Iterator[str]:
    """The first interval in which one request failed more often than the backoff allows."""
    for times in _series(entries, ends):
        for first, last in itertools.combinations(range(len(times)), 2):
            failed, span = last - first + 1, times[last] - times[first]
            if failed > (bound := tries_within(span)):
                yield f"failed {failed} times in {span:.1f} s; the backoff allows {bound}"
                return


def _series(entries: list[Entry], ends: list[float]) -> Iterator[list[float]]:
    """The times of consecutive failures of a request, without a success and in one process."""
    times: list[float] = []
    for entry in entries:
        if times and (not _failed(entry) or any(times[-1] <= end < entry.at for end in ends)):
            yield times
            times = []
        if _failed(entry):
            times.append(entry.at)
    yield times


def _failed(entry: Entry) -> bool:
    """Does the operator retry the request? A 404 of a get or delete is not a failure."""
    if entry.code == 404 and entry.verb in ("get", "delete"):
        return False
    cut_short = entry.verb == "watch" and entry.code == 200 and entry.fault != ""
    return entry.code == 0 or entry.code >= 400 or cut_short


def tries_within(seconds: float) -> int:
    """How often one request may fail within ``seconds``.

    Once; once after each backoff, at its shortest by jitter (half); once at each resync, which
    jitter brings a tenth earlier; and ``EVENTS`` times because of watch events.
    """
    shortest, longest = (wait / 2 for wait in BACKOFF)
    waits, passed, wait = 0, shortest, shortest
    while passed <= seconds:
        waits += 1
        wait = min(2 * wait, longest)
        passed += wait
    return 1 + EVENTS + waits + math.ceil(seconds / (0.9 * RESYNC))


def _impatience(evidence: Evidence, entries: list[Entry], ends: list[float]) -> Iterator[str]:
    for entry, following in itertools.pairwise(entries):
        if not 0 <= entry.rule < len(evidence.plan.rules):
            continue
        rule = evidence.plan.rules[entry.rule]
        if rule.retry_after is None or entry.code != rule.code:
            continue
        if any(entry.at <= end < following.at for end in ends):
            continue  # a new process does not know the Retry-After
        waited = following.at - entry.ended
        if waited < rule.retry_after - 0.05:
            asked = f"after a Retry-After of {rule.retry_after:g} s"
            yield f"{_what(following)} {waited:.2f} s {asked}"


WRITES_IN_TEN_SECONDS = 30
"""More writes of one object are a loop: backoff and rollouts cause fewer."""


def bounded_writes(evidence: Evidence) -> Iterator[str]:
    """No object is written in a loop, not even where a rival reverts every write."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for entry in sorted(evidence.writes(), key=lambda each: each.at):
        if 0 < entry.server_code < 300:
            # Each Event has a new name, so all Events count as one object.
            what = "events" if entry.resource == "events" else _what(entry)
            times[f"{entry.replica}: {what}"].append(entry.at)
    for what, at in times.items():
        window = WRITES_IN_TEN_SECONDS
        busy = [late - early for early, late in zip(at, at[window:], strict=False)]
        if busy and min(busy) < 10:
            yield f"{what} {window + 1} times in {min(busy):.1f} s"


def no_secret(evidence: Evidence) -> Iterator[str]:
    """No log, metric, command line or object holds a secret, plain or in base64."""
    texts = [*evidence.outputs.items()]
    texts += [(f"{each.resource}/{each.name}", str(each.object)) for each in evidence.frames]
    for what, secret in evidence.secrets.items():
        encoded = base64.b64encode(secret.encode()).decode()
        held = [where for where, text in texts if secret in text or encoded in text]
        for where in dict.fromkeys(held):
            yield f"{where} holds {what}"


def status_rules(evidence: Evidence) -> Iterator[str]:
    """Every stored status follows the API conventions."""
    observed: dict[str, int] = {}
    before: dict[tuple[str, str], tuple[str, str]] = {}
    reported: set[str] = set()
    for frame in evidence.frames:
        if frame.resource not in PARENTS or frame.type == "DELETED":
            continue
        metadata, status = frame.object["metadata"], frame.object.get("status") or {}
        uid, generation = metadata["uid"], metadata["generation"]
        if not status:
            before = {key: value for key, value in before.items() if key[0] != uid}
            observed.pop(uid, None)
            continue
        for problem in _status_problems(status, generation, observed.get(uid, 0)):
            if (text := f"{frame.name}: {problem}") not in reported:
                reported.add(text)
                yield text
        observed[uid] = status.get("observedGeneration", 0)
        known = {each["type"] for each in status.get("conditions") or ()}
        before = {key: value for key, value in before.items() if key[0] != uid or key[1] in known}
        for each in status.get("conditions") or ():
            now = (each["status"], each["lastTransitionTime"])
            was = before.get((uid, each["type"]), now)
            text = f"{frame.name}: {each['type']} has a new transition time without a transition"
            if was[0] == now[0] and was[1] != now[1] and text not in reported:
                reported.add(text)
                yield text
            before[uid, each["type"]] = now


def _status_problems(status: Object, generation: int, before: int) -> Iterator[str]:
    observed = int(status.get("observedGeneration", 0))
    if observed > generation:
        yield f"observedGeneration {observed} exceeds generation {generation}"
    if observed < before:
        yield f"observedGeneration fell from {before} to {observed}"
    conditions = list(status.get("conditions") or ())
    types = [each["type"] for each in conditions]
    if len(types) != len(set(types)):
        yield f"conditions are not unique: {types}"
    if "Ready" not in types:
        yield "no Ready condition"
    true = {each["type"] for each in conditions if each["status"] == "True"}
    for pair in ({"Ready", "Reconciling"}, {"Ready", "Stalled"}, {"Reconciling", "Stalled"}):
        if pair <= true:
            yield f"{' and '.join(sorted(pair))} are both True"
    for each in conditions:
        if each.get("observedGeneration", 0) > generation:
            yield f"{each['type']} observed a generation that does not exist"
        if not re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", each.get("reason", "")):
            yield f"{each['type']} has no reason"


def _could_not_renew(evidence: Evidence, end: Exit) -> bool:
    """Did the leader end because no renewal was acknowledged within the renew deadline?

    With leases of a few seconds a busy machine is enough. A process that never held the Lease
    has no reason to end, whatever the process before it held.
    """
    began = max(
        (each.at for each in evidence.exits if each.replica == end.replica and each.at < end.at),
        default=-math.inf,
    )
    renewals = [
        entry.at
        for entry in evidence.entries
        if (entry.replica, entry.resource) == (end.replica, "leases")
        and entry.is_write
        and entry.code in (200, 201)
        and began < entry.at <= end.at
    ]
    electing = evidence.plan.replicas > 1 and end.code == 1 and bool(renewals)
    return electing and end.at - max(renewals) >= evidence.renew_seconds


def health(evidence: Evidence) -> Iterator[str]:
    """No process ends by itself, and no log contains a traceback."""
    for end in evidence.exits:
        if not end.planned and not _could_not_renew(evidence, end):
            yield f"{end.replica} ended by itself with code {end.code}"
    for where, text in evidence.outputs.items():
        if "a bug in reconciling" in text or "Traceback (most recent call last)" in text:
            lines = [
                line for line in text.splitlines() if "a bug in" in line or "Traceback" in line
            ]
            yield f"{where}: {lines[0][:300]}"


MORE_TASKS = 8
"""Tasks that come and go: requests in flight, delayed passes."""
MORE_BYTES = 32 * 2**20


def resources(evidence: Evidence) -> Iterator[str]:
    """The tasks and the memory of a process do not grow after its first step."""
    first: dict[int, Sample] = {}
    first_with_tasks: dict[int, Sample] = {}
    for sample in evidence.samples:
        begin = first.setdefault(sample.pid, sample)
        if sample.resident > begin.resident + MORE_BYTES:
            grown = (sample.resident - begin.resident) / 2**20
            yield f"{sample.replica}: {grown:.0f} MiB more after {sample.step} than {begin.step}"
        if sample.tasks < 0:
            continue
        begin = first_with_tasks.setdefault(sample.pid, sample)
        if sample.tasks > begin.tasks + MORE_TASKS:
            more = f"{begin.tasks} tasks after {begin.step}, {sample.tasks} after {sample.step}"
            yield f"{sample.replica}: {more}"


def strikes(evidence: Evidence) -> Iterator[str]:
    """Each fault and each disturbance of the plan happened."""
    for miss in evidence.misses:
        yield f"did not happen: {miss}"
    if evidence.plan.strikes:
        for index, rule in enumerate(evidence.plan.rules):
            if index >= len(evidence.hits) or evidence.hits[index] == 0:
                yield f"did not strike: {rule.phase}/{rule.fault} of {rule.verb} {rule.resource}"


ORACLES: dict[str, Oracle] = {
    "end-state": end_state,
    "object-counts": object_counts,
    "quiescence": quiescence,
    "foreign": foreign,
    "single-writer": single_writer,
    "bounded-retries": bounded_retries,
    "bounded-writes": bounded_writes,
    "no-secret": no_secret,
    "status-rules": status_rules,
    "health": health,
    "resources": resources,
    "strikes": strikes,
}


def judge(evidence: Evidence) -> list[Finding]:
    """The findings of all oracles, but for those that the plan waives."""
    unknown = set(evidence.plan.waived) - set(ORACLES)
    if unknown:
        raise ValueError(f"{evidence.plan}: waives oracles that do not exist: {sorted(unknown)}")
    return [
        Finding(name, text)
        for name, oracle in ORACLES.items()
        if name not in evidence.plan.waived
        for text in oracle(evidence)
    ]


def _what(entry: Entry) -> str:
    path = "/".join(part for part in (entry.resource, entry.name, entry.subresource) if part)
    return f"{entry.verb} {path}"

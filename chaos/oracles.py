"""Judges runs. Each oracle is a pure function of the evidence and knows no plan by name.

Those that compare with an undisturbed run need no idea of what is right; the others state rules
that hold in every run. An oracle is left out of a plan only where the plan says why (``waived``).
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
"""The shortest and longest wait after failures, as the rig starts operators (seconds)."""
RESYNC = 1.0
"""How often everything is looked at anyway, as the rig starts operators (seconds)."""
EVENTS = 10
"""Tries that no wait precedes: a change that is seen asks for a pass at once, failed or not. A
step changes its object once, and a rollout its children a few times."""


def end_state(evidence: Evidence) -> Iterator[str]:
    """Every step ends as it does undisturbed."""
    for step in evidence.steps:
        for problem in step.problems:
            yield f"{step.name}: {problem}"
    if evidence.reference and not any(step.problems for step in evidence.steps):
        ended = {step.name for step in evidence.steps}
        for name in evidence.reference.snapshots:
            if name not in ended:
                yield f"{name}: never came to an end"


def object_counts(evidence: Evidence) -> Iterator[str]:
    """Each object comes and goes as often as it does undisturbed.

    Less often only counts in a run that came to its end: what was not tried did not happen.
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
    """Nothing is written once all is as it should be."""
    for quiet in evidence.quiets:
        if quiet.restless:
            yield f"after {quiet.step} the operator goes on writing"
            continue
        late = [each for each in evidence.writes() if quiet.began <= each.at < quiet.ended]
        for entry in late[:5]:
            yield f"{_what(entry)} {entry.at - quiet.began:.1f} s after {quiet.step} had converged"


def foreign(evidence: Evidence) -> Iterator[str]:
    """What is not the operator's is never touched: same object, content and writers."""
    for key, before in evidence.foreign_before.items():
        after = evidence.foreign_after.get(key, "gone")
        if after != before:
            yield f"{key} was {before} and is {after}"
    yield from dict.fromkeys(_trespasses(evidence))


FOREIGN = ("chaos/canary", "chaos/foreign")
"""Annotations of objects that are not the operator's."""


def _trespasses(evidence: Evidence) -> Iterator[str]:
    """What was written for a moment, of which nothing needs to be left at the end."""
    for frame in evidence.frames:
        metadata = frame.object["metadata"]
        marked = any(each in (metadata.get("annotations") or {}) for each in FOREIGN)
        managers = [each.get("manager", "") for each in metadata.get("managedFields") or ()]
        if marked and frame.type != "DELETED" and any(m.startswith(MANAGER) for m in managers):
            yield f"{frame.resource}/{frame.name} is foreign, and {MANAGER} wrote to it"


def single_writer(evidence: Evidence) -> Iterator[str]:
    """One replica writes at a time: the one that took the Lease last, while it lasts."""
    if evidence.plan.replicas == 1:
        return
    holder, renewed = "", -math.inf
    for entry in sorted(evidence.entries, key=_moment):
        if entry.resource == "leases":
            if not entry.is_write or entry.server_code not in (200, 201):
                continue
            if entry.holder == "" and holder not in ("", entry.replica):
                yield f"{entry.replica} emptied the Lease that {holder} held"
            early = entry.at - renewed < evidence.lease_seconds - 0.05
            if entry.holder and holder not in ("", entry.replica) and early:
                yield f"{entry.replica} took the Lease {entry.at - renewed:.1f} s after a renewal"
            holder = entry.replica if entry.holder else ""
            renewed = entry.at
        elif entry.is_write and (entry.forwarded or entry.server_code):
            late = entry.at - renewed
            if entry.replica != holder:
                has = f"while {holder or 'nobody'} held the Lease"
                yield f"{entry.replica} sent {_what(entry)} {has}"
            elif late > evidence.lease_seconds:
                yield f"{entry.replica} sent {_what(entry)} {late:.1f} s after its last renewal"


def _moment(entry: Entry) -> float:
    """A Lease changes hands when its write is done; another write counts from its sending."""
    return entry.ended or entry.at if entry.resource == "leases" else entry.at


def bounded_retries(evidence: Evidence) -> Iterator[str]:
    """What fails is tried again with growing waits, and not before the server said.

    The waits grow from one failure to the next of the same request, until it succeeds or its
    process ends; so each such row is judged by itself, and within it every stretch of time.
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
    """The first stretch of time in which one request failed more often than waits allow."""
    for row in _rows(entries, ends):
        for first, last in itertools.combinations(range(len(row)), 2):
            failed, span = last - first + 1, row[last] - row[first]
            if failed > (bound := tries_within(span)):
                yield f"failed {failed} times in {span:.1f} s; {bound} are enough"
                return


def _rows(entries: list[Entry], ends: list[float]) -> Iterator[list[float]]:
    """When a request failed again and again, without a success and in one process."""
    row: list[float] = []
    for entry in entries:
        if row and (not _failed(entry) or any(row[-1] <= end < entry.at for end in ends)):
            yield row
            row = []
        if _failed(entry):
            row.append(entry.at)
    yield row


def _failed(entry: Entry) -> bool:
    """Was the request to be tried again? That something is not there is an answer like any."""
    if entry.code == 404 and entry.verb in ("get", "delete"):
        return False
    cut_short = entry.verb == "watch" and entry.code == 200 and entry.fault != ""
    return entry.code == 0 or entry.code >= 400 or cut_short


def tries_within(seconds: float) -> int:
    """How often one request may fail within a time.

    Once; after each wait that has passed, the shortest that jitter allows (half); at each resync,
    which jitter brings by a tenth too early; and ``EVENTS`` times for what happens meanwhile.
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
            continue  # a new process was not told
        waited = following.at - entry.ended
        if waited < rule.retry_after - 0.05:
            asked = f"after being told to wait {rule.retry_after:g} s"
            yield f"{_what(following)} {waited:.2f} s {asked}"


WRITES_IN_TEN_SECONDS = 30
"""More writes of one object than that are a loop: growing pauses allow fewer, and a rollout too."""


def bounded_writes(evidence: Evidence) -> Iterator[str]:
    """No object is written in a loop, not even where somebody undoes every write."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for entry in sorted(evidence.writes(), key=lambda each: each.at):
        if 0 < entry.server_code < 300:
            # An Event has a name of its own, so that no two would ever be of one object.
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
    """Every status that was ever stored keeps to the API conventions."""
    observed: dict[str, int] = {}
    before: dict[tuple[str, str], tuple[str, str]] = {}
    told: set[str] = set()
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
            if (text := f"{frame.name}: {problem}") not in told:
                told.add(text)
                yield text
        observed[uid] = status.get("observedGeneration", 0)
        known = {each["type"] for each in status.get("conditions") or ()}
        before = {key: value for key, value in before.items() if key[0] != uid or key[1] in known}
        for each in status.get("conditions") or ():
            now = (each["status"], each["lastTransitionTime"])
            was = before.get((uid, each["type"]), now)
            text = f"{frame.name}: {each['type']} has a new transition time without one"
            if was[0] == now[0] and was[1] != now[1] and text not in told:
                told.add(text)
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
    """Did the leader end because it must: no renewal was acknowledged within the deadline?

    With leases of a few seconds a busy machine alone brings that about. A process that never had
    the Lease has nothing to lose, whatever the one before it had.
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
    """No process ends that was not ended, and no bug shows in a log."""
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
    """A process has not more tasks, and not much more memory, than after its first step."""
    first: dict[int, Sample] = {}
    told: dict[int, Sample] = {}
    for sample in evidence.samples:
        begin = first.setdefault(sample.pid, sample)
        if sample.resident > begin.resident + MORE_BYTES:
            grown = (sample.resident - begin.resident) / 2**20
            yield f"{sample.replica}: {grown:.0f} MiB more after {sample.step} than {begin.step}"
        if sample.tasks < 0:
            continue
        begin = told.setdefault(sample.pid, sample)
        if sample.tasks > begin.tasks + MORE_TASKS:
            more = f"{begin.tasks} tasks after {begin.step}, {sample.tasks} after {sample.step}"
            yield f"{sample.replica}: {more}"


def strikes(evidence: Evidence) -> Iterator[str]:
    """Each fault and disturbance of the plan happened: a plan that does nothing proves nothing."""
    for miss in evidence.misses:
        yield f"not carried out: {miss}"
    if evidence.plan.strikes:
        for index, rule in enumerate(evidence.plan.rules):
            if index >= len(evidence.hits) or evidence.hits[index] == 0:
                yield f"never struck: {rule.phase}/{rule.fault} of {rule.verb} {rule.resource}"


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
    """All that the oracles object to, those left out that the plan waives."""
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

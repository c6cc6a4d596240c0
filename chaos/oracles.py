"""Judges runs. Each oracle is a pure function of the evidence and knows no plan by name.

Those that compare with an undisturbed run need no idea of what is right; the others state rules
that hold in every run. An oracle is left out of a plan only where the plan says why (``waived``).
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from chaos.evidence import Evidence, Finding
from chaos.proxy.trace import Entry
from chaos.recorder import counts
from harness.objects import CHILDREN
from reconciler.model import Object

Oracle = Callable[[Evidence], Iterator[str]]

COUNTED = ("gatihandlers", *CHILDREN)
BACKOFF = (0.2, 5.0)
"""The shortest and longest wait after failures, as the rig starts operators (seconds)."""


def end_state(evidence: Evidence) -> Iterator[str]:
    """Every step ends as it does undisturbed."""
    for step in evidence.steps:
        for problem in step.problems:
            yield f"{step.name}: {problem}"


def object_counts(evidence: Evidence) -> Iterator[str]:
    """Each object comes and goes as often as it does undisturbed."""
    if evidence.reference is None:
        return
    found = {"/".join(key): n for key, n in counts(evidence.frames, COUNTED).items()}
    expected = evidence.reference.counts
    for key in sorted({*found, *expected}):
        if key.split("/")[1] == "kube-root-ca.crt":
            continue
        if found.get(key, 0) != expected.get(key, 0):
            yield f"{key}: {found.get(key, 0)} times, undisturbed {expected.get(key, 0)}"


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
    """What is not the operator's is not touched: same uid, same resource version."""
    for key, before in evidence.foreign_before.items():
        after = evidence.foreign_after.get(key, "gone")
        if after != before:
            yield f"{key} was {before} and is {after}"


def single_writer(evidence: Evidence) -> Iterator[str]:
    """One replica writes at a time: the one that took the Lease last and still holds it."""
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
        elif entry.is_write and entry.server_code and entry.replica != holder:
            yield f"{entry.replica} sent {_what(entry)} while {holder or 'nobody'} held the Lease"


def _moment(entry: Entry) -> float:
    """A Lease changes hands when its write is done; another write counts from its sending."""
    return entry.ended or entry.at if entry.resource == "leases" else entry.at


def bounded_retries(evidence: Evidence) -> Iterator[str]:
    """What fails is tried again with growing waits, and not before the server said."""
    tries: defaultdict[tuple[str, str, str, str], list[Entry]] = defaultdict(list)
    for entry in sorted(evidence.entries, key=lambda each: each.at):
        if entry.resource != "leases":
            name = entry.name if entry.verb not in ("list", "watch") else ""
            key = (entry.replica, f"{entry.verb} {entry.resource}", name, entry.subresource)
            tries[key].append(entry)
    for (_, what, name, subresource), entries in tries.items():
        failed = [each for each in entries if each.code == 0 or each.code >= 400]
        failed = [each for each in failed if each.ended]
        if "watch" in what:
            failed += [each for each in entries if each.code == 200 and each.fault]
        if failed:
            span = failed[-1].at - failed[0].at
            bound = _allowed(span)
            if len(failed) > bound:
                target = f"{what} {name} {subresource}".strip()
                yield f"{target} failed {len(failed)} times in {span:.0f} s; {bound} are enough"
    yield from _impatience(evidence, tries.values())


def _allowed(seconds: float) -> int:
    """Failures within a time that growing waits bring about, each step of a scenario anew."""
    shortest, longest = BACKOFF
    return 10 + math.ceil(2 * math.log2(longest / shortest)) + math.ceil(seconds / (longest / 2))


WRITES_IN_TEN_SECONDS = 30
"""More writes of one object than that are a loop: growing pauses allow fewer, and a rollout too."""


def bounded_writes(evidence: Evidence) -> Iterator[str]:
    """No object is written in a loop, not even where somebody undoes every write."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for entry in sorted(evidence.writes(), key=lambda each: each.at):
        if entry.resource != "events":
            times[f"{entry.replica}: {_what(entry)}"].append(entry.at)
    for what, at in times.items():
        window = WRITES_IN_TEN_SECONDS
        busy = [late - early for early, late in zip(at, at[window:], strict=False)]
        if busy and min(busy) < 10:
            yield f"{what} {window + 1} times in {min(busy):.1f} s"


def _impatience(evidence: Evidence, tries: Iterable[list[Entry]]) -> Iterator[str]:
    for entries in tries:
        for entry, following in itertools.pairwise(entries):
            if entry.rule < 0 or entry.rule >= len(evidence.plan.rules) or entry.code != 429:
                continue
            asked = evidence.plan.rules[entry.rule].retry_after or 0.0
            waited = following.at - (entry.ended or entry.at)
            if waited < asked - 0.05:
                yield f"{_what(following)} {waited:.2f} s after being told to wait {asked:g} s"


def no_secret(evidence: Evidence) -> Iterator[str]:
    """No log, metric, command line, Event or status holds a secret."""
    texts = dict(evidence.outputs)
    for frame in evidence.frames:
        if frame.resource in ("events", "gatihandlers"):
            texts[f"{frame.resource}/{frame.name}"] = str(frame.object)
    for what, secret in evidence.secrets.items():
        for where, text in texts.items():
            if secret in text:
                yield f"{where} holds {what}"


def status_rules(evidence: Evidence) -> Iterator[str]:
    """Every status that was ever stored keeps to the API conventions."""
    observed: dict[str, int] = {}
    before: dict[tuple[str, str], tuple[str, str]] = {}
    told: set[str] = set()
    for frame in evidence.frames:
        if frame.resource != "gatihandlers" or frame.type == "DELETED":
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


def health(evidence: Evidence) -> Iterator[str]:
    """No process ends that was not ended, and no bug shows in a log."""
    for end in evidence.exits:
        if not end.planned:
            yield f"{end.replica} ended by itself with code {end.code}"
    for where, text in evidence.outputs.items():
        if "a bug in reconciling" in text or "Traceback (most recent call last)" in text:
            lines = [
                line for line in text.splitlines() if "a bug in" in line or "Traceback" in line
            ]
            yield f"{where}: {lines[0][:300]}"


def resources(evidence: Evidence) -> Iterator[str]:
    """A process has no more tasks at the end than at the start, and not much more memory."""
    first = {}
    for sample in evidence.samples:
        begin = first.setdefault(sample.pid, sample)
        if sample.tasks > begin.tasks + 8 and begin.tasks >= 0:
            yield f"{sample.replica}: {begin.tasks} tasks after {begin.step}, {sample.tasks} now"
        if sample.resident > begin.resident + 32 * 2**20:
            grown = (sample.resident - begin.resident) / 2**20
            yield f"{sample.replica}: {grown:.0f} MiB more after {sample.step} than {begin.step}"


def strikes(evidence: Evidence) -> Iterator[str]:
    """Each fault of the plan happened: a plan that does nothing proves nothing."""
    if evidence.plan.strikes:
        for rule, hits in zip(evidence.plan.rules, evidence.hits, strict=False):
            if hits == 0:
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

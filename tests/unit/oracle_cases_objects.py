"""What the oracles about objects object to: their state, their number, foreign ones, secrets."""

from __future__ import annotations

import base64
from typing import Any

from chaos.evidence import Evidence, Quiet
from unit.oracle_evidence import SECRET, Case, child, ended, evidence, frame, reference, write

BASE64 = base64.b64encode(SECRET.encode()).decode()


def counted(*kinds: str, **counts: int) -> Evidence:
    """Events of Service web, where the undisturbed run had this many of each."""
    wanted = {f"services/web/{kind}": count for kind, count in counts.items()}
    return evidence(reference=reference(counts=wanted), frames=child(*kinds, resource="services"))


def quiet(*writes: Any) -> Evidence:
    """Writes of a run that must be silent from second 10 to second 15."""
    return evidence(quiets=[Quiet("scale", 10.0, 15.0)], entries=list(writes))


def foreign(before: dict[str, str], after: dict[str, str]) -> Evidence:
    """Foreign objects before and after a run: one line each."""
    return evidence(foreign_before=before, foreign_after=after)


def written_by(
    *managers: str, annotation: str = "chaos/foreign", kind: str = "MODIFIED"
) -> Evidence:
    """An object with this annotation, at moments at which these managers had written it last."""
    frames = []
    for manager in managers:
        managed = [{"manager": "a-user"}, {"manager": manager}]
        metadata = {"name": "x", "annotations": {annotation: "a"}, "managedFields": managed}
        frames.append(frame({"metadata": metadata}, kind, "services"))
    return evidence(frames=frames)


def noted(*texts: str) -> Evidence:
    """An Event whose text changes."""
    frames = [frame({"metadata": {"name": "e"}, "note": text}, resource="events") for text in texts]
    return evidence(frames=frames, secrets={"a password": SECRET})


def printed(**outputs: str) -> Evidence:
    """What the operator printed, by its kind."""
    return evidence(outputs=outputs, secrets={"a password": SECRET})


def configured(value: str) -> Evidence:
    """A Deployment with this environment variable."""
    web = {"metadata": {"name": "web"}, "spec": {"env": [value]}}
    return evidence(frames=[frame(web, resource="deployments")], secrets={"it": SECRET})


CASES = (
    Case(
        "end-state",
        "a step lacks something",
        bad=evidence(steps=[ended("create", "x: missing")]),
        good=evidence(steps=[ended("create")]),
    ),
    Case(
        "end-state",
        "a step was never reached",
        bad=evidence(
            reference=reference(snapshots={"create": {}, "delete": {}}), steps=[ended("create")]
        ),
        good=evidence(
            reference=reference(snapshots={"create": {}, "delete": {}}),
            steps=[ended("create"), ended("delete")],
        ),
    ),
    Case(
        "object-counts",
        "a child was deleted and made again",
        bad=counted("ADDED", "MODIFIED", "DELETED", "ADDED", ADDED=1),
        good=counted("ADDED", "MODIFIED", ADDED=1),
    ),
    Case(
        "object-counts",
        "a child was not deleted",
        bad=counted("ADDED", ADDED=1, DELETED=1),
        good=counted("ADDED", "DELETED", ADDED=1, DELETED=1),
    ),
    Case(
        "object-counts",
        "a child is missing in a run that reached its end",
        bad=evidence(
            reference=reference(counts={"services/web/ADDED": 1}), steps=[ended("create")]
        ),
        good=evidence(
            reference=reference(counts={"services/web/ADDED": 1}),
            steps=[ended("create", "x: missing")],
        ),
    ),
    Case(
        "object-counts",
        "an object is made that the undisturbed run did not make",
        bad=evidence(reference=reference(), frames=child("ADDED", resource="configmaps")),
        good=evidence(
            reference=reference(),
            frames=child("ADDED", resource="configmaps", name="kube-root-ca.crt"),
        ),
    ),
    Case(
        "quiescence",
        "a write comes after convergence, not before",
        bad=quiet(write(12.0)),
        good=quiet(write(9.9)),
    ),
    Case(
        "quiescence",
        "a write is not a dry run",
        bad=quiet(write(12.0, dry_run=False)),
        good=quiet(write(12.0, dry_run=True)),
    ),
    Case(
        "quiescence",
        "an Event is written, not a Lease",
        bad=quiet(write(12.0, resource="events")),
        good=quiet(write(12.0, resource="leases")),
    ),
    Case(
        "quiescence",
        "silence never comes",
        bad=evidence(quiets=[Quiet("scale", 10.0, 10.0, restless=True)]),
        good=evidence(quiets=[Quiet("scale", 10.0, 10.0, restless=False)]),
    ),
    Case(
        "foreign",
        "a foreign object is written",
        bad=foreign(
            {"services/x": "uid 1"},
            {"services/x": "uid 1, written by ['gati-operator', 'user']"},
        ),
        good=foreign({"services/x": "uid 1"}, {"services/x": "uid 1"}),
    ),
    Case(
        "foreign",
        "a foreign object is gone",
        bad=foreign({"services/x": "uid 1"}, {}),
        good=foreign({"services/x": "uid 1"}, {"services/x": "uid 1"}),
    ),
    Case(
        "foreign",
        "the operator writes a foreign object and another manager does not count",
        bad=written_by("kubectl", "gati-operator-status"),
        good=written_by("kubectl", "kube-controller-manager"),
    ),
    Case(
        "foreign",
        "the operator writes a canary, not a child",
        bad=written_by("gati-operator", annotation="chaos/canary"),
        good=written_by("gati-operator", annotation="child"),
    ),
    Case(
        "foreign",
        "a foreign object shows a write while it lives, not as it is deleted",
        bad=written_by("gati-operator", kind="MODIFIED"),
        good=written_by("gati-operator", kind="DELETED"),
    ),
    Case(
        "no-secret",
        "a log holds a secret",
        bad=printed(log=f"took {SECRET}"),
        good=printed(log="took a secret"),
    ),
    Case(
        "no-secret",
        "a metric holds a secret in base64",
        bad=printed(metrics=BASE64),
        good=printed(metrics="none"),
    ),
    Case(
        "no-secret",
        "an object held a secret for a moment",
        bad=noted("", SECRET, ""),
        good=noted("", "canary", ""),
    ),
    Case("no-secret", "a child holds a secret", bad=configured(SECRET), good=configured("canary")),
)

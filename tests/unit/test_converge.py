"""The table of ``converge.decide``: each row, their order, and that carrying out comes to rest.

A situation is one child that is wanted, what is there under its name, and what is remembered. The
rows' words are those of the docstring of ``converge``; the first row that fits has to decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.metadata import owner_reference
from contract.model import Kind, Object
from contract.ownership import (
    Owner,
    adopt_annotation,
    intent_annotation,
    is_own,
    kept_annotation,
    owner_annotation,
    stamp,
)
from contract.plan import Child, Hold
from objects.kinds import CONFIG_MAP
from objects.matching import content_digest
from reconciler import converge
from reconciler.contention import FREE_REPAIRS, Repairs
from reconciler.converge import (
    COLLECTED_SECONDS,
    GONE_SECONDS,
    Decision,
    Memory,
    Step,
    after_create,
    after_write,
    agreement,
    decide,
    intent_of,
)

KIND = Kind("example.com", "v1", "Widget", "widgets")
PARENT: Object = {"metadata": {"name": "w", "namespace": "shop", "uid": "parent"}}
OWNER = Owner.of(KIND, PARENT)
GROUP = KIND.group
NOW = 1000.0
CONTESTED = Repairs(FREE_REPAIRS, NOW - 1)

There = Literal["nothing", "own", "own by mark", "released", "kept", "earlier parent", "foreign"]
Written = Literal["same", "other", "none"]


@dataclass(frozen=True)
class Situation:
    """One wanted child, what is there, what is remembered of it, what the server answered.

    ``intent`` is the intent whose digest the live object carries and ``written`` the one that is
    remembered as written last, each compared with the wanted one. ``drifted``: a field differs.
    """

    hold: Hold = "owned"
    replaced: bool = False
    there: There = "own"
    deleting: bool = False
    intent: Written = "same"
    drifted: bool = False
    agreed: bool = False
    written: Written = "none"
    contested: bool = False
    blocked: float | None = None
    server_agrees: bool | None = None

    def child(self) -> Child:
        metadata = {"name": "x", "namespace": "shop"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}
        return Child(CONFIG_MAP, body, hold=self.hold, replaced=self.replaced)

    def body(self) -> Object:
        return stamp(self.child(), OWNER, PARENT)

    def live(self) -> Object | None:
        if self.there == "nothing":
            return None
        metadata: dict[str, Any] = {"name": "x", "namespace": "shop", "uid": "x", **self._marks()}
        if self.hold != "shared" and self.intent != "none":
            wanted = intent_of(self.child(), self.body(), OWNER)
            value = wanted if self.intent == "same" else "another"
            metadata["annotations"] = {
                **metadata.get("annotations", {}),
                intent_annotation(GROUP): value,
            }
        if self.deleting:
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        data = {"a": "9" if self.drifted else "1", "theirs": "1"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    def _marks(self) -> dict[str, Any]:
        reference = owner_reference(PARENT, KIND)
        match self.there:
            case "own":
                mark = {owner_annotation(GROUP): "parent"}
                return {"ownerReferences": [reference], "annotations": mark}
            case "own by mark":
                return {"annotations": {owner_annotation(GROUP): "parent"}}
            case "released":
                return {"annotations": {adopt_annotation(GROUP): "w"}}
            case "kept":
                return {"annotations": {kept_annotation(GROUP): OWNER.identity}}
            case "earlier parent":
                return {"ownerReferences": [{**reference, "uid": "earlier"}]}
            case _:
                other = {**reference, "kind": "Other", "name": "o", "uid": "other"}
                return {"ownerReferences": [other]}

    def memory(self) -> Memory:
        live = self.live()
        wanted = intent_of(self.child(), self.body(), OWNER)
        return Memory(
            agreed=agreement(self.body(), live) if self.agreed and live else "",
            intent={"same": wanted, "other": "another", "none": ""}[self.written],
            repairs=CONTESTED if self.contested else Repairs(),
            blocked_since=None if self.blocked is None else NOW - self.blocked,
        )

    def decide(self) -> Decision:
        return decide(
            self.child(),
            self.body(),
            self.live(),
            OWNER,
            self.memory(),
            NOW,
            server_agrees=self.server_agrees,
        )

    @property
    def shared(self) -> bool:
        return self.hold == "shared"

    @property
    def holds(self) -> bool:
        """Does the live object have every field and mark that is wanted?"""
        if self.shared:
            return not self.drifted
        marked = {"owned": "own", "kept": "kept"}[self.hold]
        return self.there == marked and self.intent == "same" and not self.drifted

    @property
    def changed(self) -> bool:
        """Is the wanted intent another one than was applied last?"""
        if self.shared:
            return self.written == "other"
        return "same" not in (self.intent, self.written)


@dataclass(frozen=True)
class Row:
    """One row of the table: in words, as a predicate, by an example, and what it decides."""

    words: str
    step: Step
    example: Situation
    fits: Callable[[Situation], bool]
    wait: float | None = None
    remembers: dict[str, Any] = field(default_factory=dict)


DRIFT = Situation(drifted=True)
OTHER = Situation(intent="other")

ROWS = (
    Row(
        "missing, shared",
        Step.WAIT,
        Situation(hold="shared", there="nothing"),
        lambda s: s.there == "nothing" and s.shared,
        wait=GONE_SECONDS,
    ),
    Row(
        "missing",
        Step.CREATE,
        Situation(there="nothing"),
        lambda s: s.there == "nothing",
    ),
    Row(
        "left by an earlier parent of the name",
        Step.WAIT,
        Situation(there="earlier parent"),
        lambda s: (
            s.there == "earlier parent"
            and not s.shared
            and (s.blocked is None or s.blocked < COLLECTED_SECONDS)
        ),
        wait=GONE_SECONDS,
        remembers={"blocked_since": NOW},
    ),
    Row(
        "... and not collected in time",
        Step.FOREIGN,
        Situation(there="earlier parent", blocked=COLLECTED_SECONDS),
        lambda s: s.there == "earlier parent" and not s.shared,
    ),
    Row(
        "not the parent's own",
        Step.FOREIGN,
        Situation(there="foreign"),
        lambda s: s.there == "foreign" and not s.shared,
    ),
    Row(
        "being deleted",
        Step.WAIT,
        Situation(deleting=True),
        lambda s: s.deleting,
        wait=GONE_SECONDS,
    ),
    Row(
        "replaced, of another intent",
        Step.REPLACE,
        replace(OTHER, replaced=True),
        lambda s: s.replaced and s.changed and s.hold == "owned" and s.there != "kept",
    ),
    Row(
        "holds the intent",
        Step.UNCHANGED,
        Situation(),
        lambda s: s.holds,
    ),
    Row(
        "is what the API server made of the intent",
        Step.UNCHANGED,
        replace(DRIFT, agreed=True),
        lambda s: s.agreed,
    ),
    Row(
        "of another intent",
        Step.CONFIGURE,
        OTHER,
        lambda s: s.changed,
    ),
    Row(
        "of this intent, fields differ",
        Step.DRY_RUN,
        DRIFT,
        lambda s: s.server_agrees is None,
    ),
    Row(
        "... and the server agrees",
        Step.UNCHANGED,
        replace(DRIFT, server_agrees=True),
        lambda s: s.server_agrees is True,
        remembers={"agreed": replace(DRIFT, agreed=True).memory().agreed},
    ),
    Row(
        "... drift, reverted too often",
        Step.CONTESTED,
        replace(DRIFT, server_agrees=False, contested=True),
        lambda s: s.contested,
        wait=CONTESTED.wait(NOW),
    ),
    Row(
        "... drift",
        Step.REPAIR,
        replace(DRIFT, server_agrees=False),
        lambda _: True,
    ),
)

SITUATIONS = st.builds(
    Situation,
    hold=st.sampled_from(["owned", "kept", "shared"]),
    replaced=st.booleans(),
    there=st.sampled_from(
        ["nothing", "own", "own by mark", "released", "kept", "earlier parent", "foreign"]
    ),
    deleting=st.booleans(),
    intent=st.sampled_from(["same", "other", "none"]),
    drifted=st.booleans(),
    agreed=st.booleans(),
    written=st.sampled_from(["same", "other", "none"]),
    contested=st.booleans(),
    blocked=st.sampled_from([None, 0.0, COLLECTED_SECONDS - 1, COLLECTED_SECONDS]),
    server_agrees=st.sampled_from([None, True, False]),
)


def documented() -> list[tuple[str, str]]:
    """The rows of the docstring: what is live, and the first word of what is decided."""
    lines = (converge.__doc__ or "").splitlines()
    start = next(number for number, line in enumerate(lines) if "------" in line)
    rows = []
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        words, _, decision = line.strip().partition("  ")
        rows.append((words, decision.split()[0].rstrip(":")))
    return rows


def test_the_docstring_and_these_rows_are_the_same_table():
    assert documented() == [(row.words, row.step.name) for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.words)
def test_each_row_decides_its_example(row):
    decision = row.example.decide()
    assert decision.step is row.step
    assert decision.wait == row.wait
    assert decision.memory == replace(row.example.memory(), **row.remembers)
    assert first_fit(row.example) is row


@settings(max_examples=500)
@given(situation=SITUATIONS)
def test_the_first_row_that_fits_decides(situation):
    assert situation.decide().step is first_fit(situation).step


def first_fit(situation: Situation) -> Row:
    return next(row for row in ROWS if row.fits(situation))


@pytest.mark.parametrize("server_agrees", [None, False])
def test_a_decision_names_the_fields_that_differ(server_agrees):
    assert replace(DRIFT, server_agrees=server_agrees).decide().paths == ("data.a",)


def test_a_repaired_child_stays_contested_until_its_next_repair():
    decision = Situation(contested=True).decide()
    assert (decision.step, decision.wait) == (Step.UNCHANGED, CONTESTED.wait(NOW))


def test_an_earlier_parents_object_is_waited_for_since_it_was_met():
    decision = Situation(there="earlier parent", blocked=20.0).decide()
    assert decision.memory.blocked_since == NOW - 20.0


class Cluster:
    """A model of an API server that holds one object, and of the one who carries decisions out.

    ``mirror`` is an admission webhook that rewrites what is sent; ``rival`` a field manager that
    reverts each write so many times. What must never be done raises AssertionError.
    """

    def __init__(self, situation: Situation, *, mirror: bool, rival: int) -> None:
        self.child, self.body = situation.child(), situation.body()
        self.live, self.memory = situation.live(), situation.memory()
        self.mirror, self.rival = mirror, rival
        self.now = NOW
        self.writes = 0

    def decide(self, *, server_agrees: bool | None = None) -> Decision:
        return decide(
            self.child,
            self.body,
            self.live,
            OWNER,
            self.memory,
            self.now,
            server_agrees=server_agrees,
        )

    def step(self) -> Step:
        """One pass: decide, carry out, and let pass the time that the decision asks for."""
        decision = self.decide()
        if decision.step is Step.DRY_RUN:
            assert self.live is not None
            same = content_digest(self.applied()) == content_digest(self.live)
            decision = self.decide(server_agrees=same)
            assert decision.step is not Step.DRY_RUN
        self.memory = decision.memory
        self.now += decision.wait or 0.0
        self.carry_out(decision.step)
        return decision.step

    def carry_out(self, step: Step) -> None:
        match step:
            case Step.CREATE:
                assert self.live is None
                assert self.child.hold != "shared", "a shared object is never created"
                self.live = self.applied()
                self.memory = after_create(self.body, self.live)
                self.writes += 1
            case Step.CONFIGURE | Step.REPAIR:
                self.write(step)
            case Step.REPLACE:
                assert self.live is not None
                assert is_own(self.live, OWNER), "an object that is not the parent's is deleted"
                assert self.child.hold == "owned", "a kept or shared child is deleted"
                kept = kept_annotation(GROUP) in self.live["metadata"].get("annotations", {})
                assert not kept, "a kept object is deleted"
                self.live = None
                self.writes += 1
            case Step.WAIT if self.live and "deletionTimestamp" in self.live["metadata"]:
                self.live = None

    def write(self, step: Step) -> None:
        assert self.live is not None
        if self.child.hold != "shared":
            assert is_own(self.live, OWNER), "an object that is not the parent's is written"
        answer = self.applied()
        self.memory = after_write(self.memory, self.child, self.body, answer, OWNER)
        if step is Step.REPAIR:
            repairs = self.memory.repairs.repaired(self.now)
            self.memory = replace(self.memory, repairs=repairs)
        else:
            self.memory = replace(self.memory, repairs=Repairs())
        self.live = answer
        self.writes += 1
        if self.rival:
            self.rival -= 1
            self.live = {**answer, "data": {**answer["data"], "a": "9"}}

    def applied(self) -> Object:
        """What a server-side apply of the body makes of what is there."""
        live = self.live or {"metadata": {"uid": "new"}}
        metadata = {**live["metadata"], **self.body["metadata"]}
        before = live["metadata"].get("annotations", {})
        if self.child.hold == "kept":
            before = {k: v for k, v in before.items() if k != owner_annotation(GROUP)}
            metadata.pop("ownerReferences", None)
        annotations = {**before, **self.body["metadata"].get("annotations", {})}
        if annotations:
            metadata["annotations"] = annotations
        data = {**live.get("data", {}), **self.body["data"]}
        if self.mirror:
            data["a"] = f"mirror/{data['a'].removeprefix('mirror/')}"
        return {**self.body, "metadata": metadata, "data": data}


@given(situation=SITUATIONS, mirror=st.booleans(), rival=st.integers(0, 2 * FREE_REPAIRS))
def test_carrying_out_comes_to_rest_and_spares_the_objects_of_others(situation, mirror, rival):
    cluster = Cluster(situation, mirror=mirror, rival=rival)
    quiet = 0
    for _ in range(40 + 2 * rival):
        before, writes = cluster.live, cluster.writes
        step = cluster.step()
        quiet = quiet + 1 if (cluster.live, cluster.writes) == (before, writes) else 0
        if quiet and step in (Step.UNCHANGED, Step.FOREIGN):
            break
    shared_missing = cluster.child.hold == "shared" and cluster.live is None
    assert shared_missing or step in (Step.UNCHANGED, Step.FOREIGN)
    writes = cluster.writes
    for _ in range(3):
        assert cluster.step() is (Step.WAIT if shared_missing else step)
    assert cluster.writes == writes


@given(situation=SITUATIONS, mirror=st.booleans())
def test_a_restart_after_rest_writes_nothing(situation, mirror):
    nothing = {"agreed": False, "written": "none", "contested": False, "blocked": None}
    cluster = Cluster(replace(situation, **nothing), mirror=mirror, rival=0)
    for _ in range(40):
        cluster.step()
    writes, cluster.memory = cluster.writes, converge.NOTHING
    for _ in range(3):
        cluster.step()
    assert cluster.writes == writes

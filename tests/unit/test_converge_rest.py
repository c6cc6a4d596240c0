"""Carrying out what ``converge`` decides comes to rest and spares the objects of others.

The decisions are carried out on a model of one object, with a webhook and a rival beside them.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from contract.model import Object
from contract.ownership import is_own, kept_annotation, owner_annotation
from objects.matching import content_digest
from reconciler import converge
from reconciler.contention import FREE_REPAIRS, Repairs
from reconciler.converge import Decision, Step, after_create, after_write, decide
from unit.child_situations import GROUP, NOW, OWNER, SITUATIONS, Situation


class Cluster:
    """A model of an API server that holds one object, and of the runtime that carries decisions out.

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
def test_carried_out_decisions_rest_and_spare_foreign_objects(situation, mirror, rival):
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

"""A situation in which ``converge`` decides: one wanted child, and what there is of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st

from contract.metadata import owner_reference
from contract.model import Kind, Object
from contract.ownership import (
    Owner,
    adopt_annotation,
    intent_annotation,
    kept_annotation,
    owner_annotation,
    stamp,
)
from contract.plan import Child, Hold
from objects.kinds import CONFIG_MAP
from reconciler.contention import FREE_REPAIRS, Repairs
from reconciler.converge import (
    COLLECTED_SECONDS,
    Decision,
    Memory,
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

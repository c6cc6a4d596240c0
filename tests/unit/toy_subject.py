"""The toy controller of the world's tests, to be held to the rules of the contract."""

from __future__ import annotations

from contract.model import Object
from unit.subjects import NAMESPACE, Subject
from world.kinds import SECRET
from world.toys import Toys
from world.toyvalues import BOARD, TOY
from world.toyworld import CHANGED, CRDS, FULL, TOY_CRD, board, seed, toy


def _placed(obj: Object, number: int) -> Object:
    identity = {"namespace": NAMESPACE, "uid": f"beside-{number}", "resourceVersion": "1"}
    return {**obj, "metadata": {**obj["metadata"], **identity}}


TOYS = Subject(
    controllers=(Toys(),),
    schema=TOY_CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"],
    versions=(TOY.version,),
    crds=CRDS,
    examples=(toy(), toy(**FULL), toy(**{**FULL, **CHANGED})),
    beside=(
        (BOARD, _placed(board("b"), 1)),
        (SECRET, _placed(seed("users", "b"), 2)),
        (SECRET, _placed(seed("a", "none"), 3)),
    ),
)

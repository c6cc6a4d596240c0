"""GatiModule: read and answered, not run yet. The status says exactly that and no more.

What the definition leaves optional may be absent here too: what a module needs to run is asked
for by the release that runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from contract.demands import Demand, Seen, Watch
from contract.model import Object
from contract.plan import NO_RIGHTS, Plan
from contract.status import Condition
from gati.acceptance import accepted, answer
from gati.contracts import ModuleSpec
from gati.kinds import GATI_MODULE
from gati.spec.environment import parse_env
from gati.spec.fields import Fields, Invalid
from gati.spec.resources import parse_resources

TYPES = ("node", "wasm", "oci")
_MOST = 2**31 - 1

NO_WATCHES: tuple[Watch, ...] = ()


@dataclass(frozen=True)
class ModuleController:
    """The controller of GatiModules."""

    kind = GATI_MODULE
    watches = NO_WATCHES
    rights = NO_RIGHTS

    def read(self, parent: Object) -> Condition:
        """Whether the spec is understood."""
        return accepted(parent, parse_module)

    def needs(
        self, parent: Object, spec: Condition, seen: Seen, now: datetime
    ) -> tuple[Demand, ...]:
        """Nothing: a module has no children yet."""
        return ()

    def plan(self, parent: Object, spec: Condition, seen: Seen, now: datetime) -> Plan:
        """Accepted or not; nothing is created and nothing removed."""
        return answer(parent, spec, now)


def parse_module(obj: Object) -> ModuleSpec:
    """The normalised spec of a GatiModule. Raises Invalid with the field's path."""
    metadata = obj["metadata"]
    if not isinstance(obj.get("spec"), dict):
        raise Invalid("spec", "is missing: write at least moduleType and image")
    fields = Fields.of(obj["spec"], "spec")
    spelling = fields.one_of("name", "moduleName")
    type_ = fields.text("moduleType")
    if type_ is not None and type_ not in TYPES:
        raise Invalid(fields.at("moduleType"), f"is {type_}: write one of {', '.join(TYPES)}")
    replicas = fields.integer("replicas", 0, _MOST)
    return ModuleSpec(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        module_name=(fields.text(spelling) if spelling else None) or metadata["name"],
        module_type=cast("Literal['node', 'wasm', 'oci'] | None", type_),
        runtime=fields.text("runtime"),
        replicas=1 if replicas is None else replicas,
        image=fields.text("image"),
        port=fields.integer("port", 1, 65535) or 3000,
        resources=parse_resources(fields.object("resources")),
        capabilities=fields.texts("capabilities"),
        env=parse_env(fields),
    )

"""GatiVersion: read and answered, not rolled out yet. The status says exactly that and no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contract.demands import Demand, Seen, Watch
from contract.model import Object
from contract.plan import NO_RIGHTS, Plan
from contract.status import Condition, parse_time
from gati.acceptance import accepted, answer
from gati.kinds import GATI_VERSION
from gati.spec.fields import Fields, Invalid


@dataclass(frozen=True, slots=True)
class VersionSpec:
    """A GatiVersion, normalised. ``traffic`` is in per cent; None is what it does not say."""

    name: str
    namespace: str
    handler: str | None
    version: str | None
    timestamp: datetime | None
    active: bool
    breaking: bool
    traffic: int | None
    transformers: tuple[str, ...]
    deployment_name: str | None
    service_name: str | None


NO_WATCHES: tuple[Watch, ...] = ()


@dataclass(frozen=True)
class VersionController:
    """The controller of GatiVersions."""

    kind = GATI_VERSION
    watches = NO_WATCHES
    rights = NO_RIGHTS

    def read(self, parent: Object) -> Condition:
        """Whether the spec is understood."""
        return accepted(parent, parse_version)

    def needs(
        self, parent: Object, spec: Condition, seen: Seen, now: datetime
    ) -> tuple[Demand, ...]:
        """Nothing: a version has no children yet."""
        return ()

    def plan(self, parent: Object, spec: Condition, seen: Seen, now: datetime) -> Plan:
        """Accepted or not; nothing is created and nothing removed."""
        return answer(parent, spec, now)


def parse_version(obj: Object) -> VersionSpec:
    """The normalised spec of a GatiVersion. Raises Invalid with the field's path."""
    metadata = obj["metadata"]
    if not isinstance(obj.get("spec"), dict):
        raise Invalid("spec", "is missing: write at least handler and version")
    fields = Fields.of(obj["spec"], "spec")
    version = fields.one_of("version", "versionId")
    weight = fields.one_of("traffic", "routingWeight")
    return VersionSpec(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        handler=fields.text("handler"),
        version=fields.text(version) if version else None,
        timestamp=_timestamp(fields),
        active=fields.boolean("active") is not False,
        breaking=bool(fields.boolean("breaking")),
        traffic=fields.integer(weight, 0, 100) if weight else None,
        transformers=fields.texts("transformers"),
        deployment_name=fields.text("deploymentName"),
        service_name=fields.text("serviceName"),
    )


def _timestamp(fields: Fields) -> datetime | None:
    text = fields.text("timestamp")
    if text is None:
        return None
    try:
        moment = parse_time(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Invalid(fields.at("timestamp"), f"is {text}: write a time like 2025-11-22T10:00:00Z")
    return moment

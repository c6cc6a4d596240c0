"""From a GatiHandler to what its children are built from: what the types alone do not declare.

``gati.types`` declares what a field may be and which default it has. Here both spellings of a field
become one, defaults that depend on other fields are filled in, and a handler without a version
gets one. No later code asks which version or spelling an object was written in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import fields, replace

from contract.metadata import LABEL_LIMIT, digest
from contract.model import Object
from crds.decode import Invalid, decode, plain
from crds.part import QUALIFIED_NAME, Part, matches
from gati import names
from gati.types.handler import GatiHandlerSpec
from gati.types.probes import ACTIONS, DEFAULTS, HEALTH_PATH, HTTPGetAction, Probe, Probes
from gati.types.workload import (
    DEFAULT_LIMITS,
    DEFAULT_REQUESTS,
    NON_ROOT,
    ResourceLimits,
    ResourceRequests,
    ResourceRequirements,
    Security,
)
from objects.quantity import Quantity, amount

__all__ = ["Handler", "Invalid", "is_suspended", "resolve"]

_VERSIONED = {each.encode_name for each in fields(GatiHandlerSpec)} - GatiHandlerSpec.not_versioned
_MEANT_EMPTY = frozenset({"emptyDir", "labelSelector", "namespaceSelector", "podSelector"})
_PREFIX_LIMIT = 253

PartT = TypeVar("PartT", bound=Part)


@dataclass(frozen=True, slots=True)
class Handler:
    """One GatiHandler that can be honoured. ``image`` is None where the object names none.

    ``workload`` is the name of its children. ``spec`` holds every field with its default: probes,
    resources and security as they are used.
    """

    name: str
    namespace: str
    workload: str
    path: str
    version: str
    image: str | None
    spec: GatiHandlerSpec


def resolve(parent: Object) -> Handler:
    """The handler that a GatiHandler asks for. Raises Invalid with the field's path."""
    metadata = parent["metadata"]
    spec = decode(parent.get("spec"), GatiHandlerSpec, "spec")
    for name, keys in (
        ("podLabels", spec.pod_labels),
        ("podAnnotations", spec.pod_annotations),
        ("nodeSelector", spec.node_selector),
    ):
        _check_keys(keys, f"spec.{name}")
    return Handler(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        workload=names.workload(metadata["name"]),
        path=spec.path or spec.handler_path or "",
        version=spec.version or _made_version(spec, parent["spec"]),
        image=spec.image or None,
        spec=replace(
            spec,
            resources=_resources(spec.resources),
            probes=_probes(spec.probes),
            security=_security(spec.security),
        ),
    )


def is_suspended(parent: Object) -> bool:
    """Does the object ask to be left alone? Also where the rest of its spec makes no sense."""
    spec = parent.get("spec")
    return isinstance(spec, dict) and spec.get("suspend") is True


def pruned(value: Any) -> Any:
    """The value without nulls, and without the maps and lists that are left empty by that.

    The API server drops those as well. A map that means something by being there
    (``emptyDir: {}``, ``labelSelector: {}``) stays.
    """
    if isinstance(value, Mapping):
        kept = {key: pruned(item) for key, item in value.items() if item is not None}
        return {
            key: item
            for key, item in kept.items()
            if item not in ({}, []) or (key in _MEANT_EMPTY and item == {})
        }
    if isinstance(value, list | tuple):
        return [pruned(item) for item in value if item is not None]
    return value


def _made_version(spec: GatiHandlerSpec, written: Mapping[str, Any]) -> str:
    """A version for a spec that names none: a hash of what the user wrote, and of nothing else.

    Defaults are not in it, so that a release of the operator with other ones changes no version.
    Quantities of resources are in it as the API server would spell them.
    """
    counted = {name: value for name, value in written.items() if name in _VERSIONED}
    if counted.get("resources"):
        counted["resources"] = plain(spec.resources)
    return f"auto-{digest(pruned(counted), 8)}"


def _resources(written: ResourceRequirements) -> ResourceRequirements:
    """Requests and limits with their defaults; a default that crosses what is written gives way."""
    requests: dict[str, Quantity | UnsetType] = {}
    limits: dict[str, Quantity | UnsetType] = {}
    for name in ResourceRequests.__struct_fields__:
        asked, most = getattr(written.requests, name), getattr(written.limits, name)
        request, limit = asked or DEFAULT_REQUESTS.get(name), most or DEFAULT_LIMITS.get(name)
        if request and limit and amount(request) > amount(limit):
            request, limit = (request, request) if most is UNSET else (limit, limit)
        requests[name], limits[name] = request or UNSET, limit or UNSET
    return ResourceRequirements(
        requests=ResourceRequests(**requests), limits=ResourceLimits(**limits)
    )


def _probes(written: Probes) -> Probes:
    """The probes with their defaults. A startup probe asks as readiness does."""
    readiness = _probe(written.readiness, _standard("readiness"))
    startup = written.startup
    if startup is not UNSET:
        asks = _standard("readiness") if readiness.disabled else readiness
        actions = {action: getattr(asks, action) for action in ACTIONS}
        startup = _probe(startup, replace(_standard("startup"), **actions))
    liveness = _probe(written.liveness, _standard("liveness"))
    return Probes(readiness=readiness, liveness=liveness, startup=startup)


def _standard(probe: str) -> Probe:
    return replace(Probe(http_get=HTTPGetAction(path=HEALTH_PATH)), **DEFAULTS[probe])


def _probe(written: Probe, default: Probe) -> Probe:
    given = {
        name: value
        for name in Probe.__struct_fields__
        if (value := getattr(written, name)) is not UNSET
    }
    if any(action in given for action in ACTIONS):
        default = replace(default, **dict.fromkeys(ACTIONS, UNSET))
    return replace(default, **given)


def _security(written: Security) -> Security:
    """The profile's defaults; Baseline leaves uid and gids to the image."""
    restricted = written.profile == "Restricted"
    defaults: dict[str, int | bool] = {"read_only_root_filesystem": restricted}
    if restricted:
        defaults |= dict.fromkeys(("run_as_user", "run_as_group", "fs_group"), NON_ROOT)
    absent = {name: each for name, each in defaults.items() if getattr(written, name) is UNSET}
    return replace(written, **absent)


def _check_keys(keys: Iterable[str], path: str) -> None:
    """The API server takes longer keys in a GatiHandler than on a pod, and any for nodes."""
    for key in keys:
        prefix, _, name = key.rpartition("/")
        if not _is_key(key) or len(prefix) > _PREFIX_LIMIT or len(name) > LABEL_LIMIT:
            raise Invalid(
                f"{path}[{key}]",
                "is not a valid key: write a name of at most 63 characters, or a DNS prefix, a "
                "slash and a name",
            )


_is_key = matches(QUALIFIED_NAME)

"""From a GatiHandler to a HandlerSpec: both spellings, every default, every refusal, once.

Defaults live here and not in the schema: a default there on one of two spellings would make
every object with the other one invalid.
"""

from __future__ import annotations

from contract.metadata import digest
from contract.model import Object
from gati import names
from gati.contracts import HandlerSpec, JsonObject, Security
from gati.spec.autoscaling import parse_autoscaling
from gati.spec.environment import parse_config, parse_env, parse_env_from
from gati.spec.fields import Fields, Invalid, pruned
from gati.spec.placement import parse_annotations, parse_labels, parse_spread, parse_tolerations
from gati.spec.probes import parse_probes
from gati.spec.resources import parse_resources, quantities
from gati.spec.volumes import parse_mounts, parse_volumes

__all__ = ["HandlerSpec", "Invalid", "parse_handler"]

CONTAINER = "handler"
DEFAULT_PORT = 3000
DEFAULT_REPLICAS = 1
DEFAULT_GRACE_PERIOD = 30
"""Seconds, as in the core API."""
DEFAULT_USER = 65532
"""The ``nonroot`` user of the distroless images; any number but 0 would do."""

_MOST = 2**31 - 1

DEFINES_WHAT_RUNS = (
    "affinity",
    "args",
    "command",
    "config",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "port",
    "priorityClassName",
    "probes",
    "resources",
    "security",
    "serviceAccountName",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
)
"""The fields of spec that a version made by us is a hash of."""


def parse_handler(obj: Object) -> HandlerSpec:
    """The normalised spec of a GatiHandler. Raises Invalid with the field's path."""
    metadata = obj["metadata"]
    if not isinstance(obj.get("spec"), dict):
        raise Invalid("spec", "is missing: write at least spec.path and spec.image")
    fields = Fields.of(obj["spec"], "spec")
    volumes = parse_volumes(fields, CONTAINER)
    return HandlerSpec(
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        path=_path(fields),
        version=fields.text("version") or _made_version(fields),
        image=fields.text("image"),
        port=fields.integer("port", 1, 65535) or DEFAULT_PORT,
        replicas=_or(fields.integer("replicas", 0, _MOST), DEFAULT_REPLICAS),
        suspend=bool(fields.boolean("suspend")),
        resources=parse_resources(fields.object("resources")),
        probes=parse_probes(fields.object("probes")),
        security=_security(fields.object("security")),
        termination_grace_period_seconds=_or(
            fields.integer("terminationGracePeriodSeconds", 0, _MOST), DEFAULT_GRACE_PERIOD
        ),
        autoscaling=parse_autoscaling(fields),
        config=parse_config(fields),
        env=parse_env(fields),
        env_from=parse_env_from(fields),
        command=fields.texts("command"),
        args=fields.texts("args"),
        image_pull_policy=_word(fields, "imagePullPolicy", "Always", "IfNotPresent", "Never"),
        image_pull_secrets=_pull_secrets(fields),
        service_account_name=fields.text("serviceAccountName"),
        volumes=volumes,
        volume_mounts=parse_mounts(fields, volumes),
        node_selector=parse_labels(fields, "nodeSelector", free=True),
        tolerations=parse_tolerations(fields),
        affinity=pruned(fields.object("affinity").values),
        topology_spread_constraints=parse_spread(fields, names.workload(metadata["name"])),
        priority_class_name=fields.text("priorityClassName"),
        pod_labels=parse_labels(fields, "podLabels"),
        pod_annotations=parse_annotations(fields, "podAnnotations"),
    )


def is_suspended(obj: Object) -> bool:
    """Does the object ask to be left alone? Also where the rest of its spec makes no sense."""
    spec = obj.get("spec")
    return isinstance(spec, dict) and spec.get("suspend") is True


def _path(fields: Fields) -> str:
    spelling = fields.one_of("path", "handlerPath")
    path = fields.text(spelling) if spelling else None
    if path is None or spelling is None:
        raise Invalid(fields.at("path"), "is missing: write the handler's path, such as /users/:id")
    if not path.startswith("/"):
        raise Invalid(fields.at(spelling), f"must begin with a slash: write /{path}")
    return path


def _made_version(fields: Fields) -> str:
    """A version for a spec that names none: a hash of what the user wrote, and of nothing else.

    Defaults are not in it, so that a release of the operator with other ones changes no version.
    """
    written: JsonObject = {
        name: pruned(fields.values[name]) for name in DEFINES_WHAT_RUNS if fields.has(name)
    }
    if "resources" in written:
        resources = fields.object("resources")
        written["resources"] = {
            side: quantities(resources.object(side)) for side in ("requests", "limits")
        }
    return f"auto-{digest(pruned(written), 8)}"


def _security(fields: Fields) -> Security:
    profile = _word(fields, "profile", "Restricted", "Baseline") or "Restricted"
    user = fields.integer("runAsUser", 0, _MOST)
    group = fields.integer("runAsGroup", 0, _MOST)
    fs_group = fields.integer("fsGroup", 0, _MOST)
    read_only = fields.boolean("readOnlyRootFilesystem")
    if profile == "Baseline":
        return Security("Baseline", user, group, fs_group, bool(read_only))
    if user == 0:
        raise Invalid(
            fields.at("runAsUser"), "0 is root: write a uid of 1 or more, or profile: Baseline"
        )
    return Security(
        "Restricted",
        _or(user, DEFAULT_USER),
        _or(group, DEFAULT_USER),
        _or(fs_group, DEFAULT_USER),
        read_only is not False,
    )


def _pull_secrets(fields: Fields) -> tuple[str, ...]:
    secrets = []
    for path, item in fields.items("imagePullSecrets"):
        name = item if isinstance(item, str) else Fields.of(item, path).text("name")
        if not name:
            raise Invalid(f"{path}.name", "is missing: write the name of the Secret")
        secrets.append(name)
    return tuple(dict.fromkeys(secrets))


def _word(fields: Fields, name: str, *words: str) -> str | None:
    value = fields.text(name)
    if value is not None and value not in words:
        raise Invalid(fields.at(name), f"is {value}: write one of {', '.join(words)}")
    return value


def _or(value: int | None, default: int) -> int:
    return default if value is None else value

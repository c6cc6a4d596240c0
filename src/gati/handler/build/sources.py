"""What a handler's container reads: variables and files, as the API server stores them."""

from __future__ import annotations

from contract.model import Object
from crds.decode import plain
from gati import names
from gati.handler.resolve import pruned
from gati.types.environment import EnvVar, ResourceFieldSelector
from gati.types.handler import GatiHandlerSpec
from gati.types.volumes import DownwardAPIVolumeFile, Volume, VolumeProjection

TEMPORARY = "/tmp"  # noqa: S108 - a folder of the container


def env(spec: GatiHandlerSpec) -> list[Object]:
    """``env`` of the container."""
    return [_variable(variable) for variable in spec.env]


def env_from(spec: GatiHandlerSpec, own_config_map: str) -> list[Object]:
    """``envFrom`` of the container; the handler's own config is first, so that all others win."""
    own = [{"configMapRef": {"name": own_config_map}}] if spec.config else []
    return [*own, *map(plain, spec.env_from)]


def volumes(spec: GatiHandlerSpec) -> list[Object]:
    """``volumes`` of the pod."""
    scratch = [{"name": names.SCRATCH_VOLUME, "emptyDir": {}}] if _needs_scratch(spec) else []
    return [*map(_volume, spec.volumes), *scratch]


def mounts(spec: GatiHandlerSpec) -> list[Object]:
    """``volumeMounts`` of the container."""
    scratch = {"name": names.SCRATCH_VOLUME, "mountPath": TEMPORARY}
    return [*map(plain, spec.volume_mounts), *([scratch] if _needs_scratch(spec) else [])]


def _needs_scratch(spec: GatiHandlerSpec) -> bool:
    """Runtimes expect to write to /tmp, which a read-only root file system refuses."""
    taken = any(mount.mount_path.rstrip("/") == TEMPORARY for mount in spec.volume_mounts)
    return bool(spec.security.read_only_root_filesystem) and not taken


def _variable(variable: EnvVar) -> Object:
    source = variable.value_from
    if source:
        value: Object = plain(source)
        if source.field_ref:
            value["fieldRef"] = {"apiVersion": "v1", **value["fieldRef"]}
        if source.resource_field_ref:
            value["resourceFieldRef"] = _resource_field(source.resource_field_ref)
        return {"name": variable.name, "valueFrom": value}
    # The API server drops an empty value.
    return {"name": variable.name} | ({"value": variable.value} if variable.value else {})


def _resource_field(selector: ResourceFieldSelector) -> Object:
    return {"divisor": "0", **plain(selector)}


def _volume(volume: Volume) -> Object:
    content = plain(volume)
    if volume.projected:
        content["projected"]["sources"] = [_projection(one) for one in volume.projected.sources]
    for kind in ("configMap", "secret"):
        if kind in content:
            content[kind] = pruned(content[kind])
    return content


def _projection(projection: VolumeProjection) -> Object:
    content: Object = pruned(plain(projection))
    if projection.downward_api:
        content["downwardAPI"] = {"items": [_file(one) for one in projection.downward_api.items]}
    return content


def _file(file: DownwardAPIVolumeFile) -> Object:
    content = plain(file)
    if file.resource_field_ref:
        # Unlike a variable's, the field of a volume must name the container.
        field = _resource_field(file.resource_field_ref)
        content["resourceFieldRef"] = {"containerName": names.CONTAINER, **field}
    return content

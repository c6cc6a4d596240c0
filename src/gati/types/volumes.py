"""The volumes of a handler, of the kinds that cannot reach the node.

Field names are the core API's wherever the meaning is the core API's, so that what somebody
knows from a Deployment holds here. A host path has no field.
https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType, field

from crds.part import (
    DNS_LABEL,
    DNS_NAME,
    FOLDER,
    Part,
    Rule,
    described,
    exactly_one,
    quantity,
    several,
    text,
    whole,
)
from gati.names import SCRATCH_VOLUME
from gati.types.environment import ObjectFieldSelector, Reference, ResourceFieldSelector
from objects.quantity import Quantity

_MODE = "Permission bits as a decimal number (420 is 0644, 256 is 0400)."
_ITEMS = several("Which keys, and their files. Default: every key.", 64)


class KeyToPath(Part, frozen=True, kw_only=True):
    """One key and the file it becomes."""

    key: Annotated[str, text("The key to take.", 253, least=1)]
    path: Annotated[
        str, text("The file below the volume's root; relative, without '..'.", 1024, least=1)
    ]
    mode: Annotated[int, whole(f"{_MODE} Default: defaultMode.", 0, 0o777)] | UnsetType = UNSET


class Projection(Reference, frozen=True, kw_only=True):
    """Keys of a ConfigMap or a Secret as files."""

    items: Annotated[tuple[KeyToPath, ...], _ITEMS] | UnsetType = UNSET


class ConfigMapVolumeSource(Projection, frozen=True, kw_only=True):
    """A ConfigMap as files."""

    default_mode: Annotated[int, whole(_MODE, 0, 0o777)] = 0o644


class SecretVolumeSource(Part, frozen=True, kw_only=True):
    """A Secret as files."""

    secret_name: Annotated[str, text("Name of the Secret.", 253, pattern=DNS_NAME)]
    optional: (
        Annotated[
            bool, described("Start also where it, or a key named here, is missing. Default false.")
        ]
        | UnsetType
    ) = UNSET
    items: Annotated[tuple[KeyToPath, ...], _ITEMS] | UnsetType = UNSET
    default_mode: Annotated[int, whole(_MODE, 0, 0o777)] = 0o644


class EmptyDirVolumeSource(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Scratch space that lives as long as the pod."""

    medium: Annotated[
        Literal["", "Memory"],
        described(
            "Memory keeps it in RAM, counted against limits.memory. Default: the node's disk."
        ),
    ] = ""
    size_limit: (
        Annotated[
            Quantity,
            quantity(
                "The pod is evicted when it holds more, for example 256Mi. Default: no limit."
            ),
        ]
        | UnsetType
    ) = UNSET


class PersistentVolumeClaimVolumeSource(Part, frozen=True, kw_only=True, omit_defaults=True):
    """A claim that already exists in the same namespace."""

    claim_name: Annotated[
        str,
        text(
            "Name of the PersistentVolumeClaim. More than one replica needs a claim that is "
            "ReadWriteMany or ReadOnlyMany.",
            253,
            pattern=DNS_NAME,
        ),
    ]
    read_only: Annotated[bool, described("Mount it read-only everywhere.")] = False


class DownwardAPIVolumeFile(Part, frozen=True, kw_only=True):
    """One file that holds a field of the pod."""

    rules = (
        Rule(
            "!(has(self.fieldRef) && has(self.resourceFieldRef))",
            "write fieldRef or resourceFieldRef, not both",
            lambda it: it.field_ref is UNSET or it.resource_field_ref is UNSET,
        ),
        Rule(
            "has(self.fieldRef) || has(self.resourceFieldRef)",
            "name what the file holds: write fieldRef or resourceFieldRef",
            lambda it: it.field_ref is not UNSET or it.resource_field_ref is not UNSET,
        ),
    )

    path: Annotated[
        str, text("The file below the volume's root; relative, without '..'.", 1024, least=1)
    ]
    field_ref: (
        Annotated[ObjectFieldSelector, described("A field of the pod's metadata.")] | UnsetType
    ) = UNSET
    resource_field_ref: (
        Annotated[ResourceFieldSelector, described("A request or limit of the container.")]
        | UnsetType
    ) = UNSET
    mode: Annotated[int, whole(f"{_MODE} Default: defaultMode.", 0, 0o777)] | UnsetType = UNSET


class DownwardAPIProjection(Part, frozen=True, kw_only=True):
    """Fields of the pod as files within a projected volume."""

    items: Annotated[
        tuple[DownwardAPIVolumeFile, ...], several("The files and what they hold.", 32)
    ] = ()


class VolumeProjection(Part, frozen=True, kw_only=True):
    """One of the sources that a projected volume puts together."""

    rules = (
        exactly_one(
            ("configMap", "secret", "downwardAPI"),
            "write exactly one of configMap, secret and downwardAPI in each of the sources",
        ),
    )

    config_map: Annotated[Projection, described("Keys of a ConfigMap.")] | UnsetType = UNSET
    secret: Annotated[Projection, described("Keys of a Secret.")] | UnsetType = UNSET
    downward_api: Annotated[DownwardAPIProjection, described("Fields of the pod.")] | UnsetType = (
        field(default=UNSET, name="downwardAPI")
    )


class ProjectedVolumeSource(Part, frozen=True, kw_only=True):
    """Several sources put together in one folder."""

    sources: Annotated[tuple[VolumeProjection, ...], several("What is put together.", 16)]
    default_mode: Annotated[int, whole(_MODE, 0, 0o777)] = 0o644


class Volume(Part, frozen=True, kw_only=True):
    """One volume of the pod, of a kind that cannot reach the node."""

    rules = (
        exactly_one(
            ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"),
            "write exactly one kind of volume: configMap, secret, emptyDir, "
            "persistentVolumeClaim or projected (other kinds are not offered)",
        ),
        Rule(
            f"self.name != '{SCRATCH_VOLUME}'",
            f"{SCRATCH_VOLUME} is what the operator calls its own volume at /tmp: choose another "
            "name",
            lambda it: it.name != SCRATCH_VOLUME,
        ),
    )

    name: Annotated[
        str, text("What volumeMounts call it; unique in the handler.", 63, pattern=DNS_LABEL)
    ]
    config_map: (
        Annotated[
            ConfigMapVolumeSource,
            described("A ConfigMap as files. When its content changes the pods are rolled."),
        ]
        | UnsetType
    ) = UNSET
    secret: Annotated[SecretVolumeSource, described("A Secret as files.")] | UnsetType = UNSET
    empty_dir: (
        Annotated[
            EmptyDirVolumeSource,
            described("Scratch space that lives as long as the pod; write {} for the plain one."),
        ]
        | UnsetType
    ) = UNSET
    persistent_volume_claim: (
        Annotated[PersistentVolumeClaimVolumeSource, described("A claim that exists already.")]
        | UnsetType
    ) = UNSET
    projected: (
        Annotated[ProjectedVolumeSource, described("Several sources in one folder.")] | UnsetType
    ) = UNSET


class VolumeMount(Part, frozen=True, kw_only=True, omit_defaults=True):
    """Where the container sees one of the volumes."""

    name: Annotated[str, text("Name of one of spec.volumes.", 63, pattern=DNS_LABEL)]
    mount_path: Annotated[
        str,
        text(
            "The folder in the container, for example /etc/app. No ':' in it.",
            1024,
            pattern=FOLDER,
        ),
    ]
    sub_path: Annotated[
        str, text("Only this file or folder of the volume; relative. Default: all of it.", 1024)
    ] = ""
    read_only: Annotated[bool, described("Mount it read-only.")] = False

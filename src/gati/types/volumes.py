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
    Part,
    Rule,
    described,
    exactly_one,
    quantity,
    several,
    text,
    whole,
)
from gati.types.environment import ObjectFieldSelector, ResourceFieldSelector

_MODE = "Permission bits as a decimal number (420 is 0644, 256 is 0400). "


class KeyToPath(Part, frozen=True, kw_only=True):
    """One key and the file it becomes."""

    key: Annotated[str, text("The key to take.", 253, least=1)]
    path: Annotated[
        str, text("The file below the volume's root; relative, without '..'.", 1024, least=1)
    ]
    mode: Annotated[int, whole(f"{_MODE}Default: defaultMode.", 0, 0o777)] | UnsetType = UNSET


class ConfigMapVolumeSource(Part, frozen=True, kw_only=True):
    """A ConfigMap as files."""

    name: Annotated[str, text("Name of the ConfigMap.", 253, pattern=DNS_NAME)]
    items: (
        Annotated[list[KeyToPath], several("Which keys, and their files. Default: every key.", 64)]
        | UnsetType
    ) = UNSET
    default_mode: Annotated[int, whole(f"{_MODE}Default 420.", 0, 0o777)] | UnsetType = UNSET
    optional: (
        Annotated[bool, described("Start also where the ConfigMap is missing. Default false.")]
        | UnsetType
    ) = UNSET


class SecretVolumeSource(Part, frozen=True, kw_only=True):
    """A Secret as files."""

    secret_name: Annotated[str, text("Name of the Secret.", 253, pattern=DNS_NAME)]
    items: (
        Annotated[list[KeyToPath], several("Which keys, and their files. Default: every key.", 64)]
        | UnsetType
    ) = UNSET
    default_mode: Annotated[int, whole(f"{_MODE}Default 420.", 0, 0o777)] | UnsetType = UNSET
    optional: (
        Annotated[bool, described("Start also where the Secret is missing. Default false.")]
        | UnsetType
    ) = UNSET


class EmptyDirVolumeSource(Part, frozen=True, kw_only=True):
    """Scratch space that lives as long as the pod."""

    medium: (
        Annotated[
            Literal["", "Memory"],
            described(
                "Memory keeps it in RAM, counted against limits.memory. Default: the node's disk."
            ),
        ]
        | UnsetType
    ) = UNSET
    size_limit: (
        Annotated[
            int | str,
            quantity(
                "The pod is evicted when it holds more, for example 256Mi. Default: no limit."
            ),
        ]
        | UnsetType
    ) = UNSET


class PersistentVolumeClaimVolumeSource(Part, frozen=True, kw_only=True):
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
    read_only: (
        Annotated[bool, described("Mount it read-only everywhere. Default false.")] | UnsetType
    ) = UNSET


class ConfigMapProjection(Part, frozen=True, kw_only=True):
    """Keys of a ConfigMap within a projected volume."""

    name: Annotated[str, text("Name of the ConfigMap.", 253, pattern=DNS_NAME)]
    items: (
        Annotated[list[KeyToPath], several("Which keys, and their files. Default: every key.", 64)]
        | UnsetType
    ) = UNSET
    optional: (
        Annotated[bool, described("Start also where the ConfigMap is missing. Default false.")]
        | UnsetType
    ) = UNSET


class SecretProjection(Part, frozen=True, kw_only=True):
    """Keys of a Secret within a projected volume."""

    name: Annotated[str, text("Name of the Secret.", 253, pattern=DNS_NAME)]
    items: (
        Annotated[list[KeyToPath], several("Which keys, and their files. Default: every key.", 64)]
        | UnsetType
    ) = UNSET
    optional: (
        Annotated[bool, described("Start also where the Secret is missing. Default false.")]
        | UnsetType
    ) = UNSET


class DownwardAPIVolumeFile(Part, frozen=True, kw_only=True):
    """One file that holds a field of the pod."""

    rules = (
        Rule(
            "!(has(self.fieldRef) && has(self.resourceFieldRef))",
            "write fieldRef or resourceFieldRef, not both",
        ),
        Rule(
            "has(self.fieldRef) || has(self.resourceFieldRef)",
            "name what the file holds: write fieldRef or resourceFieldRef",
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
    mode: Annotated[int, whole(f"{_MODE}Default: defaultMode.", 0, 0o777)] | UnsetType = UNSET


class DownwardAPIProjection(Part, frozen=True, kw_only=True):
    """Fields of the pod as files within a projected volume."""

    items: (
        Annotated[list[DownwardAPIVolumeFile], several("The files and what they hold.", 32)]
        | UnsetType
    ) = UNSET


class VolumeProjection(Part, frozen=True, kw_only=True):
    """One of the sources that a projected volume puts together."""

    rules = (
        exactly_one(
            ("configMap", "secret", "downwardAPI"),
            "write exactly one of configMap, secret and downwardAPI in each of the sources",
        ),
    )

    config_map: Annotated[ConfigMapProjection, described("Keys of a ConfigMap.")] | UnsetType = (
        UNSET
    )
    secret: Annotated[SecretProjection, described("Keys of a Secret.")] | UnsetType = UNSET
    downward_api: Annotated[DownwardAPIProjection, described("Fields of the pod.")] | UnsetType = (
        field(default=UNSET, name="downwardAPI")
    )


class ProjectedVolumeSource(Part, frozen=True, kw_only=True):
    """Several sources put together in one folder."""

    sources: Annotated[list[VolumeProjection], several("What is put together.", 16)]
    default_mode: Annotated[int, whole(f"{_MODE}Default 420.", 0, 0o777)] | UnsetType = UNSET


class Volume(Part, frozen=True, kw_only=True):
    """One volume of the pod, of a kind that cannot reach the node."""

    rules = (
        exactly_one(
            ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"),
            "write exactly one kind of volume: configMap, secret, emptyDir, "
            "persistentVolumeClaim or projected (other kinds are not offered)",
        ),
        Rule(
            "self.name != 'gati-tmp'",
            "gati-tmp is what the operator calls its own volume at /tmp: choose another name",
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


class VolumeMount(Part, frozen=True, kw_only=True):
    """Where the container sees one of the volumes."""

    name: Annotated[str, text("Name of one of spec.volumes.", 63, pattern=DNS_LABEL)]
    mount_path: Annotated[
        str,
        text(
            "The folder in the container, for example /etc/app. No ':' in it.",
            1024,
            pattern=r"^/[^:]*$",
        ),
    ]
    sub_path: (
        Annotated[
            str,
            text("Only this file or folder of the volume; relative. Default: all of it.", 1024),
        ]
        | UnsetType
    ) = UNSET
    read_only: Annotated[bool, described("Mount it read-only. Default false.")] | UnsetType = UNSET

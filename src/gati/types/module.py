"""GatiModule: a module that handlers of a Gati application call.

The fields are the samples' own. The operator accepts them and says in the status that modules
are not managed yet; each description says what its field asks for.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from crds.part import ONE_WORD, Part, at_most_one, described, several, text, whole
from gati.types.status import GENERATION, Conditions
from gati.types.workload import ResourceRequirements

_NAME = "What handlers call the module, for example database. Default: metadata.name."


class GatiModuleSpec(Part, frozen=True, kw_only=True):
    """What is wanted."""

    rules = (at_most_one("name", "moduleName"),)

    name: Annotated[str, text(_NAME, 128, pattern=ONE_WORD)] | UnsetType = UNSET
    module_name: (
        Annotated[str, text(f"{_NAME} The v1alpha1 spelling of name.", 128, pattern=ONE_WORD)]
        | UnsetType
    ) = UNSET
    module_type: (
        Annotated[
            Literal["node", "wasm", "oci"],
            described(
                "What the module is: a Node.js program, a WebAssembly module, or any container "
                "image."
            ),
        ]
        | UnsetType
    ) = UNSET
    runtime: (
        Annotated[
            str,
            text("What runs it, for example node:20 or wasmtime.", 128, pattern=ONE_WORD),
        ]
        | UnsetType
    ) = UNSET
    replicas: Annotated[int, whole("How many pods.", 0, 1000, by_server=True)] = 1
    image: (
        Annotated[
            str,
            text(
                "The container image, for example registry.example/database:v1.0.0.",
                512,
                pattern=ONE_WORD,
            ),
        ]
        | UnsetType
    ) = UNSET
    port: (
        Annotated[int, whole("The port the module listens on, for example 50051.", 1, 65535)]
        | UnsetType
    ) = UNSET
    capabilities: (
        Annotated[
            tuple[
                Annotated[
                    str,
                    text(
                        "One capability, for example network or storage.",
                        63,
                        pattern=r"^[a-z][-a-z0-9.:]*$",
                    ),
                ],
                ...,
            ],
            several(
                "What the module may do beyond computing, in Gati's own words (network, storage); "
                "not Linux capabilities. Default: nothing.",
                32,
                kind="set",
            ),
        ]
        | UnsetType
    ) = UNSET
    resources: (
        Annotated[
            ResourceRequirements,
            described("Processor time, memory and local disk of each pod."),
        ]
        | UnsetType
    ) = UNSET


class GatiModuleStatus(Part, frozen=True, kw_only=True):
    """What was seen. Written by the operator only."""

    observed_generation: Annotated[int, GENERATION] | UnsetType = UNSET
    phase: (
        Annotated[
            Literal["Accepted", "Pending", "Running", "Failed", "Suspended"],
            described(
                "In one word. Accepted: the object is in order and nothing is run for it yet."
            ),
        ]
        | UnsetType
    ) = UNSET
    conditions: Conditions | UnsetType = UNSET


class GatiModule(Part, frozen=True, kw_only=True):
    """A module that handlers of a Gati application call, for example a database client. This
    release checks and keeps the object; it does not run modules yet, and the status says so.
    """

    spec: Annotated[GatiModuleSpec, described("What is wanted.")]
    status: Annotated[GatiModuleStatus, described("What was seen, by the operator.")] | (
        UnsetType
    ) = UNSET

"""How the kinds of gati.dev are served: short names, printer columns, subresources.

Both versions have one schema; the columns look for both spellings of a field.
"""

from __future__ import annotations

from crds.documents import Column, Group, Resource
from gati.kinds import GATI_HANDLER, GATI_MODULE, GATI_VERSION, GROUP
from gati.types import VERSIONS, GatiHandler, GatiModule, GatiVersion

_AGE = Column("Age", ".metadata.creationTimestamp", "Time since the object was made.", "date")
_PHASE = Column("Phase", ".status.phase", "The state in one word.")


def _reason(condition: str) -> Column:
    path = f'.status.conditions[?(@.type=="{condition}")].reason'
    return Column("Reason", path, f"Why {condition} holds or not, in one word.", wide=True)


RESOURCES = (
    Resource(
        GATI_HANDLER,
        GatiHandler,
        "gh",
        (
            Column("Version", ".status.version", "The version in effect."),
            Column("Ready", ".status.readyReplicas", "Pods that are ready.", "integer"),
            Column("Desired", ".spec.replicas", "Pods asked for in the spec.", "integer"),
            _PHASE,
            _AGE,
            Column(
                "Current",
                ".status.replicas",
                "Pods that exist, old ones included.",
                "integer",
                True,
            ),
            _reason("Ready"),
            Column("Image", ".status.image", "The image in effect.", wide=True),
            Column("Path", ".spec['path','handlerPath']", "The route.", wide=True),
        ),
        {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
    ),
    Resource(
        GATI_MODULE,
        GatiModule,
        "gm",
        (
            Column("Type", ".spec.moduleType", "node, wasm or oci."),
            Column("Runtime", ".spec.runtime", "What runs the module."),
            _PHASE,
            _AGE,
            _reason("Accepted"),
            Column("Image", ".spec.image", "The container image.", wide=True),
        ),
    ),
    Resource(
        GATI_VERSION,
        GatiVersion,
        "gv",
        (
            Column("Handler", ".spec.handler", "The handler this is a version of."),
            Column("Version", ".spec['version','versionId']", "The release."),
            Column(
                "Weight",
                ".spec['traffic','routingWeight']",
                "Percent of the requests asked for.",
                "integer",
            ),
            Column("Active", ".spec.active", "Whether it is in service.", "boolean"),
            _PHASE,
            _AGE,
            _reason("Accepted"),
        ),
    ),
)

API = Group(GROUP, VERSIONS, "gati", RESOURCES)
"""All that is served under gati.dev."""

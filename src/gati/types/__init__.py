"""The API of gati.dev as Python types: the one declaration of each field of its three CRDs.

Schemas, reference pages and ``kubectl explain`` are generated from here (``make generate``),
and these types are what the operator decodes. Both served versions share one schema that holds both
spellings of a field; which one was used is known to ``gati.handler.resolve`` alone.
"""

from crds.part import Part, Rule
from gati.kinds import GROUP
from gati.types.handler import GatiHandler, GatiHandlerSpec
from gati.types.handler_status import GatiHandlerStatus
from gati.types.module import GatiModule, GatiModuleSpec, GatiModuleStatus
from gati.types.status import Condition
from gati.types.version import GatiVersion, GatiVersionSpec, GatiVersionStatus
from gati.types.workload import Autoscaling

STORAGE_VERSION = "v1"

VERSIONS = (STORAGE_VERSION, "v1alpha1")
"""Every served version; the first is the stored one."""

__all__ = [
    "GROUP",
    "STORAGE_VERSION",
    "VERSIONS",
    "Autoscaling",
    "Condition",
    "GatiHandler",
    "GatiHandlerSpec",
    "GatiHandlerStatus",
    "GatiModule",
    "GatiModuleSpec",
    "GatiModuleStatus",
    "GatiVersion",
    "GatiVersionSpec",
    "GatiVersionStatus",
    "Part",
    "Rule",
]

"""The CRDs of gati.dev, generated from ``gati.types``; ``python -m gati.crds`` writes the files.

Nothing in ``deploy/gati/crds`` or ``docs/reference/gati-crds.md`` is written by hand, and
``--check`` fails where a file is not what the types say.
"""

from gati.crds.documents import RESOURCES, Resource, crd_document, crd_documents, crds_yaml
from gati.crds.schema import structural_schema

__all__ = [
    "RESOURCES",
    "Resource",
    "crd_document",
    "crd_documents",
    "crds_yaml",
    "structural_schema",
]

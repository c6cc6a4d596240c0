"""The kinds of gati.dev, each named once."""

from __future__ import annotations

from contract.model import Kind

GROUP = "gati.dev"
"""API group of the kinds, and prefix of the labels and annotations."""

GATI_HANDLER = Kind(GROUP, "v1", "GatiHandler", "gatihandlers")
GATI_MODULE = Kind(GROUP, "v1", "GatiModule", "gatimodules")
GATI_VERSION = Kind(GROUP, "v1", "GatiVersion", "gativersions")

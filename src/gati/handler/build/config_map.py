"""The handler's own ConfigMap: ``spec.config`` as it reaches the container through ``envFrom``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.model import Object
from gati.handler.build.metadata import with_metadata
from gati.handler.resolve import Handler
from objects.kinds import CONFIG_MAP


def config_map(handler: Handler, retained: Mapping[str, Any] | None) -> Object | None:
    """The ConfigMap, or None where pods need none.

    ``retained`` is the content that pods may still read though the spec has no config any more.
    """
    content = {"data": dict(handler.spec.config)} if handler.spec.config else retained
    return None if content is None else with_metadata(CONFIG_MAP, handler, **content)

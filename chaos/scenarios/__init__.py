"""Every scenario by its name. A new kind adds a module and one line here."""

from __future__ import annotations

from chaos.scenario import Scenario
from chaos.scenarios import handler

HANDLER = (handler.LIFE, handler.THREE, handler.UPGRADE)
HANDLER_RACES = (handler.EDITED_AND_DELETED, handler.AUTOSCALER_REPLACED)
HANDLER_WITH_OTHERS = (
    handler.IMAGES_REWRITTEN,
    handler.DEPLOYMENT_REWRITTEN,
    handler.CONTESTED,
)

CRASHED: tuple[str, ...] = tuple(each.name for each in HANDLER)
"""The scenarios in which every write is a crash point."""

SCENARIOS: dict[str, Scenario] = {
    each.name: each for each in HANDLER + HANDLER_RACES + HANDLER_WITH_OTHERS
}

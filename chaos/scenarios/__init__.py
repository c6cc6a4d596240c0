"""Every scenario by its name. A new kind brings a module and one line here."""

from __future__ import annotations

from chaos.scenario import Scenario
from chaos.scenarios import handler

HANDLER = (handler.LIFE, handler.THREE, handler.UPGRADE)
HANDLER_RACES = (handler.HURRIED, handler.TAKEN_OVER)
HANDLER_WITH_OTHERS = (handler.MIRRORED, handler.DISTORTED, handler.CONTESTED)

CRASHED: tuple[str, ...] = tuple(each.name for each in HANDLER)
"""The scenarios whose every write is a crash point."""

SCENARIOS: dict[str, Scenario] = {
    each.name: each for each in HANDLER + HANDLER_RACES + HANDLER_WITH_OTHERS
}

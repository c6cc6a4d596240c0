"""Every scenario by its name. A new kind brings a module and one line here."""

from __future__ import annotations

from chaos.scenario import Scenario
from chaos.scenarios import handler

SCENARIOS: dict[str, Scenario] = {
    each.name: each for each in (handler.LIFE, handler.THREE, handler.UPGRADE)
}

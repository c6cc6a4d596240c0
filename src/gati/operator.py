"""The Gati operator as a set of controllers: its settings and its controllers."""

from __future__ import annotations

from dataclasses import dataclass

from contract.plan import Controller
from gati.accepted import AcceptedController
from gati.handler.controller import HandlerController
from gati.kinds import GATI_MODULE, GATI_VERSION
from gati.types import GatiModuleSpec, GatiVersionSpec


@dataclass(frozen=True, slots=True)
class Settings:
    """What an administrator chooses for all objects.

    ``default_image`` runs where a handler names none.
    """

    default_image: str | None = None


def controllers(settings: Settings) -> tuple[Controller, ...]:
    """The controllers of the three kinds."""
    return (
        HandlerController(settings.default_image),
        AcceptedController(GATI_MODULE, GatiModuleSpec),
        AcceptedController(GATI_VERSION, GatiVersionSpec),
    )

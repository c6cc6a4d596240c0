"""The Gati operator as a set of controllers: what is configured, and who is in it."""

from __future__ import annotations

from dataclasses import dataclass

from contract.plan import Controller
from gati.handler.controller import HandlerController
from gati.module import ModuleController
from gati.version import VersionController


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
        ModuleController(),
        VersionController(),
    )

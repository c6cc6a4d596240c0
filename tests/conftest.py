"""What holds for every test."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_stray_event_loop():
    """looptime asks for the current event loop before tests that have none; until Python 3.13
    that makes one, which nobody closes: a ResourceWarning in whatever test comes later."""
    asyncio.set_event_loop(None)

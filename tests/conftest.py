"""What holds for every test."""

from __future__ import annotations

import asyncio
import os

import hypothesis
import pytest

# Speed is no property; and what CI finds has to be found again.
hypothesis.settings.register_profile("unhurried", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def _no_stray_event_loop():
    """looptime asks for the current event loop before tests that have none; until Python 3.13
    that makes one, which nobody closes: a ResourceWarning in whatever test comes later."""
    asyncio.set_event_loop(None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests start first, so that no worker idles while the other ends one.

    Connections to an API server that was killed are closed by the garbage collector, at any
    time: beside a real server that is no fault of the test that happens to run then.
    """
    lenient = pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
    for item in items:
        if {"cluster", "e2e"} & set(item.path.parts):
            item.add_marker(lenient)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)

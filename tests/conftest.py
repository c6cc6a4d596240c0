"""What holds for every test."""

from __future__ import annotations

import asyncio
import os
import signal

import hypothesis
import pytest

# A shell that starts the tests in the background lets them ignore Ctrl-C, and so would whatever
# they start; what a handler is set for, a new program gets by default again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Speed is no property; and what CI finds has to be found again.
hypothesis.settings.register_profile("unhurried", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Another cluster for tests/cluster than one of our own; see cluster/existing.py."""
    group = parser.getgroup("existing cluster")
    group.addoption("--context", help="run tests/cluster in the cluster of this context")
    group.addoption("--yes", action="store_true", help="do so; without it, say what would be done")
    group.addoption("--update-crds", action="store_true", help="update the CRDs that are there")


def pytest_configure(config: pytest.Config) -> None:
    """An existing cluster is the business of the process that was started, not of its workers."""
    option = config.option
    if (option.yes or option.update_crds) and not option.context:
        raise pytest.UsageError("--yes and --update-crds are for --context")
    if option.context and not hasattr(config, "workerinput"):
        from cluster import existing  # noqa: PLC0415 - what it imports, other runs do not need

        config.pluginmanager.register(existing.Run(config))


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
        if {"cluster", "e2e", "chaos"} & set(item.path.parts):
            item.add_marker(lenient)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)

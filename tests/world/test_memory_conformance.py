"""The in-memory server leaves the transcripts that a real one left."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memoryserver import MemoryApi
from world.conformance.reads import NOT_SERVED
from world.conformance.transcript import MANAGER, SCENARIOS, TRANSCRIPTS, Scenario, Transcript
from world.kinds import NAMESPACE, WIDGET_CRD, body


def memory_api() -> MemoryApi:
    """A server such as a fresh cluster with the Widget CRD is."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    api = MemoryApi(lambda: now, manager=MANAGER, crds=[WIDGET_CRD], strict_namespaces=True)
    api.unserve(NOT_SERVED)
    api.server.create(NAMESPACE, body(NAMESPACE, "scenario"), "setup")
    return api


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_the_memory_server_leaves_the_recorded_transcript(scenario: Scenario) -> None:
    transcript = Transcript(memory_api(), "scenario")

    await scenario.script(transcript)

    assert transcript.objects == scenario.recorded


def test_every_recorded_transcript_has_its_script() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert sorted(path.stem for path in TRANSCRIPTS.iterdir()) == sorted(names)

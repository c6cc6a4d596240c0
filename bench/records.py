"""The raw results on disk: one JSON file for each measurement, and that of the previous run.

The rule kept here: only samples are stored. Medians and verdicts are computed for each report, so
that a report of old samples uses the present rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import Sample


class Record(msgspec.Struct):
    """One run of a measurement. ``load`` is the load average before it, ``beside`` the other busy
    programs; times are UTC.
    """

    name: str
    began: str
    ended: str
    settings: dict[str, Any]
    machine: dict[str, Any]
    load: float
    beside: list[str]
    samples: list[Sample]


def store(folder: Path, record: Record) -> Path:
    """Write a record, and keep the previous one as ``NAME.before.json``; the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.name}.json"
    if path.exists():
        path.replace(folder / f"{record.name}.before.json")
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))
    part.replace(path)
    return path


def load(folder: Path, suffix: str = ".json") -> Mapping[str, Record]:
    """The stored records by name; with ``.before.json`` those of the previous runs."""
    found = {}
    for path in sorted(folder.glob(f"*{suffix}")):
        if path.name.count(".") == suffix.count("."):
            record = msgspec.json.decode(path.read_bytes(), type=Record)
            found[record.name] = record
    return found

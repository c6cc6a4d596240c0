"""The raw results on disk: one JSON file for each measurement, and the one before it.

The rule kept here: what is stored is what was measured. Medians and verdicts are derived from it
anew each time, so that a report can be made from old samples by newer rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import Sample


class Record(msgspec.Struct):
    """One measurement as it was run. ``load`` is that of the minute before, ``beside`` the
    programs of others that were busy then; times are UTC.
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
    """Write a record; the one of an earlier run stays as ``NAME.before.json``. Its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.name}.json"
    if path.exists():
        path.replace(folder / f"{record.name}.before.json")
    part = path.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))
    part.replace(path)
    return path


def load(folder: Path, suffix: str = ".json") -> Mapping[str, Record]:
    """The stored records by name; ``.before.json`` for those of the runs before."""
    found = {}
    for path in sorted(folder.glob(f"*{suffix}")):
        if path.name.count(".") == suffix.count("."):
            record = msgspec.json.decode(path.read_bytes(), type=Record)
            found[record.name] = record
    return found

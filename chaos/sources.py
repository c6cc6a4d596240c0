"""Operators made of our source with an edit: mutations, and a release before this one.

An edit names a file and a text that must stand in it exactly once; when the source moves on, a
unit test says so, long before a run does.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"


@dataclass(frozen=True)
class Edit:
    """In ``file`` (below src/) the text ``old`` becomes ``new``."""

    file: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """The edited text. Raises ValueError where ``old`` is not in it exactly once."""
        found = text.count(self.old)
        if found != 1:
            raise ValueError(f"{self.file}: {found} places for the edit, not one:\n{self.old}")
        return text.replace(self.old, self.new)


PREVIOUS: tuple[Edit, ...] = (
    Edit(
        "gati/handler/build/metadata.py",
        '"labels": {**names.handler_labels(handler.name), **(labels or {})},',
        '"labels": {**names.handler_labels(handler.name), **(labels or {}), '
        '"gati.dev/previous-release": "true"},',
    ),
)
"""What stands for the release before this one: it labels all children with one label more.

The label is on the objects and not on the pods, so neither way of the upgrade may restart any.
"""


def edited(edits: Sequence[Edit], folder: Path) -> Path:
    """A copy of our source with the edits, below ``folder``; made once. Raises ValueError."""
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.copytree(SOURCE, part, ignore=shutil.ignore_patterns("__pycache__", "devcluster"))
        for edit in edits:
            path = part / edit.file
            path.write_text(edit.apply(path.read_text("utf-8")), "utf-8")
        part.rename(folder)
    return folder


def program(source: Path | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """(argv, environment) of the operator: the installed command, or a copy of its source.

    With a source the process can also be impaired, see ``chaos.impaired``.
    """
    if source is None:
        return (str(Path(sys.executable).parent / "gati-operator"),), {}
    path = f"{source}:{ROOT}"
    return (sys.executable, "-P", "-m", "chaos.impaired"), {"PYTHONPATH": path}

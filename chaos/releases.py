"""How the rig starts the operator: as installed, or with functions of its process replaced."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chaos.replacement import VARIABLE, Replacement, encode
from contract.model import Object

ROOT = Path(__file__).parents[1]


def label_as_before(original: Callable[..., Object], *args: Any, **options: Any) -> Object:
    """``with_metadata``: each child has one label more, and its pods do not."""
    body = original(*args, **options)
    body["metadata"]["labels"] |= {"gati.dev/previous-release": "true"}
    return body


PREVIOUS = (Replacement("gati.handler.build.metadata:with_metadata", label_as_before),)
"""What stands for the release before this one: it labels all children with one label more.

The label is on the objects and not on the pods, so neither way of the upgrade may restart any.
"""


def program(
    replacements: Sequence[Replacement] = (), *, impaired: bool = False
) -> tuple[tuple[str, ...], dict[str, str]]:
    """(argv, environment) of the operator: the installed command, or ``chaos.impaired``.

    The latter runs where something is replaced, or where the process is to be ``impaired``.
    Either runs the source that PYTHONPATH names for the rig itself, if it names one.
    """
    path = os.environ.get("PYTHONPATH", "")
    if not replacements and not impaired:
        command = str(Path(sys.executable).parent / "gati-operator")
        return (command,), {"PYTHONPATH": path, VARIABLE: ""}
    path = os.pathsep.join(filter(None, (str(ROOT), path)))
    argv = (sys.executable, "-P", "-m", "chaos.impaired")
    return argv, {"PYTHONPATH": path, VARIABLE: encode(replacements)}

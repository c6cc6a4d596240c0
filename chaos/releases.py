"""How the rig starts the operator: the installed command, or a process with replaced functions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chaos.replacement import VARIABLE, Replacement, encode
from contract.model import Object

ROOT = Path(__file__).parents[1]


def add_label(original: Callable[..., Object], *args: Any, **options: Any) -> Object:
    """``with_metadata``: each child, but not its pods, has one more label."""
    body = original(*args, **options)
    body["metadata"]["labels"] |= {"gati.dev/previous-release": "true"}
    return body


PREVIOUS = (Replacement("gati.handler.build.metadata:with_metadata", add_label),)
"""Stands for the previous release: it sets one more label on all children.

The pod template does not have the label, so neither upgrade nor downgrade may restart a pod.
"""


def program(
    replacements: Sequence[Replacement] = (), *, impaired: bool = False
) -> tuple[tuple[str, ...], dict[str, str]]:
    """(argv, environment) of the operator: the installed command, or ``chaos.impaired``.

    ``chaos.impaired`` runs with ``replacements``, or where ``impaired`` is set. Both run the
    source that PYTHONPATH of the rig names, if it is set.
    """
    path = os.environ.get("PYTHONPATH", "")
    if not replacements and not impaired:
        command = str(Path(sys.executable).parent / "gati-operator")
        return (command,), {"PYTHONPATH": path, VARIABLE: ""}
    path = os.pathsep.join(filter(None, (str(ROOT), path)))
    argv = (sys.executable, "-P", "-m", "chaos.impaired")
    return argv, {"PYTHONPATH": path, VARIABLE: encode(replacements)}

"""A program: installs each mutation in a process of its own, and prints what came of it.

One line of JSON: name -> "installed", or what is wrong. Not in the process of the tests, whose own
modules hold functions of the operator in every way.
"""

from __future__ import annotations

import json
import os
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType

sys.path.insert(0, str(Path(__file__).parents[2]))

import commands.gati  # noqa: F401 - all that the operator's process loads
from chaos.mutations import MUTATIONS
from chaos.releases import PREVIOUS
from chaos.replacement import NotReplaced, Replacement, decode, encode, install

PRODUCT = frozenset({"commands", "contract", "crds", "gati", "objects", "reconciler"})


def outcome(replacements: Sequence[Replacement]) -> str:
    """What a new process reports of installing them."""
    read, write = os.pipe()
    if child := os.fork():
        os.close(write)
        os.waitpid(child, 0)
        with os.fdopen(read, encoding="utf-8") as pipe:
            return pipe.read()
    with os.fdopen(write, "w", encoding="utf-8") as pipe:
        try:
            pipe.write(problem(replacements))
        except Exception as error:  # noqa: BLE001 - the child must not go on as a second parent
            pipe.write(repr(error))
        finally:
            pipe.flush()
            os._exit(0)


def problem(replacements: Sequence[Replacement]) -> str:
    """What is wrong with them, or "installed"."""
    originals = [weakref.ref(function(each.target)) for each in replacements]
    try:
        install(decode(encode(replacements)))
    except NotReplaced as error:
        return str(error)
    return ", ".join(each for original in originals for each in holders(original())) or "installed"


def function(target: str) -> FunctionType:
    """What a target names, found in another way than the one that is tested."""
    module, path = target.split(":")
    return eval(path, vars(sys.modules[module]))  # noqa: S307


def holders(original: FunctionType | None) -> list[str]:
    """Modules and classes of the operator that have the function still."""
    modules = [each for name, each in sys.modules.items() if name.split(".")[0] in PRODUCT]
    classes = [each for module in modules for each in vars(module).values()]
    return [
        f"{place} has {name} still"
        for place in (*modules, *(each for each in classes if isinstance(each, type)))
        for name, value in vars(place).items()
        if value is original and original is not None
    ]


if __name__ == "__main__":
    named = {mutation.name: mutation.replaces for mutation in MUTATIONS} | {"previous": PREVIOUS}
    print(json.dumps({name: outcome(replacements) for name, replacements in named.items()}))

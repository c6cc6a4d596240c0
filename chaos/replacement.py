"""Replaces named functions of the operator's process before its command runs.

The rule kept here: a replacement is effective everywhere or ends the process. Errors are a target
that does not exist, a function that does not accept the calls of its target, and a reference to the
original that cannot be replaced (in a table, a default argument, a bound method).
"""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FrameType, FunctionType
from typing import Any

VARIABLE = "IMPAIRED_REPLACEMENTS"
"""The environment variable in which a process gets its replacements, as ``encode`` writes them."""


class NotReplaced(Exception):
    """A replacement is not possible; the text names the target and the reason."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """``by`` runs in place of ``target``, with the original as its first argument.

    ``target`` is ``module:function`` or ``module:Class.method``, ``by`` a function of a module.
    """

    target: str
    by: Callable[..., Any]


def encode(replacements: Iterable[Replacement]) -> str:
    """Replacements as text without line breaks, for the environment of another process."""
    return " ".join(
        f"{each.target}={each.by.__module__}:{each.by.__qualname__}" for each in replacements
    )


def decode(text: str) -> tuple[Replacement, ...]:
    """The reverse of ``encode``. Imports the replacing functions, but not the targets."""
    return tuple(
        Replacement(target, _imported(by))
        for target, _, by in (word.partition("=") for word in text.split())
    )


def install(replacements: Iterable[Replacement]) -> None:
    """Replace functions of loaded modules, in every module and class that refers to them.

    Raises NotReplaced where a reference to an original remains.
    """
    for replacement in replacements:
        original = _found(replacement.target)
        if not _takes_its_calls(replacement, original):
            raise NotReplaced(
                f"{replacement.target}: {replacement.by.__qualname__} does not accept the calls of "
                f"{original.__name__}{inspect.signature(original)}"
            )
        replaced = _wrapped(original, replacement.by)
        for place, name in _places(original):
            setattr(place, name, replaced)
        if holders := _holders(original, replaced):
            raise NotReplaced(f"{replacement.target}: the original is still held by {holders[0]}")


def _imported(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _found(target: str) -> FunctionType:
    """The function that a target names. A method must be defined in the class itself."""
    module, _, path = target.partition(":")
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    if not isinstance(found, FunctionType):
        raise NotReplaced(f"{target}: not a function of the loaded modules")
    return found


def _wrapped(original: FunctionType, by: Callable[..., Any]) -> FunctionType:
    @functools.wraps(original)
    def replaced(*args: Any, **options: Any) -> Any:
        return by(original, *args, **options)

    return replaced  # type: ignore[return-value]  # a function, as a method has to be


def _takes_its_calls(replacement: Replacement, original: FunctionType) -> bool:
    signature = inspect.signature(replacement.by)
    try:
        for args, options in _calls(original, method="." in replacement.target.split(":")[1]):
            signature.bind(original, *args, **options)
    except TypeError:
        return False
    return True


def _calls(function: FunctionType, *, method: bool) -> Iterator[tuple[list[None], dict[str, None]]]:
    """Three ways to call: all arguments by position, all by name, only the required ones."""
    parameters = list(inspect.signature(function).parameters.values())
    receiver = [None] if method else []
    named = {each.name: None for each in parameters if each.kind is each.KEYWORD_ONLY}
    placed = {each.name: None for each in parameters if each.kind is not each.KEYWORD_ONLY}
    yield list(placed.values()), named
    by_name = [
        each for each in parameters[len(receiver) :] if each.kind is not each.POSITIONAL_ONLY
    ]
    yield receiver, {each.name: None for each in by_name}
    yield receiver, {each.name: None for each in by_name if each.default is each.empty}


def _places(function: FunctionType) -> list[tuple[Any, str]]:
    """(module or class, attribute) for each attribute that is the function.

    All classes are searched: a dataclass with slots is a second class beside the decorated one.
    """
    classes = [each for each in gc.get_objects() if issubclass(type(each), type)]
    return [
        (place, name)
        for place in (*sys.modules.values(), *classes)
        for name, value in list(getattr(place, "__dict__", {}).items())
        if value is function
    ]


def _holders(original: FunctionType, replaced: FunctionType) -> list[str]:
    """The objects that still refer to the original, but for the function that replaces it."""
    gc.collect()  # garbage may still refer to the original
    own = {id(replaced.__dict__), *(id(cell) for cell in replaced.__closure__ or ())}
    return [
        f"{type(each).__name__} {each!r}"[:200]
        for each in gc.get_referrers(original)
        if id(each) not in own and not isinstance(each, FrameType)
    ]

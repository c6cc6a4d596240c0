"""What every API type is made of: the base struct, its rules, and the constraints of a field.

A type declares everything the API server is to enforce, next to the field: bounds and
caps in the field's ``Meta``, what spans several fields in the type's ``rules``. The same types
are what the operator decodes (``crds.decode``), so it holds an object to exactly that too. Each
string, list and map has a cap, because the API server prices a CEL rule by the largest object
that could ever reach it and refuses the whole CRD when that is too dear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import msgspec
from msgspec import UNSET, Meta

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""RFC 1123 label: the name of a namespace, a volume, a port."""

DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""RFC 1123 subdomain: the name of most objects."""

QUALIFIED_NAME = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
)
"""The key of a label: an optional DNS prefix and a slash, then a name."""

LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
"""The value of a label; may be empty."""

QUANTITY = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,2})?$"
"""A Kubernetes quantity that is not negative: ``500m``, ``128Mi``, ``1.5``, ``1e3``."""

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""The name of an environment variable, as every shell and runtime can read it."""

ONE_WORD = r"^\S+$"
"""Something without white space."""

URL_PATH = r"^/\S*$"
"""The path of a URL."""

FOLDER = r"^/[^:]*$"
"""An absolute path in a container."""

SHOWN_PATTERN = "x-pattern"
"""Key of a generated schema, replaced there: the pattern as the API server reads it."""

SERVER_DEFAULT = "x-server-default"
"""Key of a generated schema, replaced there: the API server itself is to fill in the default."""


class Rule(NamedTuple):
    """What must hold of a value: in CEL for the API server, and in Python for the operator.

    ``message`` says what to write where the rule does not hold. ``broken_at`` names the place
    below the value, where one is to be named (``[a-b]``, ``.name``).
    """

    rule: str
    message: str
    holds: Callable[[Any], bool]
    broken_at: Callable[[Any], str] = lambda _: ""

    def document(self) -> dict[str, str]:
        """The rule as a schema holds it."""
        return {"rule": self.rule, "message": self.message}


class RuleBroken(ValueError):
    """A rule does not hold; ``place`` is the path below the struct that was made."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


class Part(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Any object of the API. ``rules`` are the CEL rules that span its fields.

    The default of a field is what the operator fills in, and is shown in the field's description;
    UNSET stands for a field without one.
    """

    rules: ClassVar[tuple[Rule, ...]] = ()

    def __post_init__(self) -> None:
        """Raises RuleBroken, which msgspec reports with the path of the object."""
        for attribute, place, rule in rules_of(type(self)):
            value = getattr(self, attribute) if attribute else self
            if value is not UNSET and not rule.holds(value):
                raise RuleBroken(place + rule.broken_at(value), rule.message)


@cache
def rules_of(part: type[Part]) -> tuple[tuple[str, str, Rule], ...]:
    """The rules of a type and of its fields: attribute and place of the field, and the rule."""
    of_fields = [
        (field.name, f".{field.encode_name}", rule)
        for field in msgspec.structs.fields(part)
        for rule in _rules_of_field(field.type)
    ]
    return (*of_fields, *(("", "", rule) for rule in part.rules))


def _rules_of_field(hint: Any) -> Iterator[Rule]:
    for each in (hint, *get_args(hint)):
        for meta in getattr(each, "__metadata__", ()):
            yield from (meta.extra or {}).get("rules", ())


def has(part: Part, name: str) -> bool:
    """Is the field of that (JSON) name given? For a field whose default is UNSET."""
    return _given(part, name) is not UNSET


def _given(part: Part, name: str) -> Any:
    return getattr(part, _attributes(type(part))[name])


@cache
def _attributes(part: type[Part]) -> Mapping[str, str]:
    return {field.encode_name: field.name for field in msgspec.structs.fields(part)}


def matches(pattern: str) -> Callable[[str], bool]:
    """Does a text match the pattern as the API server (RE2) reads it?"""
    compiled = re.compile(_in_python(pattern))
    return lambda text: compiled.search(text) is not None


def _in_python(pattern: str) -> str:
    r"""The pattern with RE2's meaning: ``$`` is the very end, ``\S`` knows ASCII's spaces only."""
    return pattern.removesuffix("$").replace(r"\S", r"[^\t\n\f\r ]") + (
        r"\Z" if pattern.endswith("$") else ""
    )


def at_most_one(*spellings: str) -> Rule:
    """The rule that a field is written in one of its spellings only (v1's first)."""
    first, second = spellings
    return Rule(
        f"!(has(self.{first}) && has(self.{second}))",
        f"{first} and {second} are two spellings of one field: write only {first} (gati.dev/v1) "
        f"or only {second} (gati.dev/v1alpha1)",
        lambda it: not (has(it, first) and has(it, second)),
    )


def one_word(example: str) -> Rule:
    """The rule that a string is neither empty nor holds white space."""
    return Rule(
        r"self.matches('^\\S+$')",
        f"must not be empty and hold no white space: write for example {example}",
        matches(ONE_WORD),
    )


def exactly_one(fields: tuple[str, ...], message: str) -> Rule:
    """The rule that one of the fields is given, and no second one."""
    given = ", ".join(f"has(self.{field})" for field in fields)
    return Rule(
        f"[{given}].exists_one(given, given)",
        message,
        lambda it: sum(has(it, field) for field in fields) == 1,
    )


def every_key(rule: str, message: str, fits: Callable[[str], bool]) -> Rule:
    """The rule that every key of a map fits; ``rule`` is the CEL of one ``key``."""
    return Rule(
        f"self.all(key, {rule})",
        message,
        lambda keys: all(map(fits, keys)),
        lambda keys: f"[{next(key for key in keys if not fits(key))}]",
    )


def text(
    description: str,
    limit: int,
    *,
    pattern: str | None = None,
    least: int | None = None,
    format: str | None = None,  # noqa: A002 - the schema's own word
    rules: tuple[Rule, ...] = (),
) -> Meta:
    """A string of at most ``limit`` characters; rules see it as ``self``."""
    shown = {"format": format} if format else {}
    return _meta(
        description,
        rules,
        shown | ({SHOWN_PATTERN: pattern} if pattern else {}),
        max_length=limit,
        min_length=least,
        pattern=_in_python(pattern) if pattern else None,
    )


def whole(description: str, least: int, most: int, *, by_server: bool = False) -> Meta:
    """An integer within bounds, both included. ``by_server``: the API server fills in the default.

    The API server takes an integer without a format for one of 32 bits, and reads bounds as
    floating point: beyond 2**53 they are not exact.
    """
    extra: dict[str, Any] = {"format": "int64"} if most >= 2**31 else {}
    extra |= {SERVER_DEFAULT: True} if by_server else {}
    return _meta(description, (), extra, ge=least, le=most)


def described(description: str) -> Meta:
    """A field whose type says the rest: an object, a boolean, one of a fixed set of words."""
    return Meta(description=description)


def moment(description: str) -> Meta:
    """A time as RFC 3339 with a zone, for ``datetime``."""
    return Meta(description=description, tz=True, extra_json_schema={"maxLength": 64})


def several(
    description: str,
    limit: int,
    *,
    by: tuple[str, ...] = (),
    kind: Literal["atomic", "set"] = "atomic",
    rules: tuple[Rule, ...] = (),
) -> Meta:
    """A list of at most ``limit`` items.

    ``by`` names the fields that identify its items: then server-side apply merges the list
    item by item, and the API server refuses an item given twice. Without it the list belongs
    as a whole to its last writer.
    """
    shown: dict[str, Any] = {"x-kubernetes-list-type": "map" if by else kind}
    if by:
        shown["x-kubernetes-list-map-keys"] = list(by)
    unique = () if kind == "atomic" and not by else (_unique(by),)
    return _meta(description, rules, shown, *unique, max_length=limit)


def _unique(by: tuple[str, ...]) -> Rule:
    """What the API server itself holds of such a list, without a rule."""

    def second(items: Iterable[Any]) -> str | None:
        """The place of the first item that is there for the second time."""
        before = set()
        for index, item in enumerate(items):
            key = tuple(_given(item, name) for name in by) or item
            if key in before:
                return f"[{index}].{by[0]}" if len(by) == 1 else f"[{index}]"
            before.add(key)
        return None

    return Rule(
        "",
        "duplicates an earlier item: each one must be unique",
        lambda items: second(items) is None,
        lambda items: second(items) or "",
    )


def mapping(description: str, limit: int, *, rules: tuple[Rule, ...] = ()) -> Meta:
    """A map of at most ``limit`` entries."""
    return _meta(description, rules, {}, max_length=limit)


def quantity(description: str) -> Meta:
    """A Quantity: ``cpu: 1`` is as good as ``cpu: "1"``."""
    return Meta(
        description=description,
        extra_json_schema={
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maxLength": 32,
            "pattern": QUANTITY,
        },
    )


def explained_quantity(description: str) -> Meta:
    """A quantity whose refusal says what to write, where it does not stand in a list.

    The API server prices a rule on int-or-string as if its text were as long as a whole request;
    once in an object that is cheap enough, for each item of a list it is not.
    """
    rule = {
        "rule": "isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0'))",
        "message": "not a quantity of 0 or more: write for example 500m or 2 (cpu), 128Mi or 1Gi "
        "(memory)",
    }
    return Meta(
        description=description,
        extra_json_schema={
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
            "x-kubernetes-validations": [rule],
        },
    )


def _meta(
    description: str,
    rules: tuple[Rule, ...],
    shown: Mapping[str, Any],
    *unseen: Rule,
    **constraints: Any,
) -> Meta:
    """A Meta with rules that the schema shows, and others that the operator alone needs."""
    validations = [rule.document() for rule in rules]
    extra = {**({"x-kubernetes-validations": validations} if rules else {}), **shown}
    return Meta(
        description=description,
        extra_json_schema=extra or None,
        extra={"rules": (*rules, *unseen)},
        **constraints,
    )

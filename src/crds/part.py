"""What every API type is made of: the base struct, its rules, and the constraints of a field.

A type says everything the API server is to enforce, and says it next to the field: bounds and
caps in the field's ``Meta``, what spans several fields in the type's ``rules``. Each string,
list and map has a cap, because the API server prices a CEL rule by the largest object that
could ever reach it and refuses the whole CRD when that is too dear.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import Meta

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


class Rule(NamedTuple):
    """One CEL rule of a type: what must hold, and what to write instead where it does not."""

    rule: str
    message: str


class Part(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Any object of the API. ``rules`` are the CEL rules that span its fields."""

    rules: ClassVar[tuple[Rule, ...]] = ()


def at_most_one(*spellings: str) -> Rule:
    """The rule that a field is written in one of its spellings only (v1's first)."""
    first, second = spellings
    return Rule(
        f"!(has(self.{first}) && has(self.{second}))",
        f"{first} and {second} are two spellings of one field: write only {first} (gati.dev/v1) "
        f"or only {second} (gati.dev/v1alpha1)",
    )


def one_word(example: str) -> Rule:
    """The rule that a string is neither empty nor holds white space."""
    return Rule(
        r"self.matches('^\\S+$')",
        f"must not be empty and hold no white space: write for example {example}",
    )


def exactly_one(fields: tuple[str, ...], message: str) -> Rule:
    """The rule that one of the fields is given, and no second one."""
    given = ", ".join(f"has(self.{field})" for field in fields)
    return Rule(f"[{given}].exists_one(given, given)", message)


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
    extra = _validations(rules) | ({"format": format} if format else {})
    return Meta(
        description=description,
        max_length=limit,
        min_length=least,
        pattern=pattern,
        extra_json_schema=extra or None,
    )


def whole(description: str, least: int, most: int) -> Meta:
    """An integer within bounds, both included.

    The API server takes an integer without a format for one of 32 bits, and reads bounds as
    floating point: beyond 2**53 they are not exact.
    """
    extra = {"format": "int64"} if most >= 2**31 else None
    return Meta(description=description, ge=least, le=most, extra_json_schema=extra)


def described(description: str) -> Meta:
    """A field whose type says the rest: an object, a boolean, one of a fixed set of words."""
    return Meta(description=description)


def several(
    description: str,
    limit: int,
    *,
    by: tuple[str, ...] = (),
    kind: Literal["atomic", "set"] = "atomic",
    rules: tuple[Rule, ...] = (),
) -> Meta:
    """A list of at most ``limit`` items.

    ``by`` names the fields that tell its items apart: then server-side apply merges the list
    item by item, and the API server refuses an item given twice. Without it the list belongs
    as a whole to who wrote it last.
    """
    extra = _validations(rules)
    if by:
        extra |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(by)}
    else:
        extra |= {"x-kubernetes-list-type": kind}
    return Meta(description=description, max_length=limit, extra_json_schema=extra)


def mapping(description: str, limit: int, *, rules: tuple[Rule, ...] = ()) -> Meta:
    """A map of at most ``limit`` entries."""
    return Meta(
        description=description, max_length=limit, extra_json_schema=_validations(rules) or None
    )


def quantity(description: str) -> Meta:
    """A quantity, for ``int | str``: ``cpu: 1`` is as good as ``cpu: "1"``."""
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
    rule = Rule(
        "isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0'))",
        "not a quantity of 0 or more: write for example 500m or 2 (cpu), 128Mi or 1Gi (memory)",
    )
    return Meta(
        description=description,
        extra_json_schema={
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
            **_validations((rule,)),
        },
    )


def _validations(rules: tuple[Rule, ...]) -> dict[str, Any]:
    return {"x-kubernetes-validations": [rule._asdict() for rule in rules]} if rules else {}

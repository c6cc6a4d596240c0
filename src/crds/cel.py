"""The language of the CRDs' rules (``x-kubernetes-validations``): the part that our rules use.

A rule is parsed once into a function of ``self``. What the language has beyond this part (numbers
with a fraction, arithmetic, maps written out, time) raises Unsupported when the rule is parsed, not
when an object comes: the test of all CRDs meets it first. The two Python libraries of the language
were tried and not taken: one loads a second, the other brings thirty packages, neither knows
Kubernetes' quantities and escaped field names.
https://github.com/google/cel-spec/blob/master/doc/langdef.md
https://kubernetes.io/docs/reference/using-api/cel/
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from crds import re2
from crds.cel_quantity import Quantity, is_quantity

Scope = Mapping[str, Any]
Expression = Callable[[Scope], Any]


class Unsupported(ValueError):
    """The rule uses what this part of the language does not have."""


class EvaluationError(Exception):
    """The rule has no answer for this object; the API server refuses it with this text."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that the schema's type cannot hold; a rule that reads it has no answer."""

    why: str


@lru_cache(1024)
def compiled(rule: str) -> Expression:
    """The rule as a function of its variables: ``compiled(rule)({"self": value})``.

    Raises Unsupported. The function raises EvaluationError.
    """
    parser = _Parser(rule)
    expression = parser.disjunction()
    parser.expect("end")
    return expression


_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9]+(?![0-9.]))"
    r"|(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<sign>&&|\|\||[=!<>]=|[-!<>()\[\].,])|(?P<end>\Z))"
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_FIELD_ESCAPE = re.compile(r"__([a-z]+)__")
_FIELD_ESCAPED = {"underscores": "__", "dot": ".", "dash": "-", "slash": "/"}
_LITERALS = {"true": True, "false": False, "null": None}


class _Parser:
    """One method for each level of the grammar, the loosest binding first."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._at = 0
        self._next()

    def _next(self) -> None:
        match = _TOKEN.match(self._rule, self._at)
        if match is None:
            raise Unsupported(f"{self._rule[self._at :]!r} in the rule {self._rule!r}")
        self._kind = str(match.lastgroup)
        self._text = match[self._kind]
        self._at = match.end()

    def _take(self, *signs: str) -> str:
        """The sign that comes next, if it is one of these."""
        if self._kind == "sign" and self._text in signs:
            taken = self._text
            self._next()
            return taken
        return ""

    def expect(self, what: str) -> str:
        """The next token, of this kind or this sign; anything else is not supported."""
        if what not in (self._kind, self._text):
            raise Unsupported(f"{self._text!r} where {what} is read in the rule {self._rule!r}")
        text = self._text
        if self._kind != "end":
            self._next()
        return text

    def disjunction(self) -> Expression:
        """``a || b``; the grammar's ``a ? b : c`` is not supported."""
        parts = [self._conjunction()]
        while self._take("||"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else _logical(parts, decisive=True)

    def _conjunction(self) -> Expression:
        parts = [self._relation()]
        while self._take("&&"):
            parts.append(self._relation())
        return parts[0] if len(parts) == 1 else _logical(parts, decisive=False)

    def _relation(self) -> Expression:
        left = self._unary()
        sign = self._take("==", "!=", "<=", ">=", "<", ">")
        return _comparison(sign, left, self._unary()) if sign else left

    def _unary(self) -> Expression:
        if self._take("!"):
            return _negated(self._unary())
        if self._take("-"):
            number = -int(self.expect("number"))
            return lambda _: number
        return self._member()

    def _member(self) -> Expression:
        value = self._primary()
        while self._take("."):
            name = self.expect("name")
            if not self._take("("):
                value = _selected(value, name)
            elif name in _MACROS:
                variable = self.expect("name")
                self.expect(",")
                value = _MACROS[name](value, variable, self.disjunction())
                self.expect(")")
            else:
                value = _called(name, _METHODS, [value, *self._arguments(")")])
        return value

    def _primary(self) -> Expression:
        kind, text = self._kind, self._text
        if self._take("("):
            inner = self.disjunction()
            self.expect(")")
            return inner
        if self._take("["):
            return _listed(self._arguments("]"))
        self._next()
        if kind == "number":
            number = int(text)
            return lambda _: number
        if kind == "text":
            literal = _ESCAPE.sub(lambda match: _unescaped(match[1]), text[1:-1])
            return lambda _: literal
        if kind != "name":
            raise Unsupported(f"{text!r} in the rule {self._rule!r}")
        if text in _LITERALS:
            constant = _LITERALS[text]
            return lambda _: constant
        if self._take("("):
            if text == "has":
                return self._has()
            return _called(text, _FUNCTIONS, self._arguments(")"))
        return lambda scope: _readable(scope[text])

    def _arguments(self, end: str) -> list[Expression]:
        found: list[Expression] = []
        while not self._take(end):
            if found:
                self.expect(",")
            found.append(self.disjunction())
        return found

    def _has(self) -> Expression:
        """``has(a.b.c)``: the last field need not be there, those before it must."""
        names = [self.expect("name")]
        while self._take("."):
            names.append(self.expect("name"))
        self.expect(")")
        holder: Expression = lambda scope: _readable(scope[names[0]])  # noqa: E731 - as a variable
        for name in names[1:-1]:
            holder = _selected(holder, name)
        field = _field_name(names[-1])

        def present(scope: Scope) -> bool:
            fields = holder(scope)
            return field in fields and _readable(fields[field]) is not None

        return present


def _unescaped(char: str) -> str:
    if char not in _ESCAPED:
        raise Unsupported(f"the escape \\{char}")
    return _ESCAPED[char]


def _field_name(name: str) -> str:
    """The field that an escaped name stands for: ``ephemeral__dash__storage``."""
    return _FIELD_ESCAPE.sub(lambda match: _FIELD_ESCAPED.get(match[1], match[1]), name)


def _readable(value: Any) -> Any:
    if isinstance(value, Unreadable):
        raise EvaluationError(value.why)
    return value


def _decided(parts: Iterable[Callable[[], bool]], *, decisive: bool) -> bool:
    """One part that answers ``decisive`` decides, whatever the others fail with."""
    failure: EvaluationError | None = None
    for part in parts:
        try:
            if part() is decisive:
                return decisive
        except EvaluationError as error:
            failure = failure or error
    if failure:
        raise failure
    return not decisive


def _logical(parts: Sequence[Expression], *, decisive: bool) -> Expression:
    return lambda scope: _decided((partial(part, scope) for part in parts), decisive=decisive)


def _negated(part: Expression) -> Expression:
    return lambda scope: not part(scope)


def _selected(part: Expression, name: str) -> Expression:
    field = _field_name(name)

    def evaluated(scope: Scope) -> Any:
        holder = part(scope)
        if holder.get(field) is None:
            raise EvaluationError(f"no such key: {name}")
        return _readable(holder[field])

    return evaluated


def _listed(parts: Sequence[Expression]) -> Expression:
    return lambda scope: [part(scope) for part in parts]


_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _comparison(sign: str, left: Expression, right: Expression) -> Expression:
    def equal(scope: Scope) -> bool:
        one, other = left(scope), right(scope)
        # In Python True is 1; here values of two types are never equal.
        return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)

    if sign == "==":
        return equal
    if sign == "!=":
        return lambda scope: not equal(scope)
    order = _ORDERS[sign]

    def ordered(scope: Scope) -> bool:
        one, other = left(scope), right(scope)
        if type(one) is not type(other):
            raise EvaluationError("no such overload")
        return bool(order(one, other))

    return ordered


def _quantified(*, decisive: bool) -> Callable[[Expression, str, Expression], Expression]:
    """``all`` and ``exists``, over the items of a list or the keys of a map."""

    def macro(items: Expression, variable: str, condition: Expression) -> Expression:
        def evaluated(scope: Scope) -> bool:
            scopes = ({**scope, variable: item} for item in items(scope))
            return _decided((partial(condition, each) for each in scopes), decisive=decisive)

        return evaluated

    return macro


def _filtered(items: Expression, variable: str, condition: Expression) -> Expression:
    return lambda scope: [i for i in items(scope) if condition({**scope, variable: i})]


def _exactly_one(items: Expression, variable: str, condition: Expression) -> Expression:
    chosen = _filtered(items, variable, condition)
    return lambda scope: len(chosen(scope)) == 1


_MACROS: Mapping[str, Callable[[Expression, str, Expression], Expression]] = {
    "all": _quantified(decisive=False),
    "exists": _quantified(decisive=True),
    "exists_one": _exactly_one,
    "filter": _filtered,
}

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "string": lambda value: value if isinstance(value, str) else str(value),
    "size": len,
    "quantity": Quantity.read,
    "isQuantity": is_quantity,
}

_METHODS: Mapping[str, Callable[..., Any]] = {
    "size": len,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, part: part in text,
    "matches": lambda text, pattern: re2.compiled(pattern).search(text) is not None,
    "compareTo": lambda one, other: (one > other) - (one < other),
    "isLessThan": operator.lt,
    "isGreaterThan": operator.gt,
}


def _called(
    name: str, functions: Mapping[str, Callable[..., Any]], arguments: Sequence[Expression]
) -> Expression:
    if name not in functions:
        raise Unsupported(f"the function {name}")
    function = functions[name]
    return lambda scope: function(*[argument(scope) for argument in arguments])

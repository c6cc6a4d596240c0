"""A function that is replaced is replaced everywhere, or installing it fails."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.replacement import NotReplaced, Replacement, install

SHOP = """
from dataclasses import dataclass

LIMIT = 3

def price(item, *, discount=0):
    return 10 - discount

class Till:
    def total(self, items, count=1):
        return len(items) * count

class Register(Till):
    pass

@dataclass(frozen=True, slots=True)
class Receipt:
    items: tuple = ()

    def count(self):
        return len(self.items)
"""
FRONT = """
from shop import price as cost

def ask(item):
    return cost(item, discount=2)
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Imports a module of the given name and text; ``shop`` and ``front`` are there already."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loaded = []

    def imported(name: str, text: str) -> Any:
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
        loaded.append(name)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    imported("shop", SHOP)
    imported("front", FRONT)
    yield imported
    for name in loaded:
        del sys.modules[name]


def double(original: Callable[..., int], item: str, *, discount: int = 0) -> int:
    return 2 * original(item, discount=discount)


def one_more(original: Callable[..., int], till: Any, items: str, count: int = 1) -> int:
    return original(till, items, count) + 1


def hundred(original: Callable[..., int], receipt: Any) -> int:
    return 100


def whatever(original: Callable[..., int], *args: Any, **options: Any) -> int:
    return original(*args, **options)


def test_a_function_is_replaced_where_it_was_imported(load: Callable[..., Any]):
    shop, front = sys.modules["shop"], sys.modules["front"]
    install([Replacement("shop:price", double)])
    assert (shop.price("tea"), front.ask("tea")) == (20, 16)


def test_a_method_is_replaced_for_subclasses_too(load: Callable[..., Any]):
    shop = sys.modules["shop"]
    install([Replacement("shop:Till.total", one_more)])
    assert (shop.Till().total("ab", 3), shop.Register().total("ab")) == (7, 3)


def test_a_method_of_a_frozen_class_with_slots_is_replaced(load: Callable[..., Any]):
    install([Replacement("shop:Receipt.count", hundred)])
    assert sys.modules["shop"].Receipt().count() == 100


def test_two_replacements_of_one_target_wrap_each_other(load: Callable[..., Any]):
    install([Replacement("shop:price", double), Replacement("shop:price", double)])
    assert sys.modules["shop"].price("tea") == 40


@pytest.mark.parametrize(
    "target",
    [
        "absent:price",
        "shop:cost",
        "shop:LIMIT",
        "shop:Till",
        "shop:Till.sum",
        "shop:Shelf.total",
        "shop:Register.total",
        "shop",
    ],
)
def test_a_target_that_does_not_exist_is_an_error(load: Callable[..., Any], target: str):
    with pytest.raises(NotReplaced, match="not a function of the loaded modules"):
        install([Replacement(target, whatever)])


@pytest.mark.parametrize(
    "text",
    [
        "import shop; PRICES = {'tea': shop.price}",
        "import shop\ndef ask(price=shop.price): return price('tea')",
        "import shop, functools; price = functools.partial(shop.price, discount=1)",
    ],
    ids=["a table", "a default", "a partial"],
)
def test_an_original_that_something_else_holds_is_an_error(load: Callable[..., Any], text: str):
    module = load("holder", text)
    with pytest.raises(NotReplaced, match="shop:price: the original is still held by"):
        install([Replacement("shop:price", double)])
    assert module


def no_discount(original: Callable[..., int], item: str) -> int:
    return original(item)


def another_name(original: Callable[..., int], thing: str, *, discount: int = 0) -> int:
    return original(thing, discount=discount)


def discount_needed(original: Callable[..., int], item: str, *, discount: int) -> int:
    return original(item, discount=discount)


def nothing_at_all() -> int:
    return 0


@pytest.mark.parametrize("by", [no_discount, another_name, discount_needed, nothing_at_all])
def test_a_replacement_that_refuses_calls_is_an_error(
    load: Callable[..., Any], by: Callable[..., int]
):
    with pytest.raises(
        NotReplaced, match=r"does not accept the calls of price\(item, \*, discount"
    ):
        install([Replacement("shop:price", by)])
    assert sys.modules["front"].ask("tea") == 8


def test_a_replacement_that_passes_everything_on_takes_all_calls(load: Callable[..., Any]):
    install([Replacement("shop:price", whatever), Replacement("shop:Till.total", whatever)])
    assert sys.modules["front"].ask("tea") == 8

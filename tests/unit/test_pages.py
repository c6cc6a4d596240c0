"""The pages for contributors name only what exists, and every term of the contract."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.demands import Seen, Watch
from contract.plan import Child, Plan

ROOT = Path(__file__).resolve().parents[2]

PROMISED = re.compile(r"`((?:unit|world|cluster)/test_\w+\.py)::(test_\w+)`")
CODE = re.compile(r"`([^`]+)`")
PATH = re.compile(r"[\w.-]+/[\w./-]*|test_\w+\.py")

WORDS = {word.__name__: word for word in (Plan, Child, Watch, Seen)}
ORDINARY = {"status", "kind", "body", "child", "removable", "namespace", "needed", "facts"}
"""Fields of the contract that need no row of their own."""


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    _, _, below = text.partition(f"\n{heading}\n")
    lines = [line for line in below.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_promise_names_tests_that_exist() -> None:
    named = PROMISED.findall(page("docs/promises.md"))
    missing = [
        f"{file}::{test}" for file, test in named if f"def {test}(" not in page(f"tests/{file}")
    ]
    assert len(named) >= 30
    assert missing == []


RULES = rows(page("CONTRIBUTING.md"), "## To change one rule")


@pytest.mark.parametrize("row", RULES, ids=lambda row: row[0])
def test_a_row_of_contributing_names_what_exists(row: list[str]) -> None:
    _, files, tests, command = row
    assert list(unknown(files, "src")) == []
    assert list(unknown(tests, "tests/unit")) == []
    assert list(unknown_in_command(command)) == []


def unknown(cell: str, folder: str) -> Iterator[str]:
    """What a cell names and is not there; a name without a slash is beside the file before it.

    A name that is not a path (``not_versioned`` in a file) has to stand in that file.
    """
    spans = CODE.findall(cell)
    known = [span for span in spans if PATH.fullmatch(span) or span.endswith(".py")]
    before = ROOT / folder
    for span in spans:
        if span in known:
            path = ROOT / span if "/" in span else before / span
            before = path if path.is_dir() else path.parent
            if not path.exists():
                yield span
        elif not any(re.search(rf"\b{span}\b", page(each)) for each in known if "." in each):
            yield span


def unknown_in_command(cell: str) -> Iterator[str]:
    (command,) = CODE.findall(cell)
    for path in re.findall(r"tests/[\w./]+", command):
        if not (ROOT / path).exists():
            yield path
    for target in re.findall(r"\bmake ([\w-]+)", command):
        if not re.search(rf"^{target}:", page("Makefile"), re.MULTILINE):
            yield f"make {target}"
    for words in re.findall(r"-k (\w+)", command):
        if not any(words in path.stem for path in (ROOT / "tests").rglob("test_*.py")):
            yield f"-k {words}"


def test_the_architecture_names_every_folder_of_the_source() -> None:
    first = " ".join(row[0] for row in rows(page("ARCHITECTURE.md"), "## The folders"))
    named = set(CODE.findall(first))
    assert {name for name in named if not (ROOT / name).is_dir()} == set()
    packages = {f"src/{path.parent.name}" for path in (ROOT / "src").glob("*/__init__.py")}
    others = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"scripts"}
    assert packages | others <= named


def test_the_architecture_names_only_files_that_exist() -> None:
    files = re.findall(r"`(?:[\w/]+/)?(\w+\.py)`", page("ARCHITECTURE.md"))
    there = {path.name for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")}
    assert set(files) - there == set()


def test_the_architecture_explains_every_word_of_the_contract() -> None:
    _, _, below = page("ARCHITECTURE.md").partition("\n## The contract's words\n")
    explained = set(re.findall(r"\w+", below.split("\n## ")[0]))
    fields = {field.name for word in WORDS.values() for field in dataclasses.fields(word)}
    assert fields - ORDINARY - explained == set()


def test_the_architecture_names_no_word_that_is_gone() -> None:
    named = re.findall(r"`(Plan|Child|Watch|Seen)\.(\w+)`", page("ARCHITECTURE.md"))
    gone = {f"{word}.{name}" for word, name in named if name not in WORDS[word].__slots__}
    assert len(named) >= 10
    assert gone == set()


def test_the_glossary_is_short_and_has_no_word_twice() -> None:
    words = [row[0] for row in rows(page("ARCHITECTURE.md"), "## Glossary")]
    assert 10 <= len(words) <= 20
    assert len(set(words)) == len(words)

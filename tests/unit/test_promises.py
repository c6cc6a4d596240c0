"""The page of promises names only tests that exist."""

import re

import pytest

NAMED = re.compile(r"`((?:unit|world|cluster)/test_\w+\.py)::(test_\w+)`")


@pytest.fixture(scope="module")
def named(request):
    page = request.config.rootpath / "docs" / "promises.md"
    return NAMED.findall(page.read_text("utf-8"))


def test_every_promise_names_tests_that_exist(named, request):
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(
            rf"def {test}\(", (request.config.rootpath / "tests" / file).read_text("utf-8")
        )
    ]
    assert len(named) >= 30
    assert missing == []

"""YAML and JSON are read as kubectl reads them: the pinned kubectl is asked about each row.

``kubectl annotate --local`` decodes a file without a cluster and prints what it understood.
"""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devcluster.binaries import kubectl
from objects import documents
from objects.documents import Malformed, load
from objects.numbers import carried, shortest

HEAD = "apiVersion: example.com/v1\nkind: Example\nmetadata: {name: x}\n"

SCALARS = """
y Y yes Yes YES yES on On ON off OFF n N no No NO oN true True TRUE tRue false False
~ null Null NULL nULL 0o17 0O17 017 08 0o8 0777 0x1F 0X1F 0b101 0B11 +0x1F -0x1F -017 -0o17 -0b11
12:30:45 1:30 190:20:30.15 72225e2 1_000 1__0 _1 1_ 1_0.5 1e5_0 0x_1 01_7 .5_ ._5
.5 5. -.5 +.5 1e3 1E3 1e+3 1e-7 .5e1 12e-2 1.0 1.50 5.0 -0 -0.0 00 0. +1 -1
1e20 1e21 1e400 -1e400 1e-400 0.1 3.14159265358979323846 123456789.125
9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616
-9223372036854775808 -9223372036854775809 123456789012345678901234567890
0x8000000000000000 0xFFFFFFFFFFFFFFFFF
2001-01-01 2001-01-01T00:00:00Z = << <<x inf nan . .. + 1.5.2 1,000 0x 0b 0o 0b2 0x1G e3 .e3 1e 1e+
a#b caf\u00e9 \U0001f600
""".split()  # noqa: SIM905 - a table
VALUES = [
    '"y"', "'1'", '"0x1F"', "!!str 1", "!!str", "!!str ~", '!!int "3"', "!!float 1", '!!float "1"',
    '!!bool "true"', "!!bool yes", "!!binary aGVsbG8=", "!!binary //8=", "!!timestamp 2001-01-01",
    "!own bar", "2001-01-01 00:00:00", "a #b", "", '"\\x41\\u00e9\\0"', "|\n  a\n  b", ">\n  a\n  b",
    "{a: 1}", "{y: 1}", "{off: 1}", "{1: a}", "{1.5: a}", "{1e3: a}", "{1e7: a}", "{0x10: a}",
    "{-1: a}", "{.inf: a}", '{"y": 1}', "{2001-01-01: a}", "!!set {a, b}", "[1, 2,]", "{a, b: }",
    "&a 1", "{a: &b 1, c: *b}", "{a: &b {x: 1}, c: {<<: *b, z: 2}}",
    "{a: &b {x: 1}, c: {x: 5, <<: *b}}", "{a: &b {x: 1}, c: {<<: *b, x: 5}}",
    "{a: &b {x: 1}, d: &e {x: 2, z: 3}, c: {<<: [*b, *e]}}", "{<<: {a: 1}}", '{"<<": {a: 1}}',
]  # fmt: skip
REFUSED = [
    ".inf", "-.inf", "+.INF", ".nan", "!!int x", "!!int 1.0", "!!null x", "!!float", "!!bool 1",
    "{~: a}", "{[a]: b}", "{{a: b}: c}", "{9223372036854775808: a}", "{<<: 3}", "{<<: [3]}", "*a",
    "&a [*a]", "[a, b", "a: b", "@a", '"abc', '"\\ud800"', '"\x7f"', "a\0b", "- a", "\tb: c: d",
    "{a: &a [x], "
    + ", ".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefg"))
    + "}",
]  # fmt: skip
WHOLE = [
    '{"apiVersion": "v1", "kind": "A", "metadata": {"name": "x"}, "a": [5.0, 1e3, 2e19, 1.5, -0.0]}',
    '{"apiVersion": "v1", "kind": "A", "metadata": {"name": "x"}, "a": "\\/\\ud83d\\ude00\\ud800"}',
    '{"apiVersion": "v1", "kind": "A", "metadata": {"name": "x"}, "a": [["\\udc00"]], "\\ud800": 1}',
    '\n {\t"apiVersion": "v1", "kind": "A", "metadata": {"name": "x"}}',
    '{"apiVersion": "v1", "kind": "A", "metadata": {"name": "x"},}',
    "{apiVersion: v1, kind: A, metadata: {name: x}, y: 1}",
    HEAD.replace("\n", "\r\n") + "spec: a\r\n",
    "\ufeff" + HEAD,
    (HEAD + "spec: caf\u00e9\n").encode("utf-16"),
    "# a comment\n---\n" + HEAD,
    "apiVersion: v1\nkind: AList\nitems: [{metadata: {name: x}}]",
]


def asked_of_kubectl(text: str | bytes):
    """The object that kubectl reads, or None where it refuses the text."""
    command = [str(kubectl()), "annotate", "--local", "-f", "-", "-o", "json", "a=b"]
    data = text.encode() if isinstance(text, str) else text
    done = subprocess.run(
        [*command, "--kubeconfig=/dev/null"], input=data, capture_output=True, check=False
    )
    if done.returncode:
        return None
    found = json.loads(done.stdout, parse_int=lambda digits: carried(int(digits)))
    del found["metadata"]["annotations"]
    return found


def same(one, other):
    """Equal, also in type: to Python 1, 1.0 and True are equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def one(text: str | bytes):
    (found,) = load(text)
    return found


def test_scalars_and_values_mean_what_they_mean_to_kubectl():
    rows = [*SCALARS, *VALUES]
    lines = [f"  v{number}: {row}\n" for number, row in enumerate(rows)]
    # Anchors and blocks of one row end with it.
    text = f"{HEAD}spec:\n{''.join(lines)}".replace("\n  a\n  b\n", "\n    a\n    b\n")
    mine, theirs = one(text)["spec"], asked_of_kubectl(text)["spec"]
    for number, row in enumerate(rows):
        value, expected = mine[f"v{number}"], theirs[f"v{number}"]
        assert same(value, expected), (row, value, expected)


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[:20])
def test_a_value_that_kubectl_refuses_is_refused(row):
    text = f"{HEAD}spec:\n  v: {row}\n"
    assert asked_of_kubectl(text) is None
    with pytest.raises(Malformed):
        load(text)


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_a_whole_text_is_read_as_by_kubectl(number):
    text = WHOLE[number]
    assert same(one(text), asked_of_kubectl(text))


def test_a_text_that_is_dumped_is_a_text_to_kubectl():
    obj = {
        **one(HEAD),
        "spec": [*SCALARS, "a\nb", "", " a", "a: b"],
        "keys": dict.fromkeys(SCALARS),
    }
    assert same(asked_of_kubectl(documents.dump([obj])), obj)


def test_documents_and_lists_are_taken_apart():
    text = f"{HEAD}---\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- {{a: 1}}\n"
    with pytest.raises(Malformed, match="an object has no apiVersion"):
        load(text)
    listed = text.replace("{a: 1}", "{apiVersion: v1, kind: A}")
    assert [found["kind"] for found in load(listed)] == ["Example", "A"]
    both = '{"apiVersion": "v1", "kind": "A"} {"apiVersion": "v1", "kind": "B"}'
    assert [found["kind"] for found in load(both)] == ["A", "B"]
    assert load("") == load("# nothing\n---\n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}a: 1\nb:\n  c: 1\n  c: 2\n", "f.yaml: line 7: the key c is there twice"),
        ('{"apiVersion": "v1", "a": 1, "a": 2}', "f.yaml: the key a is there twice"),
        (f"{HEAD}\t a: 1", "f.yaml: line 4: found character that cannot start any token"),
        ("a", "f.yaml: a document is a str, not an object"),
        ("kind: A", "f.yaml: an object has no apiVersion"),
        ("apiVersion: 1\nkind: A", "f.yaml: an object has no apiVersion"),
        (b"a: \xff", "f.yaml: is not text in UTF-8: invalid start byte at byte 3"),
        ("[" * 100_000, "f.yaml: line 1: exceeded max depth of 100"),
        ('{"a":' * 100_000, "f.yaml: line 1: exceeded max depth of 100"),
        (" " * (documents.SIZE_LIMIT + 1), "f.yaml: larger than 10 MiB"),
        ('{"apiVersion": "v1", "kind": "A", "a": 1e400}', "f.yaml: JSON has no number 1e400"),
        (f"{HEAD}a: .inf", "f.yaml: line 4: JSON has no number .inf: quote it"),
    ],
    ids=range(12),
)
def test_a_refusal_names_the_file_and_the_line(text, message):
    with pytest.raises(Malformed) as caught:
        load(text, "f.yaml")
    assert str(caught.value).startswith(message)


def test_very_long_numbers_are_read():
    assert one(f"{HEAD}a: {'9' * 5000}")["a"] == "9" * 5000
    with pytest.raises(Malformed):
        load('{"apiVersion": "v1", "kind": "A", "a": ' + "9" * 5000 + "}")


@given(st.text() | st.binary())
def test_any_text_is_read_or_refused(text):
    try:
        found = load(text, "f.yaml")
    except Malformed as error:
        found = [{"kind": str(error)}]
    assert all("\n" not in each["kind"] for each in found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_a_dumped_document_is_read_back(value):
    obj = {"apiVersion": "v1", "kind": "A", "value": value}
    text = documents.dump([obj])
    again = load(json.dumps(obj))
    assert load(text) == again


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_its_shortest_spelling(number):
    assert float(shortest(number)) == number
    assert carried(number) == number or abs(number) >= 2**53

"""``gati-operator plan`` and a real API server give the same answer about the same object.

What is compared, for a ``create`` with ``dryRun=All``:

- whether the object is accepted;
- where it is refused as invalid (422): the set of all causes, field and message, letter for letter;
- where it cannot be decoded (400): the message;
- where it is accepted: the spec that is stored, and the unknown fields that are dropped.

Admission (webhooks, quota, policies) is not asked; neither is what depends on other objects.
"""

from __future__ import annotations

import json
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster import existing
from cluster.existing import ExistingCluster
from crds.documents import crd_documents
from crds.schema import fields
from crds.validation import REQUEST_LIMIT, compact_json, created
from devcluster import Cluster
from devcluster.api import Api
from gati.resources import API
from objects_from_schema import edited, whole
from refused_objects import EVERY_PART, REFUSED, TAKEN, handler

Object = dict[str, Any]

DEFINITIONS = {each["spec"]["names"]["kind"]: each for each in crd_documents(API)}
EXAMPLES = [
    document
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text("utf-8"))
]
UNKNOWN = re.compile(r'unknown field \\"((?:[^"\\]|\\.)*)\\"')
EXAMPLE_COUNT = 400


class Answer(NamedTuple):
    """What came back: the stored spec and the dropped fields, or the refusals."""

    spec: Any
    unknown: tuple[str, ...]
    refusals: frozenset[tuple[str, str]]


class Server:
    """One connection to the API server; every request is a dry run."""

    def __init__(self, api: Api) -> None:
        context = ssl.create_default_context(cafile=str(api.ca_file))
        host = api.url.removeprefix("https://")
        self._connection = HTTPSConnection(host, context=context, timeout=60)
        self._token = api.token

    def create(self, obj: Object) -> Answer:
        """The answer to a POST, which is for the version that the object names."""
        return self._ask("POST", obj, "application/json", "fieldValidation=Warn")

    def apply(self, obj: Object) -> Answer:
        """The answer to a server-side apply."""
        return self._ask("PATCH", obj, "application/apply-patch+yaml", "fieldManager=a-user")

    def _ask(self, method: str, obj: Object, content_type: str, query: str) -> Answer:
        plural = DEFINITIONS[obj["kind"]]["spec"]["names"]["plural"]
        path = f"/apis/{obj['apiVersion']}/namespaces/default/{plural}"
        path += f"/{obj['metadata']['name']}" if method == "PATCH" else ""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        body = compact_json(obj)
        self._connection.request(method, f"{path}?dryRun=All&{query}", body, headers)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        warned = UNKNOWN.findall(response.getheader("Warning") or "")
        if response.status < 300:
            return Answer(answer["spec"], tuple(sorted(warned)), frozenset())
        causes = (answer.get("details") or {}).get("causes") or ()
        found = {(each["field"].replace("<nil>", ""), each["message"]) for each in causes}
        return Answer(None, (), frozenset(found or {("", answer["message"])}))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@pytest.fixture(scope="module")
def server(gati_cluster: Cluster) -> Iterator[Server]:
    """The API server that has the CRDs as they are shipped."""
    if isinstance(gati_cluster, ExistingCluster):
        existing.lacking("it opens a connection of its own")
    made = Server(gati_cluster.api)
    yield made
    made.close()


def of_plan(obj: Object) -> Answer:
    """What ``plan`` reports of an object."""
    answer = created(obj, DEFINITIONS[obj["kind"]])
    refusals = frozenset((each.path, each.message) for each in answer.refusals)
    if refusals:
        return Answer(None, (), refusals)
    return Answer(answer.object["spec"], tuple(sorted(answer.unknown)), refusals)


@pytest.mark.parametrize("version", API.versions)
def test_the_table_of_refusals_has_the_servers_messages(server: Server, version: str) -> None:
    api_version = f"{API.name}/{version}"
    for name, (obj, expected) in REFUSED.items():
        answer = server.create({**obj, "apiVersion": api_version})
        reported = {f"{path}: {text}" if path else text for path, text in answer.refusals}
        messages = {each.replace('version "v1"', f'version "{version}"') for each in expected}
        assert {each for each in reported if "were not checked" not in each} == messages, name


def test_the_table_of_accepted_objects_is_stored_as_expected(server: Server) -> None:
    for name, (obj, expected) in TAKEN.items():
        assert server.create(obj).spec == expected, name
    assert server.create(EVERY_PART).spec == EVERY_PART["spec"]


METADATA: list[Any] = [
    {}, None, [], "x", {"name": ""}, {"name": None}, {"name": 5}, {"name": "a.b"}, {"name": "A"},
    {"name": "a" * 253}, {"name": "a" * 254}, {"name": "a\n"}, {"generateName": "a-"},
    {"labels": {"/a": "", "a/": "", "": "", "a/b/c": "", "x" * 64: "y" * 64, "\u00fc": "\u00fc"}},
    {"labels": {"A.b/c": "", "a" * 254 + "/b": ""}}, {"labels": {"a": None}}, {"labels": {"a": []}},
    {"labels": []}, {"labels": None}, {"annotations": {"A/B/C": "", "A.B/c": "any \n text"}},
    {"annotations": {"a": "x" * 262143}}, {"annotations": {"a": "x" * 262144}},
    {"annotations": {"a": True}}, {"annotations": 3}, {"finalizers": ["a b", "a/b"]},
    {"finalizers": ["orphan", "foregroundDeletion"]}, {"finalizers": [None]}, {"finalizers": [3]},
    {"ownerReferences": [{}]}, {"ownerReferences": 3}, {"ownerReferences": [3]},
    {"ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "a", "uid": "b"}]},
    {"ownerReferences": [{"apiVersion": "v1", "kind": 3}]}, {"ownerReferences": [{"a": 1}]},
    {"generation": "a"}, {"generation": 1.0}, {"generation": 1.5}, {"uid": 3}, {"unknown": 1},
    {"creationTimestamp": None}, {"creationTimestamp": "yesterday"}, {"creationTimestamp": 3},
    {"creationTimestamp": "2020-01-01T00:00:00.5Z"}, {"managedFields": [3]}, {"Name": "y"},
]  # fmt: skip


def test_metadata_is_judged_alike_by_plan_and_server(server: Server) -> None:
    for metadata in METADATA:
        obj = handler()
        named = (
            isinstance(metadata, dict) and metadata and not {"name", "generateName"} & {*metadata}
        )
        obj["metadata"] = {"name": "x", **metadata} if named else metadata
        assert of_plan(obj) == server.create(obj), metadata


@st.composite
def any_object(draw: st.DrawFn) -> Object:
    """A whole object of one of the kinds, with up to four places changed."""
    kind = draw(st.sampled_from(["GatiHandler", "GatiHandler", *sorted(DEFINITIONS)]))
    schema = DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    if draw(st.booleans()):
        known = [EVERY_PART, EVERY_PART, *EXAMPLES]
        base = draw(st.sampled_from([each for each in known if each["kind"] == kind]))
    else:
        base = {"kind": kind, "spec": whole(draw, schema["properties"]["spec"])}
    version = f"{API.name}/{draw(st.sampled_from(API.versions))}"
    placed = {**base, "apiVersion": version, "metadata": {"name": "generated"}}
    return edited(draw, placed, schema, draw(st.integers(0, 4)))


def test_generated_objects_are_judged_alike_by_both(server: Server) -> None:
    seen: Counter[tuple[str, bool]] = Counter()

    @settings(max_examples=EXAMPLE_COUNT, derandomize=True, database=None, deadline=None)
    @given(any_object())
    def agrees(obj: Object) -> None:
        answer = server.create(obj)
        assert of_plan(obj) == answer
        seen[obj["kind"], not answer.refusals] += 1

    agrees()
    # The property is worth something only where both answers come, for each kind.
    assert len(seen) == 2 * len(DEFINITIONS)
    assert min(seen.values()) >= 5


def test_the_largest_request_is_read_by_both(server: Server) -> None:
    room = REQUEST_LIMIT - len(compact_json(handler(args=[""])))
    for size, too_large in ((room, False), (room + 1, True)):
        obj = handler(args=["é" * (size // 2) + "a" * (size % 2)])
        answer = server.create(obj)
        assert of_plan(obj) == answer
        assert any("too large" in message for _, message in answer.refusals) == too_large


def nullable_fields(kind: str) -> Iterator[list[str]]:
    """The path of each field that may be null and is not within a list or a map of any keys."""
    schema = DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for path, field, _ in fields(schema["properties"]["spec"]):
        if field.get("nullable") and not set("[]{}") & set(path):
            yield path.split(".")


def test_an_empty_field_is_taken_by_create_and_by_apply(server: Server) -> None:
    taken = 0
    for path in nullable_fields("GatiHandler"):
        empty: Any = None
        for name in reversed(path):
            empty = {name: empty}
        obj = handler(**empty)
        created_as, applied_as = server.create(obj), server.apply(obj)
        assert created_as == applied_as, path
        taken += not applied_as.refusals
    assert taken > 50

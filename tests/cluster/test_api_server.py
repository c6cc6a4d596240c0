"""The client, the cache and the reflector on a real API server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Self

import pytest
import yaml

from contract.demands import Watch
from contract.model import Kind, Object
from devcluster import Cluster as ControlPlane
from reconciler.cache import Store
from reconciler.client.api import JSON_PATCH, ApiError, Unreachable
from reconciler.client.client import Client
from reconciler.client.kubeconfig import Cluster, load
from reconciler.reflector import Reflector, State

CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
CRD = Kind(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)
API_SERVICE = Kind("apiregistration.k8s.io", "v1", "APIService", "apiservices", namespaced=False)
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
MISSING = Kind("absent.test", "v1", "Thing", "things")


@pytest.fixture
def access(cluster: ControlPlane) -> Cluster:
    return load(str(cluster.kubeconfig))


@pytest.fixture
async def client(access):
    async with Client(access, user_agent="test/1") as found:
        yield found


def config_map(namespace: str, name: str = "a", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name},
        "data": data,
    }


async def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for something that must come; how long it takes is not what is tested."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.05)


async def test_create_only_apply_never_takes_over(client, namespace):
    body = config_map(namespace, x="1")
    body["metadata"]["resourceVersion"] = "1"
    assert (await client.apply(CONFIG_MAP, body, manager="m"))["data"] == {"x": "1"}
    with pytest.raises(ApiError) as caught:
        await client.apply(CONFIG_MAP, {**body, "data": {"x": "2"}}, manager="m")
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")


async def test_apply_without_force_names_the_conflict(client, namespace):
    await client.apply(CONFIG_MAP, config_map(namespace, x="1"), manager="one")
    with pytest.raises(ApiError) as caught:
        await client.apply(CONFIG_MAP, config_map(namespace, x="2"), manager="two", force=False)
    assert caught.value.causes[0]["reason"] == "FieldManagerConflict"


async def test_dry_run_answers_and_changes_nothing(client, namespace):
    body = config_map(namespace, x="1")
    assert (await client.apply(CONFIG_MAP, body, manager="m", dry_run=True))["data"] == {"x": "1"}
    assert await client.get(CONFIG_MAP, namespace, "a") is None


async def test_a_delete_with_another_uid_or_version_is_refused(client, namespace):
    made = await client.create(CONFIG_MAP, config_map(namespace))
    uid = made["metadata"]["uid"]
    for wrong in ({"uid": "other"}, {"uid": uid, "resource_version": "1"}):
        with pytest.raises(ApiError) as caught:
            await client.delete(CONFIG_MAP, namespace, "a", **wrong)
        assert caught.value.code == 409
    await client.delete(CONFIG_MAP, namespace, "a", uid=uid)
    with pytest.raises(ApiError) as caught:
        await client.delete(CONFIG_MAP, namespace, "a", uid=uid)
    assert (caught.value.code, caught.value.reason) == (404, "NotFound")


async def test_an_apply_with_an_old_uid_does_not_resurrect_an_object(client, namespace):
    made = await client.create(CONFIG_MAP, config_map(namespace))
    await client.delete(CONFIG_MAP, namespace, "a", uid=made["metadata"]["uid"])
    body = config_map(namespace)
    body["metadata"]["uid"] = made["metadata"]["uid"]
    with pytest.raises(ApiError) as caught:
        await client.apply(CONFIG_MAP, body, manager="m")
    assert caught.value.code == 409


async def test_a_stale_replace_or_patch_is_refused(client, namespace):
    made = await client.create(CONFIG_MAP, config_map(namespace))
    await client.replace(CONFIG_MAP, {**made, "data": {"x": "1"}})
    with pytest.raises(ApiError) as caught:
        await client.replace(CONFIG_MAP, {**made, "data": {"x": "2"}})
    assert caught.value.code == 409
    patch = [{"op": "test", "path": "/data/x", "value": "other"}]
    with pytest.raises(ApiError) as caught:
        await client.patch(CONFIG_MAP, namespace, "a", patch, content_type=JSON_PATCH)
    assert caught.value.code == 422


async def test_lists_come_in_pages(client, namespace, monkeypatch):
    monkeypatch.setattr("reconciler.client.client.PAGE", 2)
    for number in range(5):
        labels = config_map(namespace, f"m{number}")
        labels["metadata"]["labels"] = {"mine": "yes"}
        await client.create(CONFIG_MAP, labels)
    found = await client.list(CONFIG_MAP, namespace, labels="mine=yes")
    assert [item["metadata"]["name"] for item in found.items] == [f"m{at}" for at in range(5)]
    assert {item["kind"] for item in found.items} == {"ConfigMap"}
    assert int(found.resource_version) > 0


async def test_a_missing_object_differs_from_a_missing_type(client, namespace):
    assert await client.get(CONFIG_MAP, namespace, "none") is None
    for kind in (MISSING, Kind("", "v1", "Thing", "things")):
        with pytest.raises(ApiError) as caught:
            await client.get(kind, namespace, "none")
        assert caught.value.code == 404
    assert (await client.version()).startswith("v1.")


async def test_discovery_distinguishes_served_absent_and_unknown(client, namespace, monkeypatch):
    found = await client.discover()
    assert found.serves(CONFIG_MAP) is True
    assert found.serves(MISSING) is False
    assert found.find("rbac.authorization.k8s.io/v1", "Role") == ROLE
    group = f"{namespace}.test"
    service = {
        "metadata": {"name": f"v1.{group}"},
        "spec": {
            "group": group,
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 1,
            "insecureSkipTLSVerify": True,
            "service": {"name": "none", "namespace": namespace},
        },
    }
    made = await client.create(API_SERVICE, service)
    try:
        kind = Kind(group, "v1", "Thing", "things")
        async with asyncio.timeout(60):
            while (await client.discover()).serves(kind) is not None:
                await asyncio.sleep(0.2)
        assert (await client.discover()).unknown == {f"{group}/v1"}

        # As from a server that does not aggregate: one document for each version.
        monkeypatch.setattr("reconciler.client.discovery.ACCEPT", "application/json")
        plain = await client.discover()
        assert plain.unknown == {f"{group}/v1"}
        assert plain.kinds == (await client.discover()).kinds
    finally:
        await client.delete(API_SERVICE, "", f"v1.{group}", uid=made["metadata"]["uid"])


async def test_a_names_only_client_lists_and_watches(client, namespace):
    made = await client.create(CONFIG_MAP, config_map(namespace, x="1"))
    expected = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": made["metadata"]}
    select = {"fields": "metadata.name=a", "names_only": True}
    assert (await client.list(CONFIG_MAP, namespace, **select)).items == [expected]

    frames = client.watch(CONFIG_MAP, namespace, initial_events=True, **select)
    async with aclosing(frames), asyncio.timeout(60):
        assert (await anext(frames)).object == expected
        end = await anext(frames)
        assert end.object["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        changed = await client.replace(CONFIG_MAP, {**made, "data": {"x": "2"}})
        assert (await anext(frames)).object == {**expected, "metadata": changed["metadata"]}


async def test_a_view_acting_as_a_user_has_that_users_rights_only(client, namespace):
    user = f"system:serviceaccount:{namespace}:nobody"
    view = client.acting_as(user)
    with pytest.raises(ApiError, match=user):
        await view.create(CONFIG_MAP, config_map(namespace))
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}
    metadata = {"namespace": namespace, "name": "maker"}
    await client.create(ROLE, {"metadata": metadata, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": "nobody", "namespace": namespace}
    reference = {"apiGroup": ROLE.group, "kind": "Role", "name": "maker"}
    await client.create(
        ROLE_BINDING, {"metadata": metadata, "subjects": [subject], "roleRef": reference}
    )
    async with asyncio.timeout(60):
        while not await view.can("create", CONFIG_MAP, namespace):
            await asyncio.sleep(0.1)
    await view.create(CONFIG_MAP, config_map(namespace))
    with pytest.raises(ApiError, match=user):
        await view.get(CONFIG_MAP, namespace, "a")
    assert await client.get(CONFIG_MAP, namespace, "a") is not None


async def test_an_impersonated_user_has_its_own_rights_only(
    access, cluster, client, namespace, tmp_path
):
    user = f"system:serviceaccount:{namespace}:default"
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"][0]["user"]["as"] = user
    (tmp_path / "config").write_text(yaml.safe_dump(content))
    async with Client(load(str(tmp_path / "config")), user_agent="test/1") as other:
        assert not await other.can("list", CONFIG_MAP, namespace)
        with pytest.raises(ApiError) as caught:
            await other.list(CONFIG_MAP, namespace)
    assert caught.value.code == 403
    assert user in caught.value.message
    assert await client.can("list", CONFIG_MAP, namespace)
    groups = replace(
        access,
        impersonation=(("Impersonate-User", "jane"), ("Impersonate-Group", "system:masters")),
    )
    async with Client(groups, user_agent="test/1") as other:
        assert await other.can("delete", CONFIG_MAP)


class Following:
    """A reflector at work, and what it announced."""

    def __init__(self, client: Client, kind: Kind, namespace: str | None, **options: Any) -> None:
        self.store = Store(Watch(kind), (namespace,))
        self.gone: list[str] = []
        self.store.on_change.append(
            lambda old, new: None if new else self.gone.append((old or {})["metadata"]["name"])
        )
        self.reflector = Reflector(client, self.store, namespace, **options)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.reflector.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def names(self) -> set[str]:
        return {name for _, name in self.store} - {"kube-root-ca.crt"}


async def test_one_watch_list_fills_and_follows(access, namespace):
    verbs: list[str] = []
    async with (
        Client(access, user_agent="test/1", telemetry=lambda *call: verbs.append(call[0])) as api,
        Following(api, CONFIG_MAP, namespace) as following,
    ):
        made = await api.create(CONFIG_MAP, config_map(namespace))
        following.store.put(made)
        await until(lambda: following.store.synced)
        assert following.names() == {"a"}
        await api.create(CONFIG_MAP, config_map(namespace, "b"))
        await until(lambda: following.names() == {"a", "b"})
        await api.delete(CONFIG_MAP, namespace, "a", uid=made["metadata"]["uid"])
        following.store.remove(made)
        assert following.names() == {"b"}
        store = following.store
        await until(lambda: store.remembered() == len(store))  # the DELETED frame came
        assert following.names() == {"b"}
        assert sorted(set(verbs)) == ["create", "delete", "watch"]
        assert verbs.count("watch") == 1


async def test_a_missing_right_is_reported_and_its_grant_heals(cluster, client, namespace):
    account = load(str(cluster.service_account_kubeconfig(namespace, "default")))
    async with (
        Client(account, user_agent="test/1") as api,
        Following(api, CONFIG_MAP, namespace, remedies={403: "kubectl apply"}) as following,
    ):
        reflector = following.reflector
        await until(lambda: reflector.state is State.WAITING)
        assert reflector.reason == (
            f"forbidden: watch configmaps in {namespace}; to fix it: kubectl apply"
        )
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}
        metadata = {"namespace": namespace, "name": "reader"}
        await client.create(ROLE, {"metadata": metadata, "rules": [rule]})
        subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
        reference = {"apiGroup": ROLE.group, "kind": "Role", "name": "reader"}
        await client.create(
            ROLE_BINDING, {"metadata": metadata, "subjects": [subject], "roleRef": reference}
        )
        await until(lambda: following.store.synced)
        await until(lambda: reflector.state is State.WATCHING)


async def test_a_kind_is_followed_through_removal_and_return(client, namespace):
    group = f"{namespace}.test"
    kind = Kind(group, "v1", "Thing", "things")
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object"}},
    }
    definition = {
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": "Thing", "plural": "things"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    thing: dict[str, Any] = {
        "apiVersion": f"{group}/v1",
        "kind": "Thing",
        "metadata": {"namespace": namespace},
    }

    async def create(name: str) -> None:
        """The definition is served a moment after it was accepted."""
        body = {**thing, "metadata": {**thing["metadata"], "name": name}}
        while True:
            try:
                await client.create(kind, body)
            except ApiError as error:
                if error.code != 404:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async with Following(client, kind, None) as following:
        await until(lambda: following.reflector.state is State.WAITING)
        assert following.reflector.reason == f"not served: things.{group} v1"
        made = await client.create(CRD, definition)
        await create("one")
        await until(lambda: following.names() == {"one"})
        await client.delete(CRD, "", f"things.{group}", uid=made["metadata"]["uid"])
        await until(lambda: following.reflector.state is State.WAITING)
        assert not following.store.synced
        made = await client.create(CRD, definition)
        await create("two")
        await until(lambda: following.names() == {"two"})
        assert following.gone == ["one"]
        await client.delete(CRD, "", f"things.{group}", uid=made["metadata"]["uid"])


async def test_a_killed_api_server_is_resumed_without_a_loss(own_cluster):
    control_plane = own_cluster()
    async with (
        Client(load(str(control_plane.kubeconfig)), user_agent="test/1") as api,
        Following(api, CONFIG_MAP, "default") as following,
    ):
        made = [await api.create(CONFIG_MAP, config_map("default", name)) for name in "ab"]
        await until(lambda: following.names() == {"a", "b"})
        await asyncio.to_thread(control_plane.kill_apiserver)
        await until(lambda: following.reflector.state is State.BACKING_OFF)
        assert following.names() == {"a", "b"}
        with pytest.raises(Unreachable):
            await api.get(CONFIG_MAP, "default", "a")
        await asyncio.to_thread(control_plane.restart_apiserver)
        version = made[0]["metadata"]["resourceVersion"]  # from before the new server's time
        with pytest.raises(ApiError) as caught:
            await anext(api.watch(CONFIG_MAP, resource_version=version))
        assert (caught.value.code, caught.value.reason) == (410, "Expired")
        # Deleted before the watch is back: its frame may never come.
        await api.delete(CONFIG_MAP, "default", "a", uid=made[0]["metadata"]["uid"])
        await until(lambda: following.names() == {"b"})
        await api.create(CONFIG_MAP, config_map("default", "c"))
        await until(lambda: following.names() == {"b", "c"})
        assert following.gone == ["a"]
        assert following.reflector.state is State.WATCHING

"""The caches of a process: shared, required, optional, demanded, lingering; time is looptime's."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.demands import Watch
from contract.model import Key, Kind, Object
from memoryserver import MemoryApi
from objects.kinds import CONFIG_MAP, POD
from reconciler.watches import LINGER, PATIENCE, Watches, cached_form
from unit.controllers import Idle

pytestmark = pytest.mark.looptime

KIND = Kind("example.com", "v1", "Widget", "widgets")
SECRET = Kind("", "v1", "Secret", "secrets")
MAPS, PODS = Watch(CONFIG_MAP, child=True), Watch(POD, optional=True)
ONE, TWO = Key(KIND, "shop", "one"), Key(KIND, "shop", "two")
DEMANDED = Watch(SECRET)


def widgets(*watches: Watch) -> Idle:
    return Idle(KIND, *watches)


class Bench:
    """Watches at work, and what they announced."""

    def __init__(self, api: MemoryApi, *controllers: Idle, scopes: Any = (None,)) -> None:
        self.filled: list[Watch] = []
        self.changes: list[tuple[Watch, str]] = []
        self.wanted = 0
        self.watches = Watches(
            api,
            controllers,
            scopes=scopes,
            changed=lambda form, old, new: self.changes.append((form, _name(old, new))),
            filled=self.filled.append,
            optional_wanted=self._want,
        )

    def _want(self) -> None:
        self.wanted += 1

    @property
    def kinds(self) -> set[str]:
        return {each.store.kind.kind for each in self.watches.reflectors}


def _name(old: Object | None, new: Object | None) -> str:
    return str((new or old or {})["metadata"]["name"])


@pytest.fixture
async def api():
    return MemoryApi(lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
async def start(api):
    """Makes benches at work, which end with the test."""
    tasks = []

    def make(*controllers: Idle, **options: Any) -> Bench:
        bench = Bench(api, *controllers, **options)
        tasks.append(asyncio.create_task(bench.watches.run()))
        return bench

    yield make
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def secret(name: str) -> Object:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}


async def test_equal_watches_share_one_cache(start):
    first = widgets(MAPS, Watch(POD))
    second = widgets(Watch(CONFIG_MAP, removable=False), replace(PODS, labels="x"))
    bench = start(first, second)
    await asyncio.sleep(1)
    assert sorted(each.store.kind.kind for each in bench.watches.reflectors) == [
        "ConfigMap",
        "Pod",
        "Pod",
        "Widget",
    ]
    assert bench.watches.store(MAPS) is bench.watches.store(Watch(CONFIG_MAP))
    assert bench.watches.store(Watch(POD)) is not bench.watches.store(replace(PODS, labels="x"))


async def test_each_scope_and_each_fixed_namespace_has_a_reflector(start):
    bench = start(widgets(MAPS, Watch(SECRET, namespace="system")), scopes=("a", "b"))
    found = {(each.store.kind.kind, each.namespace) for each in bench.watches.reflectors}
    assert found == {(kind, scope) for kind in ("Widget", "ConfigMap") for scope in ("a", "b")} | {
        ("Secret", "system")
    }


async def test_a_required_cache_is_waited_for_however_long(api, start):
    api.refuse(CONFIG_MAP)
    controller = widgets(MAPS)
    bench = start(controller)
    await asyncio.sleep(10 * PATIENCE)
    assert bench.watches.unfilled(controller) == cached_form(MAPS)
    assert not bench.watches.absent(MAPS)
    assert "ConfigMap" in {each.store.kind.kind for each in bench.watches.required}
    api.allow(CONFIG_MAP)
    await asyncio.sleep(60)
    assert bench.watches.unfilled(controller) is None
    assert cached_form(MAPS) in bench.filled


async def test_an_optional_kind_that_is_required_elsewhere_is_required(start):
    bench = start(widgets(PODS), widgets(Watch(POD)))
    assert "Pod" in {each.store.kind.kind for each in bench.watches.required}
    assert bench.wanted == 0


@pytest.mark.parametrize("how", ["unserve", "refuse"])
async def test_an_optional_kind_that_is_missing_is_absent_at_once(api, start, how):
    getattr(api, how)(POD)
    controller = widgets(PODS)
    bench = start(controller)
    await asyncio.sleep(PATIENCE / 2)
    assert bench.watches.absent(PODS)
    assert bench.watches.unfilled(controller) is None
    assert bench.watches.store(PODS) is None
    assert bench.wanted == 1
    assert {each.store.kind.kind for each in bench.watches.required} == {"Widget"}


async def test_an_optional_kind_without_answer_is_absent_after_a_while(api, start):
    api.delay(10 * PATIENCE, kind=POD)
    controller = widgets(PODS)
    bench = start(controller)
    await asyncio.sleep(PATIENCE - 1)
    assert bench.watches.unfilled(controller) == cached_form(PODS)
    assert not bench.watches.absent(PODS)
    assert cached_form(PODS) not in bench.filled
    await asyncio.sleep(2)
    assert bench.watches.absent(PODS)
    assert bench.watches.unfilled(controller) is None
    assert cached_form(PODS) in bench.filled, "whoever waits for it is to know"


async def test_an_absent_kind_that_is_served_later_is_cached(api, start):
    api.unserve(POD)
    bench = start(widgets(PODS))
    await asyncio.sleep(PATIENCE)
    bench.filled.clear()
    api.serve(POD)
    await asyncio.sleep(1)
    assert bench.watches.absent(PODS)
    bench.watches.retry(lambda kind: kind == POD)
    await asyncio.sleep(1)
    assert not bench.watches.absent(PODS)
    assert bench.watches.store(PODS) is not None
    assert bench.filled == [cached_form(PODS)]


async def test_a_demanded_watch_appears_and_shows_what_there_is(api, start):
    await api.create(SECRET, secret("x"))
    bench = start(widgets())
    await asyncio.sleep(1)
    assert bench.watches.store(DEMANDED) is None
    bench.watches.demand(ONE, [DEMANDED])
    await asyncio.sleep(1)
    store = bench.watches.store(DEMANDED)
    assert store is not None
    assert list(store) == [("shop", "x")]
    assert (cached_form(DEMANDED), "x") in bench.changes
    assert (bench.wanted, bench.watches.remembered()) == (1, 1)


async def test_a_demanded_watch_lingers_after_its_last_demand(start):
    bench = start(widgets())
    for key in (ONE, TWO):
        bench.watches.demand(key, [DEMANDED])
    await asyncio.sleep(1)
    bench.watches.demand(ONE, [])
    await asyncio.sleep(2 * LINGER)
    assert "Secret" in bench.kinds, "another parent demands it"
    bench.watches.demand(TWO, [])
    assert bench.watches.remembered() == 0
    await asyncio.sleep(LINGER - 1)
    assert "Secret" in bench.kinds
    await asyncio.sleep(2)
    assert "Secret" not in bench.kinds


async def test_a_watch_that_ended_costs_the_api_server_nothing(api, start):
    bench = start(widgets())
    bench.watches.demand(ONE, [DEMANDED])
    await asyncio.sleep(1)
    bench.watches.demand(ONE, [])
    await asyncio.sleep(LINGER + 1)
    asked = sum(call.kind == "Secret" for call in api.reads)
    await asyncio.sleep(2 * LINGER)
    assert sum(call.kind == "Secret" for call in api.reads) == asked
    bench.watches.demand(ONE, [DEMANDED])
    await asyncio.sleep(1)
    assert bench.watches.store(DEMANDED) is not None


async def test_a_watch_that_is_demanded_again_in_time_goes_on(api, start):
    bench = start(widgets())
    bench.watches.demand(ONE, [DEMANDED])
    await asyncio.sleep(1)
    store = bench.watches.store(DEMANDED)
    for _ in range(3):
        bench.watches.demand(ONE, [])
        await asyncio.sleep(LINGER - 1)
        bench.watches.demand(ONE, [DEMANDED])
        await asyncio.sleep(LINGER / 2)
    assert bench.watches.store(DEMANDED) is store


async def test_a_watch_lingers_from_its_last_demand_and_not_an_earlier(start):
    bench = start(widgets())
    for demands in ([DEMANDED], [], [DEMANDED], []):
        bench.watches.demand(ONE, demands)
        await asyncio.sleep(0.4 * LINGER)
    await asyncio.sleep(0.5 * LINGER)
    assert "Secret" in bench.kinds
    await asyncio.sleep(0.2 * LINGER)
    assert "Secret" not in bench.kinds


async def test_a_controllers_own_watch_outlives_every_demand(start):
    bench = start(widgets(MAPS))
    bench.watches.demand(ONE, [Watch(CONFIG_MAP, optional=True)])
    bench.watches.demand(ONE, [])
    await asyncio.sleep(2 * LINGER)
    assert "ConfigMap" in bench.kinds


async def test_an_own_write_is_put_into_every_cache_of_its_kind(start):
    selection = Watch(CONFIG_MAP, namespace="shop")
    bench = start(widgets(MAPS, selection))
    await asyncio.sleep(1)
    obj = secret("x") | {"kind": "ConfigMap"}
    obj["metadata"] |= {"uid": "u", "resourceVersion": "999999"}
    stores = [each.store for each in bench.watches.reflectors if each.store.kind == CONFIG_MAP]
    bench.watches.put(CONFIG_MAP, obj)
    assert [store.uid("shop", "x") for store in stores] == ["u", "u"]
    bench.watches.remove(CONFIG_MAP, obj)
    assert [store.uid("shop", "x") for store in stores] == [None, None]

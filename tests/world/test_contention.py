"""A contested child is repaired less and less often, and reported while the contest lasts."""

from dataclasses import dataclass
from functools import partial

import pytest

from contract.status import find
from gati.kinds import GATI_HANDLER
from memoryserver.patches import clone
from objects.kinds import CONFIG_MAP, DEPLOYMENT
from world import handlers
from world.handlers import options
from world.world import World

pytestmark = pytest.mark.looptime


@dataclass
class Replacer:
    """Replaces a ConfigMap of ours by its own version of it whenever it is another's."""

    rounds: int = 10**9

    def step(self, server):
        live = server.get(CONFIG_MAP, "default", "handler-users")
        if self.rounds and live and live["data"] != {"GREETING": "mine"}:
            self.rounds -= 1
            metadata = {
                name: live["metadata"][name] for name in ("name", "namespace", "ownerReferences")
            }
            server.replace(CONFIG_MAP, {**live, "metadata": metadata, "data": MINE}, "replacer")


MINE = {"GREETING": "mine"}
handler = partial(handlers.handler, config={"GREETING": "hello"})


def world(*rivals, **more):
    here = World(**options(**more))
    here.fakes = (*here.fakes, *rivals)
    return here


def contested(here):
    return find(here.live(GATI_HANDLER, "users"), "Contested")["status"] == "True"


def configs_written(here, mark):
    return [write for write in here.writes_since(mark) if write.kind == "ConfigMap"]


async def test_a_rival_that_replaces_a_child_gets_ever_fewer_repairs():
    """The marks on it are gone, too: it is not for that another intent of ours."""
    async with world(Replacer()) as here:
        here.create(GATI_HANDLER, handler())
        mark = here.mark()
        await here.run_for(600)
        assert len(configs_written(here, mark)) < 20
        assert contested(here)
        assert "replacer" in find(here.live(GATI_HANDLER, "users"), "Contested")["message"]


async def test_a_contest_ends_some_time_after_the_last_repair():
    async with world(Replacer(rounds=8)) as here:
        here.create(GATI_HANDLER, handler())
        await here.until(lambda: contested(here))
        await here.run_for(400)
        assert not contested(here)
        assert here.live(CONFIG_MAP, "handler-users")["data"] == {"GREETING": "hello"}


async def test_a_contest_is_reported_from_one_repair_to_the_next():
    """A rival that is slow: the pass after a repair sees nothing wrong."""
    async with world() as here:
        here.create(GATI_HANDLER, handler())
        await here.settle()

        def undo():
            patch = [{"name": "handler", "image": "theirs:1"}]
            here.edit(
                DEPLOYMENT,
                "handler-users",
                {"spec": {"template": {"spec": {"containers": patch}}}},
            )

        for _ in range(6):
            undo()
            await here.run_for(4)
        assert contested(here)
        await here.run_for(4)
        assert contested(here)


async def test_edits_back_and_forth_are_not_a_contest():
    """Two intents in turn are the user's will, and no contest."""
    async with world() as here:
        here.create(GATI_HANDLER, handler())
        await here.settle()
        for number in range(12):
            wanted = {"GREETING": f"version {number % 2}"}
            here.edit(GATI_HANDLER, "users", {"spec": {"config": wanted}})
            await here.run_for(3)
            assert here.live(CONFIG_MAP, "handler-users")["data"] == wanted
            assert not contested(here)


async def test_a_webhook_that_takes_marks_off_costs_one_write():
    """What the server makes of an intent counts as that intent."""
    async with world() as here:

        def strip(kind, obj):
            obj = clone(obj)
            if kind == CONFIG_MAP:
                obj["metadata"].get("annotations", {}).pop("gati.dev/intent", None)
            return obj

        here.api.mutating_webhook = strip
        here.create(GATI_HANDLER, handler())
        await here.settle()
        mark = here.mark()
        for number in range(5):
            patch = {"metadata": {"annotations": {"gati.dev/reconcile": str(number)}}}
            here.edit(GATI_HANDLER, "users", patch)
            await here.settle()
        assert configs_written(here, mark) == []


async def test_an_edit_of_a_recreated_child_is_not_a_contest():
    async with world() as here:
        here.create(GATI_HANDLER, handler())
        await here.settle()
        one, other = {"GREETING": "one"}, {"GREETING": "other"}
        for wanted in (one, None, other) * 8:
            here.edit(GATI_HANDLER, "users", {"spec": {"config": wanted}})
            await here.run_for(3)
            found = here.get(CONFIG_MAP, "handler-users")
            assert (found and found["data"]) == wanted
            assert not contested(here)


async def test_a_change_long_after_a_contest_is_not_a_contest():
    async with world(Replacer(rounds=8)) as here:
        here.create(GATI_HANDLER, handler())
        await here.until(lambda: contested(here))
        await here.run_for(86400)
        contests = []
        here.server.journal.listeners.add(lambda: contests.append(contested(here)))
        here.edit(CONFIG_MAP, "handler-users", {"data": {"GREETING": "by accident"}})
        await here.run_for(60)
        assert here.live(CONFIG_MAP, "handler-users")["data"] == {"GREETING": "hello"}
        assert not any(contests)


async def test_an_edit_that_agrees_with_the_rival_ends_the_contest():
    async with world() as here:
        here.create(GATI_HANDLER, handler())
        await here.settle()
        theirs = [{"name": "handler", "image": "theirs:1"}]
        undone = {"spec": {"template": {"spec": {"containers": theirs}}}}
        for _ in range(9):
            here.edit(DEPLOYMENT, "handler-users", undone)
            await here.run_for(30)
        assert contested(here)
        contests = []
        here.edit(GATI_HANDLER, "users", {"spec": {"image": "theirs:1"}})
        await here.until(lambda: not contested(here))
        here.server.journal.listeners.add(lambda: contests.append(contested(here)))
        await here.run_for(400)
        assert contests
        assert not any(contests)


async def test_configuration_dropped_in_a_contest_stays_for_old_pods():
    """The rival has taken the marks off; the owner reference names the owner."""
    async with world(Replacer()) as here:
        here.create(GATI_HANDLER, handler())
        await here.until(lambda: contested(here))
        await here.run_for(60)
        here.deployments.seconds = 100.0
        here.edit(GATI_HANDLER, "users", {"spec": {"config": None}})
        await here.run_for(30)
        assert here.get(CONFIG_MAP, "handler-users") is not None
        await here.run_for(600)
        assert here.get(CONFIG_MAP, "handler-users") is None

"""A server of one kind in memory, whose watches break as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from contract.model import Kind, Object
from reconciler.client.api import ApiError, Listing, WatchEvent
from reconciler.reflector import INITIAL_EVENTS_END
from unit.partial_api import PartialApi

POD = Kind("", "v1", "Pod", "pods")


class History(PartialApi):
    """A server's side of one kind: what is there, what happened, and how it fails.

    ``failures`` are raised by the next calls, one each; ``watch_list`` and ``bookmarks`` (s)
    are what this server can do; ``window`` seconds end each watch.
    """

    def __init__(self) -> None:
        self.version = 100
        self.oldest = 0
        self.objects: dict[str, Object] = {}
        self.events: list[WatchEvent] = []
        self.failures: list[Exception] = []
        self.calls: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.watch_list = True
        self.bookmarks: float | None = 60.0
        self.window = 300.0
        self.listing = 0
        self.listing_at_once = 0
        self.asked: Callable[[], object] = lambda: None
        self._changed = asyncio.Event()

    def write(self, name: str, text: str = "") -> Object:
        self.version += 1
        before = self.objects.get(name)
        uid = before["metadata"]["uid"] if before else f"{name}-{self.version}"
        self.objects[name] = obj = {
            "kind": "Pod",
            "metadata": {
                "namespace": "n",
                "name": name,
                "uid": uid,
                "resourceVersion": str(self.version),
            },
            "text": text,
        }
        self._tell(WatchEvent("MODIFIED" if before else "ADDED", obj))
        return obj

    def erase(self, name: str) -> None:
        self.version += 1
        last = self.objects.pop(name)
        metadata = {**last["metadata"], "resourceVersion": str(self.version)}
        self._tell(WatchEvent("DELETED", {**last, "metadata": metadata}))

    def cut_off(self) -> None:
        """End all watches, as a server that goes away."""
        self._tell(None)

    def _tell(self, event: WatchEvent | None) -> None:
        if event:
            self.events.append(event)
        self.broken = event is None
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _called(self, verb: str, detail: str) -> None:
        self.calls.append((verb, detail))
        self.times.append(asyncio.get_running_loop().time())
        self.asked()
        if self.failures:
            failure = self.failures.pop(0)
            raise failure

    @contextlib.asynccontextmanager
    async def _slow(self) -> AsyncIterator[None]:
        self.listing += 1
        self.listing_at_once = max(self.listing, self.listing_at_once)
        await asyncio.sleep(1)
        yield
        self.listing -= 1

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        names_only: bool = False,
    ) -> Listing:
        self._called("list", "")
        async with self._slow():
            items = [_shown(obj, names_only) for obj in self.objects.values()]
            return Listing(items, str(self.version))

    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        initial_events: bool = False,
        names_only: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        self._called("watch", "initial" if initial_events else resource_version)
        at = self._start(resource_version, initial_events=initial_events)
        if initial_events:
            async with self._slow():
                for obj in self.objects.values():
                    yield WatchEvent("ADDED", _shown(obj, names_only))
            yield self._bookmark({INITIAL_EVENTS_END: "true"})
        end = asyncio.get_running_loop().time() + self.window
        while (left := end - asyncio.get_running_loop().time()) > 0:
            for event in self.events:
                if int(event.object["metadata"]["resourceVersion"]) > at:
                    at = int(event.object["metadata"]["resourceVersion"])
                    yield event._replace(object=_shown(event.object, names_only))
            changed = self._changed
            try:
                async with asyncio.timeout(min(left, self.bookmarks or left)):
                    await changed.wait()
                if self.broken:
                    return
            except TimeoutError:
                if self.bookmarks and at <= self.version:
                    at = self.version
                    yield self._bookmark({})

    def _start(self, resource_version: str, *, initial_events: bool) -> int:
        """The version that a watch begins after; ApiError where this server cannot begin there."""
        if initial_events and not self.watch_list:
            raise ApiError(422, "Invalid", "sendInitialEvents is forbidden")
        at = int(resource_version or self.version)
        if at < self.oldest:
            raise ApiError(410, "Expired", "too old resource version")
        return at

    def _bookmark(self, annotations: dict[str, str]) -> WatchEvent:
        metadata = {"resourceVersion": str(self.version), "annotations": annotations}
        return WatchEvent("BOOKMARK", {"kind": "Pod", "metadata": metadata})


def _shown(obj: Object, names_only: bool) -> Object:
    """The object, or what a request for names only gets of it."""
    return {"kind": obj["kind"], "metadata": obj["metadata"]} if names_only else obj

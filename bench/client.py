"""A minimal client: aiohttp and msgspec, with a limited number of requests in flight.

The rule kept here: the client costs as little as a Python client can, because the floor consists of
it, and it shares two cores with the measured operator. The client never retries: a failed request
ends the measurement.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import aiohttp
import msgspec

from bench.bodies import Write

FRAME_LIMIT = 16 * 1024 * 1024

T = TypeVar("T")
Item = TypeVar("Item")


class Access(NamedTuple):
    """The URL of an API server, its CA file, and a bearer token."""

    url: str
    ca_file: str
    token: str


class RequestFailedError(Exception):
    """The server answered with an error; the text has the request and the answer."""


class Frame(NamedTuple):
    """One frame of a watch and its time of arrival (``time.perf_counter``)."""

    at: float
    type: str
    object: dict[str, Any]


class Client:
    """Requests to one API server, at most ``in_flight`` connections. An async context manager."""

    def __init__(self, access: Access, in_flight: int = 32) -> None:
        self.in_flight = in_flight
        self._access = access
        self._url = access.url

    async def __aenter__(self) -> Self:
        tls = ssl.create_default_context(cafile=self._access.ca_file)
        self._session = aiohttp.ClientSession(
            # Two more: a watch, and a read during full load.
            connector=aiohttp.TCPConnector(ssl=tls, limit=self.in_flight + 2),
            headers={"Authorization": f"Bearer {self._access.token}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            read_bufsize=FRAME_LIMIT,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def send(self, write: Write) -> bytes:
        """Send a request; the body of the answer. Raises RequestFailedError from status 300 on.

        A body of ``bytes`` is sent unchanged, any other is encoded as JSON.
        """
        body = write.body
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"Content-Type": write.content_type}
        request = self._session.request(
            write.method, self._url + write.path, data=data, headers=headers
        )
        async with request as answer:
            content = await answer.read()
            if answer.status >= 300:
                text = content[:500].decode("utf-8", "replace")
                raise RequestFailedError(f"{write.method} {write.path}: {answer.status} {text}")
            return content

    async def json(self, write: Write) -> dict[str, Any]:
        """Send a request; the answer as a JSON object. Raises RequestFailedError."""
        answer: dict[str, Any] = msgspec.json.decode(await self.send(write))
        return answer

    async def get(self, path: str) -> dict[str, Any]:
        """GET ``path``; the answer as a JSON object. Raises RequestFailedError."""
        return await self.json(Write("GET", path))

    async def each(self, items: Sequence[Item], work: Callable[[Item], Awaitable[T]]) -> list[T]:
        """Do ``work`` for all items, ``in_flight`` at a time; the results in order."""
        answers: list[T | None] = [None] * len(items)
        numbers = iter(range(len(items)))

        async def worker() -> None:
            for number in numbers:
                answers[number] = await work(items[number])

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.in_flight, len(items))):
                group.create_task(worker())
        return answers  # type: ignore[return-value]  # every item has a result, or the group raised

    async def send_all(self, writes: Iterable[Write]) -> list[dict[str, Any]]:
        """Send many writes, ``in_flight`` at a time; the answers in order."""
        return await self.each(list(writes), self.json)

    async def watch(self, path: str, since: str) -> AsyncIterator[Frame]:
        """The frames of a watch on a collection after a resource version; endless."""
        url = f"{self._url}{path}?watch=true&resourceVersion={since}"
        async with self._session.get(url) as answer:
            if answer.status >= 300:
                raise RequestFailedError(f"watch {path}: {answer.status}")
            async for line in answer.content:
                at = time.perf_counter()
                frame = msgspec.json.decode(line)
                yield Frame(at, frame["type"], frame["object"])

    async def until(self, path: str, reached: Callable[[list[Any]], bool], pause: float) -> None:
        """Read a collection every ``pause`` seconds until ``reached`` is true of its items."""
        while not reached((await self.get(path))["items"]):  # noqa: ASYNC110 - the server's state
            await asyncio.sleep(pause)

    async def version(self, path: str) -> str:
        """The present resource version of a collection."""
        listing = await self.get(f"{path}?limit=1")
        return str(listing["metadata"]["resourceVersion"])


class Watcher:
    """A watch of one collection that waits for one frame at a time."""

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path
        self._task: asyncio.Task[None] | None = None
        self._wanted: Callable[[Frame], bool] = lambda _frame: False
        self._found: asyncio.Future[Frame] | None = None

    async def __aenter__(self) -> Self:
        since = await self._client.version(self._path)
        self._task = asyncio.create_task(self._follow(since))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def expect(self, wanted: Callable[[Frame], bool]) -> asyncio.Future[Frame]:
        """A future for the next frame for which ``wanted`` is true."""
        self._wanted = wanted
        self._found = asyncio.get_running_loop().create_future()
        return self._found

    async def _follow(self, since: str) -> None:
        try:
            async for frame in self._client.watch(self._path, since):
                if self._found and not self._found.done() and self._wanted(frame):
                    self._found.set_result(frame)
            raise RequestFailedError(f"the watch of {self._path} ended")
        except (RequestFailedError, aiohttp.ClientError) as error:
            if self._found and not self._found.done():
                self._found.set_exception(error)

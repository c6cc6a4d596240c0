"""A bare client: aiohttp and msgspec, so many requests in flight, and nothing clever.

The rule kept here: it costs as little as a Python client can, because it is what the floor is made
of, and because it shares two cores with what it measures. It never retries: a request that fails
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
    """Where an API server is, the file to check it against, and the bearer token to show it."""

    url: str
    ca_file: str
    token: str


class RequestFailedError(Exception):
    """The server answered a request with an error; the text holds the request and the answer."""


class Frame(NamedTuple):
    """One frame of a watch and when it came in (``time.perf_counter``)."""

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
            # Two more: a watch, and a question beside a full load.
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
        """The body of the answer. Raises RequestFailedError for a status of 300 and above.

        A body that is ``bytes`` goes out as it is, any other is encoded as JSON.
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
        """The answer as a JSON object. Raises RequestFailedError."""
        answer: dict[str, Any] = msgspec.json.decode(await self.send(write))
        return answer

    async def get(self, path: str) -> dict[str, Any]:
        """What a GET of ``path`` answers. Raises RequestFailedError."""
        return await self.json(Write("GET", path))

    async def each(self, items: Sequence[Item], work: Callable[[Item], Awaitable[T]]) -> list[T]:
        """``work`` done for all items, ``in_flight`` at a time; the answers in their order."""
        answers: list[T | None] = [None] * len(items)
        numbers = iter(range(len(items)))

        async def worker() -> None:
            for number in numbers:
                answers[number] = await work(items[number])

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.in_flight, len(items))):
                group.create_task(worker())
        return answers  # type: ignore[return-value]  # each has its answer, or the group raised

    async def send_all(self, writes: Iterable[Write]) -> list[dict[str, Any]]:
        """The answers to many writes, ``in_flight`` at a time."""
        return await self.each(list(writes), self.json)

    async def watch(self, path: str, since: str) -> AsyncIterator[Frame]:
        """The frames of a watch on a collection after a resource version, without an end."""
        url = f"{self._url}{path}?watch=true&resourceVersion={since}"
        async with self._session.get(url) as answer:
            if answer.status >= 300:
                raise RequestFailedError(f"watch {path}: {answer.status}")
            async for line in answer.content:
                at = time.perf_counter()
                frame = msgspec.json.decode(line)
                yield Frame(at, frame["type"], frame["object"])

    async def until(self, path: str, reached: Callable[[list[Any]], bool], pause: float) -> None:
        """Ask for a collection again and again until its items are as wanted."""
        while not reached((await self.get(path))["items"]):  # noqa: ASYNC110 - a far state
            await asyncio.sleep(pause)

    async def version(self, path: str) -> str:
        """The present resource version of a collection."""
        listing = await self.get(f"{path}?limit=1")
        return str(listing["metadata"]["resourceVersion"])


class Watcher:
    """A watch of one collection in which one frame at a time is waited for."""

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
        """The first frame from now on of which ``wanted`` is true."""
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

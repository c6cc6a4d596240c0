"""The floor: a fixed minimal set of writes, sent by a minimal client in a process of its own.

The rule kept here: the floor sends each handler's children and one status, byte for byte as the
operator does, and decides, watches and compares nothing. It reads its task from standard input
before the first request, and prints its cost to standard output.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from typing import Any

import msgspec

from bench.bodies import Write, first_writes
from bench.client import Access, Client


class Task(msgspec.Struct):
    """The handlers to write for, the API server with a token, and the requests in flight."""

    url: str
    ca_file: str
    token: str
    in_flight: int
    handlers: list[dict[str, Any]]


class Cost(msgspec.Struct):
    """Wall-clock and CPU seconds, and the peak of resident memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_rss: int


def main() -> None:
    """Read the task, send its writes, print the cost."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    chains = [[encoded(write) for write in first_writes(each)] for each in task.handlers]
    cost = asyncio.run(write_all(task, chains))
    sys.stdout.buffer.write(msgspec.json.encode(cost))


def encoded(write: Write) -> Write:
    """The same write with its body as bytes: encoding must not count as time of the floor."""
    return write._replace(body=msgspec.json.encode(write.body))


async def write_all(task: Task, chains: list[list[Write]]) -> Cost:
    """Send the writes of each handler one after another, ``in_flight`` handlers at a time."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    access = Access(task.url, task.ca_file, task.token)
    async with Client(access, task.in_flight) as client:

        async def one(chain: list[Write]) -> None:
            for write in chain:
                await client.send(write)

        await client.each(chains, one)
        seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, cpu, after.ru_maxrss * 1024)


if __name__ == "__main__":
    main()

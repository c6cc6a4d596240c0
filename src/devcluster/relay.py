"""Passes TCP connections on, from one loopback port to another.

`python relay.py PORT TARGET`: a process of its own, so that the link can be frozen like any other
process. Connections stay open then and nothing comes through; the kernel keeps what is sent
meanwhile, up to its buffers, and it arrives after the thaw. As a file it needs nothing of the
package, whose import takes longer than its work.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536


def relay_command(port: int, target: int) -> list[str]:
    """The argv of a relay that listens on `port` and passes on to `target`."""
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(port), str(target)]


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction of one connection; its end closes both."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(port: int, target: int) -> None:
    """Passes on whatever connects to `port`, for ever. Raises OSError when the port is taken."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection(HOST, target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pass_on(reader, target_writer), pass_on(target_reader, writer))

    async with await asyncio.start_server(connected, HOST, port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))

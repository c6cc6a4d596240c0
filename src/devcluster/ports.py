"""Chooses loopback ports that stay free while nobody listens on them.

They lie below the range from which Linux and macOS give ports to outgoing connections: a port of
that range can be taken between two moments, for example while an API server is restarted.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

FIRST, LAST = 18_000, 30_000
ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Whether nothing listens on `port` of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As a Go server does it: connections of an earlier server in TIME_WAIT do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """`count` different free ports, none of them in `taken` (other clusters' ports, listened on
    or not). Raises OSError when there are not enough.
    """
    choice = random.SystemRandom()
    found: list[int] = []
    for _ in range(ATTEMPTS):
        port = choice.randrange(FIRST, LAST)
        if port not in taken and port not in found and is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} free ports between {FIRST} and {LAST}")

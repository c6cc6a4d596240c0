"""A way to the API server that breaks, and what shows that an operator is at work again."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from urllib.parse import urlsplit

from harness.objects import Objects, eventually


class Relay:
    """Passes connections on to a server, until a test has it cut, refuse or swallow them."""

    def __init__(self, server: str) -> None:
        address = urlsplit(server)
        self._server = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._refusing = threading.Event()
        self._swallowing = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection that is open now."""
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Break every connection, and new ones at once."""
        self._refusing.set()
        self.cut()

    def swallow(self) -> None:
        """Keep all connections open, and let nothing through any more."""
        self._swallowing.set()

    def let_through(self) -> None:
        """Work again, for new connections."""
        self._refusing.clear()
        self._swallowing.clear()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
        self.refuse()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self._refusing.is_set():
                client.close()
                continue
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            pair = {client: server, server: client}
            self._open.update(pair)
            with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
                for each in pair:
                    selector.register(each, selectors.EVENT_READ)
                while not self._refusing.is_set():
                    for key, _ in selector.select(0.5):
                        content = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not content:
                            raise OSError
                        if not self._swallowing.is_set():
                            pair[key.fileobj].sendall(content)  # type: ignore[index]
            self._open.difference_update(pair)


def service_gone_and_back(objects: Objects, name: str) -> None:
    """Delete a Service that the operator made, and see it come back."""
    uid = objects.existing("services", f"handler-{name}")["metadata"]["uid"]
    objects.delete("services", f"handler-{name}")

    def back() -> bool:
        found = objects.get("services", f"handler-{name}")
        return found is not None and found["metadata"]["uid"] != uid

    eventually(back)

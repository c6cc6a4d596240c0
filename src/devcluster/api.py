"""The few requests that devcluster itself makes of the API server, as its administrator."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 10.0


class ApiError(Exception):
    """The server answered with an error; `status` is the HTTP status, the text its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Api:
    """One API server and the token to present to it."""

    url: str
    ca_file: Path
    token: str

    def raw(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> bytes:
        """The body of the answer to one request.

        Raises ApiError for an answer that is an error, OSError where there is no answer.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        request = urllib.request.Request(  # noqa: S310 - always https, see Record.url
            self.url + path, data, headers, method=method
        )
        # A handler of its own without proxies: those of the environment are not for loopback.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(
                context=ssl.create_default_context(cafile=str(self.ca_file))
            ),
        )
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                content: bytes = answer.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(error.code, message_of(error.read())) from None

    def json(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        """Like `raw`, for an answer that is a JSON object."""
        answer: dict[str, Any] = json.loads(self.raw(method, path, body, content_type))
        return answer

    def apply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply of `body` at `path`; creates what is not there."""
        query = "?fieldManager=devcluster&force=true"
        return self.json("PATCH", path + query, body, "application/apply-patch+yaml")

    def answers(self, path: str) -> bool:
        """Whether a GET of `path` succeeds now."""
        try:
            self.raw("GET", path)
        except (ApiError, OSError):
            return False
        return True


def message_of(content: bytes) -> str:
    """The message of a Status object, or the text itself."""
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode("utf-8", "replace").strip()

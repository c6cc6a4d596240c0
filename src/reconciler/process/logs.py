"""Logs: one line per fact, as JSON or for a terminal, and never with a credential.

The rule: each record, also one of asyncio or aiohttp, passes one handler. The handler adds ts,
level, logger and event (inside a reconcile key and reconcile_id too) and masks what looks like a
credential. Tracebacks are masked as well, and never show local variables.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

MASK = "[redacted]"

_SECRET_KEY = re.compile(
    r"(authorization|token|passw(or)?d|passphrase|secret|api[_-]?key|private[_-]?key"
    r"|cookie|credentials?|(key|certificate)-data)s?$",
    re.IGNORECASE,
)
_SECRET_TEXT = (
    re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"),
    re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(\.[\w-]*)?"),  # a JWT: base64 of {"
    re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)"),
    re.compile(r"(?<=://)[^\s/@]+(?=@)"),  # user:password@ of a URL
)
_ASSIGNED = re.compile(
    r"(?i)((?:token|passw(?:or)?d|secret|api[_-]?key|authorization)[\"']?\s*(?:=|[\"']\s*:)\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^\s,;&\"'}]+)"
)
_FIRST = ("ts", "level", "logger", "event", "key", "reconcile_id")
_DEPTH = 8


def redact(value: Any, _depth: int = 0) -> Any:
    """The value with credentials masked, made of JSON types only; nothing is changed in place.

    Masked are the values under keys that end like ``token`` or ``password``, the data of
    Secrets, and in any text: bearer and basic credentials, JWTs, private keys, passwords in
    URLs, and what is assigned (``password=...``). Other objects become their text.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        for pattern in _SECRET_TEXT:
            value = pattern.sub(MASK, value)
        return _ASSIGNED.sub(rf"\1{MASK}", value)
    if _depth < _DEPTH and isinstance(value, Mapping):
        hidden = {"data", "stringData"} if value.get("kind") == "Secret" else ()
        return {
            str(key): MASK
            if item and (key in hidden or _SECRET_KEY.search(str(key)))
            else redact(item, _depth + 1)
            for key, item in value.items()
        }
    if _depth < _DEPTH and isinstance(value, list | set | frozenset):
        return [redact(item, _depth + 1) for item in value]
    if _depth < _DEPTH and isinstance(value, tuple) and not hasattr(value, "_fields"):
        return [redact(item, _depth + 1) for item in value]
    return redact(str(value))


def configure(
    format: Literal["console", "json", "auto"] = "auto",  # noqa: A002  the flag's name
    level: str = "info",
    stream: TextIO | None = None,
) -> None:
    """Send all logs of the process to ``stream`` (stderr if None). May be called again.

    ``auto`` is ``console`` on a terminal, else ``json``. Colours only on a terminal, and not
    where NO_COLOR is set to anything (https://no-color.org). ValueError for an unknown level.
    """
    stream = stream or sys.stderr
    terminal = stream.isatty()
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"unknown log level {level!r}: use debug, info, warning or error")
    if format == "auto":
        format = "console" if terminal else "json"  # noqa: A001
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    renderer: Processor
    if format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=terminal and not os.environ.get("NO_COLOR"),
            timestamp_key="ts",
            exception_formatter=structlog.dev.plain_traceback,
        )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_line,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # At debug, asyncio logs its selectors, which is of no use here.
    logging.getLogger("asyncio").setLevel(max(number, logging.INFO))


def _redact_line(_logger: Any, _name: str, event: EventDict) -> MutableMapping[str, Any]:
    """The last processor before rendering: mask the line, and put the common fields first."""
    line: dict[str, Any] = redact(dict(event))
    return {name: line[name] for name in _FIRST if name in line} | line

"""What the server says while it runs: one line for each thing worth one, as text or as JSON (`--log-format`).

`tell` gives a message and what belongs to it by name, so that an operator can search for it. While a request is being
answered, its id is among that. Nothing that a client sent can end a line and begin another.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import random
import re
import sys
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from .clients import address_of
from .core.events import timestamp
from .state import SETTINGS, hub_of

__all__ = ["AccessLog", "announce", "begin_request", "set_up", "tell"]

_request_id: ContextVar[str | None] = ContextVar("request id", default=None)
_LINES = 10_000
_PATIENCE = 1.0
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def begin_request(request: web.Request) -> str:
    """The id of a request: a trusted proxy's, else one made up. Lines told from now on, for this request, carry it."""
    given = request.headers.get("X-Request-ID", "")
    if not (given and _ID.fullmatch(given) and hub_of(request)[SETTINGS].trusted_proxies):
        given = f"{random.getrandbits(64):016x}"
    _request_id.set(given)
    return given


def tell(logger: logging.Logger, level: int, message: str, **about: object) -> None:
    """Log a message and what it is about, by name."""
    if logger.isEnabledFor(level):
        logger.log(level, message, extra={"about": about})


def set_up(format: str, level: str) -> None:
    """Write log lines to stderr, as `text` or `json`."""
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        descriptor = 2
    handler = _Writer(descriptor)
    handler.setFormatter(_Json() if format == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class _Writer(logging.Handler):
    """Writes lines in a thread of its own. Whoever reads stderr may stop doing so, and no event must wait for that:
    past `_LINES` that wait, further ones are dropped, and how many is said when writing goes on."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | None] = queue.Queue(_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        self.put(self.format(record))

    def put(self, line: str) -> None:
        """Write a line, as it stands."""
        try:
            self._lines.put_nowait(line.encode("utf-8", "backslashreplace") + b"\n")
        except queue.Full:
            self._dropped += 1

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._dropped:
                line = b"%d lines of the log were dropped: nobody read them\n%b" % (self._dropped, line)
                self._dropped = 0
            # Not through sys.stderr: this thread, held up in a write, would hold its lock when Python wants to end.
            with contextlib.suppress(OSError):
                while line:
                    line = line[os.write(self._descriptor, line) :]

    def close(self) -> None:
        """See `logging.Handler`: at the end, wait for what has been said, but not for ever."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
            self._thread.join(_PATIENCE)
        super().close()


def announce(message: str, format: str) -> None:
    """Say, whatever `--log-level` is, what the person or program that started the server waits for."""
    line = {"time": timestamp(time.time_ns() // 1_000_000), "level": "info", "logger": "sse_hub", "message": message}
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Writer):
            handler.put(json.dumps(line) if format == "json" else message)


def _about(record: logging.LogRecord) -> Mapping[str, object]:
    told: Mapping[str, object] = getattr(record, "about", {})
    id = _request_id.get()
    return told if id is None or "request" in told else {**told, "request": id}


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        told = "".join(f" {name}={_plain(value)}" for name, value in _about(record).items())
        return _one_line(super().formatMessage(record)) + told


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": timestamp(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _plain(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if re.fullmatch(r'[^\s"=\\\x00-\x1f\x7f-\x9f]+', text) else json.dumps(text)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


class AccessLog(AbstractAccessLogger):
    """A line for each request, when it is answered; without the token that its query may hold."""

    @property
    def enabled(self) -> bool:
        return self.logger.isEnabledFor(logging.INFO)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """See `AbstractAccessLogger`."""
        query = [(name, "…" if name == "token" else value) for name, value in request.query.items()]
        tell(
            self.logger,
            logging.INFO,
            "request",
            address=address_of(request) if isinstance(request, web.Request) else request.remote,
            method=request.method,
            path=str(request.rel_url.with_query(query)),
            status=response.status,
            bytes=response.body_length,
            seconds=round(time, 6),
        )

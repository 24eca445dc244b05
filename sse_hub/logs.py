"""The server's log: one line for each message, as text or as JSON (`--log-format`).

`log_line` logs a message with named values, so that an operator can search for them. During a request, its id is one of
them. No data of a client can end a line and begin another one. structlog makes the lines. A handler of our own writes
them, because other handlers wait when the reader of the log does not read.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import re
import select
import sys
import threading
import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter

__all__ = ["announce", "log_line", "request_id", "set_up"]

request_id: ContextVar[str | None] = ContextVar("request id", default=None)
"""The id of the request that is being answered."""
_LINES = 10_000
_PATIENCE = 1.0


def log_line(logger: logging.Logger, level: int, message: str, **values: object) -> None:
    """Log a message with named values.

    :param level: one of the levels of `logging`.
    """
    if logger.isEnabledFor(level):
        logger.log(level, message, extra={"values": values})


def set_up(format: str, level: str, *, thread: bool = True) -> None:
    """Write log lines to stderr, as `text` or `json`.

    :param thread: whether a thread writes them; a process that forks must not have threads.
    """
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        descriptor = 2
    handler = (_Writer if thread else _DirectWriter)(descriptor)
    last = [_as_json] if format == "json" else [_as_text]
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[_name, _add_values],
            processors=[ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, *last],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def announce(message: str, format: str) -> None:
    """Write the line with the server's address, at any `--log-level`: people and programs wait for it."""
    now = time.time()
    line = {"time": _moment(now), "level": "info", "logger": "sse_hub", "message": message}
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Writer | _DirectWriter):
            handler.put(json.dumps(line) if format == "json" else message)


class _Writer(logging.Handler):
    """Writes lines in a thread of its own, because a reader of stderr may stop reading and no event must wait for it.
    If `_LINES` lines wait, further lines are dropped. Their number is logged as soon as writing goes on."""

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
                line = b"%d lines of the log were dropped because its reader was too slow\n%b" % (self._dropped, line)
                self._dropped = 0
            # Not through sys.stderr: a thread that waits in a write would hold its lock, and Python could not end.
            with contextlib.suppress(OSError):
                while line:
                    line = line[os.write(self._descriptor, line) :]

    def close(self) -> None:
        """See `logging.Handler`. At the end of the program, wait some time for the remaining lines."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
            self._thread.join(_PATIENCE)
        super().close()


class _DirectWriter(logging.Handler):
    """Writes lines at once. If the reader of stderr has stopped reading, lines are dropped."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        self.put(self.format(record))

    def put(self, line: str) -> None:
        """Write a line, as it stands."""
        with contextlib.suppress(OSError, ValueError):
            if select.select([], [self._descriptor], [], 0)[1]:
                os.write(self._descriptor, line.encode("utf-8", "backslashreplace") + b"\n")


def _name(logger: object, name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put time, level and logger at the beginning of the line."""
    record: logging.LogRecord = line["_record"]
    begin = {"time": record.created, "level": record.levelname.lower(), "logger": record.name}
    return {**begin, "message": line.pop("event"), **line}


def _add_values(logger: object, name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    values: Mapping[str, object] = getattr(line["_record"], "values", {})
    id = request_id.get()
    line.update(values if id is None or "request" in values else {**values, "request": id})
    return line


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def _as_json(logger: object, name: str, line: MutableMapping[str, Any]) -> str:
    line["time"] = _moment(line["time"])
    return json.dumps(line, default=str)


def _as_text(logger: object, name: str, line: MutableMapping[str, Any]) -> str:
    moment, level, source, message = (line.pop(key) for key in ("time", "level", "logger", "message"))
    exception = line.pop("exception", "")
    values = "".join(f" {key}={_plain(value)}" for key, value in line.items())
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) + f",{int(moment % 1 * 1000):03d}"
    text = f"{when} {level.upper()} {source}: {_one_line(str(message))}{values}"
    return f"{text}\n{exception}" if exception else text


def _plain(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if re.fullmatch(r'[^\s"=\\\x00-\x1f\x7f-\x9f]+', text) else json.dumps(text)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)

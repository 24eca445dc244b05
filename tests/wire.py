"""A reader of event streams for the tests, written after WHATWG HTML 9.2.6 and without the project's own code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Received:
    """An event as a conforming client dispatches it."""

    type: str
    data: str
    id: str

    def json(self) -> Any:
        return json.loads(self.data)


class Parser:
    """Bytes in, events out, however the bytes are split."""

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self.comments: list[str] = []
        self.id = ""
        self._bytes = b""
        self._data: list[str] = []
        self._type = ""
        self._events: list[Received] = []

    def feed(self, data: bytes) -> list[Received]:
        self._events = []
        self._bytes += data
        while True:
            breaks = [at for at in (self._bytes.find(b"\n"), self._bytes.find(b"\r")) if at >= 0]
            if not breaks:
                return self._events
            end = min(breaks)
            if self._bytes[end:] == b"\r":
                return self._events  # perhaps half of a CRLF
            length = 2 if self._bytes[end : end + 2] == b"\r\n" else 1
            line, self._bytes = self._bytes[:end], self._bytes[end + length :]
            self._line(line.decode("utf-8", "replace"))

    def _line(self, line: str) -> None:
        if not line:
            if self._data:
                self._events.append(Received(self._type or "message", "\n".join(self._data), self.id))
            self._data, self._type = [], ""
            return
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not field and colon:
            self.comments.append(value)
        elif field == "data":
            self._data.append(value)
        elif field == "event":
            self._type = value
        elif field == "id" and "\0" not in value:
            self.id = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)


def parse(data: bytes) -> list[Received]:
    """All events of a stream."""
    return Parser().feed(data)


def unchunked(data: bytes) -> bytes:
    """The body of a message in HTTP/1.1's chunked coding; what is cut off at the end is left out."""
    body = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        if not length or len(rest) < length + 2:
            break
        body += rest[:length]
        data = rest[length + 2 :]
    return body

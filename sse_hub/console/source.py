"""Standard input, line by line, without blocking the event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import TextIO

__all__ = ["lines"]

_WAITING = 1000
"""Largest number of lines that are read ahead. Then the thread waits for the hub, and the program that writes into the
pipe waits for the thread."""


def _text(line: str, encoding: str) -> str:
    try:
        line.encode()
    except UnicodeEncodeError:
        return line.encode(encoding, "surrogateescape").decode("utf-8", "replace")
    return line


async def lines(stream: TextIO | None = None) -> AsyncIterator[str]:
    """The lines of a stream without line breaks, each as soon as it is complete.

    :param stream: standard input by default.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    room = threading.Semaphore(_WAITING)
    source = sys.stdin if stream is None else stream
    # Bytes that the locale cannot decode are read as UTF-8, or replaced: a line of a log file must not end the program.
    getattr(source, "reconfigure", lambda **_: None)(errors="surrogateescape")

    def read() -> None:
        try:
            for line in source:
                room.acquire()
                loop.call_soon_threadsafe(queue.put_nowait, _text(line.rstrip("\r\n"), source.encoding))
            loop.call_soon_threadsafe(queue.put_nowait, None)
        except (RuntimeError, ValueError, OSError):
            return  # the loop has ended, or the stream was closed: the lines are not needed any more

    # A daemon: a thread that waits for a terminal cannot be stopped.
    threading.Thread(target=read, name="lines", daemon=True).start()
    while (line := await queue.get()) is not None:
        room.release()
        yield line

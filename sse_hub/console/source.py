"""Standard input, line by line, without blocking the event loop."""

from __future__ import annotations

import asyncio
import contextlib
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
    :raises OSError: if it is closed or cannot be read.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | OSError | None] = asyncio.Queue()
    room = threading.Semaphore(_WAITING)
    source = sys.stdin if stream is None else stream
    if source is None:  # as Python has it if the descriptor is closed
        raise OSError("standard input is closed")
    # Bytes that the locale cannot decode are read as UTF-8, or replaced: a line of a log file must not end the program.
    getattr(source, "reconfigure", lambda **_: None)(errors="surrogateescape")

    def read() -> None:
        end = None
        with contextlib.suppress(RuntimeError):  # the loop has ended: the lines are not needed any more
            try:
                for line in source:
                    room.acquire()
                    loop.call_soon_threadsafe(queue.put_nowait, _text(line.rstrip("\r\n"), source.encoding))
            except (OSError, ValueError) as error:  # a ValueError if another thread has closed the stream
                end = OSError(f"standard input cannot be read: {getattr(error, 'strerror', None) or error}")
            loop.call_soon_threadsafe(queue.put_nowait, end)

    # A daemon: a thread that waits for a terminal cannot be stopped.
    threading.Thread(target=read, name="lines", daemon=True).start()
    while (line := await queue.get()) is not None:
        if isinstance(line, OSError):
            raise line
        room.release()
        yield line

"""Standard input, line by line, without holding up the event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import TextIO

__all__ = ["lines"]

_WAITING = 1000
"""Lines read ahead. The thread waits when the hub takes no more, and so does the program that writes into the pipe."""


def _text(line: str, encoding: str) -> str:
    try:
        line.encode()
    except UnicodeEncodeError:
        return line.encode(encoding, "surrogateescape").decode("utf-8", "replace")
    return line


async def lines(stream: TextIO | None = None) -> AsyncIterator[str]:
    """The lines of a stream without their ends, each as soon as it is there.

    :param stream: standard input by default.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    room = threading.Semaphore(_WAITING)
    source = sys.stdin if stream is None else stream
    # Bytes that the locale does not have are UTF-8, or replaced: a line of a log file must not end the program.
    getattr(source, "reconfigure", lambda **_: None)(errors="surrogateescape")

    def read() -> None:
        try:
            for line in source:
                room.acquire()
                loop.call_soon_threadsafe(queue.put_nowait, _text(line.rstrip("\r\n"), source.encoding))
            loop.call_soon_threadsafe(queue.put_nowait, None)
        except (RuntimeError, ValueError, OSError):
            return  # the loop has ended, or the stream was closed: nobody waits for more

    # A daemon: a thread that waits for a terminal cannot be told to stop.
    threading.Thread(target=read, name="lines", daemon=True).start()
    while (line := await queue.get()) is not None:
        room.release()
        yield line

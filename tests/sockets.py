"""Clients that are only sockets: they see every byte, can read slowly or not at all, and can be thousands."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from eventually import PATIENCE

__all__ = ["Raw", "crowd", "get", "raw"]

_AT_ONCE = 500
"""Connections that are opened at once."""


def get(path: str, version: str = "1.1", **headers: str) -> bytes:
    """A request for a path."""
    lines = [f"GET {path} HTTP/{version}", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Raw:
    """The client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.received = b""
        """Everything that was read."""

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def read(self) -> bytes:
        """The next bytes; EOFError at the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            data = await self._reader.read(1 << 16)
        if not data:
            raise EOFError(f"the connection ended; received: {self.received[-1000:]!r}")
        self.received += data
        return data

    async def until(self, text: bytes) -> bytes:
        """Read until this text is among what was received; return all of that."""
        while text not in self.received:
            await self.read()
        return self.received

    async def rest(self) -> bytes:
        """Read until the server closes the connection, well or not; return all that was received."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                await self.read()
        return self.received

    def freeze(self) -> None:
        """Read nothing more from the socket, not even for TLS."""
        assert isinstance(self._writer.transport, asyncio.Transport)
        self._writer.transport.pause_reading()

    def thaw(self) -> None:
        """Go on after `freeze`."""
        assert isinstance(self._writer.transport, asyncio.Transport)
        self._writer.transport.resume_reading()

    def abort(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """End the connection well."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def _connect(port: int, tls: ssl.SSLContext | None, window_bytes: int) -> Raw:
    client = socket.socket()
    client.setblocking(False)
    if window_bytes:  # before it is connected: that is when the window is agreed on
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
    try:
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    except BaseException:
        client.close()
        raise
    name = None if tls is None else "localhost"
    limit = window_bytes or 1 << 16  # a reader that is not read takes at most twice this from the socket
    return Raw(*await asyncio.open_connection(sock=client, ssl=tls, server_hostname=name, limit=limit))


@asynccontextmanager
async def raw(
    port: int, request: bytes = b"", *, tls: ssl.SSLContext | None = None, window_bytes: int = 0
) -> AsyncIterator[Raw]:
    """A connection that has sent this.

    :param window_bytes: bytes that the kernel accepts from the server while the client does not read; by default, it
        decides itself.
    """
    client = await _connect(port, tls, window_bytes)
    try:
        client.send(request)
        yield client
    finally:
        client.abort()


@asynccontextmanager
async def crowd(port: int, count: int, request: bytes) -> AsyncIterator[Sequence[Raw]]:
    """This number of connections that have sent a request."""
    clients: list[Raw] = []
    try:
        for begin in range(0, count, _AT_ONCE):
            some = range(begin, min(begin + _AT_ONCE, count))
            clients += await asyncio.gather(*(_connect(port, None, 0) for _ in some))
        for client in clients:
            client.send(request)
        yield clients
    finally:
        for client in clients:
            client.abort()

"""A server of raw bytes for the client's tests. It answers each connection by a script, rightly or wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    """A request of a client."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    """By names in small letters."""
    body: bytes = b""


class Connection:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> None:
        self.request = request
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes | str) -> None:
        self._writer.write(data.encode() if isinstance(data, str) else data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Wait until the client has left."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            return

    def abort(self) -> None:
        """Reset the connection: nothing more is sent, not even an orderly end."""
        self._writer.transport.abort()


Script = Callable[[Connection], Awaitable[None]]


class Scripted:
    """The server: connection n is answered by script n, and all after the last by a 204."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.left = asyncio.Event()
        """A client has left, or its answer has ended."""
        self._scripts = scripts

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _request(reader)
            index = len(self.requests)
            self.requests.append(request)
            script = self._scripts[index] if index < len(self._scripts) else status(204)
            await script(Connection(reader, writer, request))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.left.set()


async def _request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def scripted(*scripts: Script, port: int = 0) -> AsyncIterator[Scripted]:
    """Run the server."""
    running = Scripted(scripts)
    server = await asyncio.start_server(running.answer, "127.0.0.1", port)
    running.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield running
    finally:
        server.close()


_ANY_ORIGIN = "Access-Control-Allow-Origin: *\r\n"  # a page in a browser may be the client
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{_ANY_ORIGIN}Connection: close\r\n\r\n"


def stream(*chunks: bytes | str) -> Script:
    """An event stream that ends well after these bytes."""

    async def script(connection: Connection) -> None:
        await connection.send(HEAD)
        for chunk in chunks:
            await connection.send(chunk)

    return script


def held(*chunks: bytes | str) -> Script:
    """An event stream that stays open after these bytes until the client leaves."""

    async def script(connection: Connection) -> None:
        await stream(*chunks)(connection)
        await connection.gone()

    return script


def raw(data: bytes | str) -> Script:
    """These bytes, and the end of the connection."""

    async def script(connection: Connection) -> None:
        await connection.send(data)

    return script


def status(code: int, headers: str = "", body: str = "") -> Script:
    """An answer of this status; `headers` are whole lines."""
    length = "" if code == 204 else f"Content-Length: {len(body.encode())}\r\n"
    return raw(f"HTTP/1.1 {code} Said\r\n{_ANY_ORIGIN}{headers}{length}Connection: close\r\n\r\n{body}")


async def silent(connection: Connection) -> None:
    """No answer at all."""
    await connection.gone()

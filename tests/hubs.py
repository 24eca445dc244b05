"""Hubs that tests run and talk to, and a reader of event streams that waits for events and never for time."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from eventually import PATIENCE, eventually
from sockets import raw
from wire import Parser, Received

from sse_hub import Hub
from sse_hub.settings import Settings
from sse_server import HUB, create_app, make_runner

__all__ = ["NDJSON", "Remote", "Server", "Stream", "logged", "mounted", "remote", "running", "serving"]

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
PROMETHEUS = {"Accept": "text/plain"}


class Stream:
    """An event stream that is being read."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.parser = Parser()
        self._events: list[Received] = []

    async def next(self) -> Received:
        """The next event; EOFError if the stream ends."""
        async with asyncio.timeout(PATIENCE):
            while not self._events:
                await self._read()
        return self._events.pop(0)

    async def take(self, count: int) -> list[Received]:
        """This number of events."""
        return [await self.next() for _ in range(count)]

    async def until(self, type: str) -> list[Received]:
        """The events before the next one of that type, and that one."""
        events = [await self.next()]
        while events[-1].type != type:
            events.append(await self.next())
        return events

    async def until_data(self, data: str) -> list[Received]:
        """The events before the next one with these data, and that one."""
        events = [await self.next()]
        while events[-1].data != data:
            events.append(await self.next())
        return events

    async def replay(self) -> list[str]:
        """The data of everything between `connected` and `live`."""
        _, *events, _ = await self.until("live")
        return [event.data for event in events]

    async def comments(self, count: int) -> None:
        """Wait for this number of further comments."""
        count += len(self.parser.comments)
        async with asyncio.timeout(PATIENCE):
            while len(self.parser.comments) < count:
                await self._read()

    async def rest(self) -> list[Received]:
        """All events until the stream ends."""
        events = []
        try:
            while True:
                events.append(await self.next())
        except EOFError:
            return events

    async def _read(self) -> None:
        data = await self.response.content.readany()
        if not data:
            raise EOFError
        self._events.extend(self.parser.feed(data))


class Remote:
    """A hub at an address, and a client of it."""

    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self.url = url
        self.client = client

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @asynccontextmanager
    async def stream(self, path: str = "/stream", headers: dict[str, str] | None = None) -> AsyncIterator[Stream]:
        """An open stream whose `connected` has not been read yet."""
        async with self.client.get(self.url + path, headers=headers) as response:
            assert response.status == 200
            yield Stream(response)

    async def get(self, path: str, **options: Any) -> tuple[aiohttp.ClientResponse, Any]:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, **options: Any) -> tuple[aiohttp.ClientResponse, Any]:
        return await self.ask("POST", path, **options)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[aiohttp.ClientResponse, Any]:
        """The answer, and its JSON or text. The answer to a HEAD request has neither."""
        async with self.client.request(method, self.url + path, **options) as response:
            text = await response.text()
            return response, json.loads(text) if text and "json" in response.content_type else text

    async def status(self, path: str, method: str = "GET", **options: Any) -> int:
        """The status of the answer."""
        return (await self.ask(method, path, **options))[0].status

    async def exchange(self, request: bytes) -> bytes:
        """Everything that the server sends until it closes the connection."""
        async with raw(self.port, request) as client:
            return await client.rest()

    async def health(self) -> Any:
        """The answer of `/health`, whatever its status."""
        return (await self.get("/health"))[1]

    async def figure(self, series: str, **headers: str) -> float:
        """The value of one series of the Prometheus exposition."""
        _, exposition = await self.get("/metrics", headers=PROMETHEUS | headers)
        (value,) = re.findall(rf"^{re.escape(series)} (\S+)$", exposition, re.MULTILINE)
        return float(value)

    async def hits(self, limit: str) -> float:
        """The number of times that a limit was met."""
        return await self.figure(f'sse_limit_hits_total{{limit="{limit}"}}')

    async def pages(self, path: str, key: str, limit: int, **query: str) -> list[list[Any]]:
        """All pages of a list that is answered under this key."""
        found: list[list[Any]] = []
        after: dict[str, str] = {}
        while True:
            _, answer = await self.get(path, params={"limit": str(limit), **query, **after})
            found.append(answer[key])
            assert len(answer[key]) <= limit
            if "next" not in answer:
                return found
            after = {"after": answer["next"]}

    async def retained(self, channel: str, after: str = "") -> list[str]:
        """The data of the channel's retained events, from the oldest or after a cursor."""
        query = {"limit": "1000", **({"after": after} if after else {})}
        _, answer = await self.get(f"/api/channels/{channel}/events", params=query)
        return [event["data"] for event in answer["events"]]

    async def until_status(self, status: str) -> str:
        """Wait until `/health` has this status; return the reason that it gives."""

        async def reached() -> Any:
            answer = await self.health()
            return answer if answer["status"] == status else None

        return str((await eventually(reached)).get("reason"))

    async def until_trimmed(self, channel: str, most: int) -> None:
        """Wait until a channel retains at most this number of events."""

        async def trimmed() -> bool:
            return len(await self.retained(channel)) <= most

        await eventually(trimmed)

    async def until_subscribers(self, count: int) -> None:
        """Wait until there are exactly this number of subscribers."""

        async def reached() -> bool:
            return bool((await self.health())["subscribers"] == count)

        await eventually(reached)


class Server(Remote):
    """A hub in this process."""

    def __init__(self, runner: web.AppRunner, url: str, client: aiohttp.ClientSession) -> None:
        super().__init__(url, client)
        self.app = runner.app
        self._runner = runner

    @property
    def hub(self) -> Hub:
        return self.app[HUB]

    @property
    def connections(self) -> int:
        """The number of aiohttp's connections."""
        assert self._runner.server is not None
        return len(self._runner.server.connections)

    async def until_subscribers(self, count: int) -> None:
        await eventually(lambda: self.hub.statistics().subscribers == count)


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """The messages of the log with their values. `caplog.text` leaves the values out."""
    return "\n".join(f"{record.getMessage()} {getattr(record, 'values', '')}" for record in caplog.records)


@asynccontextmanager
async def serving(**changes: Any) -> AsyncIterator[Server]:
    """A server with these settings, without the demonstration feed."""
    async with running(create_app(Settings(**{"no_demo": True, **changes}))) as server:
        yield server


@asynccontextmanager
async def running(app: web.Application, certificate: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server of this application, by TLS if there is a certificate."""
    runner = make_runner(app)
    async with _site(runner, certificate) as url, remote(url) as client:
        yield Server(runner, url, client.client)


@asynccontextmanager
async def mounted(outer: web.Application, **options: Any) -> AsyncIterator[str]:
    """Any application, as its owner runs it; its URL."""
    async with _site(web.AppRunner(outer, shutdown_timeout=1, **options)) as url:
        yield url


@asynccontextmanager
async def _site(runner: web.AppRunner, certificate: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    try:
        await web.SockSite(runner, listening, ssl_context=certificate).start()
        yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        # A connection that asyncio has accepted when its server is closed stays open (CPython 3.11). So accept no more,
        # and wait a turn until those that are accepted are made. Browsers connect at any moment.
        asyncio.get_running_loop().remove_reader(listening)
        await asyncio.sleep(0)
        await runner.cleanup()


@asynccontextmanager
async def remote(url: str) -> AsyncIterator[Remote]:
    """A client of the hub at this address."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        yield Remote(url, client)

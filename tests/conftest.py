"""What the tests share: running servers, and readers of event streams that wait for events and never for time."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright
from redis_server import RedisServer
from wire import Parser, Received

from sse_hub import Hub
from sse_hub.settings import Settings
from sse_server import HUB, create_app, make_runner

ROOT = Path(__file__).parent.parent
PATIENCE = 10.0  # seconds after which an event that should have come has not
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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
                data = await self.response.content.readany()
                if not data:
                    raise EOFError
                self._events.extend(self.parser.feed(data))
        return self._events.pop(0)

    async def until(self, type: str) -> list[Received]:
        """The events before the next one of that type, and that one."""
        events = [await self.next()]
        while events[-1].type != type:
            events.append(await self.next())
        return events

    async def rest(self) -> list[Received]:
        """All events until the stream ends."""
        events = []
        try:
            while True:
                events.append(await self.next())
        except EOFError:
            return events


class Server:
    """A running hub, its address, and a client of it."""

    def __init__(self, app: web.Application, url: str, client: aiohttp.ClientSession) -> None:
        self.app = app
        self.url = url
        self.client = client

    @property
    def hub(self) -> Hub:
        return self.app[HUB]

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
        """The answer and what its JSON or text says."""
        async with self.client.request(method, self.url + path, **options) as response:
            text = await response.text()
            return response, await response.json(content_type=None) if "json" in response.content_type else text

    async def raw(self, request: bytes) -> bytes:
        """Everything that the server sends until it closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def serving(**changes: Any) -> AsyncIterator[Server]:
    """A server with these settings, without the demonstration feed."""
    async with running(create_app(Settings(**{"no_demo": True, **changes}))) as server:
        yield server


@asynccontextmanager
async def running(app: web.Application, certificate: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server of this application, by TLS if there is a certificate."""
    runner = make_runner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate)
    await site.start()
    url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
            yield Server(app, url, client)
    finally:
        await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


class Program:
    """`python sse_server.py` as a process."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "sse_server.py"), "--port", "0", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stderr is not None
        self.first_line = self.process.stderr.readline()
        match = re.search(r"https?://\S+:(\d+)/", self.first_line)
        self.url = match[0].rstrip("/") if match else ""
        self.port = int(match[1]) if match else 0

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; the exit status and the rest of stderr."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    """Starts the program with these arguments; what still runs at the end is killed."""
    started: list[Program] = []

    def start(*arguments: str, **environment: str) -> Program:
        started.append(Program(*arguments, **environment))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def tool(name: str, package: str) -> str:
    """Path of a program of the system; the test is skipped without it, but fails in CI."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        missing = f"{name} is missing: apt-get install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return path


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser."""
    others = (shutil.which(name) for name in ("chromium-browser", "google-chrome"))
    return next(filter(None, others), None) or tool("chromium", "chromium")


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """One person's browser, in whose tabs an error on the console fails the test."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # A refused request and a connection that was cut are logged by the browser itself, whatever the page does.
        if message.type == "error" and "ERR_" not in message.text and "Failed to load resource" not in message.text:
            errors.append(message.text)

    context = await browser.new_context(locale="en-GB", accept_downloads=True)
    context.on("console", note)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    await context.close()
    assert errors == []


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    return await context.new_page()


_store_names = itertools.count()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests that do it no harm; each has a prefix of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One that a test may kill."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def redis_store(shared_redis: RedisServer) -> str:
    return f"{shared_redis.url}?prefix=test{next(_store_names)}&grace=0"


@pytest.fixture
def sqlite_store(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'events.db'}"


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """Each store in turn."""
    name = request.param
    return name if name == "memory" else str(request.getfixturevalue(f"{name}_store"))


@pytest.fixture(params=["sqlite", "redis"])
def durable(request: pytest.FixtureRequest) -> str:
    """Each store that outlives the process."""
    return str(request.getfixturevalue(f"{request.param}_store"))

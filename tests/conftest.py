"""The fixtures: servers, programs, browsers and stores. The modules beside this one have all other helpers."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
from chromium import shared_chromium
from eventually import PATIENCE
from hubs import Server, serving
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect
from programs import ClientStart, Program, Start, free_port, start_client, tool
from redis_server import RedisServer
from rig import Rig
from tokens import SECRET

from sse_client import SSEClient, SyncClient

# Hypothesis' deadline of 200 ms for an example fails on a busy machine.
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")

# Playwright's five seconds are too few on a busy machine.
expect.set_options(timeout=PATIENCE * 1000)

# A shell starts a job in the background with SIGINT ignored. The programs that the tests interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The list of suggestions below the address is two pages more for each window. What else stands here, Playwright
    # switches off, too; its list is replaced by this one.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,"
    "MediaRouter,OptimizationHints,DestroyProfileOnBrowserClose",
    "--host-resolver-rules=MAP hub.lan 127.0.0.1",  # this machine, as a telephone in the same network has it
]


@pytest.fixture
def hub(program: Start) -> Program:
    """A hub in a process of its own."""
    return program("--no-demo")


@pytest.fixture
def client(hub: Program) -> Iterator[SyncClient]:
    """A client of that hub, for code without coroutines."""
    with SSEClient.sync(hub.url) as client:
        yield client


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A hub with the default settings."""
    async with serving() as running:
        yield running


@pytest.fixture
async def guarded() -> AsyncIterator[Server]:
    """A hub with a key: everything needs a token."""
    async with serving(jwt_key=SECRET) as running:
        yield running


@pytest.fixture
async def no_loop_debug() -> None:
    """For tests with thousands of connections or events: the debug mode keeps a stack for each handle of the event loop
    and makes them a third slower."""
    asyncio.get_running_loop().set_debug(False)


@pytest.fixture
def rig() -> Rig:
    """A hub without an event loop."""
    return Rig()


@pytest.fixture
def program() -> Iterator[Start]:
    """Starts the program with these arguments. It is killed at the end of the test."""
    started: list[Program] = []

    def start(*arguments: str, **variables: str) -> Program:
        started.append(Program(*arguments, **variables))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


@pytest.fixture
async def client_process() -> AsyncIterator[ClientStart]:
    """Starts `sse-client` with these arguments. It is killed at the end of the test."""
    started: list[asyncio.subprocess.Process] = []

    async def start(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
        started.append(await start_client(*arguments, **variables))
        return started[-1]

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def unused_tcp_port() -> int:
    """Replaces the plugins' own fixture. Its port may be given to a connection before a server listens at it."""
    return free_port()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser."""
    others = (shutil.which(name) for name in ("chromium-browser", "google-chrome"))
    return next(filter(None, others), None) or tool("chromium", "chromium")


@pytest.fixture(scope="session")
def chromium_address(chromium: str) -> Iterator[str]:
    """Where the browser of all tests can be reached."""
    with shared_chromium(chromium, CHROMIUM_ARGUMENTS) as address:
        yield address


@pytest.fixture
async def browser(chromium_address: str) -> AsyncIterator[Browser]:
    """A connection to the browser of all tests. Contexts that are made by it end with it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium_address)
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
    """A Redis for all tests that do not damage it. Each test has its own prefix. It writes nothing: a busy disk would
    stop it for seconds."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "no")
    yield server
    server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may kill."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def redis_store(shared_redis: RedisServer) -> str:
    return f"{shared_redis.store}&prefix=test{next(_store_names)}&grace=0"


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

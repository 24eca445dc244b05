"""What `response.Opening` relies on: aiohttp lets go of a connection that is taken over, and who took it has it all.

These fail when aiohttp changes what it means that a protocol's `transport` is None and its `connection_lost` is called.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from conftest import PATIENCE
from wire import parse, unchunked

from sse_hub.core.hub import Subscriber
from sse_hub.http.connection import Connection
from sse_hub.settings import Settings
from sse_server import HUB, create_app, make_runner

REQUEST = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"


class Raw:
    """A client that sees every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.body = b""

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while text not in self.body:
                data = await self.reader.read(1 << 16)
                assert data, self.body
                self.body += data


@asynccontextmanager
async def following(runner: web.AppRunner, request: bytes = REQUEST) -> AsyncIterator[Raw]:
    client = Raw(*await asyncio.open_connection(*runner.addresses[0][:2]))
    try:
        client.writer.write(request)
        await client.until(b"event: connected")
        yield client
    finally:
        client.writer.close()
        await client.writer.wait_closed()


@asynccontextmanager
async def running(app: web.Application, runner: web.AppRunner) -> AsyncIterator[web.AppRunner]:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner
    finally:
        await runner.cleanup()


@pytest.fixture
def app() -> web.Application:
    return create_app(Settings(no_demo=True, ping=0.02, request_timeout=0.1))


@pytest.fixture
async def runner(app: web.Application) -> AsyncIterator[web.AppRunner]:
    async with running(app, make_runner(app)) as runner:
        yield runner


async def test_an_open_stream_has_neither_a_task_nor_a_place_among_aiohttps_connections(
    app: web.Application, runner: web.AppRunner
) -> None:
    tasks = len(asyncio.all_tasks())
    async with following(runner):
        await asyncio.sleep(0)
        assert runner.server is not None
        assert runner.server.connections == []
        assert len(asyncio.all_tasks()) == tasks
        assert app[HUB].statistics().subscribers == 1


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left(*types: type) -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, types)]


@pytest.mark.usefixtures("without_collector")
async def test_nothing_of_a_request_is_left_while_its_stream_is_open(runner: web.AppRunner) -> None:
    async with following(runner), following(runner):
        await asyncio.sleep(0)
        assert left(web.BaseRequest, web.StreamResponse) == []


@pytest.mark.usefixtures("without_collector")
async def test_nothing_of_a_stream_is_left_once_its_client_has(app: web.Application, runner: web.AppRunner) -> None:
    async with following(runner), following(runner):
        pass
    async with asyncio.timeout(PATIENCE):
        while app[HUB].statistics().subscribers:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert left(Connection, Subscriber) == []


async def test_a_stream_outlives_the_time_that_an_idle_connection_has(
    app: web.Application, runner: web.AppRunner
) -> None:
    async with following(runner) as client:
        await client.until(b"7\r\n: ping\n\r\n" * 10)
        await app[HUB].publish("still here")
        await client.until(b"still here")


async def test_what_a_client_says_on_an_open_stream_is_not_answered(
    app: web.Application, runner: web.AppRunner
) -> None:
    async with following(runner, REQUEST + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        client.writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        await app[HUB].publish("first")
        await client.until(b"first")
        await app[HUB].publish("second")
        await client.until(b"second")
        assert client.body.count(b"HTTP/1.1 ") == 1


async def test_an_ended_stream_closes_its_connection_after_the_last_chunk(
    app: web.Application, runner: web.AppRunner
) -> None:
    async with following(runner) as client:
        await app.shutdown()
        async with asyncio.timeout(PATIENCE):
            client.body += await client.reader.read()
        head, _, body = client.body.partition(b"\r\n\r\n")
        assert b"Connection: close" in head
        assert body.endswith(b"0\r\n\r\n")
        assert [event.type for event in parse(unchunked(body))] == ["connected", "closing"]


@pytest.mark.parametrize("cancellation", [False, True])
async def test_a_middleware_that_waits_after_the_handler_is_not_cancelled_and_does_not_disturb_the_stream(
    app: web.Application, cancellation: bool
) -> None:
    waited = asyncio.Event()

    @web.middleware
    async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        await asyncio.sleep(0.01)
        waited.set()
        return response

    outer = web.Application(middlewares=[slow])
    outer.add_subapp("/events", app)
    request = b"GET /events/stream HTTP/1.1\r\nHost: x\r\n\r\n"
    outer_runner = web.AppRunner(outer, handler_cancellation=cancellation)
    async with running(outer, outer_runner) as runner, following(runner, request) as client:
        async with asyncio.timeout(PATIENCE):
            await waited.wait()
        await app[HUB].publish("x")
        await client.until(b"data: x")

"""Clients that leave at any moment, and those that do not answer: no place is kept, nothing is logged as a mistake."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp_sse import EventSourceResponse
from certificates import certify
from conftest import PATIENCE, Server, running

from sse_hub.http.app_keys import METRICS
from sse_hub.http.streams import STREAMS
from sse_hub.metrics import Metrics
from sse_hub.settings import Settings
from sse_server import create_app

GET = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Server]:
    """A server by TLS."""
    certificate = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.load_cert_chain(*certify(tmp_path, "localhost"))
    async with running(create_app(Settings(no_demo=True, send_timeout=0.4, drain=1.0)), certificate) as server:
        yield server


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect(server: Server, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    secure = trusting() if server.url.startswith("https") else None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=secure, limit=1024)
    writer.write(request)
    return reader, writer


async def nobody_is_there(server: Server) -> None:
    async with asyncio.timeout(PATIENCE):
        while server.hub.statistics().subscribers:
            await asyncio.sleep(0.01)


def failures(metrics: Metrics) -> list[object]:
    """Answers that say that the server made a mistake."""
    exposition, _ = metrics.exposition("text/plain")
    return [line for line in exposition.decode().splitlines() if 'status="500"' in line]


async def test_one_that_leaves_before_the_headers_are_sent_is_no_mistake(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        _, writer = await connect(server, GET)
        writer.transport.abort()
    async with server.stream() as stream:  # the others came before
        await stream.next()
    await nobody_is_there(server)
    assert failures(server.app[METRICS]) == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_one_that_leaves_in_the_middle_of_a_body_is_no_mistake(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        _, writer = await connect(server, b"POST /realtime/main HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        await asyncio.sleep(0.005)  # until its handler waits for the other half
        writer.transport.abort()
    response, _ = await server.post("/realtime/main", data="whole")
    assert response.status == 200
    assert failures(server.app[METRICS]) == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_one_that_leaves_at_the_moment_of_the_take_over_keeps_no_place(
    secure: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = EventSourceResponse.wait

    async def wait_and_lose(response: EventSourceResponse) -> None:
        await wait(response)
        assert response._req is not None
        assert response._req.transport is not None
        response._req.transport.abort()
        await asyncio.sleep(0)  # TLS has now sent the news on its way, to the protocol that is there

    monkeypatch.setattr(EventSourceResponse, "wait", wait_and_lose)
    reader, writer = await connect(secure, GET)
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()
    await nobody_is_there(secure)
    assert secure.app[STREAMS].subscribers() == []


async def test_one_that_has_sent_much_before_it_leaves_is_noticed(server: Server, secure: Server) -> None:
    for each in (server, secure):
        reader, writer = await connect(each, GET * 41)  # more than aiohttp reads ahead
        await reader.readuntil(b"event: connected")
        writer.close()
        await nobody_is_there(each)


async def test_one_that_does_not_read_holds_little_of_the_servers_memory(secure: Server) -> None:
    reader, writer = await connect(secure, GET)
    await reader.readuntil(b"event: connected")
    while not secure.hub.statistics().behind:
        await secure.hub.publish("x" * 50_000)
        await asyncio.sleep(0)
    (subscriber,) = secure.app[STREAMS].subscribers()
    queued_bytes = subscriber.queued_bytes
    assert isinstance(queued_bytes, int)
    assert queued_bytes < 256 << 10
    writer.transport.abort()


async def test_one_that_does_not_answer_the_end_of_tls_is_gone_after_the_send_timeout(secure: Server) -> None:
    reader, writer = await connect(secure, GET)
    await reader.readuntil(b"event: connected")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    (subscriber,) = secure.app[STREAMS].subscribers()
    assert secure.app[STREAMS].end(subscriber.id)
    async with asyncio.timeout(PATIENCE):
        while secure.app[STREAMS].subscribers():
            await asyncio.sleep(0.05)
    writer.transport.abort()

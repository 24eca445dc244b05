"""An event stream on the wire: its headers, the connection that is taken over from aiohttp, and clients that leave at
any moment or do not answer.

The tests of the take-over fail when aiohttp changes what it means that a protocol's `transport` is None and its
`connection_lost` is called.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from certificates import certify
from eventually import PATIENCE, eventually
from hubs import Server, mounted, running, serving
from sockets import Raw, crowd, get, raw
from wire import parse, unchunked

from sse_hub.core.hub import Subscriber
from sse_hub.http.app_keys import BUDGET, HUB
from sse_hub.http.connection import Connection
from sse_hub.http.streams import STREAMS
from sse_hub.settings import Settings
from sse_server import create_app

STREAM = get("/stream", Accept="text/event-stream")
either_way = pytest.mark.parametrize("request_", [STREAM, get("/stream")], ids=["at once", "by a task"])
"""Both ways to open a stream; see http/eager.py."""


@asynccontextmanager
async def following(server: Server, request: bytes = STREAM) -> AsyncIterator[Raw]:
    """A stream that has begun; its client closes the connection at the end."""
    async with raw(server.port, request) as client:
        await client.until(b"event: connected")
        yield client
        await client.close()


# The answer


async def test_a_stream_has_the_headers_that_keep_proxies_from_holding_it_back(server: Server) -> None:
    async with server.stream() as stream:
        headers = stream.response.headers
        assert headers["Content-Type"] == "text/event-stream"
        assert headers["Cache-Control"] == "no-cache, no-transform"
        assert headers["X-Accel-Buffering"] == "no"


async def test_a_body_in_chunks_is_well_formed_to_its_last_chunk_and_closes_the_connection(server: Server) -> None:
    async with raw(server.port, STREAM) as client:
        await client.until(b"event: connected")
        for data in "ab":
            await server.hub.publish(data)
        await server.app.shutdown()
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert body.endswith(b"0\r\n\r\n")
    assert [event.type for event in parse(unchunked(body))] == ["connected", "message", "message", "closing"]


# Taking over


@either_way
async def test_an_open_stream_has_neither_a_task_nor_a_place_among_aiohttps_connections(
    server: Server, request_: bytes
) -> None:
    tasks = asyncio.all_tasks()
    async with following(server, request_):
        await eventually(lambda: server.connections == 0)
        assert asyncio.all_tasks() == tasks
        assert server.hub.statistics().subscribers == 1


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left(*types: type) -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, types)]


@either_way
@pytest.mark.usefixtures("without_collector")
async def test_nothing_of_a_request_is_left_while_its_stream_is_open(server: Server, request_: bytes) -> None:
    async with following(server, request_), following(server, request_):
        await eventually(lambda: server.connections == 0)
        await eventually(lambda: not left(web.BaseRequest, web.StreamResponse))


@either_way
@pytest.mark.usefixtures("without_collector")
async def test_nothing_of_a_stream_is_left_once_its_client_has_gone(server: Server, request_: bytes) -> None:
    async with following(server, request_), following(server, request_):
        pass
    await server.until_subscribers(0)
    await eventually(lambda: not left(Connection, Subscriber))


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("no_loop_debug")
async def test_five_thousand_connects_and_disconnects_leave_no_object_and_no_file(server: Server) -> None:
    async def come_and_go(times: int) -> tuple[int, int]:
        for _ in range(times):
            async with crowd(server.port, 250, STREAM) as clients:
                await asyncio.gather(*(client.until(b"event: connected") for client in clients))
                await asyncio.gather(*(client.close() for client in clients))
        await server.until_subscribers(0)
        await eventually(lambda: server.connections == 0)
        gc.collect()
        return len(gc.get_objects()), psutil.Process().num_fds()

    objects_before, files_before = await come_and_go(4)
    objects, files = await come_and_go(16)
    assert objects < objects_before + 400  # one object of each of these 4,000 would be ten times as many
    assert files <= files_before + 2


async def test_a_stream_outlives_the_time_that_an_idle_connection_has() -> None:
    async with serving(ping=0.1, request_timeout=1.5) as server, following(server) as client:
        await client.until(b"7\r\n: ping\n\r\n" * 20)
        await server.hub.publish("still here")
        await client.until(b"still here")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has this option")
async def test_the_kernel_ends_the_connection_of_a_client_that_has_vanished_after_the_send_timeout() -> None:
    async with serving(send_timeout=7) as server, following(server):
        assert kernel_timeout_ms(server.port) == 7000


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has this option")
async def test_the_kernel_does_so_too_where_the_hub_is_mounted_in_another_application() -> None:
    outer = web.Application()
    outer.add_subapp("/events", create_app(Settings(no_demo=True, send_timeout=7)))
    async with mounted(outer) as url:
        port = int(url.rpartition(":")[2])
        async with raw(port, get("/events/stream", Accept="text/event-stream")) as client:
            await client.until(b"event: connected")
            assert kernel_timeout_ms(port) == 7000


def kernel_timeout_ms(port: int) -> int:
    """The time after which the kernel ends the only connection that was accepted at this port."""
    (fd,) = [each.fd for each in psutil.Process().net_connections("tcp4") if is_accepted(each, port)]
    with socket.socket(fileno=os.dup(fd)) as accepted:
        return accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


async def test_a_send_timeout_that_is_too_long_for_the_kernel_is_no_mistake() -> None:
    async with serving(send_timeout=1e9) as server, following(server):
        assert server.hub.statistics().subscribers == 1


def is_accepted(connection: Any, port: int) -> bool:
    """Whether it is the server's end of a connection to this port."""
    return bool(connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port)


async def test_requests_that_a_client_sends_on_an_open_stream_are_not_answered(server: Server) -> None:
    async with following(server, STREAM + get("/health")) as client:
        client.send(get("/health") * 100)
        for data in (b"first", b"second"):
            await server.hub.publish(data.decode())
            await client.until(data)
        assert client.received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("cancellation", [False, True])
async def test_a_middleware_that_waits_after_the_handler_is_not_cancelled_and_does_not_disturb_the_stream(
    cancellation: bool,
) -> None:
    begun, waited = asyncio.Event(), asyncio.Event()

    @web.middleware
    async def slow(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        await begun.wait()
        waited.set()
        return response

    hub = create_app(Settings(no_demo=True))
    outer = web.Application(middlewares=[slow])
    outer.add_subapp("/events", hub)
    async with mounted(outer, handler_cancellation=cancellation) as url, asyncio.timeout(PATIENCE):
        async with raw(int(url.rpartition(":")[2]), get("/events/stream")) as client:
            await client.until(b"event: connected")
            begun.set()
            await waited.wait()
            await hub[HUB].publish("x")
            await client.until(b"data: x")


# Leaving


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    certificate = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.load_cert_chain(*certify(tmp_path, "localhost"))
    return certificate


@pytest.fixture
async def secure(certificate: ssl.SSLContext) -> AsyncIterator[Server]:
    """A server by TLS."""
    async with running(create_app(Settings(no_demo=True, drain=1.0)), certificate) as server:
        yield server


@pytest.fixture
def trusting() -> ssl.SSLContext:
    """A client by TLS that does not look at certificates."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def no_mistake(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """No answer was a 500, and no error was logged."""
    _, exposition = await server.get("/metrics", headers={"Accept": "text/plain"})
    assert 'status="200"' in exposition
    assert 'status="500"' not in exposition
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_client_that_leaves_before_the_headers_are_sent_is_no_mistake(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        async with raw(server.port, STREAM):
            pass
    async with server.stream() as stream:  # the others came before
        await stream.next()
    await server.until_subscribers(0)
    await no_mistake(server, caplog)


@pytest.mark.parametrize("length", ["Content-Length: 9", "Transfer-Encoding: chunked"])
async def test_the_body_of_a_request_for_a_stream_is_not_waited_for(
    server: Server, caplog: pytest.LogCaptureFixture, length: str
) -> None:
    # Python's `requests` and others send a body after the headers, if there is one.
    async with following(server, STREAM.replace(b"\r\n\r\n", f"\r\n{length}\r\n\r\n".encode())) as client:
        await eventually(lambda: server.connections == 0)
        client.send(b'{"a": 1}\n')
        await server.hub.publish("x")
        await client.until(b"data: x")
    await server.until_subscribers(0)
    await no_mistake(server, caplog)


async def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_mistake(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    half = b"POST /realtime/main HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"
    for _ in range(20):
        async with raw(server.port, half):
            await eventually(lambda: server.app[BUDGET].bytes == len("half"))
        await eventually(lambda: server.app[BUDGET].bytes == 0)
    assert await server.status("/realtime/main", "POST", data="whole") == 200
    await no_mistake(server, caplog)


async def test_a_client_that_leaves_at_the_moment_of_the_take_over_keeps_no_place(
    certificate: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    requests: list[web.Request] = []

    async def lose(request: web.Request, _: web.StreamResponse) -> None:
        requests.append(request)
        assert request.transport is not None
        request.transport.abort()
        await asyncio.sleep(0)  # one turn: TLS has now sent the news on its way, to the protocol that is there

    app = create_app(Settings(no_demo=True))
    app.on_response_prepare.append(lose)
    async with running(app, certificate) as server:
        async with raw(server.port, STREAM, tls=trusting) as client:
            await client.rest()
        assert len(requests) == 1
        await server.until_subscribers(0)
        assert app[STREAMS].subscribers(0, 9) == []


@pytest.mark.parametrize("by_tls", [False, True])
async def test_a_client_that_has_sent_much_before_it_leaves_is_noticed(
    server: Server, secure: Server, trusting: ssl.SSLContext, by_tls: bool
) -> None:
    asked = secure if by_tls else server
    async with raw(
        asked.port, STREAM * 41, tls=trusting if by_tls else None
    ) as client:  # more than aiohttp reads ahead
        await client.until(b"event: connected")
    await asked.until_subscribers(0)


async def test_a_client_that_does_not_read_holds_little_of_the_servers_memory(
    secure: Server, trusting: ssl.SSLContext
) -> None:
    sent_bytes = 0

    async def behind() -> int:
        nonlocal sent_bytes
        await secure.hub.publish("x" * 50_000)
        sent_bytes += 50_000
        return secure.hub.statistics().behind

    async with raw(secure.port, STREAM, tls=trusting, window_bytes=4096) as client:
        await client.until(b"event: connected")
        client.freeze()
        await eventually(behind)
        (subscriber,) = secure.app[STREAMS].subscribers(0, 9)
        assert isinstance(subscriber.queued_bytes, int)
        assert subscriber.queued_bytes < 256 << 10


async def test_a_client_that_does_not_answer_the_end_of_tls_is_gone_after_the_send_timeout(
    certificate: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    app = create_app(Settings(no_demo=True, send_timeout=0.4))
    async with running(app, certificate) as server, raw(server.port, STREAM, tls=trusting) as client:
        await client.until(b"event: connected")
        client.freeze()
        (subscriber,) = app[STREAMS].subscribers(0, 9)
        assert app[STREAMS].end(subscriber.id)
        await eventually(lambda: not app[STREAMS].subscribers(0, 9))

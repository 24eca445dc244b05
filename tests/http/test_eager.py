"""Requests that are answered at once, and all that a connection does with them: several in a packet, a part of one,
handlers that wait, errors, ends.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from cryptography.hazmat.primitives.asymmetric import ec
from eventually import eventually
from hubs import mounted, serving
from sockets import Raw, get, raw
from tokens import bearer
from turns import most_in_a_turn

from sse_hub import Draft, Hub
from sse_hub.http.eager import EagerServer
from sse_hub.http.streams import HANDSHAKES, SEARCHES
from sse_hub.logs import request_id
from sse_hub.settings import Settings
from sse_server import HUB, create_app, make_runner


def post(body: str, path: str = "/realtime/main", *lines: str) -> bytes:
    """A request to publish."""
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *lines, "", body]
    return "\r\n".join(head).encode()


class Wire(asyncio.Transport):
    """The server's end of a connection whose client is this test. It keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80)})
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        self.lose()

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def lose(self) -> None:
        """The client leaves."""
        assert isinstance(self._protocol, asyncio.Protocol)
        self._protocol.connection_lost(None)


STREAM = get("/realtime/main", Accept="text/event-stream")


async def answers(client: Raw, count: int) -> list[str]:
    """The statuses of the answers so far, at least so many."""
    while len(found := re.findall(rb"HTTP/1.[01] (\d+)", client.received)) < count:
        await client.read()
    return [status.decode() for status in found]


@asynccontextmanager
async def several(count: int) -> AsyncIterator[tuple[list[tuple[RequestHandler, Wire]], Hub]]:
    """Connections that wait for requests, their transports, and the hub."""
    app = create_app(Settings(no_demo=True))
    runner = make_runner(app)
    await runner.setup()
    try:
        assert runner.server is not None
        connections = [(runner.server(), Wire()) for _ in range(count)]
        for connection, wire in connections:
            wire.set_protocol(connection)
            connection.connection_made(wire)
        await asyncio.sleep(0)  # a turn, in which the connections begin to wait
        yield connections, app[HUB]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def wired() -> AsyncIterator[tuple[RequestHandler, Wire, Hub]]:
    """One of them."""
    async with several(1) as ([(connection, wire)], hub):
        yield connection, wire, hub


async def test_a_publish_is_answered_in_the_call_that_brings_its_bytes() -> None:
    async with wired() as (connection, wire, _):
        connection.data_received(post("a"))
        assert b"HTTP/1.1 200 OK" in wire.written


async def test_a_stream_is_opened_in_the_call_that_brings_its_request() -> None:
    async with wired() as (connection, wire, hub):
        connection.data_received(STREAM)
        assert b"event: connected" in wire.written
        assert hub.statistics().subscribers == 1
        wire.lose()
        assert hub.statistics().subscribers == 0


async def test_streams_beyond_those_of_a_turn_are_opened_in_later_turns() -> None:
    async with several(2 * HANDSHAKES + 1) as (connections, _):
        for connection, _ in connections:
            connection.data_received(STREAM)
        assert [b"event: connected" in wire.written for _, wire in connections].count(True) == HANDSHAKES
        await eventually(lambda: all(b"event: connected" in wire.written for _, wire in connections))


@pytest.mark.parametrize("query", ["replay=5", "replay=latest", "from=start", "lastEventId=1-0"])
async def test_searches_for_the_beginnings_of_streams_take_turns(query: str) -> None:
    async with several(5 * SEARCHES) as (connections, hub):
        await hub.publish("a", channel="s.1")

        def opened() -> int:
            return sum(b"event: connected" in wire.written for _, wire in connections)

        async def open_all() -> None:
            for connection, _ in connections:
                connection.data_received(get(f"/stream?channel=s.*&{query}", Accept="text/event-stream"))
            await eventually(lambda: opened() == len(connections))

        # Twice as many in the turn in which the first ones that wait become tasks.
        assert await most_in_a_turn(open_all(), opened) <= 2 * SEARCHES < HANDSHAKES


async def test_few_pages_are_made_in_a_turn_though_many_streams_resume_at_different_cursors() -> None:
    async with several(HANDSHAKES) as (connections, hub):
        drafts = [Draft("main", "message", f"event {number}.") for number in range(900)]
        ids = [event.id for event in await hub.publish_all(drafts)]

        async def resume_all() -> None:
            for (connection, _), id in zip(connections, ids, strict=False):
                connection.data_received(get(f"/realtime/main?lastEventId={id}", Accept="text/event-stream"))
            await eventually(lambda: hub.statistics().subscribers - hub.statistics().behind == HANDSHAKES)

        # Each page costs nearly 1,000. A turn has time for two, and for as many before the count begins anew.
        assert await most_in_a_turn(resume_all(), lambda: hub.pages.cost) <= 4000
        for number, (_, wire) in enumerate(connections, 1):
            seen = re.findall(rb"data: event (\d+)\.", wire.written)
            assert [int(each) for each in seen] == list(range(number, 900))


async def test_a_refused_stream_leaves_the_connection_usable() -> None:
    wrong = get("/stream?channel=a%20b", Accept="text/event-stream")
    async with serving() as server, raw(server.port, wrong) as client:
        assert await answers(client, 1) == ["400"]
        client.send(STREAM)
        await client.until(b"event: connected")


async def test_a_stream_is_opened_after_publishes_on_its_connection() -> None:
    async with serving() as server, raw(server.port, post("a") + post("b")) as client:
        await answers(client, 2)
        client.send(STREAM)
        await client.until(b"event: connected")
        await server.hub.publish("c")
        await client.until(b"data: c")


async def test_a_publish_that_waits_is_not_begun_again_by_the_bytes_that_follow_it() -> None:
    batch = post("\n".join(map(str, range(600))), "/realtime/main", "Content-Type: application/x-ndjson")
    async with wired() as (connection, wire, hub):
        connection.data_received(batch)
        connection.data_received(post("b")[:30])
        connection.data_received(post("b")[30:])
        await eventually(lambda: wire.written.count(b"HTTP/1.1 200 OK") == 2)
        assert b'"count":600' in wire.written
        assert hub.statistics().published == 601


async def test_a_client_that_reads_nothing_gets_one_answer_more() -> None:
    async with wired() as (connection, wire, hub):
        connection.pause_writing()
        connection.data_received(post("a"))
        await eventually(lambda: b"HTTP/1.1 200 OK" in wire.written)
        connection.data_received(post("b"))
        await asyncio.sleep(0)  # a turn, in which a task could answer
        assert wire.written.count(b"HTTP/1.1 200 OK") == hub.statistics().published == 1
        connection.resume_writing()
        await eventually(lambda: wire.written.count(b"HTTP/1.1 200 OK") == 2)


@pytest.mark.parametrize("release", ["3.14.0", "3.14.3", "3.14.6", "3.15.0"])
async def test_with_an_unknown_release_of_aiohttp_a_publish_is_answered_by_its_task(
    release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp, "__version__", release)
    async with wired() as (connection, wire, _):
        connection.data_received(post("a"))
        assert not wire.written
        await eventually(lambda: b"HTTP/1.1 200 OK" in wire.written)


async def test_publishes_in_one_packet_are_answered_in_their_order() -> None:
    async with serving() as server, raw(server.port, b"".join(map(post, "abc"))) as client:
        assert await answers(client, 3) == ["200"] * 3
        assert await server.retained("main") == ["a", "b", "c"]


async def test_publishes_one_after_the_other_share_a_connection() -> None:
    async with serving() as server, raw(server.port, post("a")) as client:
        for count, body in enumerate("bcd", 2):
            await answers(client, count - 1)
            client.send(post(body))
        assert await answers(client, 4) == ["200"] * 4
        assert await server.retained("main") == ["a", "b", "c", "d"]


async def test_requests_in_one_packet_are_answered_after_many_publishes() -> None:
    count = 40  # aiohttp's parser stops at 32 requests that nothing has taken
    async with serving() as server, raw(server.port, post("a")) as client:
        for done in range(1, count):
            await answers(client, done)
            client.send(post("a"))
        await answers(client, count)
        client.send(get("/health") * 2)
        assert await answers(client, count + 2) == ["200"] * (count + 2)


async def test_a_publish_and_the_beginning_of_the_next_are_each_answered_once() -> None:
    second = post("b")
    async with serving() as server, raw(server.port, post("a") + second[:30]) as client:
        await answers(client, 1)
        client.send(second[30:])
        await answers(client, 2)
        assert await server.retained("main") == ["a", "b"]


async def test_a_publish_whose_body_comes_later_is_answered() -> None:
    async with serving() as server, raw(server.port, post("a")) as client:
        await answers(client, 1)
        client.send(post("bcd")[:-2])
        await server.status("/health")  # by another connection; meanwhile, the beginning has arrived
        client.send(b"cd")
        assert await answers(client, 2) == ["200", "200"]
        assert await server.retained("main") == ["a", "bcd"]


async def test_a_publish_that_waits_is_answered_and_its_connection_stays_usable() -> None:
    async with serving() as server, raw(server.port, post("a", "/realtime/main", "Idempotency-Key: k")) as client:
        await answers(client, 1)
        client.send(post("a", "/realtime/main", "Idempotency-Key: k") + post("b"))
        assert await answers(client, 3) == ["200"] * 3
        assert await server.retained("main") == ["a", "b"]


async def test_two_requests_may_wait_for_the_same_future() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=await future)

    server, wires = EagerServer(web.Server(handle), Settings(), handle), (Wire(), Wire())
    connections = [server(), server()]
    for connection, wire in zip(connections, wires, strict=True):
        connection.connection_made(wire)
    await asyncio.sleep(0)  # a turn, in which the connections begin to wait
    for connection in connections:
        connection.data_received(post("a"))
    future.set_result("found")
    await eventually(lambda: all(b"found" in wire.written for wire in wires))
    server.pre_shutdown()
    await server.shutdown(1)


async def test_a_handler_that_waits_is_cancelled_when_the_server_ends() -> None:
    ends = []

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        try:
            return web.Response(text=await asyncio.get_running_loop().create_future())
        except BaseException as error:
            ends.append(type(error))
            raise

    server, wire = EagerServer(web.Server(handle), Settings(), handle), Wire()
    connection = server()
    connection.connection_made(wire)
    await asyncio.sleep(0)  # a turn, in which the connection begins to wait
    connection.data_received(post("a"))
    await server.shutdown(0.01)
    await eventually(lambda: ends == [asyncio.CancelledError])


async def test_log_lines_of_a_publish_that_waits_have_its_id() -> None:
    issuer = web.Application()
    issuer.router.add_get("/keys", keys)
    lines = Lines()
    logging.getLogger("sse_hub.access").addHandler(lines)
    async with mounted(issuer) as url, serving(jwks_url=f"{url}/keys") as server:
        key = ec.generate_private_key(ec.SECP256R1())
        headers = bearer((), ["*"], key=key, algorithm="ES256", headers={"kid": "unknown"})
        response, _ = await server.post("/realtime/main", data="x", headers=headers)
        assert response.status == 401
    assert lines.ids == [response.headers["X-Request-ID"]]


async def keys(_: web.Request) -> web.Response:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return web.json_response({"keys": [{**jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True), "kid": "known"}]})


class Lines(logging.Handler):
    """Notes which request each line of the log belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str | None] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.ids.append(request_id.get())


async def test_a_refused_publish_leaves_the_connection_usable() -> None:
    async with serving() as server, raw(server.port, post("a", "/realtime/main?event=%07")) as client:
        await answers(client, 1)
        client.send(post("b"))
        assert await answers(client, 2) == ["400", "200"]


async def test_a_request_that_is_no_http_ends_the_connection_after_a_publish() -> None:
    async with serving() as server, raw(server.port, post("a")) as client:
        await answers(client, 1)
        client.send(b"no HTTP\r\n\r\n")
        await client.rest()
        assert await answers(client, 0) == ["200", "400"]


@pytest.mark.parametrize("head", ["Connection: close", "Expect: 100-continue"])
async def test_unusual_publishes_are_answered_too(head: str) -> None:
    async with serving() as server, raw(server.port, post("a", "/realtime/main", head)) as client:
        await client.until(b'"subscribers":0}')
        assert await server.retained("main") == ["a"]


async def test_a_publish_that_asks_for_another_protocol_leaves_the_connection_usable() -> None:
    upgrade = post("a", "/realtime/main", "Connection: upgrade", "Upgrade: websocket")
    async with serving() as server, raw(server.port, upgrade) as client:
        await answers(client, 1)
        client.send(post("b"))
        assert await answers(client, 2) == ["200", "200"]


async def test_a_publish_may_end_its_connection() -> None:
    async with serving() as server:
        assert b"HTTP/1.1 200 OK" in await server.exchange(post("a", "/realtime/main", "Connection: close"))


async def test_a_publish_is_in_the_log_of_requests(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sse_hub.requests")
    async with serving(access_log=True) as server, raw(server.port, post("a")) as client:
        await answers(client, 1)
        await eventually(lambda: "sse_hub.requests" in [record.name for record in caplog.records])


async def test_a_connection_ends_when_it_is_idle_after_a_publish() -> None:
    async with serving(request_timeout=1.5) as server, raw(server.port, post("a")) as client:
        await client.rest()
        assert await answers(client, 0) == ["200"]


@pytest.mark.usefixtures("no_loop_debug")
async def test_a_client_that_reads_late_gets_all_answers() -> None:
    count = 3000  # their answers do not fit into the buffers
    async with serving() as server, raw(server.port, window_bytes=1 << 16) as client:
        client.freeze()
        client.send(post("a") * (count - 1) + post("a", "/realtime/main", "Connection: close"))
        await eventually(lambda: server.hub.statistics().published)
        client.thaw()
        await client.rest()
        assert await answers(client, 0) == ["200"] * count
        assert server.hub.statistics().published == count

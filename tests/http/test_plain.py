"""`plain=1`: only what was published, for readers that know no hub."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from eventually import eventually
from hubs import serving
from redis_server import RedisServer
from sockets import get, raw

PLAIN = "/realtime/run?plain=1&from=start"


async def test_a_plain_stream_has_nothing_of_the_hubs_own(store: str) -> None:
    async with serving(store=store) as server, server.stream(PLAIN) as stream:
        await server.until_subscribers(1)
        first = await server.hub.publish("a", channel="run", event="token")
        await server.hub.publish("b\nc", channel="run")
        await server.hub.end("run")
        received = await stream.response.content.read()
        assert received.startswith(f"id: {first}\nevent: token\ndata: a\n\nid: ".encode())
        assert received.endswith(b"\ndata: b\ndata: c\n\n")


@pytest.mark.parametrize("query", ["", "&envelope=1", "&conflate=50", "&replay=5"])
async def test_a_plain_stream_ends_well_with_its_channel(query: str) -> None:
    async with serving() as server:
        path = f"/realtime/run?plain=1{query}"
        async with server.stream(path) as early:
            await server.until_subscribers(1)
            await server.hub.publish("a", channel="run")
            await server.hub.end("run")
            assert len(await early.rest()) == 1
        async with server.stream(path + ("" if "replay" in query else "&from=start")) as late:
            assert len(await late.rest()) == 1


async def test_a_plain_reader_that_has_everything_gets_204_though_it_never_got_the_end(store: str) -> None:
    async with serving(store=store) as server:
        ids = [str(await server.hub.publish(text, channel="run")) for text in "ab"]
        await server.hub.end("run")
        assert await server.status(PLAIN, headers={"Last-Event-ID": ids[0]}) == 200
        assert await server.status(PLAIN, headers={"Last-Event-ID": ids[1]}) == 204


async def test_a_beginning_that_is_gone_is_410(store: str) -> None:
    async with serving(store=store, history=2) as server:
        ids = [str(await server.hub.publish(str(number), channel="run")) for number in range(5)]
        await server.until_trimmed("run", 2)
        response, problem = await server.get(PLAIN)
        assert (response.status, problem["status"]) == (410, 410)
        assert await server.status(PLAIN, headers={"Last-Event-ID": ids[0]}) == 410
        async with server.stream(PLAIN, {"Last-Event-ID": ids[2]}) as stream:
            assert [event.data for event in await stream.take(2)] == ["3", "4"]


async def test_a_state_that_passes_is_503_with_retry_after() -> None:
    async with serving(max_subscribers=1) as server, server.stream("/stream") as first:
        await first.next()
        response, _ = await server.get(PLAIN)
        assert response.status == 503
        assert int(response.headers["Retry-After"]) >= 1


async def test_while_the_server_ends_a_plain_stream_is_503_with_retry_after() -> None:
    async with serving() as server:
        await server.app.shutdown()
        response, problem = await server.get(PLAIN)
        assert (response.status, problem["detail"].startswith("The server is ending.")) == (503, True)
        assert int(response.headers["Retry-After"]) >= 1


async def test_while_the_store_is_away_a_plain_stream_is_503_with_retry_after(redis: RedisServer) -> None:
    async with serving(store=redis.store) as server:
        await asyncio.to_thread(redis.stop)
        await server.until_status("degraded")
        response, problem = await server.get(PLAIN)
        assert (response.status, problem["detail"].startswith("Redis cannot be used")) == (503, True)
        assert int(response.headers["Retry-After"]) >= 1


async def test_a_plain_stream_that_loses_something_breaks_off() -> None:
    async with serving() as server:
        async with server.stream(PLAIN) as stream:
            await server.until_subscribers(1)
            await server.hub.publish("a", channel="run")
            await stream.next()
            await server.ask("DELETE", "/realtime/run")
            with pytest.raises(aiohttp.ClientPayloadError):
                await stream.rest()
        assert await server.figure('sse_streams_ended_total{reason="incomplete"}') == 1


async def test_a_plain_stream_breaks_off_when_the_server_ends() -> None:
    async with serving() as server, server.stream(PLAIN) as stream:
        await server.until_subscribers(1)
        await server.app.shutdown()
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.rest()


async def test_a_plain_stream_of_http_1_0_that_breaks_off_is_reset() -> None:
    async with serving() as server, raw(server.port, get(PLAIN, "1.0")) as client:
        await server.until_subscribers(1)
        await server.hub.publish("a", channel="run")
        await client.until(b"data: a\n\n")
        await server.app.shutdown()
        with pytest.raises(ConnectionResetError):
            await client.read()


async def test_a_slow_plain_reader_that_loses_something_breaks_off() -> None:
    async with serving(history=5) as server, raw(server.port, get(PLAIN), window_bytes=4096) as client:
        await server.until_subscribers(1)
        for number in range(200):
            await server.hub.publish(f"{number} " + "x" * 50_000, channel="run")
        await eventually(lambda: server.hub.statistics().behind == 1)
        received = await client.rest()
        assert b"event: lost" not in received
        assert not received.endswith(b"0\r\n\r\n")

"""Event streams: their beginning, their events, and their end."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from eventually import PATIENCE, eventually
from hubs import Server, running, serving
from sockets import crowd, get, raw
from tokens import bearer
from turns import most_in_a_turn
from wire import parse, unchunked

from sse_hub.http.streams import STREAMS
from sse_server import Settings, create_app

PROXY = {"trusted_proxies": (ip_network("127.0.0.1"),)}


async def refusal(server: Server, path: str = "/stream", **headers: str) -> Any:
    """The problem in a stream that asks the client to try again."""
    async with server.stream(path, headers) as stream:
        (event,) = await stream.rest()
        assert event.type == "error"
        return json.loads(event.data)


async def test_every_connection_gets_a_retry_of_its_own_within_half_and_one_and_a_half(server: Server) -> None:
    drawn = set()
    for _ in range(8):
        async with server.stream() as stream:
            await stream.next()
            assert stream.parser.retry_ms is not None
            assert 1500 <= stream.parser.retry_ms <= 4500
            drawn.add(stream.parser.retry_ms)
    assert len(drawn) > 1  # all eight are equal by chance once in 10**24 runs


async def test_a_ping_is_one_line_so_that_no_reader_takes_it_for_an_event() -> None:
    async with serving(ping=0.05) as server, server.stream() as stream:
        await stream.until("connected")
        data = await asyncio.wait_for(stream.response.content.readany(), PATIENCE)
        assert data == b": ping\n"


async def test_a_subscriber_too_many_is_asked_to_come_back_by_a_200() -> None:
    async with serving(max_subscribers=1) as server, server.stream() as first:
        await first.next()
        async with server.stream() as second:
            (event,) = await second.rest()
            assert event.type == "error"
            assert event.json()["status"] == 503
            assert second.parser.retry_ms is not None


async def test_a_frozen_subscriber_delays_no_other_is_bounded_and_is_aborted_after_the_send_timeout() -> None:
    async with serving(send_timeout=1.0) as server, server.stream() as stream:
        await stream.until("connected")
        async with raw(server.port, get("/stream"), window_bytes=4096):
            await server.until_subscribers(2)
            for number in range(300):
                await server.hub.publish(f"{number} " + "x" * 50_000)
                assert (await stream.next()).data.startswith(f"{number} ")

            async def aborted() -> bool:
                await server.hub.publish("still here")
                assert (await stream.next()).data == "still here"
                return server.hub.statistics().subscribers == 1

            await eventually(aborted)
            assert await server.figure('sse_streams_ended_total{reason="stalled"}') == 1


async def test_a_frozen_subscriber_is_behind_and_holds_a_bounded_buffer() -> None:
    async with serving() as server, raw(server.port, get("/stream"), window_bytes=4096):
        await server.until_subscribers(1)
        for number in range(300):  # 15 MB
            await server.hub.publish(f"{number} " + "x" * 50_000)
            await asyncio.sleep(0)  # a turn, in which it is flushed
        assert server.hub.statistics().behind == 1
        (subscriber,) = server.app[STREAMS].subscribers(0, 9)
        assert isinstance(subscriber.queued_bytes, int)
        assert 0 < subscriber.queued_bytes < 1 << 20


async def test_a_slow_subscriber_is_informed_of_its_losses_and_goes_on() -> None:
    async with serving(history=5) as server, raw(server.port, get("/stream"), window_bytes=4096) as client:
        await server.until_subscribers(1)
        for number in range(200):
            await server.hub.publish(f"{number} " + "x" * 50_000)
            await asyncio.sleep(0)  # a turn, in which it is flushed
        await client.until(b"data: 199 ")
        await server.hub.publish("the end")
        _, _, body = (await client.until(b"data: the end\n\n\r\n")).partition(b"\r\n\r\n")
    events = parse(unchunked(body))
    assert "lost" in [event.type for event in events]
    numbers = [int(event.data.split()[0]) for event in events if event.data.endswith("x")]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 199
    assert len(numbers) < 200


async def test_a_client_that_leaves_is_forgotten_before_the_next_event(server: Server) -> None:
    async with server.stream() as stream:
        await stream.until("connected")
    await server.until_subscribers(0)


async def test_draining_says_goodbye_to_each_with_a_retry_of_its_own() -> None:
    async with serving() as server, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(server.stream()) for _ in range(8)]
        for stream in streams:
            await stream.until("connected")
            stream.parser.retry_ms = None
        await server.app.shutdown()
        for stream in streams:
            assert [event.type for event in await stream.rest()] == ["closing"]
        retries = [stream.parser.retry_ms for stream in streams]
        assert None not in retries
        assert len(set(retries)) > 1  # all eight are equal by chance once in 10**24 runs


async def test_a_server_that_drains_begins_no_stream_and_its_health_says_so() -> None:
    async with serving() as server:
        await server.app.shutdown()
        assert (await refusal(server))["detail"].startswith("The server is ending.")
        response, answer = await server.get("/health")
        assert (response.status, answer["status"]) == (503, "draining")


async def test_a_stream_that_begins_while_draining_does_ends_with_closing() -> None:
    async def drain(_: web.Request, response: web.StreamResponse) -> None:
        if response.content_type == "text/event-stream":
            draining.append(asyncio.create_task(server.app.shutdown()))
            await eventually(lambda: server.app[STREAMS].draining)

    draining: list[asyncio.Task[None]] = []
    app = create_app(Settings(no_demo=True))
    app.on_response_prepare.append(drain)
    async with running(app) as server:
        async with server.stream() as stream:
            assert [event.type for event in await stream.rest()] == ["connected", "closing"]
        await draining[0]


async def test_subscribers_in_all_are_limited() -> None:
    async with serving(max_subscribers=1) as server, server.stream() as first:
        await first.next()
        assert "--max-subscribers)" in (await refusal(server))["detail"]
        assert await server.hits("subscribers") == 1


async def test_no_proxy_keeps_or_changes_the_answer_of_a_hub_that_is_full() -> None:
    async with serving(max_subscribers=1) as server, server.stream() as first:
        await first.next()
        async with server.stream() as refused:
            assert refused.response.headers["X-Accel-Buffering"] == "no"
            assert refused.response.headers["Cache-Control"] == "no-cache, no-transform"


async def test_subscribers_of_an_address_are_limited_and_others_get_their_places() -> None:
    async with serving(max_subscribers_per_address=1, **PROXY) as server:
        async with server.stream("/stream", {"X-Forwarded-For": "192.0.2.1"}) as first:
            await first.next()
            problem = await refusal(server, **{"X-Forwarded-For": "192.0.2.1"})
            assert "192.0.2.1" in problem["detail"]
            async with server.stream("/stream", {"X-Forwarded-For": "192.0.2.2"}) as other:
                assert (await other.next()).type == "connected"
        assert await server.hits("address") == 1


async def test_a_place_is_free_again_when_its_subscriber_has_left() -> None:
    async with serving(max_subscribers=1) as server:
        async with server.stream() as first:
            await first.next()
        await server.until_subscribers(0)
        async with server.stream() as second:
            assert (await second.next()).type == "connected"


async def test_a_live_subscriber_of_a_channel_that_had_to_go_misses_nothing() -> None:
    async with serving(max_channels=1) as server, server.stream("/stream?channel=a&channel=b") as stream:
        await stream.next()
        for number in range(6):
            await server.hub.publish(str(number), channel="ab"[number % 2])
        events = [await stream.next() for _ in range(6)]
        assert [(event.type, event.data) for event in events] == [("message", str(number)) for number in range(6)]


async def test_replays_and_endings_are_counted(server: Server) -> None:
    id = await server.hub.publish("x")
    for query in ("", "?replay=1", f"?lastEventId={id}", "?lastEventId=1-0"):
        async with server.stream(f"/stream{query}") as stream:
            await stream.next()
    await server.until_subscribers(0)
    for outcome in ("replayed", "resumed", "lost"):
        assert await server.figure(f'sse_replays_total{{outcome="{outcome}"}}') == 1
    assert await server.figure('sse_streams_ended_total{reason="left"}') == 4


async def test_a_stream_ends_with_its_token_and_says_so(guarded: Server) -> None:
    async with guarded.stream("/stream", bearer(["main"], lasts=5)) as stream:
        events = await stream.rest()
    assert [event.type for event in events] == ["connected", "error"]
    assert json.loads(events[1].data)["status"] == 401
    assert "expired" in json.loads(events[1].data)["detail"]


async def test_connections_that_close_at_once_are_forgotten_in_steps_and_each_has_its_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "sse_hub.streams")
    async with serving() as server:
        async with crowd(server.port, 300, get("/stream")) as clients:
            await server.until_subscribers(300)

            async def close() -> None:
                for client in clients:
                    client.abort()
                await server.until_subscribers(0)

            assert await most_in_a_turn(close(), lambda: -server.hub.statistics().subscribers) <= 100
        assert caplog.messages.count("stream ends") == 300


async def test_all_streams_that_end_with_the_server_have_their_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sse_hub.streams")
    async with serving() as server, AsyncExitStack() as stack:
        await stack.enter_async_context(crowd(server.port, 300, get("/stream")))
        await server.until_subscribers(300)
    assert caplog.messages.count("stream ends") == 300


async def test_plain_streams_that_lose_events_at_once_break_off_in_steps() -> None:
    async with serving() as server, crowd(server.port, 400, get("/stream?channel=run&plain=1")) as clients:
        await server.until_subscribers(400)
        await server.hub.publish("a", channel="run")
        for client in clients:
            await client.until(b"a\n\n")
        broken = [asyncio.create_task(client.rest()) for client in clients]

        async def forget() -> None:
            await server.hub.store.forget("run")
            await asyncio.wait(broken)

        assert await most_in_a_turn(forget(), lambda: sum(task.done() for task in broken)) <= 200

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web
from aiohttp_sse_client import client as foreign
from conftest import PATIENCE, Server, running, serving
from wire import parse, unchunked

from sse_server import Settings, create_app


async def test_a_stream_has_the_headers_that_keep_proxies_from_holding_it_back(server: Server) -> None:
    async with server.stream() as stream:
        headers = stream.response.headers
        assert headers["Content-Type"] == "text/event-stream"
        assert headers["Cache-Control"] == "no-cache, no-transform"
        assert headers["X-Accel-Buffering"] == "no"


async def test_connected_tells_the_channels_and_the_cursor_at_once(server: Server) -> None:
    id = await server.hub.publish("before")
    async with server.stream("/stream?channel=main&channel=sensors.*") as stream:
        connected = await stream.next()
        assert connected.type == "connected"
        assert connected.id == str(id)
        said = connected.json()
        assert said.pop("timestamp").endswith("Z")
        assert said == {"channels": ["main", "sensors.*"], "resumed": False, "lost": False}


async def test_every_connection_gets_a_retry_of_its_own_within_half_and_one_and_a_half(server: Server) -> None:
    drawn = set()
    for _ in range(8):
        async with server.stream() as stream:
            await stream.next()
            assert stream.parser.retry_ms is not None
            assert 1500 <= stream.parser.retry_ms <= 4500
            drawn.add(stream.parser.retry_ms)
    assert len(drawn) > 1


async def test_what_is_published_arrives_with_type_and_id(server: Server) -> None:
    async with server.stream() as stream:
        await stream.until("connected")
        id = await server.hub.publish("a\r\nb", event="note")
        event = await stream.next()
        assert (event.type, event.data, event.id) == ("note", "a\nb", str(id))


async def test_several_channels_and_patterns_come_on_one_connection(server: Server) -> None:
    async with server.stream("/stream?channel=a&channel=s.*") as stream:
        await stream.until("connected")
        for channel in ("a", "b", "s.x.y", "s"):
            await server.hub.publish(channel, channel=channel)
        await server.hub.publish("end", channel="a")
        assert [(await stream.next()).data for _ in range(3)] == ["a", "s.x.y", "end"]


async def test_realtime_follows_the_channel_of_its_path(server: Server) -> None:
    async with server.stream("/realtime/gr%C3%B6%C3%9Fe") as stream:
        assert (await stream.next()).json()["channels"] == ["größe"]
        await server.hub.publish("x", channel="größe")
        assert (await stream.next()).data == "x"


async def test_a_type_filter_lets_only_those_types_through(server: Server) -> None:
    async with server.stream("/stream?event=a&event=b") as stream:
        await stream.until("connected")
        for type in ("a", "c", "b"):
            await server.hub.publish(type, event=type)
        assert [(await stream.next()).data for _ in range(2)] == ["a", "b"]


async def test_an_envelope_carries_the_whole_event_as_a_message(server: Server) -> None:
    async with server.stream("/stream?envelope=1&channel=*") as stream:
        await stream.until("connected")
        id = await server.hub.publish('{"a":1}', channel="c", event="t")
        event = await stream.next()
        said = event.json()
        assert event.type == "message"
        assert said.pop("timestamp").endswith("Z")
        assert said == {"id": str(id), "channel": "c", "event": "t", "data": '{"a":1}'}


async def test_a_replay_comes_before_live(server: Server) -> None:
    for data in "abc":
        await server.hub.publish(data)
    async with server.stream("/stream?replay=2") as stream:
        events = await stream.until("live")
        assert [event.data for event in events[1:]] == ["b", "c", '{"replayed":2}']


@pytest.mark.parametrize("how", ["header", "parameter"])
async def test_a_cursor_resumes_by_header_and_by_parameter(server: Server, how: str) -> None:
    first = await server.hub.publish("a")
    await server.hub.publish("b")
    path = f"/stream?lastEventId={first}" if how == "parameter" else "/stream"
    async with server.stream(path, {"Last-Event-ID": str(first)} if how == "header" else None) as stream:
        connected, *events = await stream.until("live")
        assert connected.json()["resumed"] is True
        assert connected.id == str(first)
        assert [event.data for event in events[:-1]] == ["b"]


async def test_the_header_wins_over_the_parameter(server: Server) -> None:
    first = await server.hub.publish("a")
    second = await server.hub.publish("b")
    async with server.stream(f"/stream?lastEventId={first}", {"Last-Event-ID": str(second)}) as stream:
        assert [event.type for event in await stream.until("live")] == ["connected", "live"]


@pytest.mark.parametrize("cursor", ["1-0", "99999999999999-0", "nonsense", "1763949600123"])
async def test_an_outdated_or_foreign_cursor_is_told_as_lost_and_starts_at_the_oldest_event(
    server: Server, cursor: str
) -> None:
    await server.hub.publish("a")
    async with server.stream(headers={"Last-Event-ID": cursor}) as stream:
        connected, *events = await stream.until("live")
        assert connected.json()["lost"] is True
        assert connected.json()["resumed"] is False
        assert [event.data for event in events[:-1]] == ["a"]


async def test_an_ephemeral_event_has_no_id_and_is_not_replayed(server: Server) -> None:
    async with server.stream() as stream:
        connected = await stream.next()
        await server.hub.publish("x", ephemeral=True)
        assert (await stream.next()).id == connected.id
    async with server.stream("/stream?replay=9") as stream:
        assert [event.type for event in await stream.until("live")] == ["connected", "live"]


async def test_a_ping_is_one_line_so_that_nobody_takes_it_for_an_event() -> None:
    async with serving(ping=0.05) as server, server.stream() as stream:
        await stream.until("connected")
        data = await asyncio.wait_for(stream.response.content.readany(), PATIENCE)
        assert data == b": ping\n"


async def test_everybody_gets_each_event_once_through_reconnects_while_publishing_never_pauses(server: Server) -> None:
    total = 1500
    published: list[str] = []

    async def publish() -> None:
        for number in range(total):
            published.append(str(await server.hub.publish(str(number))))
            await asyncio.sleep(0)

    async def follow(client: int, cursor: str) -> list[str]:
        got: list[str] = []
        while len(got) < total:
            async with server.stream(headers={"Last-Event-ID": cursor}) as stream:
                assert (await stream.next()).json()["lost"] is False
                for _ in range(20 + 37 * client):
                    event = await stream.next()
                    if event.type == "message":
                        got.append(cursor := event.id)
                    if len(got) == total:
                        break
        return got

    async with serving(history=5000) as server, asyncio.TaskGroup() as tasks:
        start = str(server.hub.log.head)
        followers = [tasks.create_task(follow(client, start)) for client in range(20)]
        tasks.create_task(publish())
    assert all(follower.result() == published for follower in followers)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/stream?channel=a%20b", "channel"),
        ("/stream?channel=", "channel"),
        ("/stream?channel=a,b", "channel"),
        ("/stream?event=", "event"),
        ("/stream?event=a%0Ab", "event"),
        ("/stream?replay=-1", "replay"),
        ("/stream?replay=many", "replay"),
        ("/stream?envelope=yes", "envelope"),
        ("/realtime/a*", "path"),
        ("/realtime/%00", "path"),
    ],
)
async def test_a_malformed_request_is_a_400_that_names_what_is_wrong(server: Server, path: str, said: str) -> None:
    response, problem = await server.get(path)
    assert response.status == problem["status"] == 400
    assert response.content_type == "application/problem+json"
    assert said in problem["detail"]


@pytest.mark.parametrize("accept", ["application/json", "text/*", "*/*;q=0.1", "text/html, image/png"])
async def test_an_event_stream_is_given_whatever_the_accept_header_says(server: Server, accept: str) -> None:
    async with server.client.get(server.url + "/stream", headers={"Accept": accept}) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")


async def test_a_subscriber_too_many_is_asked_to_come_back_by_a_200() -> None:
    async with serving(max_subscribers=1) as server, server.stream() as first:
        await first.next()
        async with server.stream() as second:
            (event,) = await second.rest()
            assert event.type == "error"
            assert event.json()["status"] == 503
            assert second.parser.retry_ms is not None


async def test_an_http_1_0_client_gets_bytes_without_chunk_sizes(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /stream HTTP/1.0\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert parse(await reader.readuntil(b"\n\n"))[0].type == "connected"
    await server.hub.publish("x")
    assert parse(await reader.readuntil(b"\n\n"))[0].data == "x"
    writer.close()


async def test_an_http_1_1_body_is_well_formed_to_its_last_chunk(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    for data in "ab":
        await server.hub.publish(data)
    await server.app.shutdown()
    body = b""
    while not body.endswith(b"0\r\n\r\n"):
        body += await asyncio.wait_for(reader.read(1 << 16), PATIENCE)
    assert [event.type for event in parse(unchunked(body))] == ["connected", "message", "message", "closing"]
    writer.close()


async def frozen_client(port: int) -> socket.socket:
    """A client that asks for a stream and never reads it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    return client


async def test_a_frozen_subscriber_delays_nobody_is_bounded_and_is_aborted_after_the_send_timeout() -> None:
    async with serving(send_timeout=1.0) as server, server.stream() as stream:
        await stream.until("connected")
        client = await frozen_client(server.port)
        while server.hub.statistics().subscribers < 2:
            await asyncio.sleep(0)
        for number in range(300):
            await server.hub.publish(f"{number} " + "x" * 50_000)
            assert (await stream.next()).data.startswith(f"{number} ")
        assert server.hub.statistics().behind >= 1
        async with asyncio.timeout(PATIENCE):
            while server.hub.statistics().subscribers > 1:
                await server.hub.publish("still here")
                await stream.next()
        client.close()


async def test_a_slow_subscriber_is_told_what_it_lost_and_goes_on() -> None:
    async with serving(history=5) as server:
        client = await frozen_client(server.port)
        while server.hub.statistics().subscribers < 1:
            await asyncio.sleep(0)
        for number in range(200):
            await server.hub.publish(f"{number} " + "x" * 50_000)
            await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(sock=client)
        await reader.readuntil(b"\r\n\r\n")
        body = b""
        while b"199 " not in body[-60_000:] or not body.endswith(b"\r\n"):
            body += await asyncio.wait_for(reader.read(1 << 16), PATIENCE)
        events = parse(unchunked(body))
        types = [event.type for event in events]
        assert types.count("lost") >= 1
        numbers = [int(event.data.split()[0]) for event in events if event.type == "message"]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == 199
        writer.close()


async def test_a_handler_whose_client_has_left_does_not_wait_for_the_next_event(server: Server) -> None:
    async with server.stream() as stream:
        await stream.until("connected")
    async with asyncio.timeout(PATIENCE):
        while server.hub.statistics().subscribers:
            await asyncio.sleep(0.01)


async def test_draining_says_goodbye_to_each_with_a_retry_of_its_own() -> None:
    async with serving() as server, server.stream() as one, server.stream() as other:
        await one.until("connected")
        await other.until("connected")
        first = one.parser.retry_ms
        await server.app.shutdown()
        for stream in (one, other):
            assert [event.type for event in await stream.rest()] == ["closing"]
        assert (one.parser.retry_ms, other.parser.retry_ms) != (first, first)
        async with server.stream() as late:
            assert [event.type for event in await late.rest()] == ["error"]
        response, said = await server.get("/health")
        assert (response.status, said["status"]) == (503, "draining")


async def test_a_stream_that_begins_while_draining_does_is_told_so_and_ended() -> None:
    async def drain(_: web.Request, response: web.StreamResponse) -> None:
        if response.content_type == "text/event-stream":
            draining.append(asyncio.create_task(server.app.shutdown()))
            await asyncio.sleep(0)

    draining: list[asyncio.Task[None]] = []
    app = create_app(Settings(no_demo=True))
    app.on_response_prepare.append(drain)
    async with running(app) as server:
        async with server.stream() as stream:
            assert [event.type for event in await stream.rest()] == ["connected", "closing"]
        await draining[0]


async def test_a_head_request_is_refused_because_a_stream_has_no_end(server: Server) -> None:
    response, _ = await server.ask("HEAD", "/stream")
    assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_a_foreign_client_reads_the_stream(server: Server) -> None:
    async with foreign.EventSource(server.url + "/stream?replay=1", session=server.client) as source:
        await server.hub.publish("x")
        async for event in source:
            if event.data == "x":
                break


async def test_two_lines_of_accept_are_one_list(server: Server) -> None:
    headers = [("Accept", "text/event-stream;q=0.1"), ("Accept", "text/plain")]
    async with server.client.get(f"{server.url}/metrics", headers=headers) as response:
        assert response.content_type == "text/plain"

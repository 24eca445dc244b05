"""Requests for event streams, and their answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp_sse_client import client as foreign
from eventually import PATIENCE
from hubs import Server, serving
from sockets import get, raw
from wire import parse


async def test_connected_names_the_channels_and_the_cursor_at_once(server: Server) -> None:
    id = await server.hub.publish("before")
    async with server.stream("/stream?channel=main&channel=sensors.*") as stream:
        connected = await stream.next()
        assert connected.type == "connected"
        assert connected.id == str(id)
        answer = connected.json()
        assert answer.pop("timestamp").endswith("Z")
        assert answer == {"channels": ["main", "sensors.*"], "resumed": False, "lost": False, "ping": 15.0}


async def test_an_event_arrives_with_type_and_id(server: Server) -> None:
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
        answer = event.json()
        assert event.type == "message"
        assert answer.pop("timestamp").endswith("Z")
        assert answer == {"id": str(id), "channel": "c", "event": "t", "data": '{"a":1}'}


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
async def test_an_outdated_or_foreign_cursor_is_lost_and_the_stream_starts_at_the_oldest_event(
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


@pytest.mark.parametrize(
    ("path", "answer"),
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
async def test_a_malformed_request_is_a_400_that_names_the_mistake(server: Server, path: str, answer: str) -> None:
    response, problem = await server.get(path)
    assert response.status == problem["status"] == 400
    assert response.content_type == "application/problem+json"
    assert answer in problem["detail"]


@pytest.mark.parametrize("accept", ["application/json", "text/*", "*/*;q=0.1", "text/html, image/png"])
async def test_any_accept_header_gets_an_event_stream(server: Server, accept: str) -> None:
    async with server.client.get(server.url + "/stream", headers={"Accept": accept}) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")


async def test_an_http_1_0_client_gets_bytes_without_chunk_sizes(server: Server) -> None:
    async with raw(server.port, get("/stream", "1.0")) as client:
        head, _, body = (await client.until(b"connected")).partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        await server.hub.publish("x")
        _, _, body = (await client.until(b"data: x\n\n")).partition(b"\r\n\r\n")
    assert [event.type for event in parse(body)] == ["connected", "message"]


async def test_a_head_request_is_refused_because_a_stream_has_no_end(server: Server) -> None:
    async with server.client.head(server.url + "/stream") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_a_foreign_client_reads_the_stream(server: Server) -> None:
    async with foreign.EventSource(server.url + "/stream?replay=1", session=server.client) as source:
        await server.hub.publish("x")
        async with asyncio.timeout(PATIENCE):
            assert "x" in [event.data async for event in until_data(source, "x")]


async def until_data(source: AsyncIterator[foreign.MessageEvent], data: str) -> AsyncIterator[foreign.MessageEvent]:
    async for event in source:
        yield event
        if event.data == data:
            return


async def test_a_cursor_with_a_line_break_adds_no_field_to_the_stream(server: Server) -> None:
    async with server.stream("/stream?lastEventId=1-0%0Aevent:%20evil") as stream:
        connected = await stream.next()
        assert connected.type == "connected"
        assert "evil" not in connected.data


async def test_channels_of_a_connection_are_limited() -> None:
    async with serving(max_channels_per_connection=2) as server:
        response, problem = await server.get("/stream?channel=a&channel=b.*&channel=c")
        assert response.status == 400
        assert "3 channels" in problem["detail"]
        assert await server.hits("channels_per_connection") == 1


async def test_a_cursor_in_a_channel_that_had_to_go_is_lost() -> None:
    async with serving(max_channels=1) as server:
        first = await server.hub.publish("1", channel="a")
        await server.hub.publish("2", channel="a")
        await server.hub.publish("x", channel="b")
        async with server.stream(f"/realtime/a?lastEventId={first}") as stream:
            assert json.loads((await stream.next()).data)["lost"] is True


async def test_streams_without_a_filter_share_one_object_for_it(server: Server) -> None:
    async with server.stream("/realtime/user.1") as one, server.stream("/realtime/user.2") as other:
        await one.until("connected")
        await other.until("connected")
        first, second = (audience.subscription for audience in server.hub.audiences)
        assert first.types is second.types, "an empty frozenset of its own takes 216 bytes"

"""Streams with an end, and lists in pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from eventually import PATIENCE
from hubs import Server, mounted, serving
from programs import start_client

from sse_client import Event, Refused, SSEClient

CONNECTED = 'retry: 10\nid: 1-0\nevent: connected\ndata: {"channels":["job"],"resumed":false,"lost":false}\n\n'
REASON = '{"channel":"job","reason":"done"}'
BARE = f"id: 3-0\nevent: end\ndata: {REASON}\n\n"


def envelope(id: str, type: str, data: str) -> str:
    value = {"id": id, "channel": "job", "event": type, "data": data, "timestamp": "2026-11-24T12:00:00Z"}
    return f"id: {id}\ndata: {json.dumps(value)}\n\n"


ENDS = {"in an envelope": envelope("3-0", "end", REASON), "without one": BARE}


@pytest.fixture(params=list(ENDS.values()), ids=list(ENDS))
async def job(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A server whose channel has one event and has ended: a reconnect after the end gets 204."""

    async def follow(asked: web.Request) -> web.StreamResponse:
        if asked.headers.get("Last-Event-ID", "") >= "3-0":
            return web.Response(status=204)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked)
        await response.write((CONNECTED + envelope("2-0", "message", "a") + request.param).encode())
        if asked.path == "/stream" and len(asked.query.getall("channel")) > 1:
            await response.write(envelope("4-0", "message", "of another channel").encode())
        await asyncio.sleep(PATIENCE)  # the client leaves by itself
        return response

    app = web.Application()
    app.add_routes([web.get("/realtime/job", follow), web.get("/stream", follow)])
    async with mounted(app, handler_cancellation=True) as url:
        yield url


async def test_a_stream_of_one_channel_ends_with_it_and_says_why(job: str) -> None:
    notices: list[Event] = []
    async with SSEClient(job) as client, asyncio.timeout(PATIENCE):
        for make in (client.channel, client.stream):
            async with make("job", on_notice=notices.append) as stream:
                assert [event.data async for event in stream] == ["a"]
                assert (stream.ended, stream.last_event_id) == ("done", "3-0")
                assert await anext(stream, None) is None
    assert [event.type for event in notices] == ["connected", "end"] * 2


async def test_a_reader_that_comes_after_the_end_has_nothing_to_read(job: str) -> None:
    async with SSEClient(job) as client, asyncio.timeout(PATIENCE):
        stream = client.channel("job", last_event_id="3-0")
        assert [event.data async for event in stream] == []
        assert stream.ended is None


@pytest.mark.parametrize("names", [("job", "other"), ("jo*", "other")])
async def test_on_a_stream_of_several_channels_an_end_is_an_event_like_others(job: str, names: tuple[str, str]) -> None:
    async with SSEClient(job) as client, client.stream(*names) as stream:
        received = [await anext(stream) for _ in range(3)]
        assert [event.type for event in received] == ["message", "end", "message"]
        assert received[1].json()["reason"] == "done"
        assert stream.ended is None


async def test_a_stream_without_await_ends_with_its_channel(job: str) -> None:
    def follow() -> tuple[list[str], str | None]:
        with SSEClient.sync(job) as client, client.channel("job") as stream:
            return [event.data for event in stream], stream.ended

    assert await asyncio.to_thread(follow) == (["a"], "done")


async def test_listen_ends_well_with_its_channel(job: str) -> None:
    process = await start_client("listen", "job", "--data", SSE_URL=job)
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"a\n")


# Lists in pages


@pytest.fixture
async def many() -> AsyncIterator[tuple[Server, list[str]]]:
    """A hub with more channels than a page has, and their names."""
    names = [f"c.{number:04}" for number in range(2500)]
    async with serving() as server:
        for name in names:
            await server.hub.publish("a", channel=name)
        yield server, names


async def test_channels_are_read_to_the_last_page(many: tuple[Server, list[str]]) -> None:
    server, names = many
    async with SSEClient(server.url) as client:
        assert [channel.name for channel in await client.channels()] == names
        assert [channel.name async for channel in client.channels()] == names
        assert [channel.name for channel in await client.channels("c.00*")] == names[:100]
        async for channel in client.channels():
            assert channel.name == names[0]
            break

    def listed() -> list[str]:
        with SSEClient.sync(server.url) as sync:
            return [channel.name for channel in sync.channels()]

    assert await asyncio.to_thread(listed) == names


async def test_a_list_whose_pages_do_not_go_on_is_an_error() -> None:
    async def pages(_: web.Request) -> web.Response:
        return web.json_response({"channels": [{"name": "a", "subscribers": 0, "events": 0}], "next": "a"})

    app = web.Application()
    app.add_routes([web.get("/api/channels", pages)])
    async with mounted(app) as url, SSEClient(url) as client:
        with pytest.raises(Refused, match="a hub"):
            await client.channels()


async def test_the_command_lists_all_channels(many: tuple[Server, list[str]]) -> None:
    server, names = many
    process = await start_client("channels", SSE_URL=server.url)
    out, _ = await process.communicate()
    assert [line.split()[0] for line in out.decode().splitlines()[1:]] == names

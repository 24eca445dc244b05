"""Clients of other makes at our server: they follow, resume, and see no event that nobody published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, NamedTuple

import aiohttp
import httpx
import pytest
from aiohttp_sse_client.client import EventSource as AiohttpEventSource
from httpx_sse import connect_sse
from hubs import Server, serving
from ld_eventsource import SSEClient as LaunchDarklyClient
from openai._streaming import SSEDecoder
from requests_sse import EventSource as RequestsEventSource
from sseclient import SSEClient


class Seen(NamedTuple):
    """An event as a client shows it."""

    type: str
    data: str
    id: str


Reader = Callable[[str, str], Iterator[Seen]]
"""Reads the stream at a URL, after an id."""


def headers(last_event_id: str) -> dict[str, str]:
    return {"Last-Event-ID": last_event_id} if last_event_id else {}


def httpx_sse(url: str, last_event_id: str) -> Iterator[Seen]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        with connect_sse(client, "GET", url, headers=headers(last_event_id)) as source:
            for event in source.iter_sse():
                yield Seen(event.event or "message", event.data or "", event.id or "")


def requests_sse(url: str, last_event_id: str) -> Iterator[Seen]:
    with RequestsEventSource(url, latest_event_id=last_event_id or None, timeout=30) as events:
        for event in events:
            yield Seen(event.type or "message", event.data or "", event.last_event_id or "")


def sseclient_py(url: str, last_event_id: str) -> Iterator[Seen]:
    with httpx.stream("GET", url, headers=headers(last_event_id), timeout=30, trust_env=False) as response:
        for event in SSEClient(response.iter_bytes()).events():
            yield Seen(event.event or "message", event.data or "", event.id or "")


def launchdarkly(url: str, last_event_id: str) -> Iterator[Seen]:
    client = LaunchDarklyClient(url, last_event_id=last_event_id or None)
    try:
        for event in client.events:
            yield Seen(event.event, event.data, event.last_event_id or "")
    finally:
        client.close()


def openai(url: str, last_event_id: str) -> Iterator[Seen]:
    """The stream reader of the openai package, which reads bytes and knows nothing of ids."""
    decoder = SSEDecoder()
    with httpx.Client(timeout=30, trust_env=False) as client:
        with client.stream("GET", url, headers={"Accept": "application/json", **headers(last_event_id)}) as response:
            for event in decoder.iter_bytes(response.iter_bytes()):
                yield Seen(event.event or "message", event.data, event.id or "")


READERS: list[Reader] = [httpx_sse, requests_sse, sseclient_py, launchdarkly, openai]


@pytest.fixture(params=READERS, ids=lambda reader: str(reader.__name__))
def read(request: pytest.FixtureRequest) -> Reader:
    reader: Reader = request.param
    return reader


async def take(read: Reader, url: str, count: int, last_event_id: str = "") -> list[Seen]:
    """So many events, with those by which the hub speaks of the stream itself."""

    def some() -> list[Seen]:
        events = read(url, last_event_id)
        try:
            return list(islice(events, count))
        finally:
            events.close()  # type: ignore[attr-defined]

    return await asyncio.to_thread(some)


async def test_it_follows(server: Server, read: Reader) -> None:
    await server.hub.publish("first\nsecond", event="t")
    following = asyncio.create_task(take(read, f"{server.url}/stream?replay=1", 4))
    await server.until_subscribers(1)
    id = await server.hub.publish("ü ☃")
    seen = await following
    assert [event.type for event in seen] == ["connected", "t", "live", "message"]
    assert seen[1].data == "first\nsecond"
    assert (seen[3].data, seen[3].id) == ("ü ☃", str(id))


async def test_it_resumes_after_the_id_that_it_has(server: Server, read: Reader) -> None:
    first, *_ = [await server.hub.publish(data) for data in "abc"]
    seen = await take(read, f"{server.url}/stream", 4, str(first))
    assert [event.data for event in seen if event.type == "message"] == ["b", "c"]


async def test_it_sees_no_event_in_a_ping(read: Reader) -> None:
    async with serving(ping=0.05) as server:
        following = asyncio.create_task(take(read, f"{server.url}/stream", 2))
        async with server.stream() as pings:
            await server.until_subscribers(2)
            await pings.comments(5)
        await server.hub.publish("after the pings")
        assert [event.data for event in await following][1:] == ["after the pings"]


async def test_it_is_informed_of_the_end_of_the_server(read: Reader) -> None:
    async with serving(drain=1.0) as server:
        following = asyncio.create_task(take(read, f"{server.url}/stream", 2))
        await server.until_subscribers(1)
    assert [event.type for event in await following] == ["connected", "closing"]


async def test_it_is_informed_of_a_loss(server: Server, read: Reader) -> None:
    await server.hub.publish("a")
    seen = await take(read, f"{server.url}/stream", 2, "1-0")
    assert '"lost":true' in seen[0].data
    assert seen[1].data == "a"


async def test_aiohttp_sse_client_follows_and_resumes(server: Server) -> None:
    first = await server.hub.publish("a")
    second = await server.hub.publish("b")
    async with aiohttp.ClientSession() as session:
        options: dict[str, Any] = {"session": session, "reconnection_time": timedelta(milliseconds=10)}
        source = AiohttpEventSource(f"{server.url}/stream", headers={"Last-Event-ID": str(first)}, **options)
        async with source as events:
            seen = [await anext(events) for _ in range(3)]
    assert [event.type for event in seen] == ["connected", None, "live"]
    assert (seen[1].data, seen[1].last_event_id) == ("b", str(second))

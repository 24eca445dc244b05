"""`--compress`: event streams with shared compression."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from eventually import PATIENCE, eventually
from hubs import Server, serving
from playwright.async_api import Page
from programs import tool
from wire import Parser, Received

from sse_client import SSEClient
from sse_hub.http.streams import STREAMS

GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
async def compressing() -> AsyncIterator[Server]:
    async with serving(compress=True, retry=50) as server:
        yield server


async def plain(server: Server) -> aiohttp.ClientSession:
    """A client that inflates nothing by itself."""
    return aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))


class Inflating:
    """A compressed stream, read as a browser would."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._inflate = zlib.decompressobj(31)
        self._parser = Parser()
        self._events: list[Received] = []
        self.text = b""
        self.received_bytes = 0

    async def next(self) -> Received:
        async with asyncio.timeout(PATIENCE):
            while not self._events:
                await self._read()
        return self._events.pop(0)

    async def until(self, text: bytes) -> None:
        """Wait until the decoded stream has this text in it."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.text:
                await self._read()

    async def _read(self) -> None:
        data = await self._response.content.readany()
        assert data
        self.received_bytes += len(data)
        text = self._inflate.decompress(data)
        self.text += text
        self._events.extend(self._parser.feed(text))


async def test_a_client_that_accepts_gzip_gets_it_and_others_do_not(compressing: Server) -> None:
    for header, coding in (
        ("gzip, br", "gzip"),
        ("*", "gzip"),
        ("br, gzip;q=0.1", "gzip"),
        ("gzip;q=0", None),
        ("br", None),
        ("identity", None),
        ("gzip;q=x", None),
    ):
        async with compressing.stream("/stream", {"Accept-Encoding": header}) as stream:
            assert stream.response.headers.get("Content-Encoding") == coding
            assert stream.response.headers["Vary"] == "Accept-Encoding"
            assert (await stream.next()).type == "connected"


async def test_without_the_flag_nothing_is_compressed(server: Server) -> None:
    async with server.stream("/stream", GZIP) as stream:
        assert "Content-Encoding" not in stream.response.headers
        assert "Vary" not in stream.response.headers


@pytest.mark.parametrize("query", ["", "&envelope=1", "&event=message"])
async def test_every_event_is_readable_as_soon_as_it_has_arrived(compressing: Server, query: str) -> None:
    async with compressing.stream(f"/stream?channel=main{query}", GZIP) as stream:
        await stream.next()
        for number in range(50):
            await compressing.hub.publish(f"number {number}")
            event = await stream.next()
            assert f"number {number}" in event.data


async def test_a_new_subscriber_joins_the_shared_stream_within_a_second_or_so(compressing: Server) -> None:
    async with await plain(compressing) as client, client.get(compressing.url + "/stream", headers=GZIP) as response:
        stream = Inflating(response)
        await stream.next()
        await eventually(lambda: not compressing.hub.statistics().unshared)
        await compressing.hub.publish("joined")
        assert (await stream.next()).data == "joined"


async def test_two_hundred_that_join_one_after_the_other_all_get_everything(compressing: Server) -> None:
    async with AsyncExitStack() as stack:
        streams = []
        for number in range(200):
            stream = await stack.enter_async_context(compressing.stream("/stream", GZIP))
            assert (await stream.next()).type == "connected"
            streams.append((number, stream))
            await compressing.hub.publish(f"event {number}")
        for begun, stream in streams:
            for number in range(begun, 200):
                assert (await stream.next()).data == f"event {number}"


async def test_a_replay_is_followed_by_live_events(compressing: Server) -> None:
    ids = [await compressing.hub.publish(f"event {number}") for number in range(10)]
    async with compressing.stream(f"/stream?lastEventId={ids[3]}", GZIP) as stream:
        events = await stream.until("live")
        await compressing.hub.publish("event 10")
        events.append(await stream.next())
    assert [event.data for event in events if event.type == "message"] == [f"event {n}" for n in range(4, 11)]


async def test_compressed_and_plain_subscribers_get_the_same(compressing: Server) -> None:
    async with (
        compressing.stream("/stream", GZIP) as one,
        compressing.stream("/stream", {"Accept-Encoding": "identity"}) as other,
    ):
        for stream in (one, other):
            await stream.next()
        for number in range(10):
            await compressing.hub.publish(json.dumps({"number": number}))
        for _ in range(10):
            assert (await one.next()) == (await other.next())


async def test_fewer_bytes_are_sent(compressing: Server) -> None:
    async with await plain(compressing) as client, client.get(compressing.url + "/stream", headers=GZIP) as response:
        stream = Inflating(response)
        await stream.next()
        await eventually(lambda: not compressing.hub.statistics().behind)
        for _ in compressing.hub.join_shared():  # it would be called within a second
            pass
        for number in range(200):
            await compressing.hub.publish(
                json.dumps({"sensor": "temperature", "value": 21 + number / 10, "unit": "°C"})
            )
            await stream.next()
        assert stream.received_bytes * 3 < len(stream.text)


async def test_pings_come_in_the_shared_stream() -> None:
    async with serving(compress=True, ping=0.1) as server:
        async with await plain(server) as client, client.get(server.url + "/stream", headers=GZIP) as response:
            stream = Inflating(response)
            await stream.next()
            await stream.until(b": ping")
            await server.hub.publish("after a ping")
            assert (await stream.next()).data == "after a ping"


async def test_a_slow_reader_rejoins_and_has_lost_nothing(compressing: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", compressing.port, limit=4096)
    writer.write(b"GET /stream HTTP/1.0\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    noise = random.Random(1)
    sent = [noise.randbytes(20_000).hex() for _ in range(300)]
    for data in sent:
        await compressing.hub.publish(data)
    assert compressing.hub.statistics().behind == 1
    inflate, parser, got = zlib.decompressobj(31), Parser(), list[str]()
    async with asyncio.timeout(PATIENCE):
        while len(got) < 300:
            got += [e.data for e in parser.feed(inflate.decompress(await reader.read(65536))) if e.type == "message"]
        await eventually(lambda: not compressing.hub.statistics().behind)
        await compressing.hub.publish("live again")
        (last,) = parser.feed(inflate.decompress(await reader.read(65536)))
    writer.close()
    assert (got, last.data) == (sent, "live again")


async def test_a_draining_server_says_so(compressing: Server) -> None:
    async with compressing.stream("/stream", GZIP) as stream:
        await stream.next()
        await compressing.app.shutdown()
        assert [event.type for event in await stream.rest()] == ["closing"]


async def test_the_client_follows_it_and_comes_back_to_it(compressing: Server) -> None:
    async with SSEClient(compressing.url) as client, asyncio.timeout(PATIENCE):
        await compressing.hub.publish("0")
        got = []
        async for event in client.stream("main", replay=1):
            got.append(event.data)
            if len(got) == 3:
                break
            for stream in list(compressing.app[STREAMS].subscribers(0, 10)):
                compressing.app[STREAMS].end(stream.id)
            await compressing.hub.publish(str(len(got)))
    assert got == ["0", "1", "2"]


async def test_curl_reads_each_event_as_it_comes(compressing: Server) -> None:
    process = await asyncio.create_subprocess_exec(
        tool("curl", "curl"),
        "--noproxy",
        "*",
        "-sN",
        "--compressed",
        f"{compressing.url}/stream",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        await process.stdout.readuntil(b"\n\n")
        for number in range(3):
            await compressing.hub.publish(f"event {number}")
            assert f"data: event {number}".encode() in await process.stdout.readuntil(b"\n\n")
    process.kill()
    await process.wait()


async def test_a_browser_reads_the_stream_from_any_beginning(compressing: Server, page: Page) -> None:
    await page.goto(f"{compressing.url}/health")
    async with compressing.stream("/stream", GZIP) as early:
        await early.next()
        await compressing.hub.publish("the same words, again and again")
        await early.next()
        await page.evaluate(
            """() => new Promise((resolve) => {
                window.told = [];
                const source = new EventSource("/stream");
                source.onmessage = ({ data }) => window.told.push(data);
                source.addEventListener("connected", resolve);
            })"""
        )
        for number in range(3):
            await compressing.hub.publish(f"the same words, again and again {number}")
            await page.wait_for_function(f"window.told.length === {number + 1}")
        answer = await page.evaluate("window.told")
        coding = await page.evaluate("fetch('/stream').then((r) => { r.body.cancel(); return r.headers.get('Vary'); })")
    assert answer == [f"the same words, again and again {number}" for number in range(3)]
    assert "Accept-Encoding" in coding

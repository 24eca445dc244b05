"""Streams that catch up from the store."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
from eventually import PATIENCE
from hubs import NDJSON, serving
from redis_server import RedisServer

from sse_hub.core.events import Draft, EventId
from sse_hub.core.hub import Hub
from sse_hub.core.ports import Archive, Page, StoreUnavailable
from sse_hub.core.subscription import Subscription


@pytest.mark.usefixtures("no_loop_debug")
async def test_fifty_that_resume_at_once_get_everything_while_a_live_one_keeps_getting_events(
    tmp_path: Path,
) -> None:
    count = 3000
    store = f"sqlite:{tmp_path / 'events.db'}"
    async with serving(store=store, cache=10, history=100_000) as server, server.stream() as live:
        await live.until("connected")
        start = str(server.hub.log.head)
        lines = "\n".join(f"{number} {'x' * 50}" for number in range(count))
        await server.post("/realtime/old", data=lines.encode(), headers=NDJSON)

        async def resume() -> int:
            async with server.stream("/realtime/old", {"Last-Event-ID": start}) as stream:
                for number in range(count):
                    event = await stream.next() if number else (await stream.until("message"))[-1]
                    assert event.data.startswith(f"{number} ")
                return (await stream.next()).type == "live"

        resuming = [asyncio.create_task(resume()) for _ in range(50)]
        published = 0
        while not all(task.done() for task in resuming):
            await server.hub.publish(str(published))
            assert (await live.next()).data == str(published)
            published += 1
        assert all(await asyncio.gather(*resuming))
        assert published > 10


async def test_after_a_loss_a_stream_begins_with_what_the_store_retains_even_if_older_pages_are_cached(
    tmp_path: Path,
) -> None:
    store = f"sqlite:{tmp_path / 'events.db'}"
    async with serving(store=store, cache=10, history=500) as server:
        start = {"Last-Event-ID": str(server.hub.log.head)}
        for first in (0, 500):
            lines = [f"{number} {'x' * 200}" for number in range(first, first + 500)]
            await server.post("/realtime/main", data="\n".join(lines), headers=NDJSON)
            await server.until_trimmed("main", 500)
            async with server.stream(headers=start) as stream:
                connected, *events, _ = await stream.until("live")
        assert connected.json()["lost"]
        assert [event.data for event in events] == lines


class Busy:
    """An archive of a hub to which somebody publishes during each read."""

    def __init__(self, hub: Hub, archive: Archive) -> None:
        self._hub = hub
        self._archive = archive
        self.reads = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._archive, name)

    async def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        page = await self._archive.page(subscription, after, upto)
        if after != upto:
            self.reads += 1
            await self._hub.publish_all([Draft("hot", "message", "x")] * 5)
        return page


@pytest.mark.parametrize("path", ["/stream?channel=alerts.*", "/realtime/hot", "/stream?channel=hot&channel=alerts.1"])
async def test_a_stream_that_resumes_becomes_live_while_a_channel_never_pauses(tmp_path: Path, path: str) -> None:
    async with serving(store=f"sqlite:{tmp_path / 'events.db'}", cache=10, history=1000) as server:
        start = str(server.hub.log.head)
        await server.hub.publish("first", channel="alerts.1")
        await server.post("/realtime/hot", data=b"line\n" * 50, headers=NDJSON)
        assert server.hub.archive is not None
        server.hub.archive = busy = Busy(server.hub, server.hub.archive)  # type: ignore[assignment]
        async with server.stream(path, {"Last-Event-ID": start}) as stream:
            events = (await stream.until("live"))[1:-1]
            data = [event.data for event in events]
            assert data.count("first") == ("alerts" in path)
            assert len(data) - data.count("first") == (50 + 5 * busy.reads) * ("hot" in path)
            assert busy.reads < 5


class Failing:
    """An archive whose pages with events cannot be read: `page` fails as soon as `failing` is set."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.asked, self.failing = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._archive, name)

    async def page(self, subscription: Subscription, after: EventId, upto: EventId) -> Page:
        if after == upto:
            return await self._archive.page(subscription, after, upto)
        self.asked.set()
        await self.failing.wait()
        raise StoreUnavailable("away")


async def test_a_read_that_fails_after_its_last_subscriber_has_left_troubles_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(store=f"sqlite:{tmp_path / 'events.db'}", cache=10, history=1000) as server:
        start = str(server.hub.log.head)
        await server.post("/realtime/main", data=b"line\n" * 500, headers=NDJSON)
        assert server.hub.archive is not None
        server.hub.archive = archive = Failing(server.hub.archive)  # type: ignore[assignment]
        async with server.stream(headers={"Last-Event-ID": start}):
            async with asyncio.timeout(10):
                await archive.asked.wait()
        await server.until_subscribers(0)
        archive.failing.set()
        await server.health()  # meanwhile the read fails
        gc.collect()  # asyncio reports an error that nobody has taken when its task is collected
        assert "never retrieved" not in caplog.text


async def test_a_stream_that_waits_for_the_store_gets_pings(redis: RedisServer) -> None:
    count = 200
    async with serving(store=redis.store, cache=1, ping=0.1, max_body=1 << 20) as server:
        for number in range(count):  # more than the connection takes at once
            await server.hub.publish(str(number).ljust(100_000), channel="old")
        async with server.stream("/realtime/old?from=start") as stream:
            await stream.until("connected")
            redis.freeze()
            try:
                data = b""
                while b"\n: ping\n" not in data:
                    data = data[-10:] + await asyncio.wait_for(stream.response.content.readany(), PATIENCE)
            finally:
                redis.thaw()
            while b"event: live\n" not in data:
                data = data[-20:] + await asyncio.wait_for(stream.response.content.readany(), PATIENCE)

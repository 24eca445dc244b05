"""Killed processes: all acknowledged events exist afterwards, once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal

import aiohttp
import pytest
from eventually import PATIENCE, eventually
from hubs import Remote, Stream
from programs import Start
from redis_server import RedisServer

from sse_hub.core.events import EventId


class Publisher:
    """A client that publishes numbered events, each with a key, and repeats each until it gets an answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acknowledged: dict[str, str] = {}
        """The id that was answered, by data."""
        self.urls: list[str] = []
        self.ending = False

    async def run(self, client: aiohttp.ClientSession) -> None:
        for number in itertools.count():
            if self.ending:
                return
            data = f"{self.name}{number}"
            while data not in self.acknowledged:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    url = self.urls[number % len(self.urls)] + "/realtime/main"
                    key = {"Idempotency-Key": data}
                    async with client.post(url, data=data, headers=key) as answer:
                        if answer.status == 200:
                            self.acknowledged[data] = (await answer.json())["id"]
                            continue
                        assert answer.status == 503
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def publishing(urls: list[str], count: int = 6):  # type: ignore[no-untyped-def]
    publishers = [Publisher(letter) for letter in "abcdefghij"[:count]]
    timeout = aiohttp.ClientTimeout(total=8)
    async with aiohttp.ClientSession(timeout=timeout) as client, asyncio.TaskGroup() as tasks:
        for publisher in publishers:
            publisher.urls = urls
            tasks.create_task(publisher.run(client))
        yield publishers
        for publisher in publishers:
            publisher.ending = True


async def more_acknowledged(publishers: list[Publisher], count: int) -> None:
    """Wait until this number of further publishes is acknowledged."""
    before = sum(len(publisher.acknowledged) for publisher in publishers)
    await eventually(
        lambda: sum(len(publisher.acknowledged) for publisher in publishers) >= before + count, 3 * PATIENCE
    )


async def follow(url: str, cursor: str, last: str) -> list[tuple[str, str]]:
    """Ids and data after the cursor, up to the id `last`; nothing may be lost."""
    got: list[tuple[str, str]] = []
    async with aiohttp.ClientSession() as client:
        response = await client.get(url + "/stream", headers={"Last-Event-ID": cursor})
        stream = Stream(response)
        assert (await stream.until("connected"))[-1].json()["lost"] is False
        while not got or got[-1][0] != last:
            event = await stream.next()
            assert event.type != "lost"
            if event.type == "message":
                got.append((event.id, event.data))
        response.close()
    return got


async def head(url: str) -> str:
    async with aiohttp.ClientSession() as client, client.get(url + "/stream") as response:
        return (await Stream(response).next()).id


def check(publishers: list[Publisher], got: list[tuple[str, str]]) -> None:
    """No acknowledged event is missing, none is doubled, and all are in order."""
    ids = [EventId.parse(id) for id, _ in got]
    assert ids == sorted(set(ids))
    data = [data for _, data in got]
    assert len(data) == len(set(data))
    by_data = {data: id for id, data in got}
    for publisher in publishers:
        missing = {data: id for data, id in publisher.acknowledged.items() if by_data.get(data) != id}
        assert missing == {}
        mine = [int(each[1:]) for each in data if each[0] == publisher.name]
        assert mine == sorted(mine)


def latest(publishers: list[Publisher]) -> str:
    return str(max(EventId.parse(id) for publisher in publishers for id in publisher.acknowledged.values()))


@pytest.mark.timeout(120)
async def test_three_times_killed_while_six_publish_sqlite_has_every_acknowledged_event_once(
    program: Start, sqlite_store: str
) -> None:
    flags = ("--no-demo", "--store", sqlite_store, "--history", "100000")
    running = program(*flags)
    start = await head(running.url)
    async with publishing([running.url]) as publishers:
        for _ in range(3):
            await more_acknowledged(publishers, 300)
            running.process.kill()
            await asyncio.to_thread(running.process.wait)
            running = await asyncio.to_thread(program, *flags, "--port", str(running.port))
            assert running.url
        await more_acknowledged(publishers, 300)
    check(publishers, await follow(running.url, start, latest(publishers)))


@pytest.mark.timeout(120)
async def test_a_node_killed_takes_nothing_with_it_that_redis_has_acknowledged(
    program: Start, redis_store: str
) -> None:
    flags = ("--no-demo", "--store", redis_store, "--history", "100000")
    running, other = program(*flags), program(*flags)
    start = await head(other.url)
    async with publishing([running.url, other.url]) as publishers:
        for _ in range(2):
            await more_acknowledged(publishers, 300)
            running.process.kill()
            await asyncio.to_thread(running.process.wait)
            running = await asyncio.to_thread(program, *flags, "--port", str(running.port))
        await more_acknowledged(publishers, 300)
    got = await follow(other.url, start, latest(publishers))
    check(publishers, got)
    assert await follow(running.url, start, latest(publishers)) == got


@pytest.mark.timeout(120)
async def test_redis_killed_and_restarted_under_load_loses_and_doubles_nothing(
    program: Start, redis: RedisServer
) -> None:
    flags = ("--no-demo", "--store", redis.store, "--history", "100000")
    nodes = [program(*flags), program(*flags)]
    urls = [node.url for node in nodes]
    start = await head(urls[0])
    async with aiohttp.ClientSession() as client:
        stream = Stream(await client.get(urls[1] + "/stream"))
        await stream.until("connected")
        async with publishing(urls) as publishers:
            for _ in range(2):
                await more_acknowledged(publishers, 300)
                await asyncio.to_thread(redis.stop, signal.SIGKILL)
                await Remote(urls[0], client).until_status("degraded")
                await asyncio.to_thread(redis.start)
            await more_acknowledged(publishers, 300)
        last = latest(publishers)
        live: list[tuple[str, str]] = []
        while not live or live[-1][0] != last:  # the stream has been open through it all
            event = await stream.next()
            assert event.type == "message"
            live.append((event.id, event.data))
        stream.response.close()
    check(publishers, live)
    for url in urls:
        assert await follow(url, start, last) == live


async def test_a_publish_that_was_accepted_before_a_signal_is_in_the_store(program: Start, durable: str) -> None:
    running = program("--no-demo", "--store", durable)
    async with aiohttp.ClientSession() as client:
        posts = [asyncio.create_task(client.post(f"{running.url}/realtime/main", data=str(n))) for n in range(50)]
        await posts[0]
        running.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*posts, return_exceptions=True)
        accepted = [
            (await answer.json())["id"]
            for answer in answers
            if isinstance(answer, aiohttp.ClientResponse) and answer.status == 200
        ]
    status, answered = await asyncio.to_thread(running.wait)
    assert (status, "Traceback" in answered) == (0, False)
    again = program("--no-demo", "--store", durable)
    async with aiohttp.ClientSession() as client, client.get(again.url + "/api/channels/main/events") as answer:
        kept = [event["id"] for event in (await answer.json())["events"]]
    assert accepted
    assert set(accepted) <= set(kept)

"""Runs whose hub is killed, or whose Redis goes away: what was acknowledged is whole, and an end is an end."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import aiohttp
import pytest
from hubs import Stream
from programs import Start
from redis_server import RedisServer

TOKENS = [f"token {number}" for number in range(60)]


async def insist(client: aiohttp.ClientSession, url: str, data: str, key: str) -> str:
    """Publish until it is acknowledged; the id."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with client.post(url, data=data, headers={"Idempotency-Key": key}) as answer:
                if answer.status == 200:
                    return str((await answer.json())["id"])
                assert answer.status == 503, await answer.text()
        await asyncio.sleep(0.02)


async def write_run(client: aiohttp.ClientSession, urls: list[str], reached: asyncio.Event) -> str:
    """Write a run and end it; half of it is there when `reached` is set. The id of the end."""
    for number, token in enumerate(TOKENS):
        await insist(client, f"{urls[number % len(urls)]}/realtime/run", token, token)
        if number == len(TOKENS) // 2:
            reached.set()
    return await insist(client, f"{urls[0]}/realtime/run?end=done", "", "end")


async def text_of(client: aiohttp.ClientSession, url: str) -> list[str]:
    """What a late reader gets; nothing may be lost, and the stream ends."""
    async with client.get(f"{url}/realtime/run?from=start") as response:
        connected, *events, end = await Stream(response).rest()
        assert (connected.json()["lost"], end.type, end.json()["reason"]) == (False, "end", "done")
        return [event.data for event in events]


async def is_over(client: aiohttp.ClientSession, url: str, end: str) -> bool:
    """Whether the channel takes nothing more, and a reader that has everything is sent away."""
    async with client.post(f"{url}/realtime/run", data="late") as late:
        async with client.get(f"{url}/realtime/run", headers={"Last-Event-ID": end}) as again:
            return (late.status, again.status) == (409, 204)


@pytest.mark.timeout(120)
async def test_an_answer_in_whose_middle_the_hub_is_killed_is_whole_and_its_end_is_an_end(
    program: Start, sqlite_store: str
) -> None:
    flags = ("--no-demo", "--store", sqlite_store)
    running, reached = program(*flags), asyncio.Event()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8)) as client:
        writing = asyncio.create_task(write_run(client, [running.url], reached))
        await reached.wait()
        running.process.kill()
        await asyncio.to_thread(running.process.wait)
        running = await asyncio.to_thread(program, *flags, "--port", str(running.port))
        assert running.url
        end = await writing
        running.process.kill()
        await asyncio.to_thread(running.process.wait)
        running = await asyncio.to_thread(program, *flags, "--port", str(running.port))
        assert await text_of(client, running.url) == TOKENS
        assert await is_over(client, running.url, end)


@pytest.mark.timeout(120)
async def test_a_run_goes_on_after_redis_was_killed_and_ends_for_both_nodes(program: Start, redis: RedisServer) -> None:
    flags = ("--no-demo", "--store", redis.store)
    nodes, reached = [program(*flags), program(*flags)], asyncio.Event()
    urls = [node.url for node in nodes]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8)) as client:
        writing = asyncio.create_task(write_run(client, urls, reached))
        await reached.wait()
        await asyncio.to_thread(redis.stop, signal.SIGKILL)
        await asyncio.to_thread(redis.start)
        end = await writing
        for url in urls:
            assert await text_of(client, url) == TOKENS
            assert await is_over(client, url, end)

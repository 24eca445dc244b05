"""Runs that outlive what happens to their hub: killed in the middle, behind a bad proxy, on several nodes."""

from __future__ import annotations

import asyncio
import functools
import json
import random

import pytest
from bad_proxy import bad_proxy
from eventually import PATIENCE, eventually
from following import whole
from hubs import serving
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk
from programs import Start
from redis_server import RedisServer

from sse_client import Ended, SSEClient

TOKENS = [f"token {number} " for number in range(150)]


async def text_of(url: str, channel: str = "chat.42") -> tuple[str, str | None]:
    """What a late reader gets, and how the channel has ended."""
    async with SSEClient(url) as client:
        events, ended = await whole(client, channel)
    return "".join(event.data for event in events), ended


async def answer(url: str, reached: asyncio.Event, channel: str = "chat.42") -> None:
    """Write an answer, as slowly as a model; half of it is written when `reached` is set."""
    async with SSEClient(url) as client, client.run(channel) as run:
        for number, token in enumerate(TOKENS):
            await run.write(token)
            if number == len(TOKENS) // 2:
                reached.set()
            await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
async def test_an_answer_in_whose_middle_the_hub_is_killed_is_whole_for_early_and_late_readers(
    program: Start, sqlite_store: str
) -> None:
    flags = ("--no-demo", "--store", sqlite_store, "--retry", "100")
    running, reached = program(*flags), asyncio.Event()
    async with SSEClient(running.url) as reader, reader.channel("chat.42", from_start=True) as early:
        got: list[str] = []

        async def read() -> None:
            async for event in early:
                got.append(event.data)

        def has_more(than: int) -> bool:
            return len(got) > than or reading.done()

        reading = asyncio.create_task(read())
        writing = asyncio.create_task(answer(running.url, reached))
        await reached.wait()
        for _ in range(2):
            running.process.kill()
            await asyncio.to_thread(running.process.wait)
            running = await asyncio.to_thread(program, *flags, "--port", str(running.port))
            await eventually(functools.partial(has_more, len(got)))
        async with asyncio.timeout(PATIENCE):
            await writing
            await reading
        assert got == TOKENS
        assert early.ended == "done"
    assert await text_of(running.url) == ("".join(TOKENS), "done")


@pytest.mark.timeout(120)
async def test_an_answer_written_at_one_node_is_read_at_the_other_although_redis_is_killed(
    program: Start, redis: RedisServer
) -> None:
    flags = ("--no-demo", "--store", redis.store, "--retry", "100")
    here, there, reached = program(*flags), program(*flags), asyncio.Event()
    async with SSEClient(there.url) as reader, reader.channel("chat.42", from_start=True) as early:

        async def read() -> str:
            return "".join([event.data async for event in early])

        reading = asyncio.create_task(read())
        writing = asyncio.create_task(answer(here.url, reached))
        await reached.wait()
        await asyncio.to_thread(redis.stop)
        await asyncio.to_thread(redis.start)
        async with asyncio.timeout(PATIENCE):
            await writing
            assert await reading == "".join(TOKENS)
    for node in (here, there):
        assert await text_of(node.url) == ("".join(TOKENS), "done")


async def test_an_answer_at_one_node_is_stopped_at_the_other(redis_store: str) -> None:
    async with serving(store=redis_store) as here, serving(store=redis_store) as there:
        async with SSEClient(here.url) as client, SSEClient(there.url) as stopping:
            with pytest.raises(Ended) as caught:
                async with client.run("chat.42", interrupt=True) as run:
                    await run.write("a")
                    await run.flush()
                    await here.until_subscribers(1)
                    await stopping.end("chat.42", "cancelled")
                    await asyncio.Event().wait()
            assert caught.value.reason == "cancelled"
            assert await text_of(here.url) == ("a", "cancelled")


async def test_an_answer_is_whole_on_every_store(store: str) -> None:
    async with serving(store=store) as server:
        await asyncio.gather(*(answer(server.url, asyncio.Event(), f"chat.{number}") for number in range(5)))
        for number in range(5):
            assert await text_of(server.url, f"chat.{number}") == ("".join(TOKENS), "done")


@pytest.mark.timeout(180)
async def test_a_proxy_that_cuts_stalls_and_loses_answers_loses_and_doubles_no_token(program: Start) -> None:
    hub = program("--no-demo", "--retry", "100")
    with bad_proxy(hub.port) as proxy:

        async def write(number: int) -> None:
            async with SSEClient(proxy.url) as client, client.run(f"chat.{number}") as run:
                for token in TOKENS:
                    await run.write(token)
                    await asyncio.sleep(random.uniform(0, 0.06))

        async def read(number: int) -> tuple[str, str | None]:
            async with SSEClient(proxy.url) as client:
                async with client.channel(f"chat.{number}", from_start=True, idle_timeout=3) as stream:
                    return "".join([event.data async for event in stream]), stream.ended

        async with asyncio.timeout(150):
            writing = [asyncio.create_task(write(number)) for number in range(5)]
            read_early = await asyncio.gather(*map(read, range(5)))
            await asyncio.gather(*writing)
    assert read_early == [("".join(TOKENS), "done")] * 5
    assert await text_of(hub.url, "chat.0") == ("".join(TOKENS), "done")


async def test_the_openai_client_reads_a_run_as_the_chunks_of_a_chat_completion() -> None:
    def chunk(text: str) -> dict[str, object]:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    async with serving() as server, AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as openai:
        async with SSEClient(server.url) as client, client.run("chat.1") as run:
            reading = await openai.get(
                "/realtime/chat.1?plain=1&from=start",
                cast_to=ChatCompletionChunk,
                stream=True,
                stream_cls=AsyncStream[ChatCompletionChunk],
            )
            for token in TOKENS:
                await run.write(chunk(token))
            await run.write(json.dumps(chunk("!")))
            await run.write("[DONE]")
        said = "".join([each.choices[0].delta.content or "" async for each in reading])
    assert said == "".join(TOKENS) + "!"
    await eventually(lambda: server.hub.statistics().subscribers == 0)

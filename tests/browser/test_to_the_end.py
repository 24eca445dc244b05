"""Programs that people have read a stream to its end, and stay away: an EventSource, curl, the openai client."""

from __future__ import annotations

import asyncio
import json

from eventually import eventually
from hubs import Server, serving
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk
from playwright.async_api import Page
from programs import tool

from sse_hub.http.streams import STREAMS

FOLLOW = """([url]) => {
  window.got = [];
  window.opened = 0;
  const source = new EventSource(url);
  source.onopen = () => window.opened += 1;
  source.onmessage = ({ data }) => window.got.push(data);
  source.addEventListener("end", ({ data }) => window.got.push("end: " + JSON.parse(data).reason));
  source.onerror = () => window.state = source.readyState;
}"""


async def test_an_eventsource_gets_everything_and_stays_away_after_the_end(page: Page) -> None:
    async with serving(retry=100) as server:
        await page.goto(f"{server.url}/health")
        await server.hub.publish("a", channel="run")
        await page.evaluate(FOLLOW, [f"{server.url}/realtime/run?from=start"])
        await page.wait_for_function("got.length == 1")
        await server.hub.publish("b", channel="run")
        await server.hub.end("run")
        await page.wait_for_function("window.state == EventSource.CLOSED")
        assert await page.evaluate("got") == ["a", "b", "end: done"]
        assert await page.evaluate("opened") == 1


async def test_a_plain_eventsource_stays_away_though_nothing_tells_it_of_the_end(page: Page) -> None:
    async with serving(retry=100) as server:
        await page.goto(f"{server.url}/health")
        await page.evaluate(FOLLOW, [f"{server.url}/realtime/run?plain=1"])
        await server.until_subscribers(1)
        await server.hub.publish("a", channel="run")
        await server.hub.end("run")
        await page.wait_for_function("window.state == EventSource.CLOSED", timeout=30_000)
        assert await page.evaluate("got") == ["a"]


async def test_an_answer_survives_a_reload_in_its_middle_and_is_the_same_in_two_tabs(page: Page) -> None:
    async with serving() as server:
        other = await page.context.new_page()
        for number in range(3):
            await server.hub.publish(str(number), channel="run")
        for tab in (page, other, page):  # the first one is loaded again
            await tab.goto(f"{server.url}/health")
            await tab.evaluate(FOLLOW, [f"{server.url}/realtime/run?from=start"])
            await tab.wait_for_function("got.length == 3")
        await server.hub.publish("3", channel="run")
        await server.hub.end("run")
        for tab in (page, other):
            await tab.wait_for_function("window.state == EventSource.CLOSED")
            assert await tab.evaluate("got") == ["0", "1", "2", "3", "end: done"]


async def test_a_stop_button_reaches_the_producer(page: Page) -> None:
    async def produce(server: Server) -> int:
        number = 0
        while await server.status("/realtime/run", "POST", data=str(number)) == 200:
            number += 1
            await asyncio.sleep(0)
        return number

    async with serving() as server:
        await page.goto(f"{server.url}/health")
        await page.evaluate(FOLLOW, [f"{server.url}/realtime/run?from=start"])
        producing = asyncio.create_task(produce(server))
        await page.wait_for_function("got.length > 3")
        await page.evaluate(f"fetch('{server.url}/realtime/run?end=cancelled', {{ method: 'POST' }})")
        count = await producing
        await page.wait_for_function("window.state == EventSource.CLOSED")
        assert await page.evaluate("got") == [*map(str, range(count)), "end: cancelled"]


async def test_curl_exits_at_the_end_and_says_so_when_a_plain_stream_breaks_off() -> None:
    curl = tool("curl", "curl")
    async with serving() as server:
        for query, ended in (("?from=start", 0), ("?plain=1", 18)):  # 18: a partial file
            process = await asyncio.create_subprocess_exec(
                curl, "-sN", f"{server.url}/realtime/run{ended}{query}", stdout=asyncio.subprocess.PIPE
            )
            await server.until_subscribers(1)
            await server.hub.publish("a", channel=f"run{ended}")
            if ended:
                (subscriber,) = server.app[STREAMS].subscribers(0, 9)
                server.app[STREAMS].end(subscriber.id)
            else:
                await server.hub.end(f"run{ended}")
            out, _ = await process.communicate()
            assert process.returncode == ended
            assert b"data: a\n" in out
            await server.until_subscribers(0)


async def test_the_openai_client_reads_a_plain_channel_as_the_chunks_of_a_chat_completion() -> None:
    def chunk(text: str) -> str:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        value = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return json.dumps(value)

    async with serving(ping=0.05) as server, AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        reading = await client.get(
            "/realtime/chat.1?plain=1&from=start",
            cast_to=ChatCompletionChunk,
            stream=True,
            stream_cls=AsyncStream[ChatCompletionChunk],
        )
        async with server.stream("/stream?channel=pings") as pings:
            for text in ("Hel", "lo", "!"):
                await server.hub.publish(chunk(text), channel="chat.1")
                await pings.comments(2)  # they come between, and must not be taken for events
        await server.hub.publish("[DONE]", channel="chat.1")
        await server.hub.end("chat.1")
        assert "".join([each.choices[0].delta.content or "" async for each in reading]) == "Hello!"
        await eventually(lambda: server.hub.statistics().subscribers == 0)

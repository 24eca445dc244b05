"""The examples of docs/client.md for runs, as they stand there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web
from eventually import PATIENCE, eventually
from hubs import Server, mounted
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk
from programs import ROOT

from sse_client import SSEClient

TEXT = (ROOT / "docs" / "client.md").read_text()


def example(name: str) -> SimpleNamespace:
    """What the block that defines this name defines."""
    (block,) = [part for part in TEXT.split("```python\n")[1:] if f"def {name}(" in part.partition("```")[0]]
    names: dict[str, object] = {}
    exec(compile(block.partition("```")[0], "docs/client.md", "exec", dont_inherit=True), names)
    return SimpleNamespace(**names)


async def test_the_answer_of_a_model_is_written_and_read_to_its_end(server: Server) -> None:
    code = example("model")
    async with SSEClient(server.url) as client:
        await asyncio.gather(
            code.answer(client, "chat.42", "?"), reading := asyncio.create_task(code.read(client, "chat.42"))
        )
        assert reading.result() == "Forty-two (done)"
        events = (await client.history("chat.42")).events
        assert [event.type for event in events] == ["token", "token", "token", "usage", "end"]


async def test_somebody_who_stops_it_stops_the_answer(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    code = example("model")
    async with SSEClient(server.url) as client:
        answering = asyncio.create_task(code.answer(client, "chat.42", "?"))
        await eventually(lambda: server.hub.log.get("chat.42") is not None)
        await client.end("chat.42", "cancelled")
        await answering
    assert capsys.readouterr().out == "somebody has stopped it: cancelled\n"


CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


@asynccontextmanager
async def a_model(tokens: Sequence[str], go_on: asyncio.Event) -> AsyncIterator[tuple[AsyncOpenAI, asyncio.Event]]:
    """A server that speaks OpenAI's protocol. It waits before its last token. And whether its client has left."""
    left = asyncio.Event()

    async def complete(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for number, token in enumerate(tokens, 1):
                if number == len(tokens):
                    await go_on.wait()
                choice = {"index": 0, "delta": {"content": token}, "finish_reason": None}
                await response.write(f"data: {json.dumps({**CHUNK, 'choices': [choice]})}\n\n".encode())
            await response.write(b"data: [DONE]\n\n")
        except asyncio.CancelledError:
            left.set()
            raise
        return response

    app = web.Application()
    app.add_routes([web.post("/chat/completions", complete)])
    async with mounted(app, handler_cancellation=True) as url:
        async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as openai:
            yield openai, left


async def test_the_answer_of_a_model_is_passed_on_to_readers_with_the_openai_package(server: Server) -> None:
    pass_on, go_on = example("pass_on").pass_on, asyncio.Event()
    async with SSEClient(server.url) as client, a_model(["Hel", "lo", "!"], go_on) as (openai, _):
        passing = asyncio.create_task(pass_on(client, openai, "chat.42", "?"))
        async with AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as reader:
            reading = await reader.get(
                "/realtime/chat.42?plain=1&from=start",
                cast_to=ChatCompletionChunk,
                stream=True,
                stream_cls=AsyncStream[ChatCompletionChunk],
            )
            go_on.set()
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in reading]) == "Hello!"
        assert await passing == "done"


async def test_the_stop_of_an_answer_closes_the_connection_to_the_model(server: Server) -> None:
    pass_on = example("pass_on").pass_on
    async with SSEClient(server.url) as client, a_model(["Hel", "lo"], asyncio.Event()) as (openai, left):
        passing = asyncio.create_task(pass_on(client, openai, "chat.42", "?"))
        await eventually(lambda: server.hub.log.get("chat.42") is not None)
        await client.end("chat.42", "cancelled")
        async with asyncio.timeout(PATIENCE):
            assert await passing == "cancelled"
            await left.wait()


async def test_an_answer_is_written_without_await(server: Server) -> None:
    write = example("answer_without_await").answer_without_await

    def act() -> list[str]:
        with SSEClient.sync(server.url) as client:
            return [write(client, "chat.42", ["a", "b"]), write(client, "chat.42", ["a"])]

    assert await asyncio.to_thread(act) == ["done", "done"]
    assert await server.retained("chat.42") == ["a", "b", '{"channel":"chat.42","reason":"done"}']

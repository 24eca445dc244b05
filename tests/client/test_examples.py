"""The examples of docs/client.md for runs, as they stand there."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from eventually import eventually
from hubs import Server
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


async def test_an_answer_is_written_without_await(server: Server) -> None:
    write = example("answer_without_await").answer_without_await

    def act() -> list[str]:
        with SSEClient.sync(server.url) as client:
            return [write(client, "chat.42", ["a", "b"]), write(client, "chat.42", ["a"])]

    assert await asyncio.to_thread(act) == ["done", "done"]
    assert await server.retained("chat.42") == ["a", "b", '{"channel":"chat.42","reason":"done"}']

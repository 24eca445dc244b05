"""AI SDK resumes an answer from a hub: its `DefaultChatTransport`, the real package, in Node.js."""

from __future__ import annotations

import asyncio
import json

import pytest
from hubs import serving
from programs import ROOT, npm_package, tool


@pytest.fixture(scope="module")
def node() -> str:
    """Path of Node.js. The packages that package.json names are installed."""
    path = tool("node", "nodejs npm")
    npm_package("ai")
    return path


async def load_page(node: str, url: str, chat: str) -> asyncio.subprocess.Process:
    script = str(ROOT / "tests" / "resume.mjs")
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(node, script, url, chat, stdout=pipe, stderr=pipe, cwd=ROOT)


async def test_its_transport_resumes_an_answer_after_a_reload_and_finds_nothing_after_the_end(node: str) -> None:
    def delta(text: str) -> str:
        return json.dumps({"type": "text-delta", "id": "1", "delta": text})

    async with serving() as server:
        before = await load_page(node, server.url, "42")
        assert await before.communicate() == (b"nothing", b"")
        for part in ('{"type":"start"}', '{"type":"text-start","id":"1"}', delta("Hel")):
            await server.hub.publish(part, channel="chat.42")
        reloaded = await load_page(node, server.url, "42")
        assert reloaded.stderr is not None
        assert await reloaded.stderr.readline() == b"resumed\n"
        for part in (delta("lo!"), '{"type":"text-end","id":"1"}', '{"type":"finish"}', "[DONE]"):
            await server.hub.publish(part, channel="chat.42")
        await server.hub.end("chat.42")
        assert (await reloaded.communicate())[0] == b"Hello!"
        after = await load_page(node, server.url, "42")
        assert await after.communicate() == (b"nothing", b"")

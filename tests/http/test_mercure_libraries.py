"""Libraries of other ecosystems speak with the hub unchanged."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hubs import Server, Stream, serving
from mercures import PATH, follow, update, with_token
from programs import npm_package, skip, tool
from tokens import SECRET
from yarl import URL

SCRIPT = Path(__file__).parent / "symfony.php"
CLIENTS = Path(__file__).parent / "mercure_clients.py"
READERS = Path(__file__).parent / "mercure_readers.mjs"


async def test_symfony_publishes_several_topics_private_id_type_and_retry(guarded: Server) -> None:
    php = tool("php", "php-cli php-curl php-symfony-mercure")
    everything = with_token(publish=["*"], subscribe=["*"])
    token = everything["Authorization"].removeprefix("Bearer ")
    async with follow(guarded, "https://e.com/books/{id}", everything) as stream:
        process = await asyncio.create_subprocess_exec(
            php, str(SCRIPT), guarded.url + PATH, token, stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, printed
        private, public = await stream.take(2)
    assert printed.decode().split() == [private.id, public.id]
    assert (private.id, private.type, private.data) == ("urn:id:1", "news", '{"title":1}\nline 2')
    assert stream.parser.retry_ms == 5000
    assert (public.type, public.data) == ("message", "public")


async def spoken(library: str, hub: str) -> list[list[Any]]:
    """What a program with a library of PyPI prints: a list for each line."""
    if find_spec(library) is None:  # to import it here would patch this process, too
        skip(f"{library} is missing: pip install '.[test]'")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CLIENTS), library, hub + PATH, SECRET),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return [json.loads(line) for line in printed.splitlines()]


async def test_mercure_publisher_publishes_with_its_own_tokens(guarded: Server) -> None:
    async with follow(guarded, "https://e.com/books/{id}", with_token(subscribe=["*"])) as stream:
        assert await spoken("mercure_publisher", guarded.url) == [["urn:id:1"]]
        received = await stream.next()
    assert (received.id, received.type, received.json()) == ("urn:id:1", "news", {"title": 1})
    assert stream.parser.retry_ms == 5000


async def test_pymercure_follows_and_publishes_and_tells_a_bad_token_from_a_right_that_is_missing() -> None:
    async with serving(jwt_key=SECRET, anonymous="subscribe") as server:
        assert await spoken("pymercure", server.url) == [
            ["urn:id:1"],
            ["urn:id:1", "news", '{"title": 1}'],
            ["PublishRejectedError"],
            ["UnauthorizedPublisherError"],
        ]


async def test_flask_mercure_sse_publishes_authorizes_by_the_url_and_lists_subscriptions() -> None:
    async with serving(jwt_key=SECRET, mercure_subscriptions=True) as server:
        async with follow(server, ["https://e.com/books/{id}", "books"], with_token(subscribe=["*"])) as stream:
            [id], [url], [topics] = await spoken("flask_mercure_sse", server.url)
            assert (await stream.next()).id == id == "urn:id:1"
        assert topics == ["books"]
        async with server.client.get(URL(url, encoded=True), headers={"Last-Event-ID": "earliest"}) as response:
            assert (await Stream(response).next()).json() == {"title": 1}


@pytest.mark.parametrize("library", ["eventsource", "event-source-polyfill", "@microsoft/fetch-event-source"])
async def test_a_library_of_npm_gets_updates_and_nothing_else(library: str) -> None:
    node = installed(library)
    async with serving(jwt_key=SECRET, ping=0.05) as server:
        everything = with_token(publish=["*"], subscribe=["*"])
        token = everything["Authorization"].removeprefix("Bearer ")
        url = URL(server.url + PATH).with_query(topic="https://e.com/books/{id}")
        process = await asyncio.create_subprocess_exec(
            *(node, str(READERS), library, str(url), token, "3"), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            assert await process.stdout.readline() == b"open\n"
            async with follow(server, "other", everything) as pinged:
                await pinged.comments(3)
            ids = [
                await update(server, "https://e.com/books/1", "a\nb", headers=everything, private="on", id="urn:id:1"),
                await update(server, "https://e.com/books/2", "", headers=everything),
                await update(server, "https://e.com/books/3", "c", headers=everything, type="news"),
            ]
            printed, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert [json.loads(line) for line in printed.splitlines()] == [
        {"id": ids[0], "type": "message", "data": "a\nb"},
        {"id": ids[1], "type": "message", "data": ""},
        {"id": ids[2], "type": "news", "data": "c"},
    ]


def installed(library: str) -> str:
    """Path of Node; the test is skipped without it or the library, but fails in CI."""
    node = tool("node", "nodejs")
    npm_package(library)
    return node

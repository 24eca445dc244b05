"""Lists come in pages: the channels by name, the subscribers in the order in which they came."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
from conftest import Server, serving
from tokens import SECRET, bearer

from sse_hub.core.events import Draft


async def pages(server: Server, path: str, key: str, limit: int, **query: str) -> list[list[Any]]:
    """All pages of a list."""
    found = []
    after: dict[str, str] = {}
    while True:
        _, said = await server.get(path, params={"limit": str(limit), **query, **after})
        found.append(said[key])
        assert len(said[key]) <= limit
        if "next" not in said:
            return found
        after = {"after": said["next"]}


async def names(server: Server, limit: int, **query: str) -> list[str]:
    return [each["name"] for page in await pages(server, "/api/channels", "channels", limit, **query) for each in page]


async def test_every_channel_is_on_one_page_by_name(store: str) -> None:
    async with serving(store=store) as server, server.stream("/stream?channel=followed&channel=d*") as stream:
        await stream.next()
        published = [f"c{number:03}" for number in range(250)]
        await server.hub.publish_all([Draft(name, "message", "x") for name in published])
        assert await names(server, 7) == await names(server, 1000) == [*published, "followed"]
        (first, *others) = await pages(server, "/api/channels", "channels", 100)
        assert [len(page) for page in (first, *others)] == [100, 100, 51]
        assert first[0] == {**first[0], "name": "c000", "events": 1, "subscribers": 0}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("b.*", ["b.1", "b.2"]),
        ("*.1", ["a.1", "b.1", "é.1"]),
        ("b.1", ["b.1"]),
        ("b", []),
        ("*", ["a.1", "b.1", "b.2", "é.1"]),
        ("é*", ["é.1"]),
        ("z*", []),
    ],
)
async def test_a_pattern_chooses_channels(store: str, pattern: str, found: list[str]) -> None:
    async with serving(store=store) as server:
        for name in ("a.1", "b.1", "b.2", "é.1"):
            await server.hub.publish("x", channel=name)
        assert await names(server, 1, match=pattern) == found


async def test_only_channels_that_a_token_grants_are_listed(store: str) -> None:
    async with serving(store=store, jwt_key=SECRET) as server:
        await server.hub.publish_all([Draft(f"c{number}", "message", "x") for number in range(3000)])
        _, said = await server.get("/api/channels", headers=bearer(["c17", "c2999"]))
        assert ([each["name"] for each in said["channels"]], "next" in said) == (["c17", "c2999"], False)


@pytest.mark.parametrize("query", ["match=a%2Fb", "limit=0", "limit=1001", "limit=x", "match=" + "*a" * 9])
async def test_a_list_that_cannot_be_made_is_a_400(server: Server, query: str) -> None:
    assert (await server.get(f"/api/channels?{query}"))[0].status == 400


async def test_subscribers_are_listed_in_pages_in_the_order_in_which_they_came(server: Server) -> None:
    async with AsyncExitStack() as stack:
        for number in range(5):
            stream = await stack.enter_async_context(server.stream(f"/realtime/c{number}"))
            await stream.next()
        found = await pages(server, "/api/subscribers", "subscribers", 2)
        assert [[each["channels"][0] for each in page] for page in found] == [["c0", "c1"], ["c2", "c3"], ["c4"]]

"""The list of channels."""

from __future__ import annotations

import pytest
from calls import counted_calls
from hubs import Server, serving
from rig import Connection
from tokens import SECRET, bearer
from turns import turns_during

from sse_hub.core.events import Draft
from sse_hub.core.groups import StartPosition
from sse_hub.core.subscription import Subscription


async def test_a_channel_is_listed_with_its_subscribers_events_and_ids(server: Server) -> None:
    first = await server.hub.publish("a", channel="c")
    last = await server.hub.publish("b", channel="c")
    async with server.stream("/stream?channel=c&channel=quiet") as stream:
        await stream.next()
        _, answer = await server.get("/api/channels")
    assert answer["channels"] == [
        {"name": "c", "subscribers": 1, "events": 2, "first": str(first), "last": str(last)},
        {"name": "quiet", "subscribers": 1, "events": 0, "first": None, "last": None},
    ]


async def test_only_granted_channels_are_listed(guarded: Server) -> None:
    for channel in ("sensors.kitchen", "secrets"):
        await guarded.hub.publish("x", channel=channel)
    _, answer = await guarded.get("/api/channels", headers=bearer(["sensors.*"]))
    assert [channel["name"] for channel in answer["channels"]] == ["sensors.kitchen"]


async def names(server: Server, limit: int, **query: str) -> list[str]:
    """The names of all listed channels, read in pages of this size."""
    pages = await server.pages("/api/channels", "channels", limit, **query)
    return [each["name"] for page in pages for each in page]


async def test_every_channel_is_on_one_page_by_name(store: str) -> None:
    async with serving(store=store) as server, server.stream("/stream?channel=followed&channel=d*") as stream:
        await stream.next()
        published = [f"c{number:03}" for number in range(250)]
        await server.hub.publish_all([Draft(name, "message", "x") for name in published])
        assert await names(server, 7) == await names(server, 1000) == [*published, "followed"]
        (first, *others) = await server.pages("/api/channels", "channels", 100)
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


async def test_of_thousands_of_channels_only_the_granted_ones_are_listed(store: str) -> None:
    async with serving(store=store, jwt_key=SECRET) as server:
        await server.hub.publish_all([Draft(f"c{number}", "message", "x") for number in range(3000)])
        _, answer = await server.get("/api/channels", headers=bearer(["c17", "c2999"]))
        assert ([each["name"] for each in answer["channels"]], "next" in answer) == (["c17", "c2999"], False)


@pytest.mark.usefixtures("no_loop_debug")
async def test_a_token_of_many_patterns_lists_channels_as_quickly_as_another(guarded: Server) -> None:
    await guarded.hub.publish_all([Draft(f"c{number}", "message", "x") for number in range(500)])
    headers = bearer([f"a{number}*" for number in range(500)])
    with counted_calls() as calls:
        _, answer = await guarded.get("/api/channels", headers=headers)
    assert answer["channels"] == []
    assert calls.count < 50_000


@pytest.mark.usefixtures("no_loop_debug")
async def test_counting_the_subscribers_of_channels_that_thousands_of_subscriptions_cover_takes_many_turns(
    server: Server,
) -> None:
    for number in range(2000):
        subscription = Subscription(frozenset({"*", f"user.{number:04}"}))
        server.hub.subscribe(subscription, Connection(), StartPosition(server.hub.log.head))
    names = [f"c.{number}" for number in range(50)]
    assert await turns_during(server.get("/api/channels?limit=50&match=user.*")) > 50
    assert await turns_during(server.post("/api/broadcast", json={"message": 1, "channel": names})) > 50


@pytest.mark.parametrize("query", ["match=a%2Fb", "limit=0", "limit=1001", "limit=x", "match=" + "*a" * 9])
async def test_a_list_that_cannot_be_made_is_a_400(server: Server, query: str) -> None:
    assert (await server.get(f"/api/channels?{query}"))[0].status == 400

"""Active subscriptions of the Mercure protocol: the updates about them, and the lists."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from eventually import eventually
from hubs import Remote, Server, serving
from mercures import PATH, follow, update, with_token
from programs import Start
from tokens import SECRET
from yarl import URL

BOOK = "https://e.com/{x}"
LIST = f"{PATH}/subscriptions"
ALL = f"{LIST}{{/topic}}{{/subscriber}}"


async def listed(server: Remote, path: str = LIST, headers: dict[str, str] | None = None) -> dict[str, Any]:
    async with server.client.get(URL(server.url + path, encoded=True), headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "application/ld+json"
        found: dict[str, Any] = json.loads(await answer.text())
        return found


async def test_the_beginning_and_the_end_of_each_subscription_are_private_updates(store: str) -> None:
    async with serving(store=store, jwt_key=SECRET, mercure_subscriptions=True) as server:
        watcher = with_token(subscribe=[ALL])
        async with follow(server, [ALL], watcher) as watching:
            assert (await watching.next()).json()["topic"] == ALL
            async with follow(server, [BOOK, "b"], with_token(payload={"any": "thing"})):
                begun = await watching.take(2)
            ended = await watching.take(2)
        first = begun[0].json()
        assert first["id"] == f"{LIST}/https%3A%2F%2Fe.com%2F%7Bx%7D/{quote(first['subscriber'], safe='')}"
        assert {key: first[key] for key in ("@context", "type", "topic", "active", "payload")} == {
            "@context": "https://mercure.rocks/",
            "type": "Subscription",
            "topic": BOOK,
            "active": True,
            "payload": {"any": "thing"},
        }
        assert begun[0].type == "message"
        assert [event.json() for event in ended] == [{**event.json(), "active": False} for event in begun]


async def test_clients_without_a_grant_get_no_updates_about_subscriptions() -> None:
    async with serving(mercure_subscriptions=True) as server, follow(server, ["*", ALL]) as anonymous:
        async with follow(server, "t"):
            pass
        await update(server, "t", "public")
        assert (await anonymous.next()).data == "public"


async def test_the_lists_show_the_active_subscriptions_and_the_id_to_go_on_after() -> None:
    async with serving(mercure_subscriptions=True, anonymous="all") as server, follow(server, [BOOK, "b"]):
        found = await listed(server)
        assert [each["topic"] for each in found["subscriptions"]] == [BOOK, "b"]
        assert (found["id"], found["type"]) == (LIST, "Subscriptions")
        one = found["subscriptions"][0]
        of_topic = await listed(server, f"{LIST}/{quote(BOOK, safe='')}")
        assert of_topic["subscriptions"] == [one]
        shown = await listed(server, one["id"])
        assert shown == {"@context": "https://mercure.rocks/", **one, "lastEventID": found["lastEventID"]}
        assert (await listed(server, f"{LIST}/https%3A%2F%2Fe.com%2F1"))["subscriptions"] == []
        assert await server.status(f"{LIST}/b/urn%3Auuid%3Anone") == 404


async def test_topics_in_a_path_are_decoded_once() -> None:
    async with serving(mercure_subscriptions=True, anonymous="all") as server, follow(server, ["a%2Fb", "a/b"]):
        for topic in ("a%2Fb", "a/b"):
            found = await listed(server, f"{LIST}/{quote(topic, safe='')}")
            assert [each["topic"] for each in found["subscriptions"]] == [topic]


async def test_a_client_that_lists_and_then_follows_misses_nothing() -> None:
    async with serving(mercure_subscriptions=True, anonymous="all") as server:
        assert (await listed(server))["lastEventID"] == "earliest"
        await update(server, "t", "before", id="secret name")
        last = (await listed(server))["lastEventID"]
        assert last.startswith("urn:uuid:")
        await update(server, "t", "between")
        async with follow(server, "t", lastEventID=last) as stream:
            assert stream.response.headers["Last-Event-ID"] == last
            assert (await stream.next()).data == "between"


@pytest.mark.parametrize("quotes", ['"', ""])
async def test_an_unchanged_list_is_304(quotes: str) -> None:
    async with serving(mercure_subscriptions=True, anonymous="all") as server:
        response, _ = await server.get(LIST)
        etag = response.headers["ETag"].strip('"')
        assert response.headers["Link"] == f'<{PATH}>; rel="mercure"'
        headers = {"If-None-Match": f"{quotes}{etag}{quotes}"}
        assert await server.status(LIST, headers=headers) == 304
        await update(server, "t")
        assert await server.status(LIST, headers=headers) == 200


async def test_a_list_needs_a_token_that_grants_its_path() -> None:
    async with serving(mercure_subscriptions=True, jwt_key=SECRET) as server:
        assert await server.status(LIST) == 401
        assert await server.status(LIST, headers=with_token(subscribe=["b"])) == 403
        for selector in (LIST, ALL, "*"):
            assert await server.status(LIST, headers=with_token(subscribe=[selector])) == 200
        assert await server.status(f"{LIST}/b", headers=with_token(subscribe=[LIST])) == 403


async def test_without_the_setting_nothing_is_listed(server: Server) -> None:
    response, problem = await server.get(LIST)
    assert response.status == 404
    assert "--mercure-subscriptions" in problem["detail"]


async def test_the_end_of_subscriptions_that_a_killed_server_had_is_announced_by_the_next_one(
    program: Start, sqlite_store: str
) -> None:
    arguments = ("--store", sqlite_store, "--no-demo", "--mercure-subscriptions", "--anonymous", "all")
    first = program("--port", "0", *arguments)
    async with aiohttp.ClientSession() as client:
        hub = Remote(first.url.rstrip("/"), client)
        async with follow(hub, "t"):

            async def announced() -> bool:
                return bool((await listed(hub))["lastEventID"] != "earliest")

            await eventually(announced)
            first.process.kill()
            await asyncio.to_thread(first.process.wait)
    async with serving(store=sqlite_store, mercure_subscriptions=True, jwt_key=SECRET) as server:
        async with follow(server, ALL, with_token(subscribe=[ALL]), lastEventID="earliest") as stream:
            states = {event.json()["active"] for event in await stream.take(2) if event.json()["topic"] == "t"}
            assert states == {True, False}


async def test_a_node_that_starts_does_not_announce_the_end_of_what_lives_at_another(redis_store: str) -> None:
    settings = {"store": redis_store, "mercure_subscriptions": True, "jwt_key": SECRET}
    watcher = with_token(subscribe=["*"], publish=["*"])
    async with serving(**settings) as one, follow(one, "*", watcher) as stream:
        assert (await stream.next()).json()["active"] is True
        async with serving(**settings) as other:
            await update(other, "t", "after its start", headers=watcher)
            assert (await stream.next()).data == "after its start"

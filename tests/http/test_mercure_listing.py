"""Active subscriptions of the Mercure protocol: the updates about them, and the lists."""

from __future__ import annotations

import asyncio
import json
import signal
import tracemalloc
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from eventually import eventually
from hubs import Remote, Server, Stream, serving
from mercures import PATH, follow, update, with_token
from programs import Start
from shared_store import SharedStore
from sockets import get, raw
from tokens import SECRET
from turns import most_in_a_turn, turns_during
from yarl import URL

from sse_hub.core.events import LOWEST_ID, Event
from sse_hub.core.log import Log
from sse_hub.core.ports import Exchanged
from sse_hub.core.update_hub import UpdateHub
from sse_hub.http.app_keys import UPDATES
from sse_hub.http.mercure_documents import Subscribed
from sse_hub.http.mercure_elsewhere import Elsewhere
from sse_hub.http.mercure_subscriptions import MERCURE_SUBSCRIPTIONS, Subscriptions
from sse_hub.topic_grants import TopicGrant

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
    """V1, V2, V3, V4 and V5."""
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
    """V1 and V4."""
    async with serving(mercure_subscriptions=True) as server, follow(server, ["*", ALL]) as anonymous:
        async with follow(server, "t"):
            pass
        await update(server, "t", "public")
        assert (await anonymous.next()).data == "public"


async def test_the_lists_show_the_active_subscriptions_and_the_id_to_go_on_after() -> None:
    """V8 and V9."""
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
    """E2 and V8."""
    async with serving(mercure_subscriptions=True, anonymous="all") as server, follow(server, ["a%2Fb", "a/b"]):
        for topic in ("a%2Fb", "a/b"):
            found = await listed(server, f"{LIST}/{quote(topic, safe='')}")
            assert [each["topic"] for each in found["subscriptions"]] == [topic]


async def test_a_client_that_lists_and_then_follows_misses_nothing() -> None:
    """V10 and R7."""
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
    """V11 and C4."""
    async with serving(mercure_subscriptions=True, anonymous="all") as server:
        response, _ = await server.get(LIST)
        etag = response.headers["ETag"].strip('"')
        assert response.headers["Cache-Control"] == "private, must-revalidate, max-age=0"
        assert response.headers["Link"] == f'<{PATH}>; rel="mercure"'
        headers = {"If-None-Match": f"{quotes}{etag}{quotes}"}
        assert await server.status(LIST, headers=headers) == 304
        await update(server, "t")
        assert await server.status(LIST, headers=headers) == 200


async def test_the_etag_differs_after_the_updates_have_expired() -> None:
    """V10 and V11."""
    async with serving(mercure_subscriptions=True, anonymous="all", history_age=0.1) as server:
        updates = server.app[UPDATES]
        observe = updates.observe
        seen: list[Event] = []

        def note(event: Event) -> None:
            seen.append(event)
            observe(event)

        updates.observe = note

        async def announced_and_expired(count: int) -> None:
            await eventually(lambda: len(seen) == count and not updates.log.retained)

        async with follow(server, "a"):
            await announced_and_expired(1)
            response, first = await get_list(server)
        assert [each["topic"] for each in first["subscriptions"]] == ["a"]
        assert first["lastEventID"] != "earliest"
        known = {"If-None-Match": response.headers["ETag"]}
        await announced_and_expired(2)
        async with follow(server, "b"):
            await announced_and_expired(3)
            response, second = await get_list(server, known)
            assert response.status == 200
            assert [each["topic"] for each in second["subscriptions"]] == ["b"]
            async with follow(server, "c", lastEventID=second["lastEventID"]) as stream:
                assert stream.response.headers["Last-Event-ID"] == second["lastEventID"]


async def test_a_list_of_an_earlier_process_is_not_current(store: str) -> None:
    """V11."""
    settings = {"store": store, "mercure_subscriptions": True, "anonymous": "all", "history_age": 0.1}
    async with serving(**settings) as server:
        response, _ = await get_list(server)
        known = {"If-None-Match": response.headers["ETag"]}
        log = server.app[UPDATES].log
        head = log.head
        async with follow(server, "a"):
            await eventually(lambda: log.head > head)
        await eventually(lambda: not log.retained)
    async with serving(**settings) as server:
        response, _ = await get_list(server, known)
        assert response.status == 200


async def get_list(server: Remote, headers: dict[str, str] | None = None) -> tuple[aiohttp.ClientResponse, Any]:
    """The answer with the list, and the list; None for a 304."""
    async with server.client.get(server.url + LIST, headers=headers) as response:
        return response, json.loads(await response.text() or "null")


async def test_a_list_needs_a_token_that_grants_its_path() -> None:
    """V7."""
    async with serving(mercure_subscriptions=True, jwt_key=SECRET) as server:
        assert await server.status(LIST) == 401
        assert await server.status(LIST, headers=with_token(subscribe=["b"])) == 403
        for selector in (LIST, ALL, "*"):
            assert await server.status(LIST, headers=with_token(subscribe=[selector])) == 200
        assert await server.status(f"{LIST}/b", headers=with_token(subscribe=[LIST])) == 403


async def test_a_grant_holds_for_the_path_as_sent_and_for_its_canonical_encoding() -> None:
    """V7."""
    async with serving(mercure_subscriptions=True, jwt_key=SECRET) as server:
        canonical = f"{LIST}/{quote(BOOK, safe='')}"
        for granted in (canonical, f"{LIST}{{/topic}}"):
            headers = with_token(subscribe=[granted])
            for path in (canonical, canonical.lower(), canonical.replace("e.com", "%65.com")):
                async with server.client.get(URL(server.url + path, encoded=True), headers=headers) as answer:
                    assert answer.status == 200, path


@pytest.mark.parametrize("selector", ["/{type}/{id}", "/.well-known/mercure"])
async def test_a_grant_of_another_path_does_not_hold_for_an_encoded_one(selector: str) -> None:
    """V7."""
    async with serving(mercure_subscriptions=True, jwt_key=SECRET) as server, follow(server, "b", with_token()):
        for beginning in ("/.well-known/mercure", "/.well-known/%6Dercure", "/%2Ewell-known/mercure"):
            for rest in ("", "/b", "/b/x", "/.well-known/mercure"):
                url = URL(f"{server.url}{beginning}/%73ubscriptions{rest}", encoded=True)
                async with server.client.get(url, headers=with_token(subscribe=[selector])) as answer:
                    assert answer.status == 403, url


async def test_a_subscription_that_is_refused_is_not_announced() -> None:
    """V5."""
    settings = {"mercure_subscriptions": True, "jwt_key": SECRET, "anonymous": "all", "max_subscribers": 1}
    async with serving(**settings) as server, follow(server, ["*", ALL], with_token(subscribe=["*"])) as watching:
        begun = await watching.take(2)
        assert {event.json()["active"] for event in begun} == {True}
        async with follow(server, "refused") as refused:
            assert await refused.rest() == []
        await update(server, "t", "next")
        assert (await watching.next()).data == "next"


async def test_without_the_setting_nothing_is_listed(server: Server) -> None:
    response, problem = await server.get(LIST)
    assert response.status == 404
    assert "--mercure-subscriptions" in problem["detail"]


async def test_the_end_of_subscriptions_that_a_killed_server_had_is_announced_by_the_next_one(
    program: Start, sqlite_store: str
) -> None:
    """V6."""
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


async def test_the_lists_of_each_node_show_the_subscriptions_of_all_nodes_and_agree_with_their_id(
    redis_store: str,
) -> None:
    """V10 and V12."""
    settings = {"store": redis_store, "mercure_subscriptions": True, "anonymous": "all"}
    async with serving(**settings) as one, serving(**settings) as other, follow(one, [BOOK, "b"]):

        async def shown() -> bool:
            return {each["topic"] for each in (await listed(other))["subscriptions"]} == {BOOK, "b"}

        await eventually(shown)
        found = await listed(other)
        assert (await listed(one))["subscriptions"] == found["subscriptions"]
        assert await listed(other, found["subscriptions"][0]["id"])
        async with follow(other, "t", lastEventID=found["lastEventID"]) as stream:
            assert stream.response.headers["Last-Event-ID"] == found["lastEventID"]


async def test_a_node_that_starts_learns_of_subscriptions_whose_updates_are_no_longer_retained(
    redis_store: str,
) -> None:
    """V12."""
    settings = {"store": redis_store, "mercure_subscriptions": True, "anonymous": "all", "mercure_history": 2}
    async with serving(**settings) as one, follow(one, BOOK):
        for _ in range(5):
            await update(one, "t")
        async with serving(**settings) as other:

            async def shown() -> bool:
                return [each["topic"] for each in (await listed(other))["subscriptions"]] == [BOOK]

            await eventually(shown)


async def ends_of(stream: Stream, last: str) -> list[str]:
    """The topics whose subscriptions have ended, up to the update with these data."""
    ended = []
    while (event := await stream.next()).data != last:
        if event.json()["active"] is False:
            ended.append(event.json()["topic"])
    return ended


async def test_the_end_of_what_a_killed_node_had_is_announced_once(program: Start, redis_store: str) -> None:
    """V6."""
    arguments = ("--store", redis_store, "--no-demo", "--mercure-subscriptions", "--anonymous", "all")
    settings = {"store": redis_store, "mercure_subscriptions": True, "jwt_key": SECRET}
    watcher = with_token(subscribe=[ALL, "*"], publish=["*"])
    async with serving(**settings) as one, serving(**settings) as two, follow(one, [ALL, "last"], watcher) as stream:
        killed = program("--port", "0", *arguments)
        async with aiohttp.ClientSession() as client:
            async with follow(Remote(killed.url.rstrip("/"), client), ["a", "b"]):
                while (await stream.next()).json()["topic"] != "b":
                    pass
                killed.process.kill()
                await asyncio.to_thread(killed.process.wait)

        async def gone() -> bool:
            lists = [(await listed(server, headers=watcher))["subscriptions"] for server in (one, two)]
            return all({each["topic"] for each in found} == {ALL, "last"} for found in lists)

        await eventually(gone)
        await update(two, "last", "last", headers=watcher)
        assert sorted(await ends_of(stream, "last")) == ["a", "b"]


async def test_a_subscription_that_others_took_for_dead_begins_again(program: Start, redis_store: str) -> None:
    """V6."""
    arguments = ("--store", redis_store, "--no-demo", "--mercure-subscriptions", "--anonymous", "all")
    settings = {"store": redis_store, "mercure_subscriptions": True, "jwt_key": SECRET}
    watcher = with_token(subscribe=[ALL])
    async with serving(**settings) as one, follow(one, ALL, watcher) as stream:
        await stream.next()
        frozen = program("--port", "0", *arguments)
        async with aiohttp.ClientSession() as client:
            async with follow(Remote(frozen.url.rstrip("/"), client), "a"):
                assert (await stream.next()).json()["active"] is True
                frozen.process.send_signal(signal.SIGSTOP)
                assert (await stream.next()).json()["active"] is False
                frozen.process.send_signal(signal.SIGCONT)
                again = (await stream.next()).json()
                assert (again["topic"], again["active"]) == ("a", True)


async def test_ten_thousand_subscriptions_are_listed_whole() -> None:
    """V8."""
    async with serving(mercure_subscriptions=True, anonymous="all", max_channels_per_connection=10_000) as server:
        topics = [f"t{number}" for number in range(100)]
        async with AsyncExitStack() as stack:
            for _ in range(100):
                await stack.enter_async_context(follow(server, topics))
            assert len((await listed(server))["subscriptions"]) == 10_000


async def test_subscriptions_that_come_and_go_at_a_node_without_others_leave_nothing_behind(server: Server) -> None:
    elsewhere = Elsewhere(server.app[UPDATES])
    tracemalloc.start()
    for number in range(2000):
        subscribed = Subscribed(f"urn:{number}", (BOOK,), None)
        elsewhere.report(subscribed, active=True)
        elsewhere.report(subscribed, active=False)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 50_000


def announcing_to(store: SharedStore) -> Subscriptions:
    """The subscriptions of a node whose updates go to this store."""
    hub = UpdateHub(Log(LOWEST_ID), asyncio.get_running_loop().call_soon)
    hub.store = store
    return Subscriptions(hub, enabled=True)


async def test_few_subscriptions_are_announced_in_a_turn_however_many_topics_a_subscriber_has() -> None:
    store = SharedStore(Exchanged(frozenset(), (), False), lambda: True)
    subscriptions = announcing_to(store)
    topics = [f"t{number}" for number in range(100)]
    for id in range(50):
        subscriptions.begin(id, topics, TopicGrant())
    assert await most_in_a_turn(subscriptions.finish(), lambda: len(store.appended)) <= 200
    assert [topic for draft in store.appended for topic in topics if f'"{topic}\\"' in draft.data] == topics * 50


async def test_a_subscriber_with_thousands_of_topics_is_announced_whole_and_in_many_turns() -> None:
    store = SharedStore(Exchanged(frozenset(), (), False), lambda: True)
    subscriptions = announcing_to(store)
    subscriptions.begin(1, [f"t{number}" for number in range(4000)], TopicGrant())
    assert await turns_during(subscriptions.finish()) >= 20
    assert len(store.appended) == 4000


async def test_a_subscription_that_ends_before_it_is_announced_is_never_announced() -> None:
    store = SharedStore(Exchanged(frozenset(), (), False), lambda: True)
    subscriptions = announcing_to(store)
    subscriptions.begin(1, [f"t{number}" for number in range(4000)], TopicGrant())
    finishing = asyncio.create_task(subscriptions.finish())
    for _ in range(5):
        await asyncio.sleep(0)
    subscriptions.end(1)
    await finishing
    assert store.appended == []


def subscribe_many(server: Server, subscribers: int, payload: object) -> list[str]:
    """Let subscribers of a hundred topics each begin, with this payload in their tokens; the topics."""
    topics = [f"t{number}" for number in range(100)]
    for id in range(subscribers):
        server.app[MERCURE_SUBSCRIPTIONS].begin(id, topics, TopicGrant(payload=payload))
    return topics


async def test_a_large_list_is_whole_and_has_a_length_also_in_the_answer_to_head() -> None:
    async with serving(mercure_subscriptions=True, anonymous="all", mercure_history=10) as server:
        topics = subscribe_many(server, 20, payload="x" * 1000)
        await server.app[MERCURE_SUBSCRIPTIONS].finish()
        head, _ = await server.ask("HEAD", LIST)
        async with server.client.get(server.url + LIST) as answer:
            body = await answer.read()
        assert [each["topic"] for each in json.loads(body)["subscriptions"]] == topics * 20
        assert len(body) > 1 << 20
        for response in (head, answer):
            assert response.headers["Content-Length"] == str(len(body))
            assert response.headers["Content-Type"] == "application/ld+json"
            assert response.headers["ETag"] == answer.headers["ETag"]
        async with server.client.get(f"{server.url}{LIST}/t7") as answer:
            assert {each["topic"] for each in (await answer.json(content_type=None))["subscriptions"]} == {"t7"}


async def test_a_large_list_is_sent_without_a_copy_of_it_in_memory() -> None:
    async with serving(mercure_subscriptions=True, anonymous="all", mercure_history=10) as server:
        subscribe_many(server, 50, payload="x" * 3000)
        await server.app[MERCURE_SUBSCRIPTIONS].finish()
        length = 0
        tracemalloc.start()
        async with server.client.get(server.url + LIST) as answer:
            async for part in answer.content.iter_any():
                length += len(part)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < length / 2


async def test_a_client_that_leaves_in_the_middle_of_a_large_list_harms_no_other() -> None:
    async with serving(mercure_subscriptions=True, anonymous="all", mercure_history=10) as server:
        subscribe_many(server, 50, payload="x" * 3000)
        async with raw(server.port, get(LIST), window_bytes=20_000) as leaving:
            await leaving.until(b'"subscriptions":[')
        assert len((await listed(server))["subscriptions"]) == 5000

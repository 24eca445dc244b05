"""Following topics by the Mercure protocol: what is on the wire, and which updates."""

from __future__ import annotations

import asyncio
import time

import pytest
from eventually import eventually
from hubs import Server, Stream, serving
from mercures import PATH, follow, pairs, update, with_token
from sockets import crowd, get, raw
from tokens import SECRET, bearer
from turns import most_in_a_turn
from yarl import URL

from sse_hub.http.app_keys import UPDATES
from sse_hub.settings import Settings

BOOK = "https://e.com/books/{id}"


@pytest.mark.parametrize(
    ("selectors", "topics"),
    [
        (["https://e.com/books/1"], ["https://e.com/books/1"]),
        (["https://e.com/books/1"], ["https://e.com/other", "https://e.com/books/1"]),
        (["https://e.com/x", "https://e.com/books/1"], ["https://e.com/books/1"]),
        ([BOOK], ["https://e.com/books/1"]),
        (["*"], ["https://e.com/books/1"]),
        (["foo bar"], ["foo bar"]),
        (["{"], ["{"]),
    ],
)
async def test_an_update_of_a_topic_that_is_followed_arrives(
    server: Server, selectors: list[str], topics: list[str]
) -> None:
    """S3 and S19."""
    async with follow(server, selectors) as stream:
        await update(server, topics, "here")
        assert (await stream.next()).data == "here"


async def test_updates_of_other_topics_do_not_arrive(server: Server) -> None:
    """S19."""
    async with follow(server, BOOK) as stream:
        for topic in ("https://e.com/books/1/2", "https://e.com/books", "https://E.com/books/1"):
            await update(server, topic, "not here")
        await update(server, "https://e.com/books/1", "here")
        assert (await stream.next()).data == "here"


async def test_private_updates_do_not_reach_a_subscriber_without_a_token(server: Server) -> None:
    """A14 and S19."""
    async with follow(server, ["*", BOOK]) as stream:
        for _ in range(3):
            await update(server, "https://e.com/books/1", "secret", private="on")
        await update(server, "https://e.com/books/1", "public")
        assert (await stream.next()).data == "public"


async def test_the_first_bytes_come_at_once_and_have_no_empty_line(server: Server) -> None:
    """S8, S10, S11 and S12."""
    async with raw(server.port, get(f"{PATH}?topic=t", Accept="*/*")) as client:
        received = await client.until(b"retry: ")
        await update(server, "t", "first")
        head, _, body = (await client.until(b"data: first\n\n")).partition(b"\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"Cache-Control: private, no-cache, no-store, no-transform\r\n" in head + b"\r\n"
    assert b"X-Accel-Buffering: no" in head
    text = b"".join(body.split(b"\r\n")[1::2])
    assert text.startswith(b":\nretry: ")
    assert text.count(b"\n\n") == 1


async def test_the_topics_of_an_update_are_not_on_the_wire(server: Server) -> None:
    """S23."""
    async with raw(server.port, get(f"{PATH}?topic=*")) as client:
        await client.until(b"retry: ")
        await update(server, ["the-first", "the-second"], "here")
        await client.until(b"data: here\n\n")
        assert b"the-first" not in client.received
        assert b"the-second" not in client.received


def test_a_keep_alive_comes_often_enough_for_proxies() -> None:
    """S14."""
    assert Settings().ping <= 40


async def test_a_keep_alive_is_a_colon_alone() -> None:
    """S11."""
    async with serving(ping=0.05) as server, raw(server.port, get(f"{PATH}?topic=t")) as client:
        await client.until(b"\r\n2\r\n:\n\r\n2\r\n:\n\r\n")
        assert b"\n\n" not in client.received


async def test_nothing_but_updates_is_on_a_stream_that_the_server_ends(store: str) -> None:
    """S13 and S16."""
    async with serving(store=store, drain=1.0) as server:
        await update(server, "t", "before", id="first")
        async with follow(server, "t", lastEventID="earliest") as stream:
            assert (await stream.next()).data == "before"
            await update(server, "t", "live")
            assert (await stream.next()).data == "live"
            ending = asyncio.create_task(_shut_down(server))
            assert await stream.rest() == []
            await ending
            assert stream.parser.retry_ms is not None


async def _shut_down(server: Server) -> None:
    assert server.app is not None
    await server.app.shutdown()


async def test_head_has_the_headers_and_no_subscription(server: Server) -> None:
    """S8."""
    response, _ = await server.ask("HEAD", f"{PATH}?topic=t")
    assert (response.status, response.content_type) == (200, "text/event-stream")
    assert await server.status(PATH, "HEAD") == 400
    assert (await server.health())["subscribers"] == 0


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("", "topic"),
        ("?Topic=t", "topic"),
        ("?topic=t&match=x", "0.x"),
        ("?topic=t&MATCH_exact=x", "0.x"),
        ("?topic=a%0Ab", "control"),
        ("?topic=a%C2%85b", "control"),
        (f"?topic={'a' * 4097}", "4096"),
        ("?topic=%ff", "UTF-8"),
        ("?" + "&".join(f"topic={n}" for n in range(101)), "100"),
    ],
)
async def test_a_malformed_request_is_400_and_says_what_would_be_right(server: Server, query: str, word: str) -> None:
    """S1, S2, S3, S4 and M4."""
    response, problem = await server.get(PATH + query)
    assert response.status == 400
    assert word in problem["detail"]


async def test_topics_that_are_named_twice_are_one_and_other_parameters_do_not_matter(server: Server) -> None:
    """S4 and S7."""
    async with follow(server, ["t"] * 200, x="1") as stream:
        await update(server, "t", "here")
        assert (await stream.next()).data == "here"


@pytest.mark.parametrize("accept", ["application/json", "text/html", "*/*"])
async def test_accept_is_not_looked_at(server: Server, accept: str) -> None:
    """S5."""
    async with follow(server, "t", {"Accept": accept}) as stream:
        await update(server, "t", "here")
        assert (await stream.next()).data == "here"


@pytest.mark.parametrize(("accept", "status"), [("text/event-stream", 200), ("application/json", 503), ("", 503)])
async def test_a_state_that_passes_does_not_make_an_event_source_give_up(accept: str, status: int) -> None:
    """S15."""
    async with serving(max_subscribers=1) as server, follow(server, "t"):
        headers = {"Accept": accept, "Last-Event-ID": "x"}
        response, body = await server.get(f"{PATH}?topic=t", headers=headers)
        assert response.status == status
        if status == 200:
            assert body.startswith("retry: ")
            assert "\n\n" not in body
            assert response.headers["Last-Event-ID"] == "x"
        else:
            assert int(response.headers["Retry-After"]) >= 1


async def test_an_id_in_the_query_cannot_forge_a_header() -> None:
    """R2 and S15."""
    async with serving(max_subscribers=1) as server, follow(server, "t"):
        url = f"{PATH}?topic=t&lastEventID=a%0D%0AX-Evil:%201"
        response, _ = await server.get(url, headers={"Accept": "text/event-stream"})
        assert response.status == 200
        assert "X-Evil" not in response.headers
        assert "Last-Event-ID" not in response.headers
    async with serving() as server, follow(server, "t", lastEventID="a\r\nX-Evil: 1") as stream:
        assert "X-Evil" not in stream.response.headers


async def test_the_limits_of_subscribers_are_those_of_all_streams() -> None:
    async with serving(max_subscribers=1) as server, follow(server, "t"):
        async with server.stream() as native:
            assert (await native.next()).type == "error"
        assert (await server.health())["subscribers"] == 1


async def test_an_address_may_follow_a_limited_number_of_different_templates_at_once() -> None:
    """S15."""
    async with serving(mercure_templates_per_address=2) as server:
        async with follow(server, ["{a}", "{b}", "c", "d"]) as stream, follow(server, "{b}") as other:
            async with follow(server, "{c}") as refused:
                assert await refused.rest() == []
            assert await server.hits("templates") == 1
            await update(server, "t", "here")
            assert [(await each.next()).data for each in (stream, other)] == ["here", "here"]
        await eventually(lambda: not server.app[UPDATES].statistics().subscribers)
        async with follow(server, ["{c}", "{d}"]) as stream:
            await update(server, "t", "again")
            assert (await stream.next()).data == "again"


async def test_a_client_of_http_1_0_gets_the_stream_without_chunks(server: Server) -> None:
    async with raw(server.port, get(f"{PATH}?topic=t", "1.0")) as client:
        await client.until(b"retry: ")
        await update(server, "t", "here")
        received = await client.until(b"data: here\n\n")
        assert b"\r\n\r\n:\nretry: " in received


async def test_a_client_that_takes_gzip_gets_every_update_as_soon_as_it_is_published() -> None:
    async with serving(compress=True) as server, follow(server, "t", {"Accept-Encoding": "gzip"}) as stream:
        assert stream.response.headers["Content-Encoding"] == "gzip"
        for data in ("one", "two"):
            await update(server, "t", data)
            assert (await stream.next()).data == data


async def test_no_other_endpoint_shows_an_update(store: str) -> None:
    async with serving(store=store) as server, server.stream("/stream?channel=*&envelope=1&replay=100") as native:
        await update(server, ["t", "main"], "of mercure")
        await update(server, "t", "of mercure, private", private="on")
        await server.post("/realtime/main", data="native")
        types = [await native.next() for _ in range(3)]
        assert [event.type for event in types[:2]] == ["connected", "live"]
        assert types[2].json()["data"] == "native"
        _, listed = await server.get("/api/channels")
        assert [channel["name"] for channel in listed["channels"]] == ["main"]
        assert (await server.get("/api/channels/mercure/events"))[1]["events"] == []
        async with follow(server, "*", lastEventID="earliest") as stream:
            assert (await stream.next()).data == "of mercure"
            await update(server, "t", "last")
            assert (await stream.next()).data == "last"


NAMES = ("mercure", "%2Fmercure", "%252Fmercure", "*", "mercure.*", "**", "update")


async def test_no_spelling_of_a_channel_and_no_list_shows_an_update(store: str) -> None:
    everything = bearer(["*"], ["*"], admin=True)
    async with serving(store=store, jwt_key=SECRET, anonymous="all", mercure_subscriptions=True) as server:
        for headers in ({"Idempotency-Key": "k"}, {}):
            publisher = {**with_token(publish=["*"]), **headers}
            more = {"private": "on", "type": "hidden-type"}
            await update(server, "hidden-topic", "hidden", headers=publisher, **more)
        assert await server.status("/realtime/main", "POST", data="native", headers={"Idempotency-Key": "k"}) == 200
        seen = ""
        for headers in ({}, everything):
            for name in NAMES:
                queries = ("from=start", "replay=100&envelope=1", "replay=latest")
                streams = [f"/stream?channel={name}&channel=main&{query}" for query in queries]
                for path in streams:
                    seen += await replayed(server, path, headers)
                lists = (f"/api/channels/{name}", f"/api/channels/{name}/events", f"/api/channels?match={name}")
                for path in lists:
                    seen += str((await server.get(path, headers=headers))[1])
                await server.status(f"/realtime/{name}", "DELETE", headers=everything)
                await server.post("/realtime/main", data="native", headers=everything)
            for path in ("/api/channels", "/api/subscribers", "/health", "/openapi.json"):
                seen += str((await server.get(path, headers=headers))[1])
            seen += str((await server.get("/metrics", headers={"Accept": "text/plain", **headers}))[1])
        assert "native" in seen
        assert "hidden" not in seen
        reader = with_token(subscribe=["*"])
        async with follow(server, "hidden-topic", reader, lastEventID="earliest") as stream:
            assert [event.data for event in await stream.take(2)] == ["hidden", "hidden"]


async def replayed(server: Server, path: str, headers: dict[str, str]) -> str:
    """What a stream replays; the answer, if it is refused."""
    async with server.client.get(URL(server.url + path, encoded=True), headers=headers) as response:
        if response.status != 200:
            return await response.text()
        events = await Stream(response).until("live")
        return "".join(f"{event.type} {event.data}\n" for event in events)


async def test_a_loss_of_updates_is_no_loss_for_a_native_stream() -> None:
    async with serving(mercure_history=2) as server:
        await server.post("/realtime/main", data="native")
        async with server.stream("/stream?channel=*&replay=5") as native:
            cursor = (await native.take(2))[1].id
        for _ in range(5):
            await update(server, "t")
        async with server.stream("/stream?channel=*", {"Last-Event-ID": cursor}) as native:
            assert (await native.next()).json()["resumed"]


async def test_a_subscriber_that_has_lost_updates_is_disconnected_and_resumes_with_the_loss_in_the_header() -> None:
    """S17 and R6."""
    async with serving(mercure_history=5, send_timeout=600) as server:
        query = "&".join(f"{name}={value}" for name, value in pairs("t"))
        async with raw(server.port, get(f"{PATH}?{query}")) as client:
            await client.until(b"retry: ")
            client.freeze()
            big = "x" * 500_000
            for number in range(40):
                await update(server, "t", big, id=f"n{number}")
            client.thaw()
            received = await client.rest()
        assert b"id: n0\n" in received
        assert b"event: lost" not in received
        last = received.rpartition(b"id: ")[2].partition(b"\n")[0].decode()
        assert last != "n39"
        async with follow(server, "t", lastEventID=last) as stream:
            assert stream.response.headers["Last-Event-ID"] == "earliest"
            assert (await stream.next()).id == "n35"


async def test_streams_that_lose_updates_at_once_end_in_steps() -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs("t"))
    async with serving() as server, crowd(server.port, 400, get(f"{PATH}?{query}")) as clients:
        for client in clients:
            await client.until(b"retry: ")
        ended = [asyncio.create_task(client.rest()) for client in clients]

        async def lose() -> None:
            server.app[UPDATES].restart(server.app[UPDATES].log.head)
            await asyncio.wait(ended)

        assert await most_in_a_turn(lose(), lambda: sum(task.done() for task in ended)) <= 200


async def test_a_token_that_expires_ends_its_stream() -> None:
    """S16 and S18."""
    async with serving(jwt_key=SECRET) as server:
        headers = with_token(subscribe=["*"], exp=time.time() + 1.5)
        async with follow(server, "t", headers) as stream:
            assert await stream.rest() == []
            assert stream.parser.retry_ms is not None


async def test_an_operator_sees_the_subscribers_and_can_end_one(server: Server) -> None:
    """S16."""
    async with follow(server, "t") as stream:

        async def listed() -> list[dict[str, object]]:
            found: list[dict[str, object]] = (await server.get("/api/subscribers"))[1]["subscribers"]
            return found

        (one,) = await eventually(listed)
        assert one["channels"] == ["t"]
        assert await server.status(f"/api/subscribers/{one['id']}", "DELETE") == 204
        assert await stream.rest() == []


async def test_the_page_names_the_hub_for_discovery(server: Server) -> None:
    """C4."""
    response, _ = await server.get("/")
    link = response.links["mercure"]["url"]
    assert link == URL(server.url + PATH)


async def test_a_page_of_another_origin_may_read_the_headers_that_it_needs(server: Server) -> None:
    """C3 and R8."""
    async with follow(server, "t", {"Origin": "https://e.com"}) as stream:
        exposed = stream.response.headers["Access-Control-Expose-Headers"]
        assert {"Last-Event-ID", "Mercure-Last-Event-ID", "Link", "ETag"} <= set(exposed.split(", "))


@pytest.mark.parametrize(
    ("listed", "origin", "allowed", "credentials"),
    [
        ("https://app.example", "https://app.example", "https://app.example", "true"),
        ("https://app.example", "https://evil.example", None, None),
        ("*", "https://evil.example", "*", None),
    ],
)
async def test_a_page_of_a_listed_origin_may_send_its_cookie_and_no_other(
    listed: str, origin: str, allowed: str | None, credentials: str | None
) -> None:
    """C1."""
    async with serving(cors_origin=(listed,)) as server, follow(server, "t", {"Origin": origin}) as stream:
        headers = stream.response.headers
        assert headers.get("Access-Control-Allow-Origin") == allowed
        assert headers.get("Access-Control-Allow-Credentials") == credentials
        if listed != "*":
            assert "Origin" in headers["Vary"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_preflight_allows_what_clients_send(server: Server, method: str) -> None:
    """C2."""
    names = {"authorization", "cache-control", "last-event-id", "content-type", "idempotency-key"}
    response, _ = await server.ask(
        "OPTIONS",
        PATH,
        headers={
            "Origin": "https://e.com",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": ",".join(sorted(names)),
        },
    )
    assert response.status == 204
    assert method in response.headers["Access-Control-Allow-Methods"]
    assert names <= set(response.headers["Access-Control-Allow-Headers"].lower().split(", "))


async def test_a_server_can_be_without_the_protocol() -> None:
    async with serving(no_mercure=True) as server:
        assert await server.status(f"{PATH}?topic=t") == 404
        assert await server.status(PATH, "POST", data={"topic": "t"}) == 404

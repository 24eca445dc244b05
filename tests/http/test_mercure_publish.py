"""Publishing by the Mercure protocol."""

from __future__ import annotations

import asyncio
import io
import re
import threading
from collections.abc import Sequence

import pytest
from eventually import PATIENCE, eventually
from hubs import Server, serving
from mercures import PATH, follow, publish, update, with_token
from tokens import SECRET

from sse_hub.core.updates import cursor_of
from sse_hub.topic_grants import TopicGrant

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_the_answer_is_the_id_as_text_and_nothing_else(server: Server) -> None:
    """P1 and P3."""
    response, body = await server.post(PATH, data={"topic": "t", "data": "d"})
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert cursor_of(body) is not None


@pytest.mark.parametrize("id", ["1", 'id-["https://e.com/é"]', "urn:uuid:0ef9f8a4-9bba-4c9c-8a3b-9b7b7e1d7b1a"])
async def test_the_publishers_id_is_kept_and_returned(server: Server, id: str) -> None:
    """P2."""
    async with follow(server, "t") as stream:
        assert await update(server, "t", id=id) == id
        assert (await stream.next()).id == id


@pytest.mark.parametrize(
    ("data", "received"),
    [("", ""), ("a\r\nb\rc\nd", "a\nb\nc\nd"), ("\u2028\x85\x0b", "\u2028\x85\x0b"), ("\n", "\n"), ("é😀", "é😀")],
)
async def test_data_arrive_as_they_are_but_for_line_breaks(server: Server, data: str, received: str) -> None:
    """S22."""
    async with follow(server, "t") as stream:
        await update(server, "t", data)
        assert (await stream.next()).data == received


async def test_data_may_be_left_out_and_still_make_an_event(server: Server) -> None:
    """S22."""
    async with follow(server, "t") as stream:
        assert await server.status(PATH, "POST", data={"topic": "t"}) == 200
        assert (await stream.next()).data == ""


async def test_type_and_retry_reach_the_subscriber(server: Server) -> None:
    """S22."""
    async with follow(server, "t") as stream:
        await update(server, "t", type="news", retry="4321")
        assert (await stream.next()).type == "news"
        assert stream.parser.retry_ms == 4321


@pytest.mark.parametrize("field", ["id", "type", "retry"])
async def test_an_empty_field_counts_as_absent(server: Server, field: str) -> None:
    """The table of section 4, and P3."""
    async with follow(server, "t") as stream:
        id = await update(server, "t", **{field: ""})
        assert cursor_of(id) is not None
        assert (await stream.next()).type == "message"


@pytest.mark.parametrize("value", ["on", "", "0", "false"])
async def test_an_update_is_private_if_the_field_is_there_whatever_its_value(server: Server, value: str) -> None:
    """The table of section 4, and A14."""
    async with follow(server, "t") as stream:
        await update(server, "t", "secret", private=value)
        await update(server, "t", "public")
        assert (await stream.next()).data == "public"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"data=d", "topic"),
        (b"topic=*", "selector"),
        (b"topic=%ff", "UTF-8"),
        (b"topic=t&data=%ff", "UTF-8"),
        (b"topic=a%0ab", "U+000A"),
        (b"topic=a%00b", "U+0000"),
        (b"topic=a%E2%80%8Bb", "U+200B"),
        (b"topic=" + b"a" * 4097, "4096"),
        *((b"topic=t&id=a%s" % bad, "U+00") for bad in (b"%0d", b"%0a", b"%00", b"%c2%85")),
        *((b"topic=t&type=a%s" % bad, "U+00") for bad in (b"%0d", b"%0a", b"%00")),
        (b"topic=t&id=%23a", "#"),
        (b"topic=t&id=earliest", "earliest"),
        (b"topic=t&type=mercure", "mercure"),
        *((b"topic=t&retry=" + bad, "retry") for bad in (b"-1", b"1.5", b"a", b"%D9%A1", b"1" * 16, b"1%0a")),
    ],
)
async def test_a_malformed_field_is_400_and_the_answer_says_what_would_be_right(
    server: Server, body: bytes, word: str
) -> None:
    """The table of section 4, and P9."""
    response, problem = await server.post(PATH, data=body, headers=FORM)
    assert response.status == 400
    assert word in problem["detail"]


@pytest.mark.parametrize(
    "topic",
    [
        "/.well-known/mercure",
        "/.well-known/mercure/subscriptions/x/y",
        "https://other.example/.well-known/mercure/x",
        "/.well-known/%6Dercure/x",
        "/a/../.well-known/mercure",
        "/%2E%2E/.well-known/mercure",
        "mercure/x",
        "?x=1",
    ],
)
async def test_a_topic_in_the_hubs_own_namespace_is_refused(server: Server, topic: str) -> None:
    """P4."""
    status, body = await publish(server, ["t", topic])
    assert status == 400
    assert "namespace" in body


@pytest.mark.parametrize(
    "topic",
    [
        *("../mercure", "https://e.com/?u=/.well-known/mercure", "/.well-known/mercure-x", "http://[x", "urn:a:b"),
        *("a b", "é", "/.well-known%2Fmercure"),
    ],
)
async def test_any_other_string_is_a_topic(server: Server, topic: str) -> None:
    """P4 and S3."""
    async with follow(server, topic) as stream:
        await update(server, topic)
        assert (await stream.next()).data == "d"


async def test_an_update_may_have_a_thousand_topics(server: Server) -> None:
    """The table of section 4."""
    assert (await publish(server, [f"t{n}" for n in range(1000)]))[0] == 200
    assert (await publish(server, [f"t{n}" for n in range(1001)]))[0] == 413
    assert (await publish(server, ["t"] * 1001))[0] == 200
    assert await server.status(PATH, "POST", data=b"a&" * 5000, headers=FORM) == 413


async def test_a_subscriber_gets_an_update_once_whatever_of_it_matches(server: Server) -> None:
    """S20."""
    async with follow(server, ["a", "b", "{x}", "*"]) as stream:
        await update(server, ["a", "b", "a", "c"], "once")
        await update(server, "a", "next")
        assert [event.data for event in await stream.take(2)] == ["once", "next"]


@pytest.mark.parametrize("type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
async def test_another_content_type_is_415(server: Server, type: str) -> None:
    """P5."""
    assert await server.status(PATH, "POST", data=b"topic=t", headers={"Content-Type": type}) == 415


async def test_parameters_of_the_content_type_do_not_matter(server: Server) -> None:
    """P5."""
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    assert await server.status(PATH, "POST", data=b"topic=t", headers=headers) == 200


async def test_fields_in_the_query_do_not_count(server: Server) -> None:
    """The table of section 4."""
    assert await server.status(f"{PATH}?topic=t", "POST", data=b"data=d", headers=FORM) == 400


async def test_a_body_of_a_megabyte_is_published_whole(server: Server) -> None:
    """P5."""
    data = "é" * 150_000
    async with follow(server, "t") as stream:
        await update(server, "t", data)
        assert (await stream.next()).data == data
    assert await server.status(PATH, "POST", data=io.BytesIO(b"topic=t&data=" + b"x" * (1 << 20)), headers=FORM) == 413


@pytest.mark.parametrize(
    ("topics", "selectors"),
    [
        ([f"https://e.com/{number}/{'a' * 900}" for number in range(1000)], ["https://e.com/{user}.{id}"]),
        ([f"https://e.com/{number}" for number in range(500)], [f"https://e.com/{{a}}.{{b}}{n}" for n in range(101)]),
    ],
    ids=["long topics", "many selectors"],
)
async def test_other_requests_are_answered_while_the_topics_of_a_large_update_are_compared(
    monkeypatch: pytest.MonkeyPatch, topics: Sequence[str], selectors: Sequence[str]
) -> None:
    comparing, others_answered = threading.Event(), threading.Event()
    may_publish = TopicGrant.may_publish

    def compare(self: TopicGrant, topic: str) -> bool:
        comparing.set()
        assert others_answered.wait(PATIENCE), "the event loop is held"
        return may_publish(self, topic)

    monkeypatch.setattr(TopicGrant, "may_publish", compare)
    async with serving(jwt_key=SECRET) as server, asyncio.TaskGroup() as tasks:
        published = tasks.create_task(publish(server, topics, headers=with_token(publish=[*selectors, topics[0]])))
        await eventually(comparing.is_set)
        assert (await server.health())["status"] == "ok"
        others_answered.set()
        status, body = await published
        assert status == 403
        assert f"publish to {topics[1]!r}" in body


async def test_a_publisher_that_is_too_fast_gets_the_time_to_wait() -> None:
    """P5."""
    async with serving(publish_rate=1.0) as server:
        refused = (await server.post(PATH, data={"topic": "t"}))[0]
        while refused.status == 200:
            refused = (await server.post(PATH, data={"topic": "t"}))[0]
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) >= 1


async def test_the_same_idempotency_key_publishes_once(store: str) -> None:
    """P8."""
    async with serving(store=store) as server, follow(server, "t") as stream:
        key = {"Idempotency-Key": "k"}
        first, second = [await update(server, "t", "once", headers=key) for _ in range(2)]
        assert first == second
        named = [await update(server, "t", "named", id="mine", headers={"Idempotency-Key": "n"}) for _ in range(2)]
        assert named == ["mine", "mine"]
        assert [event.data for event in await stream.take(2)] == ["once", "named"]
        assert await server.status(PATH, "POST", data={"topic": "t"}, headers={"Idempotency-Key": "k" * 257}) == 400


async def test_updates_come_in_the_order_in_which_they_were_accepted(store: str) -> None:
    """S21."""
    async with serving(store=store) as server, follow(server, "*") as one, follow(server, "{x}") as two:
        await asyncio.gather(*(update(server, f"t{n}", str(n)) for n in range(50)))
        first, second = [[event.id for event in await stream.take(50)] for stream in (one, two)]
        assert first == second
        cursors = [cursor_of(id) for id in first]
        assert cursors == sorted(cursors, key=lambda cursor: cursor or (0, 0))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_another_method_is_405_and_names_those_that_there_are(server: Server, method: str) -> None:
    """E1."""
    response, _ = await server.ask(method, PATH)
    assert response.status == 405
    assert set(re.split(", ?", response.headers["Allow"])) == {"GET", "HEAD", "POST"}


async def test_there_is_nothing_below_a_slash(server: Server) -> None:
    """E4."""
    assert await server.status(f"{PATH}/") == 404

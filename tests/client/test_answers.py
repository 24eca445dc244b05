"""What a server answers and should not: redirects, bytes that no request can have, other answers than a hub's."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from eventually import PATIENCE
from hubs import Server
from scripted import HEAD, Connection, held, raw, scripted, status, stream

from sse_client import EventSource, NotAnEventStream, Refused, SSEClient, SSEError

JSON = "Content-Type: application/json\r\n"
PUBLISHED = {"id": "1-0", "channel": "c", "event": "t", "subscribers": 0}
ENVELOPE = {"id": "5-0", "channel": "c", "event": "t", "data": "a", "timestamp": "2026-11-24T12:00:00Z"}


async def data_of(events: Any) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [event.data async for event in events]


# Redirects


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_publish_that_is_redirected_is_refused_at_once_and_names_the_new_place(code: int) -> None:
    moved = status(code, "Location: https://user:pw@example.org/realtime/main?event=message&token=SECRET\r\n")
    async with scripted(moved) as server, SSEClient(server.url, token="SECRET") as client:
        with pytest.raises(Refused, match=r"it has moved to https://example\.org/realtime/main") as caught:
            await client.publish("a")
    assert (caught.value.status, len(server.requests)) == (code, 1)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("location", ["", "Location: \r\n", "Location: http://[\r\n", "Location: //\r\n"])
async def test_a_redirect_to_nowhere_is_refused(location: str) -> None:
    async with scripted(status(302, location)) as server, SSEClient(server.url) as client:
        with pytest.raises(Refused, match="answered 302"):
            await client.publish("a")


@pytest.mark.parametrize("code", [301, 302, 303])
async def test_a_stream_over_post_is_not_turned_into_a_get(code: int) -> None:
    async with scripted(status(code, "Location: /new\r\n"), stream("data: a\n\n")) as server:
        with pytest.raises(Refused, match=r"it has moved to http://.*/new"):
            await EventSource(server.url, {"method": "POST"}, json={}).connect()


@pytest.mark.parametrize("code", [307, 308])
async def test_a_stream_over_post_keeps_method_and_body_where_the_redirect_says_so(code: int) -> None:
    async with scripted(status(code, "Location: /new\r\n"), stream("data: a\n\n")) as server:
        async with EventSource(server.url, {"method": "POST"}, data=b"x", reconnection_time=0.01) as events:
            assert await data_of(events) == ["a"]
    assert [(request.method, request.path, request.body) for request in server.requests[:2]] == [
        ("POST", "/", b"x"),
        ("POST", "/new", b"x"),
    ]


async def test_the_password_of_the_url_stays_when_its_origin_does() -> None:
    async with scripted(status(301, "Location: /new\r\n"), stream("data: a\n\n")) as server:
        url = server.url.replace("//", "//user:pw@")
        async with EventSource(url, reconnection_time=0.01) as events:
            assert await data_of(events) == ["a"]
    assert {request.headers.get("authorization") for request in server.requests} == {"Basic dXNlcjpwdw=="}


# Bytes that make a request impossible


@pytest.mark.parametrize("id", ["a\x01b", "a\x7fb", "\x1b[2J", "x" * 100_000])
async def test_an_id_that_no_request_can_have_is_kept_for_the_caller_and_not_sent(
    id: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"id: {id}\ndata: a\n\n"
    async with scripted(stream(text), stream(text), stream("id: 2\ndata: b\n\n")) as server:
        async with EventSource(server.url, reconnection_time=0.01) as events:
            assert [(event.data, event.last_event_id) async for event in events] == [("a", id), ("a", id), ("b", "2")]
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, None, None, "2"]
    assert caplog.text.count("cannot be sent") == 1


async def test_a_cursor_that_no_request_can_have_is_no_error() -> None:
    async with scripted(stream("data: a\n\n")) as server:
        async with EventSource(server.url, last_event_id="a\x01b", reconnection_time=0.01) as events:
            assert events.last_event_id == "a\x01b"
            assert await data_of(events) == ["a"]


HEADERS = {
    "a cookie with control characters": 'Set-Cookie: a="\\001\\012"\r\n',
    "a cookie without a name": "Set-Cookie: =b; Path=/\r\n",
    "a cookie that is long": f"Set-Cookie: a={'b' * 7000}\r\n",
    "a reconnection time": "Retry-After: 99999999999999999999999\r\n",
    "a charset": "X-Charset: \xff\r\n",
    "a date": "Retry-After: Fri, 31 Feb 99999 23:59:59 +9999\r\n",
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_strange_headers_do_no_harm(headers: str) -> None:
    head = HEAD.replace("Connection", headers + "Connection", 1)
    async with scripted(raw(f"{head}data: a\n\n"), stream("data: b\n\n")) as server:
        async with EventSource(server.url, reconnection_time=0.01) as events:
            assert await data_of(events) == ["a", "b"]


@pytest.mark.parametrize(
    "wait", ["Fri, 31 Feb 99999 23:59:59 +9999", "Mon, 01 Jan 0001 00:00:00 +2359", "²", "1e9", "-1"]
)
async def test_a_retry_after_that_cannot_be_read_is_passed_over(wait: str) -> None:
    async with scripted(status(503, f"Retry-After: {wait}\r\n"), stream("data: a\n\n")) as server:
        async with EventSource(server.url, reconnection_time=0.01) as events:
            assert await data_of(events) == ["a"]


KINDS = ["text/event-stream; charset=no-such", "text/event-stream;", "TEXT/Event-Stream", 'text/event-stream; a="']


@pytest.mark.parametrize("kind", KINDS)
async def test_an_event_stream_is_one_whatever_its_charset_is(kind: str) -> None:
    head = HEAD.replace("text/event-stream", kind)
    async with scripted(raw(f"{head}data: ü\n\n".encode())) as server:
        async with EventSource(server.url, reconnection_time=0.01) as events:
            assert await data_of(events) == ["ü"]


@pytest.mark.parametrize("kind", ["", "a", ";", "text/", "text/html; charset=\x01"])
async def test_a_malformed_content_type_is_not_an_event_stream(kind: str) -> None:
    async with scripted(raw(HEAD.replace("text/event-stream", kind))) as server:
        with pytest.raises(SSEError):
            await EventSource(server.url, max_connect_retry=0).connect()


@pytest.mark.parametrize(
    "body", ['{"detail":[1]}', '{"title":{"a":"b"}}', "[" * 100_000, '{"detail":"a\\ud800"}', "\xff"]
)
async def test_a_problem_document_of_any_shape_is_a_refusal(body: str) -> None:
    async with scripted(status(404, "Content-Type: application/problem+json; charset=no\r\n", body)) as server:
        with pytest.raises(Refused, match="answered 404"):
            await EventSource(server.url).connect()


# Another answer than a hub's


async def test_keys_that_the_client_does_not_know_are_passed_over() -> None:
    answers = [
        {**PUBLISHED, "new": 1},
        [{**PUBLISHED, "new": 1}],
        {**PUBLISHED, "ids": ["1-0", "2-0"], "count": 2, "new": 1},
    ]
    async with scripted(*[status(200, JSON, json.dumps(answer)) for answer in answers]) as other:
        async with SSEClient(other.url) as client:
            assert (await client.publish("a")).id == "1-0"
            assert (await client.broadcast("a"))[0].id == "1-0"
            assert await client.publish_many(["a", "b"]) == 2


ANSWERS = {
    "a sign-in page": status(200, "Content-Type: text/html\r\n", "<html>Sign in"),
    "broken JSON": status(200, JSON, '{"id":'),
    "JSON that is no object": status(200, JSON, "7"),
    "an object without an id": status(200, JSON, "{}"),
    "JSON in another charset": status(200, "Content-Type: application/json; charset=no\r\n", "[7]"),
    "JSON without an end": status(200, JSON, "[" * 100_000),
    "nothing": status(204),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_of_another_server_is_refused_at_once(answer: Any) -> None:
    async with scripted(*[answer] * 4) as server, SSEClient(server.url) as client:
        for ask in (client.publish("a"), client.broadcast("a"), client.channels(), client.history()):
            with pytest.raises(Refused, match=f"{server.url.rstrip('/')}.*a hub"):
                await ask
    assert len(server.requests) == 4


@pytest.mark.parametrize("data", ["no json", "[]", "{}", json.dumps({**ENVELOPE, "timestamp": "soon"})])
async def test_a_stream_of_another_server_gives_a_warning_and_stays_usable(data: str) -> None:
    events = f"data: {data}\n\nevent: connected\ndata: {data}\n\nevent: lost\ndata: {data}\n\n"
    async with scripted(held(f"{events}data: {json.dumps({**ENVELOPE, 'new': 1})}\n\n")) as server:
        async with SSEClient(server.url) as client, client.stream() as following:
            with pytest.raises(SSEError, match="EventSource reads streams of any server"):
                await anext(following)
            assert (await anext(following)).data == "a"


@pytest.mark.parametrize("value", [math.nan, {"a": math.inf}, [-math.inf]])
async def test_a_number_that_json_has_not_is_an_error(server: Server, value: object) -> None:
    async with SSEClient(server.url) as client:
        for publish in (client.publish(value), client.broadcast(value), client.publish_many([value])):
            with pytest.raises(ValueError, match="JSON"):
                await publish
        assert (await client.history()).events == []


@pytest.mark.parametrize("value", [datetime.now(UTC), {"a": object()}, {1, 2}])
async def test_a_value_that_json_has_not_is_an_error(server: Server, value: object) -> None:
    async with SSEClient(server.url) as client:
        with pytest.raises(TypeError, match="JSON"):
            await client.publish(value)


@pytest.mark.parametrize("value", ["caf\udcc3", b"\xff", {"a": "\ud800"}])
async def test_text_that_utf_8_has_not_is_an_error(server: Server, value: object) -> None:
    async with SSEClient(server.url) as client:
        with pytest.raises(ValueError, match="UTF-8"):
            await client.publish(value)


async def test_a_name_that_utf_8_has_not_is_an_error(server: Server) -> None:
    async with SSEClient(server.url) as client:
        for use in (client.stream, client.channel):
            with pytest.raises(ValueError, match="UTF-8"):
                use("caf\udcc3\udca9")
        with pytest.raises(ValueError, match="UTF-8"):
            await client.publish("a", channel="caf\udcc3\udca9")


# The standard


async def test_the_request_bypasses_caches_as_the_standard_has_it() -> None:
    async with scripted(stream(), stream()) as server:
        async with EventSource(server.url), EventSource(server.url, headers={"Cache-Control": "max-age=0"}):
            pass
    first, second = (request.headers for request in server.requests)
    # Fetch 4.5, HTTP-network-or-cache fetch: the cache mode no-store adds these.
    assert (first["cache-control"], first["pragma"]) == ("no-cache", "no-cache")
    assert (second["cache-control"], second["pragma"]) == ("max-age=0", "no-cache")


async def test_a_refusal_whose_body_never_ends_is_one_soon() -> None:
    async def script(connection: Connection) -> None:
        await connection.send("HTTP/1.1 404 No\r\nContent-Length: 100\r\n\r\n{")
        await connection.gone()

    async with scripted(script, script) as server, SSEClient(server.url) as client, asyncio.timeout(15):
        with pytest.raises(Refused):
            await EventSource(server.url).connect()
        with pytest.raises(Refused):
            await client.publish("a")


async def test_at_least_half_of_the_reconnection_time_passes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sse_client")
    async with scripted(*[stream("data: a\n\n")] * 20) as server:
        async with EventSource(server.url, reconnection_time=0.2) as events:
            assert len(await data_of(events)) == 20
    waits = [float(wait) for wait in re.findall(r"again in ([\d.]+) s", caplog.text)]
    assert len(waits) == 20
    assert all(0.1 <= wait <= 0.2 for wait in waits)


# Health


async def test_a_connection_that_stood_and_brought_bytes_counts_as_healthy() -> None:
    async def comments_only(connection: Connection) -> None:
        await connection.send(HEAD + ": ping\n")
        await asyncio.sleep(1.1)

    scripts = [*[comments_only] * 4, stream("data: a\n\n")]
    async with scripted(*scripts) as server:
        async with EventSource(server.url, reconnection_time=0.01, max_retries=2) as events:
            assert await data_of(events) == ["a"]
    assert len(server.requests) == 6


async def test_connections_that_end_at_once_count_as_failures_whatever_comment_they_bring() -> None:
    async with scripted(*[stream(": hello\n")] * 9) as server:
        async with EventSource(server.url, reconnection_time=0.01, max_retries=3) as events:
            with pytest.raises(SSEError, match="after 3 retries"):
                await anext(events)


async def test_an_answer_of_another_kind_is_no_event_stream_although_it_is_large() -> None:
    async with scripted(raw(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{'x' * 1_000_000}")) as server:
        with pytest.raises(NotAnEventStream):
            await EventSource(server.url).connect()


async def test_a_large_body_is_sent_whole_again_with_a_fresh_token() -> None:
    fine = status(
        200, "Content-Type: application/json\r\n", '{"id":"1-0","channel":"main","event":"message","subscribers":0}'
    )
    tokens = iter(["old", "new"])
    async with scripted(status(401), fine) as server:
        async with SSEClient(server.url.rstrip("/"), token=lambda: next(tokens)) as client:
            await client.publish("x" * (2 << 20))
    assert [len(request.body) for request in server.requests] == [2 << 20] * 2
    assert server.requests[1].headers["authorization"] == "Bearer new"

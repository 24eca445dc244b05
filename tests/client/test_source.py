"""`EventSource` of the client, at a server that answers by a script."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import aiohttp_sse_client.client as theirs
import pytest
from cases import CASES, Case
from eventually import PATIENCE, eventually
from following import data_of
from scripted import HEAD, Connection, Script, Scripted, held, raw, scripted, silent, status, stream

import sse_client
from sse_client import (
    READY_STATE_CLOSED,
    READY_STATE_OPEN,
    EventSource,
    EventTooLarge,
    GaveUp,
    NotAnEventStream,
    Refused,
    SSEClient,
    SSEError,
)

SOON = 0.01  # reconnection time where a test is not about it


def source(url: str, option: dict[str, str] | None = None, **options: Any) -> EventSource:
    return EventSource(url, option, **{"reconnection_time": SOON, **options})


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    # a server's end of a connection may still have something to do
    await eventually(lambda: not asyncio.all_tasks() - before - {asyncio.current_task()})


# The interface of aiohttp_sse_client


def test_the_constructor_has_the_parameters_of_aiohttp_sse_client_in_its_order() -> None:
    def names(constructor: Any) -> list[str]:
        return [name for name, p in inspect.signature(constructor).parameters.items() if p.kind is not p.VAR_KEYWORD]

    assert names(EventSource)[: len(names(theirs.EventSource))] == names(theirs.EventSource)


@pytest.mark.parametrize("name", ["READY_STATE_CONNECTING", "READY_STATE_OPEN", "READY_STATE_CLOSED", "MessageEvent"])
def test_constants_and_event_class_are_those_of_aiohttp_sse_client(name: str) -> None:
    assert getattr(sse_client, name) == getattr(theirs, name)


async def test_events_are_their_message_events() -> None:
    async with scripted(stream("id: 1\nevent: t\ndata: a\n\ndata: b\n\n")) as server, source(server.url) as events:
        first, second = await anext(events), await anext(events)
    assert isinstance(first, theirs.MessageEvent)
    assert (first.type, first.message, first.data, first.last_event_id) == ("t", "t", "a", "1")
    assert (second.type, second.message) == ("message", "")
    assert first.origin + "/" == server.url


async def test_callbacks_tell_of_connections_events_and_breaks() -> None:
    said: list[object] = []

    async def opened() -> None:
        said.append("open")

    async with scripted(stream("data: a\n\n"), stream("data: b\n\n")) as server:
        options: dict[str, Any] = {"on_message": lambda event: said.append(event.data), "on_open": opened}
        async with source(server.url, on_error=lambda: said.append("error"), **options) as events:
            assert await data_of(events) == ["a", "b"]
    assert said == ["open", "a", "error", "open", "b", "error"]


async def test_the_ready_state_follows_the_connection() -> None:
    async with scripted(stream("data: a\n\n")) as server, source(server.url) as events:
        assert events.ready_state == READY_STATE_OPEN
        assert await data_of(events) == ["a"]
        assert events.ready_state == READY_STATE_CLOSED


def test_with_says_that_async_with_is_right() -> None:
    with pytest.raises(TypeError, match="async with"), source("http://127.0.0.1:9"):
        raise AssertionError


# The stream


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_stream_is_read_from_a_socket_as_the_standard_says(case: Case) -> None:
    async with scripted(stream(case.stream)) as server, source(server.url) as events:
        received = [(event.message, event.data, event.last_event_id) async for event in events]
        assert received == case.events
        assert events.last_event_id == case.id


async def test_an_event_comes_as_soon_as_its_last_byte() -> None:
    asked = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.send(HEAD + "data: a\r\r")
        await asked.wait()
        await connection.send("\ndata: b\n\n")

    async with scripted(script) as server, source(server.url) as events, asyncio.timeout(PATIENCE):
        assert (await anext(events)).data == "a"
        asked.set()
        assert (await anext(events)).data == "b"


async def test_a_line_of_ten_megabytes_is_read() -> None:
    async with scripted(stream("data: ", b"x" * 10_000_000, "\n\n")) as server, source(server.url) as events:
        assert len((await anext(events)).data) == 10_000_000


async def test_an_event_over_the_limit_is_an_error_and_not_tried_again() -> None:
    async with scripted(stream("data: 123456789\n\n")) as server, source(server.url, max_event_bytes=8) as events:
        with pytest.raises(EventTooLarge):
            await anext(events)
        assert await data_of(events) == []
    assert len(server.requests) == 1


async def test_a_compressed_stream_is_read_event_by_event() -> None:
    deflate = zlib.compressobj(wbits=31)
    first = deflate.compress(b"data: a\n\n") + deflate.flush(zlib.Z_SYNC_FLUSH)
    asked = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.send(HEAD.replace("Connection", "Content-Encoding: gzip\r\nConnection"))
        await connection.send(first)
        await asked.wait()
        await connection.send(deflate.compress(b"data: b\n\n") + deflate.flush())

    async with scripted(script) as server, source(server.url) as events, asyncio.timeout(PATIENCE):
        assert (await anext(events)).data == "a"
        asked.set()
        assert (await anext(events)).data == "b"


async def test_an_http_1_0_stream_is_read() -> None:
    answer = HEAD.replace("HTTP/1.1", "HTTP/1.0") + "data: a\n\n"
    async with scripted(raw(answer)) as server, source(server.url) as events:
        assert await data_of(events) == ["a"]


# Reconnecting


async def test_after_the_end_of_a_stream_it_resumes_after_the_last_event() -> None:
    async with scripted(stream("id: 1\ndata: a\n\n"), stream("id: 2\ndata: b\n\n")) as server:
        async with source(server.url) as events:
            assert await data_of(events) == ["a", "b"]
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "1", "2"]


async def test_half_an_event_is_neither_given_nor_a_cursor_nor_glued_to_the_next() -> None:
    scripts = stream("id: 1\ndata: a\n\nid: 2\nevent: t\ndata: ha"), stream("lf\ndata: b\n\n")
    async with scripted(*scripts) as server, source(server.url) as events:
        assert [(e.type, e.data) async for e in events] == [("message", "a"), ("message", "b")]
    assert server.requests[1].headers["last-event-id"] == "1"


async def abort(connection: Connection) -> None:
    await connection.send(HEAD + "id: 1\ndata: a\n\n")
    connection.abort()


CHUNKED = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BREAKS = {
    "in a chunk": raw(CHUNKED + "10\r\nid: 1\ndata: a\n\n!\r\nff\r\ndata: cut"),
    "between chunks": raw(CHUNKED + "f\r\nid: 1\ndata: a\n\n\r\n"),
    "in a body of known length": raw(
        HEAD.replace("Connection", "Content-Length: 99\r\nConnection") + "id: 1\ndata: a\n\n"
    ),
}


@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS)
async def test_a_connection_that_breaks_is_resumed_and_no_event_is_lost_or_doubled(script: Any) -> None:
    async with scripted(script, stream("id: 2\ndata: b\n\n")) as server, source(server.url) as events:
        assert await data_of(events) == ["a", "b"]
    assert server.requests[1].headers["last-event-id"] == "1"


async def test_a_malformed_chunk_is_a_broken_connection() -> None:
    given = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.send(CHUNKED + "f\r\nid: 1\ndata: a\n\n\r\n")
        await given.wait()
        await connection.send("nonsense\r\n")

    async with scripted(script, stream("data: b\n\n")) as server, source(server.url) as events:
        assert (await anext(events)).data == "a"
        given.set()
        assert await data_of(events) == ["b"]
    assert server.requests[1].headers["last-event-id"] == "1"


async def test_a_connection_that_is_reset_is_opened_again() -> None:
    async with scripted(abort, stream("data: b\n\n")) as server, source(server.url) as events:
        assert (await data_of(events))[-1] == "b"


@pytest.mark.parametrize("answer", ["", "nonsense\r\n\r\n", "HTTP/1.1 200"])
async def test_an_answer_that_is_no_http_is_tried_again(answer: str) -> None:
    async with scripted(raw(answer), stream("data: a\n\n")) as server, source(server.url) as events:
        assert await data_of(events) == ["a"]


async def test_the_client_waits_for_a_server_that_has_not_started(unused_tcp_port: int) -> None:
    failed = asyncio.Event()
    events = source(f"http://127.0.0.1:{unused_tcp_port}/", on_error=failed.set)
    waiting = asyncio.create_task(data_of(events))
    await failed.wait()
    async with scripted(stream("data: a\n\n"), port=unused_tcp_port):
        assert await waiting == ["a"]


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
async def test_a_passing_status_is_tried_again(code: int) -> None:
    async with scripted(status(code), stream("data: a\n\n")) as server, source(server.url) as events:
        assert await data_of(events) == ["a"]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 406, 410, 422])
async def test_a_lasting_status_ends_it_with_the_problem_document(code: int) -> None:
    problem = json.dumps({"title": "No", "detail": "It takes one of those.", "status": code})
    answer = status(code, "Content-Type: application/problem+json\r\n", problem)
    async with scripted(answer) as server:
        with pytest.raises(Refused, match="It takes one of those") as caught:
            await source(server.url).__aenter__()
    assert (caught.value.status, caught.value.problem["title"]) == (code, "No")
    assert isinstance(caught.value, ConnectionError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [status(404), status(404, "", "<html>"), status(404, "", "[]")])
async def test_a_refusal_without_a_problem_document_is_one_all_the_same(answer: Any) -> None:
    async with scripted(answer) as server:
        with pytest.raises(Refused, match="answered 404: no reason given") as caught:
            await source(server.url).__aenter__()
    assert caught.value.problem == {}


async def test_a_204_ends_it_without_an_error() -> None:
    async with scripted(status(204)) as server, source(server.url) as events:
        assert await data_of(events) == []


@pytest.mark.parametrize(
    "answer",
    [status(200, "Content-Type: text/html\r\n", "data: a\n\n"), status(200), status(205), status(206), status(304)],
)
async def test_an_answer_that_is_not_an_event_stream_ends_it_with_an_error(answer: Any) -> None:
    async with scripted(answer) as server:
        with pytest.raises(NotAnEventStream, match="an event stream is 200 text/event-stream"):
            await source(server.url).__aenter__()
    assert len(server.requests) == 1


async def test_the_client_waits_for_the_time_of_retry() -> None:
    async with scripted(stream("retry: 300\ndata: a\n\n"), stream()) as server, source(server.url) as events:
        await anext(events)
        began = time.monotonic()
        await data_of(events)
        assert time.monotonic() - began >= 0.6  # twice: the second stream brought no event, but no other time either


async def test_the_client_waits_for_the_time_of_retry_after() -> None:
    began = time.monotonic()
    async with scripted(status(503, "Retry-After: 1\r\n"), stream("data: a\n\n")) as server, source(server.url):
        assert time.monotonic() - began >= 1


@pytest.mark.parametrize(("draw", "waits"), [(max, [0.2, 0.4, 0.4]), (min, [0.1, 0.1, 0.1])], ids=["most", "least"])
async def test_waits_are_drawn_from_half_of_the_first_up_to_twice_as_much_each_time_and_the_cap(
    draw: Callable[..., float],
    waits: list[float],
    unused_tcp_port: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "sse_client")
    monkeypatch.setattr("random.uniform", draw)
    url = f"http://127.0.0.1:{unused_tcp_port}/"
    events = source(url, reconnection_time=0.2, max_connect_retry=3, max_reconnection_time=0.4)
    with pytest.raises(GaveUp, match="after 3 retries"):
        await events.__aenter__()
    assert [float(match[1]) for match in re.finditer(r"again in ([\d.]+) s", caplog.text)] == waits


async def test_an_event_begins_the_counting_of_attempts_anew() -> None:
    scripts = [stream("data: a\n\n"), status(500), stream("data: b\n\n"), status(500), stream("data: c\n\n")]
    async with scripted(*scripts) as server, source(server.url, max_retries=2) as events:
        assert await data_of(events) == ["a", "b", "c"]


async def test_streams_without_an_event_count_as_failures() -> None:
    async with scripted(*[stream()] * 9) as server, source(server.url, max_retries=3) as events:
        with pytest.raises(GaveUp, match="after 3 retries: the server ended the stream"):
            await anext(events)
        assert await data_of(events) == []
    assert len(server.requests) == 4


async def test_the_client_leaves_a_silent_stream() -> None:
    async with scripted(*[held("data: a\n\n")] * 9) as server, source(server.url, idle_timeout=0.2) as events:
        assert [(await anext(events)).data for _ in range(2)] == ["a", "a"]


async def test_the_client_leaves_a_server_that_never_answers() -> None:
    scripts = [silent, *[stream("data: a\n\n")] * 9]
    async with scripted(*scripts) as server, source(server.url, idle_timeout=0.2) as events:
        assert (await anext(events)).data == "a"


def greeting(*ping: str) -> str:
    """A hub's first event, which says how many seconds lie between two pings."""
    fields = ['"channels":["c"]', *(f'"ping":{each}' for each in ping)]
    return f"retry: 10\nevent: connected\ndata: {{{','.join(fields)}}}\n\n"


def late(seconds: float) -> Script:
    """The stream of a hub that pings every ten seconds. An event comes after this silence."""

    async def script(connection: Connection) -> None:
        await connection.send(HEAD + greeting("10"))
        await asyncio.sleep(seconds)
        value = '{"id":"1-0","channel":"c","event":"message","data":"late","timestamp":"2026-11-24T12:00:00Z"}'
        await connection.send(f"id: 1-0\ndata: {value}\n\n")

    return script


Follow = Callable[..., Awaitable[list[str]]]


async def follow_source(url: str, **options: Any) -> list[str]:
    async with source(url, **options) as events:
        return await data_of(events)


async def follow_stream(url: str, **options: Any) -> list[str]:
    async with SSEClient(url) as client, client.stream("c", **options) as events:
        return await data_of(events)


async def follow_stream_of_client(url: str, **options: Any) -> list[str]:
    async with SSEClient(url, **options) as client, client.stream("c") as events:
        return await data_of(events)


@pytest.fixture(params=[follow_source, follow_stream, follow_stream_of_client])
def follow(request: pytest.FixtureRequest) -> Follow:
    """Each way to follow a hub."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default of `idle_timeout` is short."""
    monkeypatch.setattr(sse_client, "DEFAULT_IDLE_TIMEOUT", 0.1)


@pytest.mark.usefixtures("short_patience")
async def test_a_hub_that_pings_seldom_is_not_left(follow: Follow) -> None:
    async with scripted(*[late(0.5)] * 3) as server:  # a busy machine may take too long for the first answer
        assert any("late" in data for data in await follow(server.url))


async def test_a_limit_of_the_user_holds_for_a_hub_that_pings_seldom(follow: Follow) -> None:
    async with scripted(held(greeting("3600")), held(greeting("3600"))) as server:
        await follow(server.url, idle_timeout=0.1)
    assert len(server.requests) >= 3


@pytest.mark.usefixtures("short_patience")
@pytest.mark.parametrize("ping", [[], ["0"], ["-60"], ["true"], ["null"], ['"60"'], ["NaN"], ["0.001"]])
async def test_without_a_ping_that_is_longer_the_default_holds(ping: list[str]) -> None:
    async with scripted(stream(greeting("3600")), held(greeting(*ping))) as server:
        await follow_source(server.url)
    assert len(server.requests) >= 3


async def test_comments_keep_a_stream_open() -> None:
    async def script(connection: Connection) -> None:
        await connection.send(HEAD)
        for _ in range(15):
            await connection.send(": ping\n")
            await asyncio.sleep(0.1)
        await connection.send("\ndata: a\n\n")

    async with scripted(script) as server, source(server.url, idle_timeout=1) as events:
        assert await data_of(events) == ["a"]
    assert len(server.requests) == 2


async def test_the_total_timeout_of_a_session_does_not_end_a_stream() -> None:
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2))

    async def script(connection: Connection) -> None:
        await connection.send(HEAD)
        await asyncio.sleep(0.5)
        await connection.send("data: a\n\n")

    async with scripted(script) as server, session, source(server.url, session=session) as events:
        assert await data_of(events) == ["a"]
    assert len(server.requests) == 2


# What is asked for


async def test_the_request_accepts_event_streams_and_no_cache() -> None:
    async with scripted(stream()) as server, source(server.url):
        pass
    headers = server.requests[0].headers
    assert (headers["accept"], headers["cache-control"]) == ("text/event-stream", "no-cache")
    assert "last-event-id" not in headers


async def test_the_callers_headers_are_sent_and_not_changed() -> None:
    mine = {"X-Mine": "1", "accept": "text/event-stream, */*"}
    async with scripted(stream("id: 1\ndata: a\n\n")) as server, source(server.url, headers=mine) as events:
        await data_of(events)
    assert mine == {"X-Mine": "1", "accept": "text/event-stream, */*"}
    assert [request.headers["x-mine"] for request in server.requests] == ["1", "1"]
    assert server.requests[0].headers["accept"] == "text/event-stream, */*"


async def test_headers_from_a_function_are_fresh_for_each_attempt() -> None:
    tokens = iter("123")

    async def headers() -> dict[str, str]:
        return {"Authorization": next(tokens)}

    async with scripted(stream("data: a\n\n"), stream("data: b\n\n")) as server:
        async with source(server.url, headers=headers) as events:
            await data_of(events)
    assert [request.headers["authorization"] for request in server.requests] == ["1", "2", "3"]


async def test_a_401_makes_the_client_compute_its_headers_once_more() -> None:
    tokens = iter("123")
    async with scripted(status(401), stream("data: a\n\n")) as server:
        async with source(server.url, headers=lambda: {"Authorization": next(tokens)}) as events:
            assert await data_of(events) == ["a"]


async def test_a_second_401_ends_it() -> None:
    async with scripted(status(401), status(401), stream()) as server:
        with pytest.raises(Refused, match="401"):
            await source(server.url, headers=dict).__aenter__()
    assert len(server.requests) == 2


async def test_a_cursor_of_the_caller_is_sent_first() -> None:
    async with scripted(stream("data: a\n\n")) as server, source(server.url, last_event_id="ü-7") as events:
        assert (await anext(events)).last_event_id == "ü-7"
    assert server.requests[0].headers["last-event-id"] == "ü-7"


@pytest.mark.parametrize("id", ["a\nb", "a\r", "\0"])
def test_a_cursor_that_no_stream_can_have_is_an_error(id: str) -> None:
    with pytest.raises(ValueError, match="no line break"):
        source("http://127.0.0.1/", last_event_id=id)


async def test_the_cursor_is_that_of_the_event_last_given() -> None:
    async with (
        scripted(stream("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\n\n")) as server,
        source(server.url) as events,
    ):
        await anext(events)
        assert events.last_event_id == "1"
        await anext(events)
        assert events.last_event_id == "3"


async def test_a_post_sends_its_body_with_each_attempt() -> None:
    async with scripted(stream("data: a\n\n"), stream("data: b\n\n")) as server:
        async with source(server.url, {"method": "POST"}, json={"prompt": "Hi"}) as events:
            assert await data_of(events) == ["a", "b"]
    assert {(request.method, request.body) for request in server.requests} == {("POST", b'{"prompt": "Hi"}')}


async def test_query_parameters_are_sent_with_each_attempt() -> None:
    async with scripted(stream("data: a\n\n")) as server, source(server.url, params={"q": "1"}) as events:
        await data_of(events)
    assert [request.path for request in server.requests] == ["/?q=1", "/?q=1"]


@pytest.mark.parametrize(("code", "remembered"), [(301, True), (308, True), (302, False), (303, False), (307, False)])
async def test_only_a_permanent_redirect_is_remembered(code: int, remembered: bool) -> None:
    moved = status(code, "Location: /new\r\n")
    async with scripted(moved, stream("data: a\n\n"), stream("data: b\n\n")) as server, source(server.url) as events:
        assert await data_of(events) == ["a", "b"]
        assert events.url.path == ("/new" if remembered else "/")
    assert [request.path for request in server.requests[:3]] == ["/", "/new", "/new" if remembered else "/"]


async def test_a_temporary_redirect_after_a_permanent_one_is_not_remembered() -> None:
    scripts = status(301, "Location: /a\r\n"), status(302, "Location: /b\r\n"), stream("data: x\n\n")
    async with scripted(*scripts) as server, source(server.url) as events:
        await data_of(events)
    assert [request.path for request in server.requests] == ["/", "/a", "/b", "/a"]


async def test_no_secret_goes_to_another_origin() -> None:
    secrets: list[dict[str, Any]] = [
        {"headers": {"Authorization": "secret", "Cookie": "a=b", "X-Mine": "1"}},
        {"headers": {"X-Mine": "1"}, "cookies": {"a": "b"}},
    ]
    async with scripted(*[stream("data: a\n\n"), stream("data: b\n\n"), status(204)] * 2) as other:
        for options in secrets:
            async with scripted(status(301, f"Location: {other.url}\r\n")) as server:
                async with source(server.url, **options) as events:
                    assert await data_of(events) == ["a", "b"]
    assert len(other.requests) == 6
    for request in other.requests:
        assert "authorization" not in request.headers
        assert "cookie" not in request.headers
    assert other.requests[1].headers["x-mine"] == "1"


@pytest.mark.parametrize("code", [401, 403])
async def test_a_refusal_for_the_lack_of_a_token_that_a_redirect_has_removed_names_the_new_place(code: int) -> None:
    async with scripted(*[status(code, "", '{"detail":"A token is needed."}')] * 2) as other:
        async with scripted(*[status(301, f"Location: {other.url}\r\n")] * 2) as server:
            with pytest.raises(Refused, match=f"moved to {other.url}; use that address") as caught:
                await source(server.url, headers={"Authorization": "Bearer a"}).connect()
            assert caught.value.status == 301
            with pytest.raises(Refused, match="A token is needed"):
                await source(server.url).connect()


async def test_redirects_without_end_are_an_error() -> None:
    async with scripted(*[status(302, "Location: /\r\n")] * 30) as server:
        with pytest.raises(SSEError, match="cannot be connected to"):
            await source(server.url).__aenter__()


@pytest.mark.parametrize("url", ["ftp://example.org/", "http://a..b/"])
async def test_a_malformed_url_is_an_error(url: str) -> None:
    with pytest.raises(SSEError, match="cannot be connected to"):
        await source(url).__aenter__()
    async with SSEClient(url) as client:
        with pytest.raises(SSEError, match="cannot be connected to"):
            await client.publish("a", deadline=PATIENCE)


@pytest.mark.parametrize(
    ("path", "sent"), [("my hub", "/my%20hub"), ("größe", "/gr%C3%B6%C3%9Fe"), ("a%2Fb/", "/a%2Fb")]
)
async def test_the_path_of_a_hub_is_percent_encoded(path: str, sent: str) -> None:
    async with scripted(status(403, "", "{}")) as server, SSEClient(server.url + path) as client:
        with pytest.raises(Refused):
            await client.publish("a", channel="c d")
    assert server.requests[0].path == f"{sent}/realtime/c%20d?event=message"


async def test_events_before_one_that_is_too_large_are_returned_before_the_error() -> None:
    async with scripted(held("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: " + "x" * 100)) as server:
        events = source(server.url, max_event_bytes=50)
        assert [(await anext(events)).data for _ in range(2)] == ["a", "b"]
        with pytest.raises(EventTooLarge):
            await anext(events)
        assert events.last_event_id == "2"
        assert await anext(events, None) is None


# Ending


async def test_a_session_of_the_caller_is_left_open() -> None:
    async with aiohttp.ClientSession() as session, scripted(stream("data: a\n\n")) as server:
        async with source(server.url, session=session) as events:
            await data_of(events)
        assert not session.closed


MOMENTS = {"answer": silent, "event": held(), "next": held("data: a\n\n"), "retry": status(500)}
"""The server's script by what the client then waits for."""


@pytest.fixture
def until_waiting(caplog: pytest.LogCaptureFixture) -> Callable[..., Awaitable[None]]:
    """Waits until an iteration waits for this."""
    caplog.set_level(logging.INFO, "sse_client")

    async def until(moment: str, server: Scripted, events: EventSource, got: list[str]) -> None:
        signs: dict[str, Callable[[], object]] = {
            "answer": lambda: server.requests,
            "event": lambda: events.ready_state == READY_STATE_OPEN,
            "next": lambda: got,
            "retry": lambda: "connecting again" in caplog.text,
        }
        await eventually(signs[moment])

    return until


@pytest.mark.parametrize("moment", MOMENTS)
async def test_close_ends_an_iteration_that_waits(moment: str, until_waiting: Callable[..., Awaitable[None]]) -> None:
    got: list[str] = []
    async with scripted(*[MOMENTS[moment]] * 3) as server:
        events = source(server.url, reconnection_time=100, on_message=lambda event: got.append(event.data))
        waiting = asyncio.create_task(data_of(events))
        await until_waiting(moment, server, events, got)
        await events.close()
        assert await waiting == (["a"] if moment == "next" else [])
        await events.close()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_cancelling_an_iteration_that_waits_leaves_nothing(
    moment: str, until_waiting: Callable[..., Awaitable[None]]
) -> None:
    got: list[str] = []

    async def iterate(events: EventSource) -> None:
        async with events:
            await data_of(events)

    async with scripted(*[MOMENTS[moment]] * 3) as server:
        events = source(server.url, reconnection_time=100, on_message=lambda event: got.append(event.data))
        waiting = asyncio.create_task(iterate(events))
        await until_waiting(moment, server, events, got)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_an_iteration_that_was_cancelled_can_go_on() -> None:
    asked = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.send(HEAD + "data: ha")
        await asked.wait()
        await connection.send("lf\n\n")

    async with scripted(script) as server, source(server.url) as events:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(events)
        asked.set()
        assert (await anext(events)).data == "half"

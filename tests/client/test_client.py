"""The client of a hub: publishing, streams, history and states."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from eventually import PATIENCE, eventually
from hubs import Server, serving
from programs import Program
from scripted import scripted, silent, status, stream

from sse_client import Event, Lost, NotAcknowledged, Published, Refused, SSEClient, SSEError, Stream, merge


@pytest.fixture
async def client(server: Server) -> AsyncIterator[SSEClient]:
    async with SSEClient(server.url) as client:
        yield client


async def take(events: AsyncIterator[Event], count: int) -> list[Event]:
    async with asyncio.timeout(PATIENCE):
        return [await anext(events) for _ in range(count)]


# Streams


async def test_an_event_has_type_channel_time_id_and_json(server: Server, client: SSEClient) -> None:
    id = await server.hub.publish('{"a": [1]}', channel="c", event="t")
    (event,) = await take(client.stream("c", replay=1), 1)
    assert (event.type, event.channel, event.last_event_id, event.json()) == ("t", "c", str(id), {"a": [1]})
    assert event.timestamp is not None
    assert abs((datetime.now(UTC) - event.timestamp).total_seconds()) < 60


async def test_an_event_cannot_be_changed() -> None:
    event = Event("message", "", "a", "", "")
    with pytest.raises(AttributeError):
        event.data = "b"  # type: ignore[misc]
    assert not hasattr(event, "__dict__")


async def test_data_that_are_not_json_raise_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        Event("message", "", "no json", "", "").json()


async def test_a_stream_is_of_main_unless_channels_are_named(server: Server, client: SSEClient) -> None:
    await server.hub.publish("m")
    await server.hub.publish("a", channel="a")
    await server.hub.publish("b", channel="b.c")
    assert [event.data for event in await take(client.stream(replay=9), 1)] == ["m"]
    assert [event.data for event in await take(client.stream("a", "b.*", replay=9), 2)] == ["a", "b"]
    assert [event.data for event in await take(client.channel("b.c", replay=9), 1)] == ["b"]


async def test_a_stream_can_be_of_some_types_only(server: Server, client: SSEClient) -> None:
    for type in ("x", "y", "z"):
        await server.hub.publish(type, event=type)
    assert [event.type for event in await take(client.stream(replay=9, events=["x", "z"]), 2)] == ["x", "z"]


async def test_a_channel_of_any_name_can_be_followed_and_published_to(client: SSEClient) -> None:
    name = "ü.ñ&%#+:@"
    await client.publish("a", channel=name)
    assert (await client.history(name)).events[0].channel == name
    assert (await take(client.channel(name, replay=1), 1))[0].channel == name
    assert (await take(client.stream(name, replay=1), 1))[0].channel == name


async def test_metrics_are_a_stream() -> None:
    async with serving(no_demo=False) as server, SSEClient(server.url) as client:
        (event,) = await take(client.metrics(), 1)
        assert event.channel == "metrics"
        assert event.json()["cpu_percent"] >= 0


async def test_ephemeral_events_come_too_and_move_no_cursor(server: Server, client: SSEClient) -> None:
    id = await server.hub.publish("kept")
    async with client.stream(replay=1) as events:
        await take(events, 1)
        await server.hub.publish("gone", ephemeral=True)
        assert [event.data for event in await take(events, 1)] == ["gone"]
        assert events.last_event_id == str(id)


async def test_the_hubs_own_events_are_attributes_of_the_stream_and_not_events(
    server: Server, client: SSEClient
) -> None:
    notices: list[str] = []
    await server.hub.publish("a")
    events = client.stream(replay=1, on_notice=lambda event: notices.append(event.type))
    assert [event.data for event in await take(events, 1)] == ["a"]
    await server.hub.publish("b")
    await take(events, 1)
    assert notices == ["connected", "live"]


async def test_a_cursor_resumes_where_another_stream_ended(server: Server, client: SSEClient) -> None:
    for data in "abc":
        await server.hub.publish(data)
    async with client.stream(replay=3) as events:
        await take(events, 2)
        cursor = events.last_event_id
    assert [event.data for event in await take(client.stream(last_event_id=cursor), 1)] == ["c"]


async def test_a_loss_is_reported_to_a_callback(server: Server, client: SSEClient) -> None:
    losses: list[Lost] = []
    await server.hub.publish("a")
    events = client.stream(last_event_id="1-0", on_lost=losses.append)
    await take(events, 1)
    assert [loss.after for loss in losses] == ["1-0"]


async def test_a_loss_without_a_callback_is_a_warning_in_the_log(
    server: Server, client: SSEClient, caplog: pytest.LogCaptureFixture
) -> None:
    await server.hub.publish("a")
    await take(client.stream(last_event_id="1-0"), 1)
    assert "are lost" in caplog.text


async def test_a_loss_in_the_middle_of_a_stream_is_reported() -> None:
    losses: list[Lost] = []
    async with scripted(stream('event: lost\ndata: {"after":"1-0","next":"5-0"}\n\n', envelope("5-0", "a"))) as server:
        async with SSEClient(server.url) as client:
            await take(client.stream(on_lost=losses.append), 1)
    assert losses == [Lost("1-0", "5-0")]


def envelope(id: str, data: str) -> str:
    value = f'{{"id":"{id}","channel":"main","event":"message","data":"{data}","timestamp":"2026-11-24T12:00:00Z"}}'
    return f"id: {id}\ndata: {value}\n\n"


async def test_events_that_come_again_after_a_reconnect_are_dropped() -> None:
    first = "retry: 10\n\n" + envelope("9-0", "a") + envelope("10-0", "b")
    async with scripted(stream(first), stream(envelope("10-0", "b") + envelope("10-1", "c"))) as server:
        async with SSEClient(server.url) as client:
            assert [event.data async for event in client.stream()] == ["a", "b", "c"]


async def test_another_hub_behind_the_address_is_believed() -> None:
    loss = 'id: 2-0\nevent: connected\ndata: {"channels":["main"],"resumed":false,"lost":true}\n\n'
    async with scripted(stream("retry: 10\n\n" + envelope("9-0", "a")), stream(loss + envelope("3-0", "b"))) as server:
        async with SSEClient(server.url) as client:
            assert [event.data async for event in client.stream()] == ["a", "b"]


async def test_the_client_waits_for_a_full_server(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(max_subscribers=1, retry=20) as server, SSEClient(server.url) as client:
        errors = asyncio.Event()
        first = client.stream()
        await first.__aenter__()
        second = client.stream(replay=1, on_notice=lambda event: errors.set() if event.type == "error" else None)
        waiting = asyncio.create_task(take(second, 1))
        await asyncio.wait_for(errors.wait(), PATIENCE)
        await server.hub.publish("a")
        await first.close()
        assert [event.data for event in await waiting] == ["a"]
    assert "slots for subscribers are in use" in caplog.text


async def test_a_request_that_the_hub_will_never_fulfil_is_an_error(client: SSEClient) -> None:
    with pytest.raises(Refused, match="is not an event name"):
        await take(client.stream(events=["\x7f"]), 1)


async def test_a_stream_is_open_at_the_beginning_of_its_block(client: SSEClient) -> None:
    async with client.stream("c"):
        assert (await client.publish("a", channel="c")).subscribers == 1


def test_a_stream_without_await_is_open_at_the_beginning_of_its_block(hub: Program) -> None:
    with SSEClient.sync(hub.url) as client, client.stream("c") as events:
        client.publish("a", channel="c")
        assert next(events).data == "a"


def test_an_error_at_the_beginning_of_a_block_without_await_reaches_the_caller(hub: Program) -> None:
    with SSEClient.sync(hub.url) as client, pytest.raises(Refused, match="is not an event name"):
        with client.stream(events=["\x7f"]):
            pytest.fail("the block was entered")


async def test_a_stream_that_is_closed_ends(client: SSEClient) -> None:
    events = client.stream()
    async with events:
        waiting = asyncio.create_task(anext(events, None))
        await asyncio.sleep(0)  # a turn, in which it begins to wait
        await events.close()
        assert await waiting is None


async def test_the_end_of_the_client_ends_its_streams(server: Server) -> None:
    async with SSEClient(server.url) as client:
        waiting = [asyncio.create_task(anext(client.stream(), None)) for _ in range(3)]
        await server.until_subscribers(3)
    assert await asyncio.gather(*waiting) == [None] * 3


async def test_more_streams_than_aiohttps_pool_leave_room_to_publish(server: Server, client: SSEClient) -> None:
    streams = [client.stream() for _ in range(110)]
    await asyncio.gather(*(each.__aenter__() for each in streams))
    assert (await client.publish("a")).subscribers == 110


async def test_the_token_is_read_anew_for_each_request() -> None:
    tokens = iter("abcdef")
    scripts = stream("retry: 10\n\n" + envelope("1-0", "a")), status(204), status(404)
    async with scripted(*scripts) as server, SSEClient(server.url, token=lambda: next(tokens)) as client:
        assert [event.data async for event in client.stream()] == ["a"]
        with pytest.raises(Refused):
            await client.publish("x")
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer a", "Bearer b", "Bearer c"]


# Options of requests

OK = status(200, "Content-Type: application/json\r\n", '{"id":"1-0","channel":"c","event":"t","subscribers":0}')
REQUESTS: dict[str, Any] = {
    "publish": lambda client: client.publish("a"),
    "health": lambda client: client.health(),
    "request": lambda client: client.request("GET", "/path"),
    "stream": lambda client: take_none(client.stream()),
}


def given(value: Any, way: str) -> Any:
    """The value, or a function that gives it."""

    async def later() -> Any:
        return value

    return {"value": value, "function": lambda: value, "coroutine function": later}[way]


@pytest.mark.parametrize("way", ["value", "function", "coroutine function"])
@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_the_headers_of_a_client_are_sent_with_each_request(request_: Any, way: str) -> None:
    headers = given({"X-Gateway": "key", "authorization": "not this"}, way)
    answer = status(204) if request_ is REQUESTS["stream"] else OK
    async with scripted(answer) as server, SSEClient(server.url, token="t", headers=headers) as client:
        await request_(client)
    (asked,) = server.requests
    assert (asked.headers["x-gateway"], asked.headers["authorization"]) == ("key", "Bearer t")


@pytest.mark.parametrize("token", ["t", lambda: "t"])
@pytest.mark.parametrize("way", ["value", "function", "coroutine function"])
async def test_the_headers_of_a_stream_are_sent_besides_those_of_its_client(way: str, token: Any) -> None:
    headers = given({"X-Mine": "b", "x-both": "stream"}, way)
    options: dict[str, Any] = {"token": token, "headers": {"X-Gateway": "key", "X-Both": "client"}}
    async with scripted(status(204)) as server, SSEClient(server.url, **options) as client:
        await take_none(client.stream(headers=headers))
    sent = server.requests[0].headers
    assert [sent[name] for name in ("x-gateway", "x-mine", "x-both", "authorization")] == [
        "key",
        "b",
        "stream",
        "Bearer t",
    ]


async def test_a_publish_has_the_content_type_of_its_body_whatever_the_headers_of_the_client() -> None:
    async with scripted(OK) as server, SSEClient(server.url, headers={"content-type": "text/html"}) as client:
        await client.publish("a")
    assert server.requests[0].headers["content-type"] == "text/plain; charset=utf-8"


async def test_a_function_for_headers_is_asked_once_more_after_a_401() -> None:
    keys = iter("ab")
    async with scripted(status(401), OK) as server:
        async with SSEClient(server.url, headers=lambda: {"X-Gateway": next(keys)}) as client:
            await client.publish("a")
    assert [request.headers["x-gateway"] for request in server.requests] == ["a", "b"]


def test_a_header_of_a_client_that_cannot_be_sent_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="X-Gateway") as caught:
        SSEClient(headers={"X-Gateway": "a\nSECRET"})
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
async def test_the_parameters_of_a_client_are_sent_with_each_request(request_: Any) -> None:
    answer = status(204) if request_ is REQUESTS["stream"] else OK
    async with scripted(answer) as server, SSEClient(server.url, params={"key": "a b"}) as client:
        await request_(client)
    assert "key=a+b" in server.requests[0].path


async def test_a_session_that_is_given_for_a_stream_is_used_and_stays_open() -> None:
    async with scripted(status(204)) as server, SSEClient(server.url) as client:
        async with aiohttp.ClientSession(headers={"X-Session": "mine"}) as session:
            await take_none(client.stream(session=session))
            await client.close()
            assert not session.closed
    assert server.requests[0].headers["x-session"] == "mine"


# Publishing


async def test_a_publish_is_answered_with_id_and_subscribers(server: Server, client: SSEClient) -> None:
    async with client.stream("c") as events:
        published = await client.publish("a\nb", channel="c", event="t")
        (event,) = await take(events, 1)
    assert published == Published(event.last_event_id, "c", "t", 1)
    assert (event.type, event.data) == ("t", "a\nb")


@pytest.mark.parametrize(
    ("data", "text"), [("text", "text"), ("", ""), (b"\xc3\xbc", "ü"), ({"ü": [1, None]}, '{"ü":[1,null]}'), (7, "7")]
)
async def test_data_is_text_bytes_or_anything_as_json(client: SSEClient, data: object, text: str) -> None:
    await client.publish(data)
    assert (await client.history()).events[0].data == text


async def test_an_ephemeral_publish_has_no_id(client: SSEClient) -> None:
    assert (await client.publish("a", ephemeral=True)).id is None
    assert (await client.history()).events == []


async def test_a_broadcast_goes_to_all_channels_that_are_named(client: SSEClient) -> None:
    moment = datetime(2026, 11, 24, 12, tzinfo=UTC)
    published = await client.broadcast({"a": 1}, channel=["x", "y"], event="t", timestamp=moment)
    assert [each.channel for each in published] == ["x", "y"]
    assert [channel.name for channel in await client.channels()] == ["x", "y"]
    (event,) = (await client.history("x")).events
    assert (event.type, event.json()) == ("t", {"message": {"a": 1}, "timestamp": "2026-11-24T12:00:00+00:00"})


async def test_a_publish_whose_answer_is_lost_happens_once(server: Server) -> None:
    async with Lossy(server.port, lose_answers=2) as url, SSEClient(url) as client:
        published = await client.publish("a")
        events = (await client.history()).events
        assert [event.last_event_id for event in events] == [published.id]


class Lossy:
    """A proxy that passes requests on and closes the connection instead of passing on the first answers."""

    def __init__(self, port: int, *, lose_answers: int) -> None:
        self._port = port
        self._lose = lose_answers

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, up = await asyncio.open_connection("127.0.0.1", self._port)
        while data := await reader.read(65536):
            up.write(data)
            answer = await upstream.read(65536)
            if self._lose:
                self._lose -= 1
                break
            writer.write(answer)
        writer.close()
        up.close()


async def test_the_client_waits_for_a_hub_that_is_away(unused_tcp_port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sse_client")
    answer = status(200, "Content-Type: application/json\r\n", '{"id":"1-0","channel":"c","event":"t","subscribers":0}')
    async with SSEClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        waiting = asyncio.create_task(client.publish("a"))
        await eventually(lambda: "publishing again" in caplog.text)
        async with scripted(status(503, "Retry-After: 1\r\n"), answer, port=unused_tcp_port) as server:
            assert (await waiting).id == "1-0"
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


async def test_a_publish_that_is_not_acknowledged_in_time_is_an_error(unused_tcp_port: int) -> None:
    async with SSEClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(NotAcknowledged, match=r"within 0\.3 s"):
            await client.publish("a", deadline=0.3)
    async with scripted(silent) as server, SSEClient(server.url) as client:
        with pytest.raises(NotAcknowledged):
            await client.publish("a", deadline=0.3)


async def test_a_publish_that_the_hub_refuses_is_an_error_that_says_why(client: SSEClient) -> None:
    with pytest.raises(Refused, match="the hub's own") as caught:
        await client.publish("a", event="live")
    assert caught.value.status == 400


async def test_many_items_are_published_in_order_in_few_requests(server: Server, client: SSEClient) -> None:
    batches: list[Published] = []
    items = [f"line {n}" for n in range(1200)]
    assert await client.publish_many(items, channel="c", on_batch=batches.append) == 1200
    assert [batch.count for batch in batches] == [500, 500, 200]
    events = (await client.history("c", limit=1000)).events
    assert [event.data for event in events] == items[200:]
    assert batches[-1].id == events[-1].last_event_id


async def test_items_that_are_no_line_are_published_in_their_place(client: SSEClient) -> None:
    items: list[object] = ["a", "b", "two\nlines", "", "c\r", {"d": 1}]
    assert await client.publish_many(items) == 6
    assert [event.data for event in (await client.history()).events] == ["a", "b", "two\nlines", "", "c\r", '{"d":1}']


async def test_nothing_to_publish_is_nothing(client: SSEClient) -> None:
    assert await client.publish_many([]) == 0


async def test_items_that_come_slowly_are_published_as_they_come(client: SSEClient) -> None:
    published = asyncio.Event()

    async def items() -> AsyncIterator[str]:
        yield "a"
        await published.wait()  # were the first one held back, this would wait for ever
        yield "b"

    async with asyncio.timeout(PATIENCE):
        assert await client.publish_many(items(), on_batch=lambda _: published.set()) == 2


async def test_no_more_is_read_from_a_source_than_the_hub_accepts(unused_tcp_port: int) -> None:
    given = 0

    async def items() -> AsyncIterator[str]:
        nonlocal given
        while True:
            given += 1
            yield "a"

    async with SSEClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(NotAcknowledged):
            await client.publish_many(items(), deadline=0.2)
    assert given <= 501


async def test_an_error_of_the_source_is_raised(client: SSEClient) -> None:
    async def items() -> AsyncIterator[str]:
        yield "a"
        raise LookupError("the source is broken")

    with pytest.raises(LookupError, match="the source is broken"):
        await client.publish_many(items())


# Questions


async def test_channels_are_those_of_the_hub(client: SSEClient) -> None:
    published = await client.publish("a", channel="c")
    async with client.stream("c", "d"):
        listed = {channel.name: channel for channel in await client.channels()}
    assert (listed["c"].events, listed["c"].last, listed["c"].subscribers) == (1, published.id, 1)
    assert (listed["d"].events, listed["d"].last) == (0, None)


async def test_history_goes_on_after_a_cursor(client: SSEClient) -> None:
    first = await client.publish("a")
    await client.publish("b")
    await client.publish("c")
    history = await client.history(after=first.id or "", limit=1)
    assert ([event.data for event in history.events], history.lost) == (["b"], False)
    assert (await client.history(after="1-0")).lost


async def test_bad_health_is_returned_and_not_raised(server: Server, client: SSEClient) -> None:
    assert (await client.health())["status"] == "ok"
    draining = status(503, "Content-Type: application/json\r\n", '{"status":"draining"}')
    async with scripted(draining) as ending, SSEClient(ending.url) as other:
        assert (await other.health())["status"] == "draining"


async def test_a_request_without_a_server_is_an_error(unused_tcp_port: int) -> None:
    async with SSEClient(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(SSEError, match=str(unused_tcp_port)):
            await client.channels()


async def test_a_hub_below_a_path_is_asked_there() -> None:
    answer = status(200, "Content-Type: application/json\r\n", '{"channels":[]}')
    async with scripted(answer, status(204)) as server, SSEClient(server.url + "a/b/") as client:
        await client.channels()
        await take_none(client.stream())
    assert [request.path.partition("?")[0] for request in server.requests] == ["/a/b/api/channels", "/a/b/stream"]


async def take_none(events: Stream) -> None:
    assert [event async for event in events] == []


# Several streams as one


async def test_merge_yields_the_events_of_all_streams(server: Server, client: SSEClient) -> None:
    for channel in ("a", "b"):
        await server.hub.publish(channel, channel=channel)
    async with aclosing(merge(client.stream("a", replay=1), client.stream("b", replay=1))) as events:
        assert {(await anext(events)).data, (await anext(events)).data} == {"a", "b"}
        await server.hub.publish("again", channel="a")
        assert (await anext(events)).data == "again"


async def test_merge_ends_with_the_last_stream_and_raises_the_error_of_any() -> None:
    async def count(to: int) -> AsyncIterator[int]:
        for n in range(to):
            yield n

    async def broken() -> AsyncIterator[int]:
        raise LookupError
        yield 0

    assert sorted([n async for n in merge(count(3), count(2), count(0))]) == [0, 0, 1, 1, 2]
    with pytest.raises(LookupError):
        assert [n async for n in merge(broken())]


async def test_a_merge_that_two_tasks_share_ends_for_each_of_them_with_the_source() -> None:
    arrived: asyncio.Queue[int | None] = asyncio.Queue()
    received: asyncio.Queue[int] = asyncio.Queue()

    async def source() -> AsyncIterator[int]:
        while (number := await arrived.get()) is not None:
            yield number

    numbers = merge(source())

    async def work() -> None:
        async for number in numbers:
            received.put_nowait(number)
            await asyncio.sleep(0)  # a turn, in which the other worker wakes and no wait for the source runs

    workers = [asyncio.create_task(work()) for _ in range(2)]
    for number in range(4):
        arrived.put_nowait(number)
        assert await asyncio.wait_for(received.get(), PATIENCE) == number
        for _ in range(9):  # turns, in which a worker that has found no item would end
            await asyncio.sleep(0)
        assert not any(worker.done() for worker in workers)
    arrived.put_nowait(None)
    await asyncio.wait_for(asyncio.gather(*workers), PATIENCE)
    assert received.empty()


# Without await


async def sync(url: str, act: Any) -> Any:
    """Run a function of a synchronous client in a thread."""

    def run() -> Any:
        with SSEClient.sync(url) as client:
            return act(client)

    return await asyncio.to_thread(run)


async def test_a_script_publishes_and_follows_without_await(server: Server) -> None:
    def act(client: Any) -> list[str]:
        assert client.publish("a", channel="c").channel == "c"
        assert client.publish_many(["b", "c"], channel="c") == 2
        assert client.broadcast("d", channel="c")[0].channel == "c"
        assert client.channels()[0].events == 4
        assert client.health()["status"] == "ok"
        with client.stream("c", replay=4) as events:
            data = [next(events).data for _ in range(3)]
            assert events.last_event_id == client.history("c").events[2].last_event_id
        return data

    assert await sync(server.url, act) == ["a", "b", "c"]


async def test_a_script_gets_errors_as_they_are(server: Server) -> None:
    with pytest.raises(Refused):
        await sync(server.url, lambda client: client.publish("a", event="live"))


async def test_a_stream_of_a_script_ends_when_the_server_says_so() -> None:
    async with scripted(stream("retry: 10\n\n" + envelope("1-0", "a"))) as server:
        assert await sync(server.url, lambda client: [event.data for event in client.channel("c")]) == ["a"]


async def test_a_script_may_close_twice(server: Server) -> None:
    await sync(server.url, lambda client: client.close())


def test_the_library_logs_below_its_own_name() -> None:
    assert logging.getLogger("sse_client").handlers == []


async def test_a_generator_whose_items_cannot_be_published_is_closed() -> None:
    closed: list[bool] = []

    async def rows() -> AsyncIterator[str]:
        try:
            for number in range(2000):
                yield str(number)
        finally:
            closed.append(True)

    generator = rows()
    async with scripted(status(403, "", "{}")) as server, SSEClient(server.url) as client:
        with pytest.raises(Refused):
            await client.publish_many(generator)
        assert closed == [True]

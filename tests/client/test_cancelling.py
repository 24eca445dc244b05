"""A wait that is cancelled: the pause, the attempt, the connection and what has come belong to the object."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from eventually import PATIENCE, eventually
from hubs import Server
from programs import Program, Start, fetch
from scripted import HEAD, Connection, Script, held, scripted, status

from sse_client import Event, EventSource, Lost, NotAcknowledged, SSEClient, SSEError, merge

BUSY = status(503, "Retry-After: 60\r\n")
SOON = 0.03
PATIENT = 20
"""How often a wait of `SOON` is tried."""


async def impatiently(events: AsyncIterator[Event]) -> Event | None:
    """The next event if it comes at once."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SOON):
            return await anext(events)
    return None


async def cancelled_after(begun: asyncio.Event, events: AsyncIterator[Event]) -> None:
    """Wait for the next event, and cancel that once something has begun."""
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.wait_for(begun.wait(), PATIENCE)
    waiting.cancel()
    await asyncio.wait([waiting])


async def data_of_next(events: AsyncIterator[Event]) -> str:
    """The data of the next event, waited for in short waits."""
    event = await eventually(lambda: impatiently(events))
    assert event is not None
    return event.data


def after(seconds: float, then: str) -> Script:
    """An event stream whose head comes late."""

    async def script(connection: Connection) -> None:
        await asyncio.sleep(seconds)
        await connection.send(HEAD + then)
        await connection.gone()

    return script


async def test_a_cancelled_wait_does_not_shorten_the_pause_before_the_next_attempt() -> None:
    async with scripted(BUSY, BUSY) as server, SSEClient(server.url) as client:
        for events in (EventSource(server.url), client.stream()):
            for _ in range(PATIENT):
                assert await impatiently(events) is None
            await events.close()
    assert len(server.requests) == 2


async def test_a_cancelled_wait_does_not_throw_the_attempt_away() -> None:
    async with scripted(after(5 * SOON, "data: a\n\n")) as server, contextlib.aclosing(Closing(server.url)) as closing:
        assert await data_of_next(closing.events) == "a"
    assert len(server.requests) == 1


class Closing:
    """A source that `contextlib.aclosing` closes, without waiting until it is open."""

    def __init__(self, url: str) -> None:
        self.events = EventSource(url)

    async def aclose(self) -> None:
        await self.events.close()


async def test_silence_is_noticed_through_many_short_waits() -> None:
    async with scripted(held("data: a\n\n"), held("data: b\n\n")) as server:
        async with EventSource(server.url, idle_timeout=20 * SOON, reconnection_time=0) as events:
            assert (await anext(events)).data == "a"
            assert await data_of_next(events) == "b"


async def test_an_event_whose_callback_was_cancelled_comes_again() -> None:
    asked = 0
    begun = asyncio.Event()

    async def slow_at_first(event: Event) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            begun.set()
            await asyncio.Event().wait()

    async with scripted(held("id: 1\ndata: a\n\nid: 2\ndata: b\n\n")) as server:
        async with EventSource(server.url, on_message=slow_at_first) as events:
            await cancelled_after(begun, events)
            assert events.last_event_id == ""
            assert [(await anext(events)).data, (await anext(events)).data] == ["a", "b"]
    assert asked == 3


async def test_a_loss_whose_callback_was_cancelled_is_reported_again() -> None:
    losses: list[Lost] = []
    begun, again = asyncio.Event(), asyncio.Event()

    async def slow_at_first(lost: Lost) -> None:
        losses.append(lost)
        if len(losses) == 1:
            begun.set()
            await asyncio.Event().wait()
        again.set()

    async with scripted(held('event: lost\ndata: {"after":"1-0","next":"5-0"}\n\n')) as server:
        async with SSEClient(server.url) as client, client.stream(on_lost=slow_at_first) as events:
            await cancelled_after(begun, events)
            await cancelled_after(again, events)
    assert losses == [Lost("1-0", "5-0")] * 2


async def test_a_cancelled_publish_does_not_shorten_the_pause_of_the_next(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sse_client")

    async def late(connection: Connection) -> None:
        await asyncio.sleep(3 * SOON)  # when nobody waits for it any more
        await BUSY(connection)

    async with scripted(late) as server, SSEClient(server.url) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await client.publish("a")
        await eventually(lambda: "publishing again" in caplog.text)
        requests = len(server.requests)
        for _ in range(PATIENT):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SOON):
                    await client.publish("a")
        assert len(server.requests) == requests


async def test_a_cancelled_publish_leaves_its_request_to_end_well() -> None:
    ended = asyncio.Event()

    async def script(connection: Connection) -> None:
        leaving = asyncio.create_task(connection.gone())
        await asyncio.sleep(5 * SOON)
        assert not leaving.done()
        leaving.cancel()
        ended.set()

    async with scripted(script) as server, SSEClient(server.url) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await client.publish("a")
        await asyncio.wait_for(ended.wait(), PATIENCE)


def unanswered(asked: asyncio.Event) -> Script:
    """No answer. The event is set when the request has come."""

    async def script(connection: Connection) -> None:
        asked.set()
        await connection.gone()

    return script


async def endless(_: object = None) -> AsyncIterator[str]:
    """One item, and then none for ever."""
    yield "a"
    await asyncio.Event().wait()


PUBLISHES: dict[str, Callable[[Any], Any]] = {
    "publish": lambda client: client.publish("a"),
    "broadcast": lambda client: client.broadcast("a", channel=["a", "b"]),
    "end": lambda client: client.end("a"),
    "forget": lambda client: client.forget("a"),
    "publish_many": lambda client: client.publish_many(["a", "b"]),
    "publish_many of items that come slowly": lambda client: client.publish_many(endless()),
}
QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "channels": lambda client: client.channels(),
    "history": lambda client: client.history("a"),
    "health": lambda client: client.health(),
}


async def outcome(waiting: Awaitable[object]) -> Any:
    """The error of a call that was interrupted."""
    (error,) = await asyncio.wait_for(asyncio.gather(waiting, return_exceptions=True), PATIENCE)
    return error


@pytest.mark.parametrize("publish", PUBLISHES.values(), ids=PUBLISHES)
async def test_closing_the_client_is_no_cancellation_of_a_publish(publish: Callable[[Any], Any]) -> None:
    asked = asyncio.Event()
    async with scripted(unanswered(asked)) as server:
        client = SSEClient(server.url)
        publishing = asyncio.create_task(publish(client))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        await client.close()
        error = await outcome(publishing)
    assert isinstance(error, NotAcknowledged)
    assert "the client was closed" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("publish", PUBLISHES.values(), ids=PUBLISHES)
async def test_closing_the_client_ends_a_publish_that_pauses(
    publish: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sse_client")
    async with scripted(BUSY) as server:
        client = SSEClient(server.url)
        publishing = asyncio.create_task(publish(client))
        await eventually(lambda: "publishing again" in caplog.text)
        await client.close()
        error = await outcome(publishing)
    assert isinstance(error, NotAcknowledged)
    assert len(server.requests) == 1


async def test_closing_the_client_ends_a_publish_of_many_that_waits_for_an_item(server: Server) -> None:
    client = SSEClient(server.url)
    acknowledged = asyncio.Event()
    publishing = asyncio.create_task(client.publish_many(endless(), on_batch=lambda _: acknowledged.set()))
    await asyncio.wait_for(acknowledged.wait(), PATIENCE)
    await client.close()
    assert isinstance(await outcome(publishing), NotAcknowledged)


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
async def test_closing_the_client_is_no_cancellation_of_a_question(ask: Callable[[Any], Any]) -> None:
    asked = asyncio.Event()
    async with scripted(unanswered(asked)) as server:
        client = SSEClient(server.url)
        asking = asyncio.ensure_future(ask(client))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        await client.close()
        error = await outcome(asking)
    assert isinstance(error, SSEError)
    assert "the client was closed" in str(error)


async def test_a_task_that_is_cancelled_while_its_client_is_closed_stays_cancelled() -> None:
    asked = asyncio.Event()
    async with scripted(unanswered(asked)) as server:
        client = SSEClient(server.url)
        publishing = asyncio.create_task(client.publish("a"))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        closing = asyncio.create_task(client.close())
        publishing.cancel()
        await asyncio.wait([publishing, closing])
    assert publishing.cancelled()


async def test_a_client_that_was_closed_can_be_used_again(server: Server) -> None:
    client = SSEClient(server.url)
    await client.publish("a")
    await client.close()
    await client.publish("b")
    assert [event.data for event in (await client.history()).events] == ["a", "b"]
    await client.close()


SYNC_PUBLISHES = {name: publish for name, publish in PUBLISHES.items() if "slowly" not in name}


@pytest.mark.parametrize("publish", SYNC_PUBLISHES.values(), ids=SYNC_PUBLISHES)
async def test_closing_a_client_without_await_is_no_cancellation_of_a_publish(publish: Callable[[Any], Any]) -> None:
    asked = asyncio.Event()
    async with scripted(unanswered(asked)) as server:
        client = SSEClient.sync(server.url)
        publishing = asyncio.create_task(asyncio.to_thread(publish, client))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        await asyncio.to_thread(client.close)
        assert isinstance(await outcome(publishing), NotAcknowledged)


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
async def test_closing_a_client_without_await_is_no_cancellation_of_a_question(ask: Callable[[Any], Any]) -> None:
    asked = asyncio.Event()
    async with scripted(unanswered(asked)) as server:
        client = SSEClient.sync(server.url)
        asking = asyncio.create_task(asyncio.to_thread(ask, client))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        await asyncio.to_thread(client.close)
        assert isinstance(await outcome(asking), SSEError)


async def test_closing_a_client_without_await_ends_a_publish_whose_iterable_waits(server: Server) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def items() -> Iterator[str]:
        waiting.set()
        go_on.wait(PATIENCE)
        yield "a"

    client = SSEClient.sync(server.url)
    publishing = asyncio.create_task(asyncio.to_thread(client.publish_many, items()))
    await asyncio.to_thread(waiting.wait, PATIENCE)
    await asyncio.to_thread(client.close)
    go_on.set()
    assert isinstance(await outcome(publishing), SSEError)


@pytest.mark.parametrize("item", ["one line", "two\nlines"])
async def test_a_publish_without_await_whose_client_was_closed_draws_no_more_items(item: str) -> None:
    asked = asyncio.Event()
    drawn: list[int] = []
    waiting, go_on = threading.Event(), threading.Event()

    def items() -> Iterator[str]:
        for number in range(100):
            drawn.append(number)
            if number == 9:
                waiting.set()
                go_on.wait(PATIENCE)
            yield item

    async with scripted(unanswered(asked)) as server:
        client = SSEClient.sync(server.url)
        publishing = asyncio.create_task(asyncio.to_thread(client.publish_many, items()))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        assert await asyncio.to_thread(waiting.wait, PATIENCE)
        await asyncio.to_thread(client.close)
        go_on.set()
        assert isinstance(await outcome(publishing), NotAcknowledged)
    assert len(drawn) == 10


async def test_closing_a_client_without_await_ends_a_stream_in_another_thread(server: Server) -> None:
    client = SSEClient.sync(server.url)
    reading = asyncio.create_task(asyncio.to_thread(lambda: list(client.stream("c"))))
    await server.until_subscribers(1)
    await asyncio.to_thread(client.close)
    assert await asyncio.wait_for(reading, PATIENCE) == []


async def test_closing_the_client_is_no_cancellation_of_a_run() -> None:
    asked = asyncio.Event()
    async with scripted(unanswered(asked)) as server:
        client = SSEClient(server.url)
        run = client.run("c")
        await run.write("a")
        flushing = asyncio.create_task(run.flush())
        await asyncio.wait_for(asked.wait(), PATIENCE)
        await client.close()
        assert isinstance(await outcome(flushing), NotAcknowledged)
        with pytest.raises(NotAcknowledged):
            await run.write("b")


async def test_clients_whose_publishes_fail_together_try_again_at_different_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "sse_client")

    async def publish() -> None:
        async with scripted(BUSY) as server, SSEClient(server.url) as client:
            with pytest.raises(NotAcknowledged):
                await client.publish("a", deadline=5.0)

    await asyncio.gather(*(publish() for _ in range(20)))
    pauses = re.findall(r"publishing again in ([\d.]+) s", caplog.text)
    assert (len(pauses), set(pauses)) == (20, {"60.0", "60.1"})


async def test_publishes_that_fail_at_once_pause_together() -> None:
    answer = status(200, "Content-Type: application/json\r\n", '{"id":"1-0","channel":"c","event":"t","subscribers":0}')
    async with scripted(*[status(503)] * 30, *[answer] * 30) as server, SSEClient(server.url) as client:
        async with asyncio.timeout(PATIENCE):
            published = await asyncio.gather(*(client.publish("a") for _ in range(30)))
    assert {each.id for each in published} == {"1-0"}


async def test_a_cancelled_wait_for_merged_streams_loses_nothing(server: Server) -> None:
    async with SSEClient(server.url) as client, merge(client.stream("a"), client.stream("b")) as events:
        assert await impatiently(events) is None
        await server.until_subscribers(2)
        for number in range(20):
            await server.hub.publish(str(number), channel="ab"[number % 2])
        received: list[str] = []
        while len(received) < 20:
            if (event := await impatiently(events)) is not None:
                received.append(event.data)
    assert sorted(received, key=int) == [str(number) for number in range(20)]


@contextlib.contextmanager
def interrupted(seconds: float) -> Iterator[None]:
    """Raise an exception in the main thread after this time, as Ctrl-C does, while it waits for an event."""

    def interrupt(_: object, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_name == "wait":
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, 0.001)

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_interrupted_wait_without_await_loses_nothing(program: Start) -> None:
    hub: Program = program("--no-demo")
    with SSEClient.sync(hub.url) as client, client.stream("c") as events:
        while b'"subscribers":0' in fetch(f"{hub.url}/health").body:
            with interrupted(SOON):
                next(events)
        publishing = threading.Thread(target=lambda: [client.publish(n, channel="c") for n in range(100)])
        publishing.start()
        received: list[int] = []
        while len(received) < 100:
            with interrupted(0.005):
                while len(received) < 100:
                    received.append(next(events).json())
        publishing.join()
    assert received == list(range(100))
